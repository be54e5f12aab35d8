//! Random work of three nodes.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// One step of a random run. The first field selects a node or a client.
#[derive(Clone, Debug)]
enum RandomStep {
    Connect(u8),
    /// Connects and becomes a member whose name is kept.
    Join(u8, u8),
    Hello(u8, u8, u8, bool),
    /// Resumes after a number with the token of another client.
    Resume(u8, u8, u8),
    Say(u8, &'static str),
    /// Joins, and is refused if the name is not free.
    JoinAs(u8, u8, u8),
    Notice(u8),
    Profile(u8, bool),
    Credential(u8, u8, u8),
    Show(u8, bool),
    Leave(u8, DisconnectReason),
    /// Appends the commands that a node has gathered to the log.
    Append(u8),
    /// Appends an earlier entry once more.
    Retry(u8),
    /// Commits some entries that a node has not read.
    Read(u8, u8),
    Advance(u16),
    /// A node ends without a shutdown, and starts again with the state of another.
    Restart(u8),
    /// A client sends the secret of an operator.
    Operator(u8),
    /// A node keeps the operators with a label, or none.
    KeepOperators(u8, bool),
}

/// Returns a line of a member.
fn line() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "a word",
            "/me waves",
            "/nick carol",
            "/history 3",
            "/who",
            "/quit",
            "/msg carol psst",
            "/kick name-1",
            "/ban name-1 1s",
            "/ban name-2 2s",
            "/unban 192.0.2.1",
            "/mute name-3 1s reason",
            "/unmute name-3",
            "/whois name-2",
            "/topic x",
            "/lock 1s",
            "/lock off",
            "/bans",
            "{",
            "",
        ][..],
    )
}

/// Returns the reason for which a client leaves.
fn reason() -> impl Strategy<Value = DisconnectReason> {
    prop::sample::select(
        &[
            DisconnectReason::Finished,
            DisconnectReason::Slow,
            DisconnectReason::Away,
            DisconnectReason::Away,
            DisconnectReason::Away,
            DisconnectReason::Lost(std::io::ErrorKind::ConnectionReset),
        ][..],
    )
}

fn step() -> impl Strategy<Value = RandomStep> {
    prop_oneof![
        2 => any::<u8>().prop_map(RandomStep::Connect),
        4 => (any::<u8>(), 0u8..4).prop_map(|(node, name)| RandomStep::Join(node, name)),
        4 => (any::<u8>(), 0u8..4, 0u8..6, any::<bool>())
            .prop_map(|(id, name, history, flag)| RandomStep::Hello(id, name, history, flag)),
        2 => (any::<u8>(), any::<u8>(), 0u8..20)
            .prop_map(|(id, old, after)| RandomStep::Resume(id, old, after)),
        8 => (any::<u8>(), line()).prop_map(|(id, line)| RandomStep::Say(id, line)),
        2 => (any::<u8>(), 0u8..4, any::<u8>())
            .prop_map(|(id, name, old)| RandomStep::JoinAs(id, name, old)),
        1 => any::<u8>().prop_map(RandomStep::Notice),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(id, away)| RandomStep::Profile(id, away)),
        1 => (any::<u8>(), 0u8..4, 0u8..9)
            .prop_map(|(id, name, token)| RandomStep::Credential(id, name, token)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(id, is_shown)| RandomStep::Show(id, is_shown)),
        2 => (any::<u8>(), reason()).prop_map(|(id, reason)| RandomStep::Leave(id, reason)),
        6 => any::<u8>().prop_map(RandomStep::Append),
        1 => any::<u8>().prop_map(RandomStep::Retry),
        6 => (any::<u8>(), 1..4u8).prop_map(|(node, count)| RandomStep::Read(node, count)),
        2 => (0..1500u16).prop_map(RandomStep::Advance),
        1 => any::<u8>().prop_map(RandomStep::Restart),
        1 => any::<u8>().prop_map(RandomStep::Operator),
        1 => (any::<u8>(), any::<bool>())
            .prop_map(|(node, flag)| RandomStep::KeepOperators(node, flag)),
    ]
}

