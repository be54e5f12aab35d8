//! The actions of scripted members.

use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::{ByeCode, ErrorCode};

use crate::check::ExpectedReply;
use crate::member::{Member, WaitResult};
use crate::script::{Action, DisconnectKind, Query};
use crate::sequence::UNDELIVERABLE_TEXT;
use crate::shared::{ScriptError, TIMEOUT};

/// Texts with characters that are easily damaged.
const TEXT_SAMPLES: [&str; 4] =
    ["plain text ", "小明 said Ωμέγα, ", "\"\\/{}[]\t\u{1b}[31m\r ", "🦀e\u{301}\u{200b}\u{0}"];

/// A request for the name of the pinger, which is taken while it is present.
const NICK_IN_USE: &[u8] = b"/nick M0";

/// Invalid lines and the errors that answer them.
const INVALID_LINES: [(&[u8], ErrorCode); 13] = [
    (b"\xff\xfe not UTF-8", ErrorCode::NotUtf8),
    (b"{ not JSON", ErrorCode::BadJson),
    (b"{\"data\":5}", ErrorCode::BadJson),
    (b"{\"text\":\"undeliverable\"}", ErrorCode::NoKnownKey),
    (b"{\"data\":\"\",\"to\":\"m0\"}", ErrorCode::Empty),
    (b"/dance", ErrorCode::UnknownCommand),
    (b"/msg m0", ErrorCode::Usage),
    (b"/history -1", ErrorCode::Usage),
    (b"/nick two words", ErrorCode::BadName),
    (b"/nick server", ErrorCode::BadName),
    (NICK_IN_USE, ErrorCode::NameTaken),
    (b"/msg nobody undeliverable", ErrorCode::NoSuchUser),
    (b"{\"hello\":{\"name\":\"m0\"}}", ErrorCode::LateHello),
];

