//! The most members of a room on all nodes.

use super::*;

#[test]
fn room_full_on_all_nodes_refuses_next_client() {
    let mut harness = nodes();
    for node in &mut harness.nodes {
        node.room.state.rules.max_members = 2;
    }
    // The nodes have places for six.
    for (node, name) in [(0, "alice"), (1, "bob"), (2, "carol"), (0, "dave")] {
        let client = harness.connect(node);
        harness.say(client, &hello(name));
        harness.flush();
    }
    for refused in [2, 3] {
        let bye = parse(&harness.clients[refused].2.received).remove(0);
        assert_eq!((&bye["kind"], &bye["code"]), (&"bye".into(), &"full".into()));
        assert_eq!(bye["data"], "the room is full: 2 members on all servers");
    }
    assert_eq!(sequence(&harness), ["join: alice joined", "join: bob joined"]);
    // A member that resumes needs no other place.
    let again = harness.connect(2);
    harness.say(again, &hello_of("alice", 0, 1));
    harness.flush();
    assert_eq!(parse(&harness.clients[4].2.received)[0]["name"], "alice");
    // A member that leaves makes one free.
    harness.say(1, "/quit");
    harness.flush();
    let next = harness.connect(2);
    harness.say(next, &hello("erin"));
    harness.flush();
    assert_eq!(parse(&harness.clients[5].2.received)[0]["name"], "erin");
    harness.check_equal();
}
