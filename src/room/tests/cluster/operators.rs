//! Operators whose members are on other nodes.

use super::*;

/// Returns alice, an operator of node 0, and bob, a member of node 1.
fn operator_and_member() -> (ClusterHarness, u8, u8) {
    let mut harness = nodes();
    let alice = harness.connect(0);
    harness.say(alice, &hello("alice"));
    let bob = harness.connect(1);
    harness.say(bob, r#"{"hello":{"name":"bob","keep":true,"password":"hunter2"}}"#);
    harness.flush();
    harness.make_operator(alice);
    harness.flush();
    (harness, alice, bob)
}

impl ClusterHarness {
    /// Sends a line, and returns the frames that the client gets then.
    fn ask(&mut self, client: u8, line: &str) -> Vec<Value> {
        let at = self.pick(client);
        let count = parse(&self.clients[at].2.received).len();
        self.say(client, line);
        self.flush();
        self.check_equal();
        parse(&self.clients[at].2.received).split_off(count)
    }

    fn last_frame(&self, client: u8) -> Value {
        parse(&self.clients[self.pick(client)].2.received).pop().unwrap()
    }
}

#[test]
fn ban_by_name_reaches_member_of_another_node() {
    let (mut harness, alice, bob) = operator_and_member();
    let frames = harness.ask(alice, "/ban bob 1h spam");
    assert_eq!(summary(&frames[0]), "info: alice banned bob: spam");
    assert_eq!(harness.last_frame(bob)["code"], "banned");
    // The addresses of the clients repeat; those of 2 and 6 are the same.
    let clients = [1, 1, 1, 1].map(|node| harness.connect(node));
    harness.flush();
    assert_eq!(harness.last_frame(clients[3])["code"], "banned");
    assert_eq!(harness.ask(alice, "/unban 192.0.2.2").len(), 1);
    let frames = harness.ask(alice, "/bans");
    assert_eq!(summary(&frames[0]), "info: there are no bans");
}

#[test]
fn whois_finds_member_of_another_node() {
    let (mut harness, alice, _) = operator_and_member();
    let frames = harness.ask(alice, r#"{"data":"/whois BOB","id":"7"}"#);
    assert_eq!(summary(&frames[0]), "info: bob is 192.0.2.2:1002");
    assert_eq!((frames.len(), &frames[0]["id"]), (1, &"7".into()));
}

#[test]
fn name_without_address_on_another_node_is_refused() {
    let (mut harness, alice, _) = operator_and_member();
    // The fourth client is one of a unix socket.
    let carol = [2, 2].map(|node| harness.connect(node))[1];
    harness.say(carol, &hello("carol"));
    harness.flush();
    let frames = harness.ask(alice, "/mute carol");
    assert_eq!(summary(&frames[0]), "error: carol has no address of its own");
    assert_eq!(frames.len(), 1);
}

#[test]
fn mute_lock_and_topic_hold_on_all_nodes() {
    let (mut harness, alice, bob) = operator_and_member();
    assert_eq!(harness.ask(alice, "/mute bob 1h").len(), 1);
    assert_eq!(harness.ask(bob, "spam")[0]["code"], "muted");
    assert_eq!(harness.ask(alice, "/unmute bob").len(), 1);
    assert_eq!(summary(&harness.ask(bob, "hello")[0]), "chat: hello");
    harness.ask(alice, "/topic be kind");
    harness.restart(2);
    harness.flush();
    let operator = harness.connect(2);
    harness.say(operator, &hello("carol"));
    harness.flush();
    let frames = parse(&harness.clients[harness.pick(operator)].2.received);
    assert_eq!(frames[0]["topic"], "be kind");
    assert_eq!(harness.ask(alice, "/lock 1h").len(), 1);
    let late = harness.connect(2);
    harness.say(late, &hello("dave"));
    harness.flush();
    assert_eq!(harness.last_frame(late)["code"], "locked");
}

#[test]
fn removed_operator_of_a_node_loses_the_commands() {
    let (mut harness, alice, _) = operator_and_member();
    harness.nodes[0].propose(Input::KeepOperators(vec!["other".into()]), harness.now);
    harness.flush();
    assert_eq!(harness.ask(alice, "/kick bob")[0]["code"], "not-operator");
}

#[test]
fn long_file_of_bans_fits_into_commands() {
    let lines = (0..1000).map(|number| {
        format!("ban 10.0.{}.{} - root {}\n", number / 256, number % 256, "\\\"".repeat(100))
    });
    let text = String::from_iter(lines);
    let (moderation, invalid) = Moderation::parse(&format!("topic be kind\n{text}"), 0);
    assert!(invalid.is_empty());
    let parts = Command::Moderation(Box::new(moderation.clone())).into_lines();
    let mut harness = nodes();
    for part in parts {
        let part = serde_json::to_string(&part).unwrap();
        assert!(part.len() < 32 << 10);
        harness.nodes[0].pending.push(part);
    }
    harness.flush();
    harness.check_equal();
    assert!(harness.nodes.iter().all(|node| node.room.state.moderation == moderation));
    assert_eq!(harness.nodes[1].room.take_changed_moderation(), Some(&moderation));
}
