//! A session: one membership of a room over several connections.

mod incoming;
mod reconnect;
mod split;
#[cfg(test)]
mod tests;

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
use super::connect::connect;
use super::link::{HEARTBEAT, Link};
use super::pending_lines::PendingLines;
use super::resume_state::ResumeState;
use super::{Error, ReconnectPolicy, SendError, ServerAddress, SessionConfig, SessionEvent};
use crate::protocol::{ClientLine, Limits, Request};

const QUIT: &str = "/quit";

/// A member of a room, which reconnects when its connection is lost.
///
/// All work is done in [`receive`](Self::receive): call it in a loop. The `send` methods do not
/// wait. They queue a line, and `receive` sends it. Dropping a session closes its connection.
///
/// A session runs on any executor. It is [`Send`]: it can move to another thread between two calls.
///
/// # Delivery
///
/// A line is *pending* until the server answers it with a frame that has the id of the line. After
/// a reconnect, the session first receives the frames that it missed. Then it sends again those
/// lines that are still pending. Every frame of the room arrives once and in order, and every line
/// is delivered once and in order, with these exceptions:
///
/// - After a [`Gap`](SessionEvent::Gap), or after a [`Reconnected`](SessionEvent::Reconnected) with
///   `resumed: false`, frames are lost, and pending lines may be delivered twice: a duplicate is
///   preferred to a loss.
/// - Private lines and the answers to commands are not sent again by the server. If the connection
///   is lost before the answer, the session sends such a line again, and it may be delivered twice.
///   Private lines from other members to this session are lost while it is not connected.
/// - A line with an id from the application ([`send_object`](Self::send_object)) may be delivered
///   twice if the server assigns another name after a reconnect.
/// - Pending lines are lost when the session is dropped.
///
/// # Examples
///
/// ```no_run
/// use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let config = SessionConfig::new("alice");
/// let mut session = Session::connect("router", config, ReconnectPolicy::Always).await?;
/// session.send("hello")?;
/// while let Some(event) = session.receive().await? {
///     if let SessionEvent::Received(received) = event {
///         println!("{}: {}", received.frame.data_source, received.frame.data);
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a session sends and receives only while `receive` is called"]
pub struct Session {
    address: ServerAddress,
    policy: ReconnectPolicy,
    resume: ResumeState,
    pending: PendingLines,
    state: State,
    /// The events of the last step, which are not yet returned.
    events: VecDeque<SessionEvent>,
    backoff: Backoff,
    /// The start of the present outage.
    disconnected_at: Option<Instant>,
    is_finishing: bool,
    is_quit_sent: bool,
}

enum State {
    Connecting(Pin<Box<dyn Future<Output = io::Result<OwnedFd>> + Send>>),
    Connected(Box<Link>),
    /// A pause before the next attempt.
    Waiting(Timer),
    /// The error is returned once.
    Ended(Option<Error>),
}

