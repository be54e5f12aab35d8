//! The room compared with the model, for random events and for those that found a difference.

use std::time::Duration;

use proptest::prelude::*;

use smolchat::protocol::{OperatorCommand, Request, Verb};
use smolchat::room::DisconnectReason;

use crate::model::script::{Action, BLOCK, ClientRef, HelloTemplate, Script, ScriptLine};
use crate::model::{run, run_bytes};

fn script() -> impl Strategy<Value = Script> {
    let blocks = proptest::collection::vec(any::<[u8; BLOCK]>(), 1..150);
    blocks.prop_map(|blocks| Script::decode(&blocks.concat()))
}

proptest! {
    // A failure becomes a test below.
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn room_equals_model_for_random_scripts(script in script()) {
        run(script);
    }
}

/// Runs actions in a room with a grace of one minute and without limits.
fn run_actions(actions: impl IntoIterator<Item = Action>) {
    run(Script { actions: actions.into_iter().collect(), ..Script::decode(b"") });
}

/// Returns the hello of the newest client.
fn hello(name: &'static str, id: Option<&str>) -> Action {
    let (name, id) = (Some(name), id.map(Box::from));
    let hello = HelloTemplate { name, id, keep: true, ..HelloTemplate::default() };
    Action::Lines(ClientRef(0), ScriptLine::Hello(hello), 1)
}

/// Returns a reconnect of the very first client after some time.
fn reconnect(seconds: u64) -> Action {
    Action::Reconnect {
        who: ClientRef(193),
        reason: Some(DisconnectReason::Slow),
        uptime: Duration::from_secs(seconds),
        from: Some(0),
        hello: HelloTemplate { name: Some("bob"), keep: true, ..HelloTemplate::default() },
    }
}

#[test]
fn empty_script_passes() {
    run_bytes(b"");
}

#[test]
fn error_of_hello_has_its_id() {
    let (first, second) = (hello("alice", None), hello("alice", Some("1")));
    run_actions([Action::Arrive(None), first, Action::Arrive(None), second]);
}

#[test]
fn client_evicted_after_its_welcome_gets_no_more() {
    let arrive = Action::Arrive(Some(0));
    let guests = [arrive.clone(), hello("alice", None), reconnect(0), arrive.clone()];
    let history = HelloTemplate { history: Some(1), ..HelloTemplate::default() };
    let last = [
        Action::Lines(ClientRef(0), ScriptLine::Hello(history), 1),
        Action::Overflow(ClientRef(0), 1),
    ];
    run_actions(guests.into_iter().chain(last));
}

#[test]
fn name_is_reserved_until_grace_ends_and_used_once() {
    for seconds in [59, 60] {
        let first = [Action::Arrive(None), hello("alice", None), Action::Seal];
        let again = [reconnect(seconds), reconnect(0), Action::Seal];
        run_actions(first.into_iter().chain(again));
        // The same name for another client.
        let drops = Action::Leave(ClientRef(0), DisconnectReason::Slow);
        let pass =
            Action::Advance { uptime: Duration::from_secs(seconds), unix_ms: 0, ticks: true };
        let rest = [drops, pass, Action::Arrive(None), hello("ALICE", None), Action::Seal];
        run_actions([Action::Arrive(None), hello("alice", None)].into_iter().chain(rest));
    }
}

#[test]
fn bye_after_part_of_batch_has_the_last_number() {
    for count in (0..600).step_by(20) {
        let text = ScriptLine::Request(Request::Say("hello".into()), None);
        let lines = Action::Lines(ClientRef(0), text, 6);
        let rest = [
            Action::Seal,
            Action::Stall(ClientRef(0)),
            lines,
            Action::Overflow(ClientRef(0), count),
        ];
        run_actions([Action::Arrive(None), hello("alice", None)].into_iter().chain(rest));
    }
}

#[test]
fn operator_kicks_members_and_sets_topic() {
    let command = |verb, target: &str, text: &str| {
        let (target, text) = (target.into(), text.into());
        let command = OperatorCommand { verb, target, network: None, time: None, text };
        let request = Request::Operator(Box::new(command));
        Action::Lines(ClientRef(193), ScriptLine::Request(request, Some("1".into())), 1)
    };
    let leave = Action::Leave(ClientRef(0), DisconnectReason::Slow);
    run_actions([
        Action::Arrive(Some(0)),
        hello("bob", None),
        Action::Arrive(Some(1)),
        hello("alice", None),
        command(Verb::Kick, "alice", "not an operator"),
        Action::Operate(ClientRef(193)),
        command(Verb::Topic, "", "x"),
        command(Verb::Topic, "", ""),
        command(Verb::Kick, "BOB", ""),
        command(Verb::Kick, "ALICE", "x"),
        command(Verb::Kick, "alice", "gone"),
        Action::Seal,
        Action::Arrive(Some(2)),
        hello("carol", None),
        leave,
        command(Verb::Kick, "carol", "reserved"),
        command(Verb::Kick, "carol", "free"),
        command(Verb::Topic, "", "-"),
        Action::Seal,
    ]);
}
