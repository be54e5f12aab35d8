//! What members do: the crowd, step by step; the pair of witnesses; and the pair that tests how
//! names are kept.

use std::time::{Duration, Instant};

use serde_json::json;
use smolchat::protocol::{ByeCode, ErrorCode};

use crate::check::ExpectedReply;
use crate::member::{Member, WaitResult};
use crate::script::{Action, DisconnectKind, Query};
use crate::sequence::UNFINISHED_TEXT;
use crate::shared::{GRACE, POLL_INTERVAL, ScriptError, TIMEOUT, micros};

/// The first two members are the witnesses: one speaks, the other answers.
pub const PINGER: usize = 0;
/// See [`PINGER`].
pub const ECHO: usize = 1;
/// The third loses its name and comes back for it.
pub const NAME_OWNER: usize = 2;
/// The fourth wants the third one's name.
pub const NAME_RIVAL: usize = 3;
/// Those and the crowd.
pub const FIRST_SCRIPTED: usize = 4;

/// Texts that are hard to get through unharmed.
const TEXT_SAMPLES: [&str; 4] =
    ["so it goes ", "小明 said Ωμέγα, ", "\"\\/{}[]\t\u{1b}[31m\r ", "🦀e\u{301}\u{200b}\u{0}"];

/// The name of a witness is taken, once that is here.
const NICK_IN_USE: &[u8] = b"/nick M0";

/// Lines that are wrong, and the error that answers each.
const INVALID_LINES: [(&[u8], ErrorCode); 13] = [
    (b"\xff\xfe not UTF-8", ErrorCode::NotUtf8),
    (b"{ not JSON", ErrorCode::BadJson),
    (b"{\"data\":5}", ErrorCode::BadJson),
    (b"{\"text\":\"never said\"}", ErrorCode::NoKnownKey),
    (b"{\"data\":\"\",\"to\":\"m0\"}", ErrorCode::Empty),
    (b"/dance", ErrorCode::UnknownCommand),
    (b"/msg m0", ErrorCode::Usage),
    (b"/history -1", ErrorCode::Usage),
    (b"/nick two words", ErrorCode::BadName),
    (b"/nick server", ErrorCode::BadName),
    (NICK_IN_USE, ErrorCode::NameTaken),
    (b"/msg nobody never said", ErrorCode::NoSuchUser),
    (b"{\"hello\":{\"name\":\"m0\"}}", ErrorCode::LateHello),
];