impl Session {
    /// Connects to a server and joins its room.
    ///
    /// Returns after the welcome frame, which is also the first event that
    /// [`receive`](Self::receive) returns. Dropping the future closes the connection.
    ///
    /// # Errors
    ///
    /// Returns an error if the server cannot be reached or does not accept the client. There is
    /// one attempt: `policy` applies after it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use smolchat::client::{ReconnectPolicy, Session, SessionConfig};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = SessionConfig::new("alice").history(20);
    /// let session = Session::connect("127.0.0.1:8080", config, ReconnectPolicy::Never).await?;
    /// println!("the name is {}", session.name());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(
        address: impl Into<ServerAddress>,
        config: SessionConfig,
        policy: ReconnectPolicy,
    ) -> Result<Self, Error> {
        let address = address.into();
        let mut session = Session {
            state: State::Connecting(Box::pin(connect(address.clone()))),
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

    /// Returns the name that the server assigned to this member.
    pub fn name(&self) -> &str {
        self.resume.name()
    }

    /// Returns the limits of the server, such as the longest line. It is `Some` once
    /// [`connect`](Self::connect) has returned.
    pub fn limits(&self) -> Option<Limits> {
        self.resume.limits()
    }

    /// Returns whether the session is connected and has received all missed frames, so that a line
    /// is sent at once.
    pub fn is_connected(&self) -> bool {
        self.resume.is_live()
    }

    /// Returns the number of sent lines that are not answered yet.
    pub fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Returns whether another line is accepted before a pending one is answered.
    ///
    /// At most 1,024 lines are pending. No line is accepted while the pending lines have 1 MiB
    /// or more.
    pub fn has_capacity(&self) -> bool {
        self.pending.has_capacity()
    }

    /// Returns whether [`finish`](Self::finish) was called or `/quit` was sent, so that no more
    /// lines are accepted.
    pub fn is_finishing(&self) -> bool {
        self.is_finishing
    }

    /// Queues a line of text or a command for all members, and returns its id.
    ///
    /// The answer has this id in [`ReceivedFrame::in_reply_to`](super::ReceivedFrame::in_reply_to).
    /// The command `/quit` is the same as [`finish`](Self::finish), and is not answered.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] or [`SendError::Finished`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolchat::client::{SendError, Session};
    /// # fn greet(session: &mut Session) -> Result<(), SendError> {
    /// session.send("good morning")?;
    /// session.send("/me waves")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send(&mut self, text: &str) -> Result<String, SendError> {
        self.push(text, None)
    }

    /// Queues a private line for the member with this name, and returns its id.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`] or [`SendError::Finished`].
    pub fn send_private(&mut self, name: &str, text: &str) -> Result<String, SendError> {
        self.push(text, Some(name))
    }

    fn push(&mut self, text: &str, to: Option<&str>) -> Result<String, SendError> {
        self.check_accepts_line()?;
        if to.is_none() && is_quit(text) {
            self.finish();
            return Ok(self.pending.next_id());
        }
        Ok(self.pending.push(text, to))
    }

    /// Queues a JSON object as a [line of the protocol](ClientLine), and returns its id.
    ///
    /// The id is that of the object. If it has none, one is added.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::Full`], [`SendError::Finished`] or [`SendError::InvalidObject`].
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolchat::client::{SendError, Session};
    /// # fn ask(session: &mut Session) -> Result<(), SendError> {
    /// let mut object = serde_json::Map::new();
    /// object.insert("data".into(), "/who".into());
    /// object.insert("id".into(), "question-1".into());
    /// assert_eq!(session.send_object(object)?, "question-1");
    /// # Ok(())
    /// # }
    /// ```
    pub fn send_object(&mut self, object: Map<String, Value>) -> Result<String, SendError> {
        let is_text = !["hello", "to"].iter().any(|key| object.contains_key(*key));
        if let Some(text) = object.get("data").and_then(Value::as_str)
            && is_text
            && is_quit(text)
        {
            return self.push(QUIT, None);
        }
        self.check_accepts_line()?;
        self.pending.push_object(object).map_err(SendError::InvalidObject)
    }

    fn check_accepts_line(&self) -> Result<(), SendError> {
        if self.is_finishing {
            return Err(SendError::Finished);
        }
        if !self.pending.has_capacity() {
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Accepts no more lines, and leaves the room when all pending lines are answered.
    ///
    /// Continue to call [`receive`](Self::receive) until it returns `Ok(None)`.
    pub fn finish(&mut self) {
        self.is_finishing = true;
        let is_disconnected = matches!(self.state, State::Connecting(_) | State::Waiting(_));
        if is_disconnected && self.pending.is_empty() {
            self.state = State::Ended(None);
        }
    }

    /// Waits for the next event. Returns `None` after the session has [finished](Self::finish).
    ///
    /// # Errors
    ///
    /// Returns the error that ended the session: the connection is lost and the
    /// [`ReconnectPolicy`] does not allow another attempt, or the server refused the client for a
    /// reason that another attempt would not change. Later calls return `Ok(None)`.
    ///
    /// # Cancel safety
    ///
    /// This method is cancel safe. If its future is dropped, no event and no line is lost, and the
    /// next call continues at the same point.
    ///
    /// # Examples
    ///
    /// A bot that also sends a line each minute:
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use smolchat::client::{Session, SessionEvent};
    /// use futures_lite::FutureExt;
    /// use smol::Timer;
    ///
    /// # async fn run(mut session: Session) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut timer = Timer::interval(Duration::from_secs(60));
    /// loop {
    ///     let event = async { session.receive().await.map(Some) };
    ///     let tick = async {
    ///         futures_lite::StreamExt::next(&mut timer).await;
    ///         Ok(None)
    ///     };
    ///     match event.or(tick).await? {
    ///         Some(Some(event)) => println!("{event:?}"),
    ///         Some(None) => return Ok(()),
    ///         None => drop(session.send("still here")?),
    ///     }
    /// }
    /// # }
    /// ```
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

    /// Advances the state by one step: an attempt to connect, a received line, or a pause.
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
                        self.on_disconnect(Error::Connect(self.address.clone(), error), false);
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
                self.state = State::Connecting(Box::pin(connect(self.address.clone())));
            }
            State::Ended(_) => {}
        }
        Poll::Ready(())
    }
}

/// Returns whether the text is the command `/quit`. A text that is JSON is not a command here.
fn is_quit(text: &str) -> bool {
    let line = ClientLine::parse(text.as_bytes());
    text.starts_with('/') && line.is_ok_and(|line| line.request == Request::Quit)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", &self.address)
            .field("resume", &self.resume)
            .field("pending_count", &self.pending.len())
            .finish_non_exhaustive()
    }
}
