//! Members that need a name, and state values about themselves, as IRC clients do.

use super::*;
use crate::protocol::{Hello, Request};

/// Returns the profile of an IRC client.
pub fn profile(away: &str) -> Profile {
    Profile {
        user: "user".into(),
        real_name: "Real Name".into(),
        away: away.into(),
        is_in_channel: true,
    }
}

impl ClusterHarness {
    /// Proposes the join of a client that is refused if its name is not free.
    pub fn join_as(&mut self, client: u8, name: &str, token: Option<Token>) {
        let (id, at, _) = self.clients[self.pick(client)];
        let node = &mut self.nodes[at];
        let hello = Hello {
            name: Some(name.into()),
            token: token.map(|token| token.to_string()),
            keep: true,
            ..Hello::default()
        };
        let line = ClientLine { id: None, request: Request::Hello(Box::new(hello)) };
        let input = Input::Lines { id, lines: vec![Ok(line)] };
        let Some(mut command) = node.room.propose(input, self.now) else { return };
        if let Command::Join(join) = &mut command {
            join.is_name_required = true;
            join.profile = Some(profile(""));
        }
        node.pending.push(serde_json::to_string(&command).unwrap());
    }

    pub fn push(&mut self, client: u8, command: impl FnOnce(ClientId) -> Command) {
        let (id, at, _) = self.clients[self.pick(client)];
        self.nodes[at].pending.push(serde_json::to_string(&command(id)).unwrap());
    }

    pub fn notice(&mut self, client: u8, text: &str) {
        let line = ClientLine { id: None, request: Request::Notice(text.into()) };
        self.push(client, |id| Command::Lines { id, lines: vec![Ok(line)] });
    }
}

#[test]
fn name_that_is_required_is_given_once() {
    let mut harness = nodes();
    let [alice, other] = [0, 1].map(|node| harness.connect(node));
    harness.join_as(alice, "alice", None);
    harness.join_as(other, "alice", None);
    harness.flush();
    let (id, ..) = harness.clients[1];
    let room = &harness.nodes[1].room;
    assert_eq!((room.member_count(), room.is_waiting(id)), (1, true));
    assert!(harness.clients[1].2.received.is_empty());
    // It waits for another name, and no longer than other clients.
    harness.join_as(other, "bob", None);
    harness.flush();
    assert_eq!(
        harness.nodes[2].room.members().map(|(_, name)| name).collect::<Vec<_>>(),
        ["alice", "bob"]
    );
    harness.check_equal();
    let late = harness.connect(2);
    harness.join_as(late, "alice", None);
    harness.flush();
    harness.advance(LONG_TIME);
    harness.flush();
    assert_eq!(harness.nodes[0].room.member_count(), 3, "a client waits for ever");
}

#[test]
fn name_that_is_required_is_given_back() {
    let mut harness = nodes();
    let alice = harness.connect(0);
    harness.join_as(alice, "alice", None);
    harness.flush();
    let again = harness.connect(1);
    harness.join_as(again, "alice", Some(token(1)));
    harness.flush();
    assert!(harness.clients[0].2.is_cut, "the old connection is not ended");
    let reason = DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset);
    harness.nodes[1].propose(Input::Disconnect { id: harness.clients[1].0, reason }, harness.now);
    harness.flush();
    let stranger = harness.connect(2);
    harness.join_as(stranger, "alice", None);
    harness.flush();
    assert_eq!(harness.nodes[0].room.member_count(), 0, "the name is reserved");
    let back = harness.connect(2);
    harness.join_as(back, "alice", Some(token(2)));
    harness.flush();
    assert_eq!(harness.nodes[0].room.member_count(), 1);
    harness.check_equal();
}

#[test]
fn credential_is_changed_for_its_name_only() {
    let mut harness = nodes();
    let alice = harness.connect(0);
    harness.join_as(alice, "alice", None);
    for (name, number) in [("bob", 50), ("alice", 51)] {
        let credential = credential_of(token(number));
        harness.push(alice, |id| Command::Credential { id, name: name.into(), credential });
    }
    harness.flush();
    for (at, number) in [(1, 50), (1, 1), (2, 51)] {
        let again = harness.connect(at);
        harness.join_as(again, "alice", Some(token(number)));
        harness.flush();
        let (id, ..) = harness.clients[usize::from(again)];
        let is_member = harness.nodes[0].room.members().any(|(member, _)| member == id);
        assert_eq!(is_member, number == 51, "{number}");
    }
    harness.check_equal();
}

#[test]
fn profile_and_notices_are_in_the_state() {
    let mut harness = nodes();
    let [alice, bob] = [0, 1].map(|node| harness.connect(node));
    harness.join_as(alice, "alice", None);
    harness.join_as(bob, "bob", None);
    harness.say(alice, "hello");
    harness.notice(bob, "beep");
    harness.push(alice, |id| Command::Profile { id, profile: Box::new(profile("lunch")) });
    harness.push(bob, |id| Command::Show { id, is_shown: false });
    harness.flush();
    harness.restart(2);
    harness.flush();
    let seq = harness.nodes[0].frames.iter().find(|(_, frame)| frame.contains("beep")).unwrap().0;
    for node in &harness.nodes {
        let state = &node.room.state;
        let [alice, bob] = [0, 1].map(|at| &state.profiles[&harness.clients[at].0]);
        assert_eq!((&*alice.away, &*alice.real_name), ("lunch", "Real Name"));
        assert!(alice.is_in_channel && !bob.is_in_channel);
        assert_eq!(state.notices, [*seq]);
    }
    for client in [alice, bob] {
        harness.say(client, "/quit");
    }
    harness.flush();
    assert!(harness.nodes.iter().all(|node| node.room.state.profiles.is_empty()));
    harness.check_equal();
}