/// The garbage of a number, with what answers it.
pub fn invalid_line(kind: usize) -> (Vec<u8>, ExpectedReply) {
    let (line, code, id) = match kind % (INVALID_LINES.len() + 3) {
        0 => (vec![b'x'; 5000], ErrorCode::TooLong, None),
        1 => {
            let line = json!({ "data": UNFINISHED_TEXT, "id": "x".repeat(65) }).to_string();
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
    /// One of the crowd, until the server ends.
    pub async fn follow_script(&mut self) -> Result<(), ScriptError> {
        loop {
            let (rest, action) = (self.rng.pause(0, 8_000), Action::draw(&mut self.rng));
            self.rest(rest).await?;
            // Behind a quiet point it rests anew, so that not all do something at once.
            while !self.shared.is_active() {
                self.join_checkpoint().await?;
                self.rest(rest).await?;
            }
            self.execute(action).await?;
        }
    }

    async fn execute(&mut self, action: Action) -> Result<(), ScriptError> {
        match action {
            Action::Chat { lines, bytes } => {
                for _ in 0..lines {
                    self.send_chat(bytes).await;
                }
            }
            Action::Emote => {
                let text = format!("waves {}", self.rng.between(0, 100));
                self.send_message(&format!("/me {text}"), &text).await;
            }
            Action::Nick => {
                let name = self.fresh_name();
                self.send_message(&format!("/nick {name}"), &name).await;
            }
            Action::Private(to) => self.send_private(to).await,
            Action::Query(query) => {
                let id = self.next_query_id();
                let (data, answer) = match query {
                    Query::History(count) => {
                        (format!("/history {count}"), ExpectedReply::History(id.clone(), count))
                    }
                    Query::Help => ("/help".to_owned(), ExpectedReply::Info(id.clone())),
                    Query::Heartbeat => (String::new(), ExpectedReply::Info(id.clone())),
                };
                self.send_query(json!({ "data": data, "id": id }).to_string().as_bytes(), answer)
                    .await;
            }
            Action::InvalidLines { kind, lines } => {
                for kind in kind..kind + lines {
                    let (line, answer) = invalid_line(kind);
                    if line == NICK_IN_USE
                        && self.shared.sequence.borrow().joined_at("m0").is_none()
                    {
                        continue;
                    }
                    self.send_query(&line, answer).await;
                }
                // Whoever says nothing right for long is sent away.
                self.send_chat(0).await;
            }
            Action::Stall(time) => self.stall(time).await?,
            Action::Disconnect { how, lines_before, away, keep } => {
                self.send_chats(lines_before).await;
                self.disconnect(how).await?;
                self.shared.pause(away).await;
                self.keep_name = keep;
                self.reconnect().await?;
            }
            Action::TakeOver { lines_before } => self.take_over(lines_before).await?,
            Action::Quit { away, history } => {
                self.quit().await?;
                self.shared.pause(away).await;
                self.history_frames = history;
                self.reconnect().await?;
            }
        }
        Ok(())
    }

    async fn send_chat(&mut self, bytes: usize) {
        let mut text = format!("{}: ", self.index);
        while text.len() < bytes {
            text.push_str(self.rng.pick(&TEXT_SAMPLES));
        }
        self.send_message(&text, &text).await;
    }

    async fn send_chats(&mut self, lines: usize) {
        for _ in 0..lines {
            self.send_chat(20).await;
        }
    }

    async fn send_private(&mut self, to: usize) {
        let status = {
            let statuses = self.shared.statuses.borrow();
            let to = to % statuses.len();
            statuses[to].name.clone().map(|name| (to, name))
        };
        let Some((to, name)) = status.filter(|_| self.connection.is_some()) else { return };
        let id = self.next_query_id();
        self.shared.expect_private(id.clone(), self.index, to);
        let line = json!({ "data": "psst", "to": name, "id": id }).to_string();
        self.send_query(line.as_bytes(), ExpectedReply::Private { id, to, name }).await;
    }

    /// Reads nothing for a while; then it hears all that the others heard meanwhile, or bye.
    async fn stall(&mut self, time: Duration) -> Result<(), ScriptError> {
        let Some(number) = self.connection.as_ref().map(|connection| connection.number) else {
            return Ok(());
        };
        self.mark_unread();
        self.shared.pause(time).await;
        let target = self.shared.sequence.borrow().complete_to();
        let caught_up = move |member: &Member| {
            member.connection.as_ref().is_none_or(|connection| connection.last_seq >= target)
        };
        match self.read_until(Instant::now() + TIMEOUT, caught_up).await? {
            WaitResult::TimedOut => {
                Err(ScriptError::CheckFailed(format!("stalled, and {target} does not come")))
            }
            _ => {
                let same =
                    self.connection.as_ref().is_some_and(|connection| connection.number == number);
                self.shared.totals.borrow_mut().caught_up += u64::from(same);
                Ok(())
            }
        }
    }

    async fn disconnect(&mut self, how: DisconnectKind) -> Result<(), ScriptError> {
        if self.connection.is_none() {
            return Ok(());
        }
        self.mark_may_disconnect();
        if matches!(how, DisconnectKind::ResetInLine | DisconnectKind::HalfCloseInLine)
            && let Some(connection) = &self.connection
        {
            connection.write(format!("{{\"data\":\"{UNFINISHED_TEXT}").as_bytes()).await;
        }
        match how {
            DisconnectKind::Close => drop(self.detach()),
            DisconnectKind::Reset | DisconnectKind::ResetInLine => self.reset(),
            DisconnectKind::HalfClose | DisconnectKind::HalfCloseInLine => {
                if matches!(how, DisconnectKind::HalfCloseInLine) {
                    self.expect_reply(ExpectedReply::Error(ErrorCode::Unfinished, None));
                }
                self.half_close().await?;
            }
            DisconnectKind::ResetAfterHello => {
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

    async fn half_close(&mut self) -> Result<(), ScriptError> {
        if let Some(connection) = &self.connection {
            connection.half_close();
        }
        self.expect_bye(ByeCode::Quit).await
    }

    /// Leaves, and is nobody then, unless the server was killed before it said bye.
    async fn quit(&mut self) -> Result<(), ScriptError> {
        let generation = self.shared.generation.get();
        if self.generation() == Some(generation)
            && let Some(connection) = &self.connection
        {
            self.mark_may_disconnect();
            connection.send_line("/quit").await;
            self.expect_bye(ByeCode::Quit).await?;
            if self.shared.generation.get() == generation {
                self.forget_session();
            }
        }
        Ok(())
    }

    /// Comes back while the old link stands, which ends; nobody else notices.
    async fn take_over(&mut self, lines_before: usize) -> Result<(), ScriptError> {
        let joined_at = self.shared.sequence.borrow().joined_at(&self.name);
        // Not before everybody was told of its coming.
        if joined_at.is_none() {
            return Ok(());
        }
        self.send_chats(lines_before).await;
        let Some(mut old) = self.detach() else { return Ok(()) };
        old.expected_bye = Some(ByeCode::Replaced);
        old.may_be_slow = true;
        self.reconnect().await?;
        old.read_to_close().await?;
        if old.bye == Some(ByeCode::Replaced) && !old.was_server_killed() {
            if self.shared.sequence.borrow().joined_at(&self.name) != joined_at {
                return Err(ScriptError::CheckFailed("others saw it come or go".to_owned()));
            }
            self.shared.totals.borrow_mut().takeovers += 1;
        }
        Ok(())
    }

    /// The witness: how long until what it says was answered by the other.
    pub async fn run_pinger(&mut self) -> Result<(), ScriptError> {
        self.peer = Some(ECHO);
        loop {
            self.join_checkpoint().await?;
            let (peer_lines, start) = (self.peer_lines, Instant::now());
            self.shared.is_ping_pending.set(true);
            self.send_message("ping", "ping").await;
            let connection = self.connection.as_ref().map(|connection| connection.number);
            self.wait_for("the other answers", |member| member.peer_lines > peer_lines).await?;
            self.shared.is_ping_pending.set(false);
            if connection.is_some()
                && connection == self.connection.as_ref().map(|connection| connection.number)
            {
                let time = micros(start.elapsed());
                self.shared.round_trips.borrow_mut().saturating_record(time);
            }
            let rest = self.rng.pause(20, 80);
            self.rest(rest).await?;
        }
    }

    /// The other witness: answers each line of the first.
    pub async fn run_echo(&mut self) -> Result<(), ScriptError> {
        self.peer = Some(PINGER);
        let mut answered = 0;
        loop {
            let shared = self.shared.clone();
            let may_rest = || !shared.is_active() && !shared.is_ping_pending.get();
            self.stay_until(Instant::now() + 5 * POLL_INTERVAL, |member| {
                member.peer_lines > answered || may_rest()
            })
            .await?;
            while answered < self.peer_lines {
                answered += 1;
                self.send_message("pong", "pong").await;
            }
            if may_rest() {
                self.join_checkpoint().await?;
            }
        }
    }
}

/// Over and over: the keeper drops, and its name waits for it alone, if it asked for that.
pub async fn check_reserved_name(
    owner: &mut Member,
    rival: &mut Member,
) -> Result<(), ScriptError> {
    loop {
        // Whatever happens, the script draws the same.
        let (waits_long, rest) = (owner.rng.one_in(16), owner.rng.pause(50, 500));
        owner.forget_session();
        owner.skip_checkpoint();
        rival.join_checkpoint().await?;
        rival.mark_unread();
        owner.name = owner.fresh_name();
        owner.keep_name = true;
        owner.reconnect().await?;
        let generation = owner.generation();
        owner.half_close().await?;
        let dropped = Instant::now();
        let wanted = format!("/nick {}", owner.name);
        rival.rest(Duration::ZERO).await?;
        // What is kept is kept in memory.
        if rival.generation() != generation || Some(owner.shared.generation.get()) != generation {
            continue;
        }
        let kept = ExpectedReply::Error(ErrorCode::NameKept, None);
        rival.send_query(wanted.as_bytes(), kept).await;
        rival.wait_for("its questions are answered", |rival| rival.has_all_replies()).await?;
        if waits_long {
            rival.rest(GRACE + Duration::from_secs(3)).await?;
            if dropped.elapsed() <= GRACE + Duration::from_secs(2) {
                continue;
            }
        } else {
            owner.keep_name = false;
            owner.reconnect().await?;
            owner.half_close().await?;
        }
        owner.shared.totals.borrow_mut().reserved_names += 1;
        rival.send_message(&wanted, &owner.name.clone()).await;
        rival.wait_for("the name is free again", |rival| rival.has_all_replies()).await?;
        rival.rest(rest).await?;
    }
}