impl ClusterHarness {
    fn apply(&mut self, step: &RandomStep) {
        match *step {
            RandomStep::Connect(node) => drop(self.connect(usize::from(node) % NODES)),
            RandomStep::Join(node, name) => {
                let client = self.connect(usize::from(node) % NODES);
                self.say(client, &format!(r#"{{"hello":{{"name":"name-{name}","keep":true}}}}"#));
            }
            RandomStep::Append(node) => self.append(usize::from(node) % NODES),
            RandomStep::Retry(back) if !self.log.is_empty() => {
                let entry = self.log[usize::from(back) % self.log.len()].clone();
                self.log.push(AppendedEntry { now: self.now, ..entry });
            }
            RandomStep::Retry(_) => {}
            RandomStep::Read(node, count) => {
                for _ in 0..count {
                    self.read(usize::from(node) % NODES);
                }
            }
            RandomStep::Advance(ms) => self.advance(Duration::from_millis(ms.into())),
            RandomStep::Restart(node) => self.restart(usize::from(node) % NODES),
            RandomStep::KeepOperators(node, is_kept) => {
                let labels = is_kept.then(|| "root".into()).into_iter().collect();
                let node = &mut self.nodes[usize::from(node) % NODES];
                node.propose(Input::KeepOperators(labels), self.now);
            }
            _ if self.clients.is_empty() => {}
            _ => self.apply_to_client(step),
        }
    }

    /// Applies the step of a client.
    fn apply_to_client(&mut self, step: &RandomStep) {
        match *step {
            RandomStep::Hello(client, name, history, flag) => {
                let hello = format!(
                    r#"{{"hello":{{"name":"name-{name}","history":{history},"quiet":{flag},"keep":{flag}}}}}"#,
                );
                self.say(client, &hello);
            }
            RandomStep::Resume(client, old, after) => {
                let token = token(self.pick(old) as u64 + 1);
                let hello = format!(
                    r#"{{"hello":{{"token":"{token}","epoch":"epoch","after":{after},"keep":true}}}}"#,
                );
                self.say(client, &hello);
            }
            RandomStep::Say(client, line) => self.say(client, line),
            RandomStep::Operator(client) => self.make_operator(client),
            RandomStep::JoinAs(client, name, old) => {
                let token = (old > 99).then(|| token(u64::from(old)));
                self.join_as(client, &format!("name-{name}"), token);
            }
            RandomStep::Notice(client) => self.notice(client, "beep"),
            RandomStep::Profile(client, is_away) => {
                let profile = Box::new(super::profiles::profile(if is_away { "x" } else { "" }));
                self.push(client, |id| Command::Profile { id, profile });
            }
            RandomStep::Credential(client, name, number) => {
                // Each client has its own credentials, as each name and password have.
                let number = 100 + 10 * self.pick(client) as u64 + u64::from(number);
                let (name, credential) =
                    (format!("name-{name}").into(), credential_of(token(number)));
                self.push(client, |id| Command::Credential { id, name, credential });
            }
            RandomStep::Show(client, is_shown) => {
                self.push(client, |id| Command::Show { id, is_shown });
            }
            RandomStep::Leave(client, reason) => {
                let (id, at, _) = self.clients[self.pick(client)];
                self.nodes[at].propose(Input::Disconnect { id, reason }, self.now);
            }
            _ => unreachable!("{step:?} is of no client"),
        }
    }

    /// Checks that each member got consecutive numbers from its welcome on, and the frames of the
    /// sequence.
    fn check_members(&self) {
        let mut sequence: BTreeMap<u64, &str> = BTreeMap::new();
        for node in &self.nodes {
            sequence.extend(node.frames.iter().map(|(seq, frame)| (*seq, &**frame)));
        }
        for (id, _, client) in &self.clients {
            let lines = std::str::from_utf8(&client.received).unwrap().lines();
            let mut next = None;
            for line in lines {
                let frame: Value = serde_json::from_str(line).unwrap();
                let kind = text(&frame["kind"]);
                if kind == "welcome" {
                    next = frame["seq"].as_u64().map(|seq| seq + 1);
                }
                let numbered = frame["seq"].as_u64().filter(|_| !matches!(kind, "welcome" | "bye"));
                let (Some(seq), Some(expected)) = (numbered, next) else { continue };
                // A lower number is a frame of the history.
                assert!(seq <= expected, "{id:?} got {seq} before {expected}");
                next = next.max(Some(seq + 1));
                if let Some(frame) = sequence.get(&seq) {
                    assert_eq!(*frame, line);
                }
            }
        }
    }

    /// Disconnects all clients, and checks that nothing is left.
    fn finish(&mut self) {
        for client in 0..self.clients.len() {
            let (id, at, _) = self.clients[client];
            let reason = DisconnectReason::Lost(std::io::ErrorKind::BrokenPipe);
            self.nodes[at].propose(Input::Disconnect { id, reason }, self.now);
        }
        self.advance(LONG_TIME);
        self.flush();
        self.advance(LONG_TIME);
        self.flush();
        for node in &self.nodes {
            let room = &node.room;
            assert_eq!((room.member_count(), room.client_count(), room.ending_count()), (0, 0, 0));
            assert_eq!((room.lobby.admission.len(), room.deadline()), (0, None));
            assert_eq!(room.lobby.tokens.len(), 0);
            assert!(room.state.operators.is_empty() && room.lobby.operators.is_empty());
        }
        let mut present = HashSet::new();
        let whole = self.nodes.iter().find(|node| node.frames.contains_key(&1));
        for frame in whole.into_iter().flat_map(|node| node.frames.values()) {
            let frame: Value = serde_json::from_str(frame).unwrap();
            let names = frame["names"].as_array().into_iter().flatten();
            match text(&frame["kind"]) {
                "join" => names.for_each(|name| assert!(present.insert(name.clone()), "{frame}")),
                "leave" => names.for_each(|name| assert!(present.remove(name), "{frame}")),
                "name" if present.remove(&frame["from"]) => {
                    present.insert(frame["to"].clone());
                }
                _ => {}
            }
        }
        assert!(present.is_empty(), "{present:?} have not left");
    }
}

/// Runs steps, and returns the harness after everything is read.
fn run(steps: &[RandomStep], plan: SealPlan) -> ClusterHarness {
    let mut harness = ClusterHarness::new(plan);
    steps.iter().for_each(|step| harness.apply(step));
    harness.flush();
    harness
}

/// Returns a function that repeats the values without end.
fn cycle(values: Vec<bool>) -> Box<dyn FnMut() -> bool> {
    let mut values = values.into_iter().cycle();
    Box::new(move || values.next() == Some(true))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The same log leads to the same state and the same frames on all nodes, whenever they seal and
    /// restore.
    #[test]
    fn nodes_have_identical_frames_and_states(
        steps in proptest::collection::vec(step(), 1..150),
        seals in proptest::collection::vec(any::<bool>(), 1..50),
        restores in proptest::collection::vec(any::<bool>(), 1..50),
    ) {
        let mut one = run(
            &steps,
            SealPlan { seals: Box::new(|| true), restores: Box::new(|| false) },
        );
        let other = run(&steps, SealPlan { seals: cycle(seals), restores: cycle(restores) });
        for harness in [&one, &other] {
            harness.check_equal();
            harness.check_members();
        }
        for (one, other) in one.nodes.iter().zip(&other.nodes) {
            prop_assert_eq!(&one.frames, &other.frames);
        }
        for ((_, _, one), (_, _, other)) in one.clients.iter().zip(&other.clients) {
            // A client that is replaced or slow loses the frames of the open batch.
            if !one.is_cut {
                let (one, other) = (&one.received, &other.received);
                prop_assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(other));
            }
        }
        one.finish();
    }
}
