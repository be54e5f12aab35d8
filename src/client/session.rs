//! A place in a room that outlives its connections.
//!
//! # What was said is said once
//!
//! A [`Session`] keeps each line until it is *answered*: until a frame comes back with the `id`
//! that it gave the line, be it the line itself as all see it or an error. When the link is lost,
//! nobody can know which of the kept lines arrived. After a resume it is known, and only those
//! that did not arrive are sent again, because:
//!
//! 1. Lines go out only over a connection whose replay is complete, and in order.
//! 2. With the token in its hello, the new connection takes over from the old one. From that
//!    moment the server ignores whatever was still unread of the old one. If the token fits nobody
//!    any more, then the old one was gone before, or was taken over by an earlier attempt of ours
//!    of which we never heard; and over that one nothing was said. So when the welcome is made,
//!    each line that was sent either is in the room's sequence, with a number up to the `seq` of
//!    the welcome, or never will be.
//! 3. The replay is every frame from the last one that this session took in up to that number,
//!    ids included. So when it is complete, the kept lines are exactly those that never arrived.
//!
//! They are sent, in order, before anything that was said later; then 1 holds again.
//!
//! Frames of the room's sequence come to the application once each and in order for a like
//! reason: the hello names the last number that was handed out, and a number that is not above it
//! is dropped unless it is history.
//!
//! A server that let us in as a guest, because our hello was late, would seem not to resume. So
//! each hello is followed by a question; only when it is answered, and no error told of a late
//! hello before, is the connection one to talk over. Otherwise it is dropped and another is made.
//!
//! ## What is not promised
//!
//! - If the frame that answers a line is in a [gap](SessionEvent::Gap), or the server begins another
//!   epoch ([`Back`](SessionEvent::Reconnected) with `resumed: false`), the line is sent again though it may
//!   have been heard: once too often is mended more easily than never.
//! - Private lines and the answers to commands are not in the replay. If the link is lost before
//!   they are answered, they are sent again and may be heard twice; what others told this member
//!   privately in the meantime is lost.
//! - A line that was [sent](Session::send_object) with an id of the application's own is answered by what
//!   comes from a name that we had since; if we are let in under another name after a loss, and
//!   are not known by the old one, it is sent again.
//! - Kept lines live in memory, and go with the process.

mod incoming;
mod reconnect;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use serde_json::{Map, Value};
use smol::Timer;

use super::backoff::Backoff;
use super::link::{HEARTBEAT, Link};
use super::pending_lines::PendingLines;
use super::resume_state::ResumeState;
use super::{Error, ReconnectPolicy, SendError, ServerAddress, SessionConfig, SessionEvent};
use crate::protocol::{ClientLine, Limits, Request};

const QUIT: &str = "/quit";

/// A place in a room, which [comes back](ReconnectPolicy) by itself when its link is lost.
///
/// All that it does it does inside of [`receive`](Self::receive): call that again and again.
/// Dropping the future of `receive` loses nothing.
///
/// ```no_run
/// use smolchat::client::{ReconnectPolicy, SessionEvent, SessionConfig, Session};
///
/// # async fn bot() -> Result<(), Box<dyn std::error::Error>> {
/// let config = SessionConfig { name: Some("alice".into()), keep: true, ..SessionConfig::default() };
/// let mut session = Session::connect("router".parse()?, config, ReconnectPolicy::Always).await?;
/// session.send("hello everybody")?;
/// while let Some(event) = session.receive().await? {
///     if let SessionEvent::Received(received) = event {
///         println!("{}: {}", received.frame.data_source, received.frame.data);
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Session {
    address: ServerAddress,
    policy: ReconnectPolicy,
    resume: ResumeState,
    pending: PendingLines,
    state: State,
    /// What one line from the server became, or one loss: never more than a few.
    events: VecDeque<SessionEvent>,
    backoff: Backoff,
    /// Since when nothing could be said, if so.
    disconnected_at: Option<Instant>,
    /// When everything is answered, leave.
    is_finishing: bool,
    is_quit_sent: bool,
}

enum State {
    Connecting(Pin<Box<dyn Future<Output = io::Result<OwnedFd>> + Send>>),
    Connected(Box<Link>),
    Waiting(Timer),
    Ended(Option<Error>),
}

