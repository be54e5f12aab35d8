//! The most members of a room on all nodes.

use super::*;

#[test]
fn new_rules_count_on_all_nodes() {
    let mut harness = nodes();
    // The nodes seal at different places.
    let mut number = 0;
    harness.plan.seals = Box::new(move || {
        number += 1;
        number % 5 == 0
    });
    let alice = harness.connect(0);
    harness.say(alice, &hello("alice"));
    let mut rules = harness.nodes[0].room.rules().clone();
    for (history, max_members) in [(2, 1), (9, 2)] {
        for number in 0..8 {
            harness.say(alice, &format!("{history} {number}"));
        }
        (rules.history, rules.max_members) = (history, max_members);
        let command = serde_json::to_string(&Command::Rules(Box::new(rules.clone()))).unwrap();
        harness.nodes[0].pending.push(command);
        harness.say(alice, "last");
        harness.flush();
        harness.check_equal();
    }
    assert_eq!(harness.nodes[1].room.rules(), &rules);
    for (node, name) in [(1, "bob"), (2, "carol")] {
        let client = harness.connect(node);
        harness.say(client, &hello(name).replace('}', ",\"history\":9}"));
        harness.flush();
    }
    let [bob, carol] = [1, 2].map(|at| parse(&harness.clients[at].2.received));
    assert_eq!(bob[0]["limits"]["history"], 9);
    assert_eq!(carol[0]["data"], "the room is full: 2 members on all servers");
    harness.check_equal();
}

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