/// Returns an invalid line and its reply. Each number stands for one of the kinds.
pub fn invalid_line(kind: usize) -> (Vec<u8>, ExpectedReply) {
    let (line, code, id) = match kind % (INVALID_LINES.len() + 3) {
        0 => (vec![b'x'; 5000], ErrorCode::TooLong, None),
        1 => {
            let line = json!({ "data": UNDELIVERABLE_TEXT, "id": "x".repeat(65) }).to_string();
            (line.into_bytes(), ErrorCode::BadId, None)
        }
        2 => (br#"{"data":"/dance","id":"d"}"#.to_vec(), ErrorCode::UnknownCommand, Some("d")),
        kind => {
            let (line, code) = INVALID_LINES[kind - 3];
            (line.to_vec(), code, None)
        }
    };
    (line, ExpectedReply::Error(code, id.map(str::to_owned)))
}

impl Member {
    /// Runs random actions until the server terminates.
    pub async fn run_script(&mut self) -> Result<(), ScriptError> {
        loop {
            let (pause, action) = (self.rng.millis(0, 8_000), Action::draw(&mut self.rng));
            self.stay_for(pause).await?;
            // After a checkpoint the pause starts again, so that members do not act all at once.
            while !self.shared.is_active() {
                self.stay_during_checkpoint().await?;
                self.stay_for(pause).await?;
            }
            self.execute(action).await?;
        }
    }

    async fn execute(&mut self, action: Action) -> Result<(), ScriptError> {
        match action {
            Action::Chat { lines, bytes } => self.send_chat(lines, bytes).await,
            Action::Emote => {
                let text = format!("waves {}", self.rng.between(0, 100));
                self.send_message(&format!("/me {text}"), &text).await;
            }
            Action::Nick => {
                let name = self.next_name();
                self.send_message(&format!("/nick {name}"), &name).await;
            }
            Action::Private(to) => self.send_private(to).await,
            Action::Query(query) => self.send_query(query).await,
            Action::InvalidLines { kind, lines } => {
                for kind in kind..kind + lines {
                    let (line, reply) = invalid_line(kind);
                    let is_pinger_present = self.shared.sequence.borrow().joined_at("m0").is_some();
                    if line != NICK_IN_USE || is_pinger_present {
                        self.send_request(&line, reply).await;
                    }
                }
                // A valid line resets the server's count of errors in a row.
                self.send_chat(1, 0).await;
            }
            Action::Stall(duration) => self.stall(duration).await?,
            Action::Disconnect { how, lines_before, away, keep_name } => {
                self.send_chat(lines_before, 20).await;
                self.disconnect(how).await?;
                self.shared.pause(away).await;
                self.keep_name = keep_name;
                self.reconnect().await?;
            }
            Action::TakeOver { lines_before } => self.take_over(lines_before).await?,
            Action::Quit { away, history_frames } => {
                self.quit().await?;
                self.shared.pause(away).await;
                self.history_frames = history_frames;
                self.reconnect().await?;
            }
        }
        Ok(())
    }

    async fn send_chat(&mut self, lines: usize, bytes: usize) {
        for _ in 0..lines {
            let mut text = format!("{}: ", self.index);
            while text.len() < bytes {
                text.push_str(self.rng.pick(&TEXT_SAMPLES));
            }
            self.send_message(&text, &text).await;
        }
    }

    async fn send_private(&mut self, to: usize) {
        let addressee = {
            let statuses = self.shared.statuses.borrow();
            let to = to % statuses.len();
            statuses[to].name.clone().map(|name| (to, name))
        };
        let Some((to, name)) = addressee.filter(|_| self.connection.is_some()) else { return };
        let id = self.next_request_id();
        self.shared.expect_private(id.clone(), self.index, to);
        let line = json!({ "data": "private text", "to": name, "id": id }).to_string();
        self.send_request(line.as_bytes(), ExpectedReply::Private { id, to, name }).await;
    }

    async fn send_query(&mut self, query: Query) {
        let id = self.next_request_id();
        let (data, reply) = match query {
            Query::History(count) => {
                (format!("/history {count}"), ExpectedReply::History(id.clone(), count))
            }
            Query::Help => ("/help".to_owned(), ExpectedReply::Info(id.clone())),
            Query::Heartbeat => (String::new(), ExpectedReply::Info(id.clone())),
        };
        let line = json!({ "data": data, "id": id }).to_string();
        self.send_request(line.as_bytes(), reply).await;
    }

    /// Reads nothing for `duration`. Then the connection catches up or is closed as slow.
    async fn stall(&mut self, duration: Duration) -> Result<(), ScriptError> {
        let Some(id) = self.connection.as_ref().map(|connection| connection.id) else {
            return Ok(());
        };
        self.mark_may_be_slow();
        self.shared.pause(duration).await;
        let target = self.shared.sequence.borrow().complete_to();
        let has_caught_up = move |member: &Member| {
            member.connection.as_ref().is_none_or(|connection| connection.last_seq >= target)
        };
        let result = self.read_until(Instant::now() + TIMEOUT, has_caught_up).await?;
        if result == WaitResult::TimedOut {
            return Err(format!("timed out waiting for frame {target} after a stall").into());
        }
        let is_same = self.connection.as_ref().is_some_and(|connection| connection.id == id);
        self.shared.totals.borrow_mut().caught_up += u64::from(is_same);
        Ok(())
    }

    async fn disconnect(&mut self, how: DisconnectKind) -> Result<(), ScriptError> {
        use DisconnectKind::{
            Close, HalfClose, HalfCloseInLine, Reset, ResetAfterHello, ResetInLine,
        };
        let Some(connection) = &self.connection else { return Ok(()) };
        self.mark_may_disconnect();
        if matches!(how, ResetInLine | HalfCloseInLine) {
            connection.write(format!("{{\"data\":\"{UNDELIVERABLE_TEXT}").as_bytes()).await;
        }
        match how {
            Close => drop(self.detach()),
            Reset | ResetInLine => self.reset(),
            HalfClose => self.half_close().await?,
            HalfCloseInLine => {
                self.expect_reply(ExpectedReply::Error(ErrorCode::Unfinished, None));
                self.half_close().await?;
            }
            ResetAfterHello => {
                self.reset();
                let connection = self.connect().await?;
                connection.send_line(&self.hello_line()).await;
                connection.reset();
                self.name_may_change = true;
            }
        }
        Ok(())
    }

    fn reset(&mut self) {
        if let Some(connection) = self.detach() {
            connection.reset();
        }
    }

    /// Closes the sending direction and reads to the end.
    pub async fn half_close(&mut self) -> Result<(), ScriptError> {
        if let Some(connection) = &self.connection {
            connection.half_close();
        }
        self.wait_for_bye(ByeCode::Quit).await
    }

    /// Leaves with `/quit`. Keeps the session if the server was killed before it sent `bye`.
    async fn quit(&mut self) -> Result<(), ScriptError> {
        let generation = self.shared.generation();
        if let Some(connection) = self.connection.as_ref().filter(|it| !it.was_server_killed()) {
            self.mark_may_disconnect();
            connection.send_line("/quit").await;
            self.wait_for_bye(ByeCode::Quit).await?;
            if self.shared.generation() == generation {
                self.discard_session();
            }
        }
        Ok(())
    }

    /// Resumes on a new connection while the old one is open. The old one is closed as replaced,
    /// and other members see no leave and no join.
    async fn take_over(&mut self, lines_before: usize) -> Result<(), ScriptError> {
        let joined_at = self.shared.sequence.borrow().joined_at(&self.name);
        if joined_at.is_none() {
            // The join has not been delivered yet, so there is nothing to compare with later.
            return Ok(());
        }
        self.send_chat(lines_before, 20).await;
        let Some(mut old) = self.detach() else { return Ok(()) };
        old.expected_bye = Some(ByeCode::Replaced);
        old.may_be_slow = true;
        self.reconnect().await?;
        old.read_to_close().await?;
        if old.bye == Some(ByeCode::Replaced) && !old.was_server_killed() {
            if self.shared.sequence.borrow().joined_at(&self.name) != joined_at {
                return Err("a takeover was announced as a leave or a join".into());
            }
            self.shared.totals.borrow_mut().takeovers += 1;
        }
        Ok(())
    }
}