impl Session {
    /// Connects, says hello and waits for the welcome, which is then the first thing to be
    /// [received](Self::receive).
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or does not let us in. Coming back is for those who
    /// have been there: this tries once.
    pub async fn connect(
        address: ServerAddress,
        config: SessionConfig,
        policy: ReconnectPolicy,
    ) -> Result<Self, Error> {
        let mut session = Session {
            state: State::Connecting(Box::pin(address.clone().connect())),
            address,
            policy,
            resume: ResumeState::new(config),
            pending: PendingLines::default(),
            events: VecDeque::new(),
            backoff: Backoff::default(),
            disconnected_at: None,
            is_finishing: false,
            is_quit_sent: false,
        };
        poll_fn(|cx| {
            while !session.resume.was_welcomed() {
                if let State::Ended(error) = &mut session.state {
                    return Poll::Ready(Err(error.take().unwrap_or(Error::Closed(None))));
                }
                ready!(session.poll_step(cx));
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(session)
    }

    /// The name that the room knows this member by.
    pub fn name(&self) -> &str {
        self.resume.name()
    }

    /// What the server asked us to keep to.
    pub fn limits(&self) -> Option<Limits> {
        self.resume.limits()
    }

    /// Whether what is said now goes out now.
    pub fn is_connected(&self) -> bool {
        self.resume.is_live()
    }

    /// How many of the lines that were said are not answered yet.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Whether another line can be [sent](Self::send) before one that waits is answered.
    pub fn has_capacity(&self) -> bool {
        self.pending.has_capacity()
    }

    /// Whether nothing more can be said, because of [`finish`](Self::finish) or `/quit`.
    pub fn is_finishing(&self) -> bool {
        self.is_finishing
    }

    /// Says `text`, commands included, and returns the id of the line, which is in
    /// [`Received::in_reply_to`] when its answer comes. It goes out while something is received, or
    /// when the link is back.
    ///
    /// `/quit` is the same as [`finish`](Self::finish), and is not answered.
    ///
    /// # Errors
    ///
    /// [`SendError`] when it was not taken.
    pub fn send(&mut self, text: &str) -> Result<String, SendError> {
        self.push(text, None)
    }

    /// Says `text` to one member alone.
    ///
    /// # Errors
    ///
    /// [`SendError`] when it was not taken.
    pub fn send_private(&mut self, name: &str, text: &str) -> Result<String, SendError> {
        self.push(text, Some(name))
    }

    fn push(&mut self, text: &str, to: Option<&str>) -> Result<String, SendError> {
        if self.is_finishing {
            return Err(SendError::Finished);
        }
        if !self.pending.has_capacity() {
            return Err(SendError::Full);
        }
        if to.is_none() && is_quit(text) {
            self.finish();
            return Ok(self.pending.next_id());
        }
        Ok(self.pending.push(text, to))
    }

    /// Sends an object of the [protocol](crate::protocol::ClientLine) as it is. The id of the line
    /// is its own, or else one that it is given.
    ///
    /// # Errors
    ///
    /// [`SendError`] when it was not taken.
    pub fn send_object(&mut self, object: Map<String, Value>) -> Result<String, SendError> {
        let is_text = !["hello", "to"].iter().any(|key| object.contains_key(*key));
        match object.get("data").and_then(Value::as_str) {
            Some(text) if is_text && is_quit(text) => self.push(QUIT, None),
            _ if self.is_finishing => Err(SendError::Finished),
            _ if !self.pending.has_capacity() => Err(SendError::Full),
            _ => self.pending.push_object(object).map_err(SendError::InvalidObject),
        }
    }

    /// Says nothing more, and leaves when all that was said is answered. Then
    /// [`receive`](Self::receive) returns nothing.
    pub fn finish(&mut self) {
        self.is_finishing = true;
        if self.pending.is_empty() && !matches!(self.state, State::Connected(_) | State::Ended(_)) {
            self.state = State::Ended(None);
        }
    }

    /// The next event, or nothing when the session has [finished](Self::finish). Dropping the
    /// future that waits for it loses nothing.
    ///
    /// # Errors
    ///
    /// When the session is at its end: the link is lost and not to be restored, or the server
    /// does not want us. Nothing comes after that.
    pub async fn receive(&mut self) -> Result<Option<SessionEvent>, Error> {
        poll_fn(|cx| {
            loop {
                if let Some(event) = self.events.pop_front() {
                    return Poll::Ready(Ok(Some(event)));
                }
                if let State::Ended(error) = &mut self.state {
                    return Poll::Ready(error.take().map_or(Ok(None), Err));
                }
                ready!(self.poll_step(cx));
            }
        })
        .await
    }

    /// Waits for the next thing to happen, and lets it.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Connecting(attempt) => {
                match ready!(attempt.as_mut().poll(cx)).and_then(Link::new) {
                    Ok(mut link) => {
                        link.send(&self.resume.start_connection());
                        link.send(HEARTBEAT);
                        self.state = State::Connected(Box::new(link));
                    }
                    Err(error) => {
                        self.on_disconnect(Error::Connect(self.address.clone(), error), false)
                    }
                }
            }
            State::Connected(link) => {
                if self.resume.is_live() {
                    self.pending.take_unsent().for_each(|line| link.send(line));
                    if self.is_finishing && self.pending.is_empty() && !self.is_quit_sent {
                        self.is_quit_sent = true;
                        link.send(QUIT);
                    }
                }
                match ready!(link.poll_receive(cx)) {
                    Ok(line) => self.on_line(line),
                    Err(cause) => self.on_disconnect(cause, false),
                }
            }
            State::Waiting(timer) => {
                ready!(Pin::new(timer).poll(cx));
                self.state = State::Connecting(Box::pin(self.address.clone().connect()));
            }
            State::Ended(_) => {}
        }
        Poll::Ready(())
    }
}

fn is_quit(text: &str) -> bool {
    let line = ClientLine::parse(text.as_bytes());
    // Text that is JSON is said as it is, whatever it would mean as a line of its own.
    text.starts_with('/') && line.is_ok_and(|line| line.request == Request::Quit)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.address)
            .field("resume", &self.resume)
            .field("unanswered", &self.pending.len())
            .finish_non_exhaustive()
    }
}
