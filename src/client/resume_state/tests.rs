//! Feeds frames to a resume state and checks the events and the hello lines.

use super::*;
use crate::protocol::Frame;

fn welcome(epoch: &str, seq: u64, resumed: bool, name: &str) -> String {
    format!(
        r#"{{"data_source":"server","data":"","kind":"welcome","name":"{name}","epoch":"{epoch}","seq":{seq},"token":"secret {name} {seq}","resumed":{resumed},"members":1,"limits":{{"max_line":4096,"rate":10,"burst":40,"history":9,"stored":false}}}}"#
    )
}

fn chat(seq: u64) -> String {
    format!(r#"{{"data_source":"bob","data":"hi","kind":"chat","seq":{seq},"time":1}}"#)
}

struct Tester {
    state: ResumeState,
    events: VecDeque<SessionEvent>,
}

impl Tester {
    fn new() -> Self {
        let config = SessionConfig::new("alice").history(5).keep_name(true);
        Tester { state: ResumeState::new(config), events: VecDeque::new() }
    }

    /// Returns a tester that is live in epoch `a`, after sequence number 7.
    fn live() -> Self {
        let mut tester = Tester::new();
        tester.state.start_connection();
        tester.on_frame(&welcome("a", 7, false, "alice"));
        tester.on_hello_confirmed();
        assert!(tester.state.advance_to_live());
        tester
    }

    fn on_frame(&mut self, line: &str) -> Vec<String> {
        let frame = Frame::decode(line.as_bytes()).unwrap();
        let received =
            ReceivedFrame { frame, line: line.into(), is_past: false, in_reply_to: None };
        self.state.on_frame(received, &mut self.events);
        self.drain()
    }

    fn on_hello_confirmed(&mut self) -> Vec<String> {
        self.state.on_hello_confirmed(&mut self.events);
        self.drain()
    }

    /// Removes the events and returns each as a short text.
    fn drain(&mut self) -> Vec<String> {
        let events = self.events.drain(..).map(|event| match event {
            SessionEvent::Received(ReceivedFrame { frame, is_past, .. }) => {
                match frame.body.seq() {
                    Some(seq) if is_past => format!("past {seq}"),
                    Some(seq) => seq.to_string(),
                    None => "frame".into(),
                }
            }
            SessionEvent::Reconnected { resumed, missed } => {
                format!("reconnected {resumed} {missed}")
            }
            SessionEvent::Gap { from, to } => format!("gap {from}-{to}"),
            other => panic!("{other:?}"),
        });
        events.collect()
    }
}

#[test]
fn hello_asks_for_history_first_then_for_resume() {
    let mut tester = Tester::new();
    let first = r#"{"hello":{"name":"alice","keep":true,"history":5}}"#;
    assert_eq!(tester.state.start_connection(), first);
    assert_eq!(tester.on_frame(&welcome("a", 7, false, "alice")), ["frame"]);
    assert_eq!(tester.on_frame(&chat(6)), ["past 6"]);
    assert_eq!(tester.on_frame(&chat(8)), ["8"]);
    assert!(!tester.state.advance_to_live(), "the hello is not confirmed");
    tester.on_hello_confirmed();
    assert!(tester.state.advance_to_live());
    assert_eq!(
        tester.state.start_connection(),
        r#"{"hello":{"name":"alice","epoch":"a","after":8,"token":"secret alice 7","keep":true}}"#
    );
}

#[test]
fn replay_ends_at_sequence_number_of_welcome() {
    let mut tester = Tester::live();
    tester.state.start_connection();
    assert_eq!(tester.on_frame(&welcome("a", 9, true, "alice")), ["reconnected true 2", "frame"]);
    tester.on_hello_confirmed();
    assert!(!tester.state.advance_to_live());
    assert_eq!(tester.on_frame(&chat(8)), ["8"]);
    assert_eq!(tester.on_frame(&chat(8)), [""; 0], "a duplicate is dropped");
    assert!(!tester.state.advance_to_live());
    assert_eq!(tester.on_frame(&chat(9)), ["9"]);
    assert!(tester.state.advance_to_live());
    assert!(!tester.state.advance_to_live());
    assert_eq!(tester.on_frame(&chat(3)), ["past 3"], "the answer to /history");
}

#[test]
fn missing_numbers_are_reported_as_gap() {
    let mut tester = Tester::live();
    tester.state.start_connection();
    tester.on_frame(&welcome("a", 20, true, "alice"));
    let gap = r#"{"data_source":"server","data":"","kind":"gap","from":8,"to":18}"#;
    assert_eq!(tester.on_frame(gap), ["frame", "gap 8-18"]);
    assert_eq!(tester.on_frame(&chat(19)), ["19"]);
    assert_eq!(tester.on_frame(&chat(22)), ["gap 20-21", "22"]);
}

#[test]
fn guest_welcome_of_late_hello_is_ignored() {
    let mut tester = Tester::live();
    let hello = tester.state.start_connection();
    assert_eq!(tester.on_frame(&welcome("a", 9, false, "guest-1")), [""; 0]);
    assert_eq!(tester.on_frame(&chat(10)), [""; 0]);
    tester.state.discard_token();
    tester.state.on_disconnect();
    assert_eq!(tester.state.start_connection(), hello);
    assert_eq!(tester.state.name(), "alice");
}

#[test]
fn configured_token_survives_late_hello() {
    let config = SessionConfig::new("alice").token("00112233445566778899aabbccddeeff");
    let mut tester = Tester { state: ResumeState::new(config), events: VecDeque::new() };
    tester.state.start_connection();
    tester.on_frame(&welcome("a", 7, false, "guest-1"));
    tester.state.discard_token();
    tester.state.on_disconnect();
    let hello = tester.state.start_connection();
    assert!(hello.contains(r#""token":"00112233445566778899aabbccddeeff""#), "{hello}");
    tester.on_frame(&welcome("a", 8, true, "alice"));
    tester.on_hello_confirmed();
    tester.state.discard_token();
    assert!(!tester.state.start_connection().contains("token"));
}

#[test]
fn resume_refused_in_same_epoch_leaves_gap() {
    let mut tester = Tester::live();
    tester.state.start_connection();
    tester.on_frame(&welcome("a", 9, false, "alice"));
    tester.on_frame(&chat(10));
    assert_eq!(tester.on_hello_confirmed(), ["reconnected false 2", "frame", "gap 8-10"]);
    assert!(tester.state.advance_to_live());
    assert_eq!(tester.on_frame(&chat(11)), ["11"]);
}

#[test]
fn new_epoch_starts_sequence_anew() {
    let mut tester = Tester::live();
    tester.state.start_connection();
    assert_eq!(tester.on_frame(&welcome("b", 2, false, "alice")), ["reconnected false 0", "frame"]);
    assert_eq!(tester.on_frame(&chat(3)), ["3"]);
    // The hello was late: the token is discarded, the position in the sequence is kept.
    tester.state.discard_token();
    let hello = r#"{"hello":{"name":"alice","epoch":"b","after":3,"keep":true}}"#;
    assert_eq!(tester.state.start_connection(), hello);
}

#[test]
fn name_set_with_nick_is_requested_on_reconnect() {
    let name = |from: &str, to: &str, seq| {
        format!(
            r#"{{"data_source":"server","data":"","kind":"name","seq":{seq},"time":1,"from":"{from}","to":"{to}"}}"#
        )
    };
    let mut tester = Tester::live();
    tester.on_frame(&name("bob", "carol", 8));
    assert_eq!(tester.state.name(), "alice");
    tester.on_frame(&name("alice", "bob", 9));
    assert_eq!(tester.state.name(), "bob");
    assert!(tester.state.start_connection().contains(r#""name":"bob""#));
    tester.on_frame(&welcome("a", 11, true, "bob"));
    tester.on_frame(&name("bob", "carol-2", 10));
    assert_eq!(tester.state.name(), "bob", "the welcome is newer than the replay");
}
