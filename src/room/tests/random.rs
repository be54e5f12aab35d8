//! Random inputs: all members get the same sequence.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::protocol::case_fold;
use crate::room::state::Visibility;

/// One step of a random run.
#[derive(Clone, Debug)]
enum RandomStep {
    Connect,
    Hello(u8, u8, u8, bool),
    /// Resumes after a number with the token of another client.
    Resume(u8, u8, u8),
    Say(u8, &'static str),
    Leave(u8, bool),
    /// Sends the password, and a line.
    Admit(u8, &'static str),
    Advance,
    Seal,
}

fn step() -> impl Strategy<Value = RandomStep> {
    let line = prop_oneof![
        4 => Just("a word"),
        1 => Just("/me waves"),
        1 => Just("/nick carol"),
        1 => Just("/history 3"),
        1 => Just("/who"),
        1 => Just("/quit"),
        1 => Just("/msg name-1 psst"),
        1 => Just("/kick name-1"),
        1 => Just("/ban name-2 1s"),
        1 => Just("/unban 192.0.2.0"),
        1 => Just("/mute name-3 1s reason"),
        1 => Just("/unmute 192.0.2.1"),
        1 => Just("/topic x"),
        1 => Just("/lock 1s"),
        1 => Just("/lock off"),
        1 => Just("{"),
        1 => Just(""),
    ];
    prop_oneof![
        2 => Just(RandomStep::Connect),
        3 => (any::<u8>(), 0u8..4, 0u8..6, any::<bool>()).prop_map(
            |(id, name, history, is_quiet)| RandomStep::Hello(id, name, history, is_quiet)
        ),
        2 => (any::<u8>(), any::<u8>(), 0u8..20)
            .prop_map(|(id, old, after)| RandomStep::Resume(id, old, after)),
        2 => (any::<u8>(), line.clone()).prop_map(|(id, line)| RandomStep::Admit(id, line)),
        6 => (any::<u8>(), line).prop_map(|(id, line)| RandomStep::Say(id, line)),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(id, is_end)| RandomStep::Leave(id, is_end)),
        1 => Just(RandomStep::Advance),
        3 => Just(RandomStep::Seal),
    ]
}

/// Checks that each number is the same frame for all members, that the numbers of a member have no
/// gap, and that no two members have the same name.
fn check_sequence(harness: &RoomHarness) {
    let mut by_number: HashMap<u64, Value> = HashMap::new();
    for &id in harness.clients.keys() {
        let frames = harness.frames(id);
        let Some(welcome) = frames.iter().find(|frame| frame["kind"] == "welcome") else {
            continue;
        };
        let mut next = welcome["seq"].as_u64().expect("a number") + 1;
        for frame in &frames {
            let Some(seq) = frame["seq"].as_u64() else { continue };
            match text(&frame["kind"]) {
                "welcome" => continue,
                "bye" => assert_eq!(seq, next - 1),
                _ => {
                    // A lower number is a frame of the history.
                    assert!(seq <= next);
                    next = next.max(seq + 1);
                    let same = by_number.entry(seq).or_insert_with(|| frame.clone());
                    assert_eq!(&*same, frame);
                }
            }
        }
        if harness.clients[&id].is_live {
            assert_eq!(next, harness.room.seq() + 1);
        }
    }
    check_presence(harness);
    let names: Vec<String> = harness.room.members().map(|(_, name)| case_fold(name)).collect();
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(names.len(), unique.len());
    assert_eq!(names.len(), harness.room.state.names.len());
    let clients = harness.room.lobby.clients.iter().filter(|(_, client)| !client.is_visitor);
    assert_eq!(clients.count(), harness.room.lobby.admission.len());
    // Four places are for operators.
    assert!(harness.room.lobby.admission.len() <= harness.room.lobby.config.max_clients + 4);
    let operators = harness.room.state.operators.iter();
    assert!(operators.map(|(id, _)| *id).all(|id| harness.room.state.members.get(id).is_some()));
}

/// Checks that all that a member does comes after its join and before its leave, and that these are
/// the joins and leaves of the announced members alone.
fn check_presence(harness: &RoomHarness) {
    let mut present: BTreeSet<String> = BTreeSet::new();
    // The names that quiet members took later.
    let mut quiet: BTreeSet<String> = BTreeSet::new();
    let is_quiet =
        |quiet: &BTreeSet<String>, name: &str| name.starts_with("quiet-") || quiet.contains(name);
    for frame in parse(&harness.sequence) {
        let names =
            frame["names"].as_array().into_iter().flatten().map(|name| text(name).to_owned());
        match text(&frame["kind"]) {
            "join" => names.for_each(|name| assert!(present.insert(name), "{frame}")),
            "leave" => names.for_each(|name| assert!(present.remove(&name), "{frame}")),
            "name" if is_quiet(&quiet, text(&frame["from"])) => {
                quiet.insert(text(&frame["to"]).to_owned());
            }
            "name" => {
                assert!(present.remove(text(&frame["from"])), "{frame}");
                assert!(present.insert(text(&frame["to"]).to_owned()), "{frame}");
            }
            "info" => assert_eq!(text(&frame["data_source"]), "server"),
            _ => {
                let author = text(&frame["data_source"]);
                assert!(present.contains(author) || is_quiet(&quiet, author), "{frame}");
            }
        }
    }
    let members = harness.room.state.members.iter();
    let announced = members.filter(|(_, member)| member.visibility == Visibility::Announced);
    let announced: BTreeSet<String> =
        announced.map(|(_, member)| member.name.clone()).map(String::from).collect();
    assert_eq!(present, announced);
}

/// Runs steps in a room whose history is short, and seals after each step that `is_sealed` accepts.
fn run_steps(
    config: &Config,
    steps: &[RandomStep],
    mut is_sealed: impl FnMut(&RandomStep) -> bool,
) -> RoomHarness {
    let mut harness = RoomHarness::new(config.clone());
    let mut last = 0;
    for step in steps {
        let pick = |pick: u8| 1 + u64::from(pick) % u64::max(last, 1);
        match *step {
            RandomStep::Connect => {
                last += 1;
                // Every fourth client is an operator, the others have two addresses.
                let peer = match last % 4 {
                    0 => Peer::Unix(Some(0)),
                    number => {
                        Peer::Inet([192, 0, 2, (number % 2) as u8].into(), 1000 + last as u16)
                    }
                };
                harness.connect_from(last, peer);
            }
            _ if last == 0 => {}
            RandomStep::Hello(id, name, history, is_quiet) => {
                let stem = if is_quiet { "quiet" } else { "name" };
                let hello = format!(
                    r#"{{"hello":{{"name":"{stem}-{name}","history":{history},"quiet":{is_quiet}}}}}"#,
                );
                harness.say(pick(id), &hello);
            }
            RandomStep::Resume(id, old, after) => {
                let token = token(pick(old));
                let hello = format!(
                    r#"{{"hello":{{"token":"{token}","epoch":"epoch","after":{after},"keep":true}}}}"#,
                );
                harness.say(pick(id), &hello);
            }
            RandomStep::Say(id, line) => harness.say(pick(id), line),
            RandomStep::Leave(id, true) => harness.leave(pick(id), DisconnectReason::Finished),
            RandomStep::Leave(id, false) => harness.leave(pick(id), DisconnectReason::Slow),
            RandomStep::Admit(id, line) => {
                let lines = vec![ClientLine::parse(line.as_bytes())];
                harness.room.apply(Input::Admit { id: ClientId(pick(id)), lines }, harness.now);
            }
            RandomStep::Advance => harness.advance(Duration::from_millis(300)),
            RandomStep::Seal => {}
        }
        if is_sealed(step) {
            harness.seal();
        }
    }
    harness.seal();
    harness
}

proptest! {
    /// Each member gets consecutive numbers from its welcome on, and each number is the same frame
    /// for all members.
    #[test]
    fn all_members_get_one_consecutive_sequence(
        steps in proptest::collection::vec(step(), 1..120),
        has_password in any::<bool>(),
    ) {
        let config = Config { history: 5, max_clients: 6, has_password, ..Config::default() };
        let is_seal = |step: &RandomStep| matches!(step, RandomStep::Seal);
        check_sequence(&run_steps(&config, &steps, is_seal));
    }

    /// Neither the frames nor what a member is sent depend on where the room is sealed.
    #[test]
    fn seals_anywhere_give_identical_frames(
        steps in proptest::collection::vec(step(), 1..120),
        seals in proptest::collection::vec(any::<bool>(), 120),
        crowd in prop::sample::select(&[1, 3, 64][..]),
        history_bytes in prop::sample::select(&[0, 300, 1 << 20][..]),
    ) {
        let config = Config { history: 5, connect_rate: 0, crowd, history_bytes, ..Config::default() };
        let each = run_steps(&config, &steps, |_| true);
        let mut seals = seals.into_iter();
        let some = run_steps(&config, &steps, |_| seals.next() == Some(true));
        prop_assert_eq!(&each.sequence, &some.sequence);
        for (id, client) in each.clients {
            // A client that is replaced or slow loses the frames of the open batch.
            if !client.is_cut {
                let (one, other) = (client.received, &some.clients[&id].received);
                prop_assert_eq!(String::from_utf8_lossy(&one), String::from_utf8_lossy(other));
            }
        }
    }
}
