//! The room against a model of it, whatever happens, in whatever order and batches.

use std::time::Duration;

use proptest::prelude::*;

use smolchat::protocol::Request;
use smolchat::room::DisconnectReason;

use crate::model::script::{Action, BLOCK, Greeting, Line, Script, Who};
use crate::model::{run, run_bytes};

fn script() -> impl Strategy<Value = Script> {
    let blocks = proptest::collection::vec(any::<[u8; BLOCK]>(), 1..150);
    blocks.prop_map(|blocks| Script::decode(&blocks.concat()))
}

proptest! {
    // What is found is written down below.
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_room_does_what_the_model_says(script in script()) {
        run(script);
    }
}

/// Lets these happen to a room with a grace of a minute and without limits.
fn play(actions: impl IntoIterator<Item = Action>) {
    run(Script { actions: actions.into_iter().collect(), ..Script::decode(b"") });
}

/// The client that came last says hello.
fn hello(name: &'static str, id: Option<&str>) -> Action {
    let (name, id) = (Some(name), id.map(Box::from));
    let greeting = Greeting { name, id, keep: true, ..Greeting::default() };
    Action::Lines(Who(0), Line::Hello(greeting), 1)
}

/// The first client drops if it is still here, and after so long one comes with its token.
fn come_back(seconds: u64) -> Action {
    Action::ComeBack {
        who: Who(193),
        reason: Some(DisconnectReason::Slow),
        uptime: Duration::from_secs(seconds),
        from: Some(0),
        hello: Greeting { name: Some("bob"), keep: true, ..Greeting::default() },
    }
}

#[test]
fn nothing_at_all_is_a_script() {
    run_bytes(b"");
}

#[test]
fn a_hello_with_an_id_has_it_in_the_error() {
    let (first, second) = (hello("alice", None), hello("alice", Some("1")));
    play([Action::Arrive(None), first, Action::Arrive(None), second]);
}

#[test]
fn who_is_cut_off_right_behind_its_welcome_is_not_told_of_more() {
    let arrive = Action::Arrive(Some(0));
    let guests = [arrive.clone(), hello("alice", None), come_back(0), arrive.clone()];
    let history = Greeting { history: Some(1), ..Greeting::default() };
    let shown = [Action::Lines(Who(0), Line::Hello(history), 1), Action::Overflow(Who(0), 1)];
    play(guests.into_iter().chain(shown));
}

#[test]
fn a_name_is_kept_up_to_the_end_of_its_grace_and_given_once() {
    for seconds in [59, 60] {
        let first = [Action::Arrive(None), hello("alice", None), Action::Seal];
        let again = [come_back(seconds), come_back(0), Action::Seal];
        play(first.into_iter().chain(again));
        // Somebody else wants it.
        let drops = Action::Leave(Who(0), DisconnectReason::Slow);
        let pass = Action::Pass { uptime: Duration::from_secs(seconds), unix_ms: 0, ticks: true };
        let rest = [drops, pass, Action::Arrive(None), hello("ALICE", None), Action::Seal];
        play([Action::Arrive(None), hello("alice", None)].into_iter().chain(rest));
    }
}

#[test]
fn who_reads_a_part_of_a_batch_is_told_how_far_it_got() {
    for count in (0..600).step_by(20) {
        let text = Line::Request(Request::Say("hello".into()), None);
        let said = Action::Lines(Who(0), text, 6);
        let rest = [Action::Seal, Action::Stall(Who(0)), said, Action::Overflow(Who(0), count)];
        play([Action::Arrive(None), hello("alice", None)].into_iter().chain(rest));
    }
}
