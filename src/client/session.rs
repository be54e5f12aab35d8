//! A session: one membership of a room over several connections.

mod connection;
mod incoming;
mod outgoing;
mod reconnect;
mod split;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Instant;

use smol::Timer;

use super::backoff::Backoff;
use super::connect::connect;
use super::link::Link;
use super::name_reclaim::NameReclaim;
use super::pending_lines::PendingLines;
use super::resume_state::ResumeState;
use super::targets::Targets;
use super::{Error, ReconnectPolicy, ServerAddress, SessionConfig, SessionEvent, tls};
use crate::protocol::Limits;

/// The command that leaves the room.
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
    targets: Targets,
    /// The address of the latest connection, unless it is a Unix socket.
    connected_address: Option<SocketAddr>,
    /// The keys of servers that are trusted.
    tls: tls::Settings,
    policy: ReconnectPolicy,
    resume: ResumeState,
    pending: PendingLines,
    reclaim: NameReclaim,
    require_name: bool,
    state: State,
    /// The connection that [`reconnect`](Self::reconnect) replaces. It is open until the server has
    /// answered on the new one, so that the server does not announce that the member left.
    replaced_link: Option<Box<Link>>,
    /// The events of the last step, which are not yet returned.
    events: VecDeque<SessionEvent>,
    backoff: Backoff,
    /// The start of the session, until it is live, if the policy applies to the first connection.
    started_at: Option<Instant>,
    /// The start of the present outage.
    disconnected_at: Option<Instant>,
    /// The start of the live stage of the present connection.
    live_since: Option<Instant>,
    /// The end of the wait for a welcome, or for a bye.
    deadline: Option<Timer>,
    is_finishing: bool,
    is_quit_sent: bool,
    /// Whether the session ends at the deadline, even if lines wait in the socket.
    is_quit_urgent: bool,
    /// The lines that were received since `/quit` was sent.
    lines_until_bye: u32,
    /// The error with which the session ends after the bye.
    quit_error: Option<Error>,
}

enum State {
    Connecting(Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>),
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
        let mut session = Session::new(address, config, policy);
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

    /// Creates a session that connects while [`receive`](Self::receive) is called.
    ///
    /// Unlike with [`connect`](Self::connect), `policy` also applies to the first connection: the
    /// session waits until the server can be reached. Lines can be sent before that.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use smolchat::client::{ReconnectPolicy, Session, SessionConfig};
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let config = SessionConfig::new("alice");
    /// let mut session = Session::start("router", config, ReconnectPolicy::Always);
    /// session.send("hello")?;
    /// session.finish();
    /// while session.receive().await?.is_some() {}
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(
        address: impl Into<ServerAddress>,
        config: SessionConfig,
        policy: ReconnectPolicy,
    ) -> Self {
        let session = Session::new(address, config, policy);
        Session { started_at: Some(Instant::now()), ..session }
    }

    /// Creates a session that connects while [`receive`](Self::receive) is called. As with
    /// [`connect`](Self::connect), the first connection is tried once.
    pub(crate) fn new(
        address: impl Into<ServerAddress>,
        config: SessionConfig,
        policy: ReconnectPolicy,
    ) -> Self {
        let targets = Targets::new(address.into());
        Session {
            state: State::Connecting(Box::pin(connect(
                targets.current().clone(),
                config.tls.clone(),
            ))),
            targets,
            tls: config.tls.clone(),
            connected_address: None,
            replaced_link: None,
            policy,
            reclaim: NameReclaim::new(config.reclaim_name),
            require_name: config.require_name,
            resume: ResumeState::new(config),
            pending: PendingLines::default(),
            events: VecDeque::new(),
            backoff: Backoff::default(),
            started_at: None,
            disconnected_at: None,
            live_since: None,
            deadline: None,
            is_finishing: false,
            is_quit_sent: false,
            is_quit_urgent: false,
            lines_until_bye: 0,
            quit_error: None,
        }
    }

    /// Returns the name that the server assigned to this member, which is empty before the first
    /// welcome.
    pub fn name(&self) -> &str {
        self.resume.name()
    }

    /// Returns the address of the server: of several, the one that is used or tried.
    pub fn address(&self) -> &ServerAddress {
        self.targets.current()
    }

    /// Returns a future that tells whether another address is that of the server of the latest
    /// connection, and both or neither are encrypted.
    #[cfg(feature = "editor")]
    pub(crate) fn is_same_server(
        &self,
        other: ServerAddress,
    ) -> impl Future<Output = bool> + use<> {
        let is_like = other.is_encrypted() == self.address().is_encrypted();
        let connected_address = self.connected_address.filter(|_| is_like);
        async move {
            match connected_address {
                Some(address) => super::connect::is_address_of(&other, address).await,
                None => false,
            }
        }
    }

    /// Returns the name that the session asks the server for: that of its [`SessionConfig`], or a
    /// later one that the server accepted. `None` stands for any name.
    pub fn requested_name(&self) -> Option<&str> {
        self.resume.requested_name()
    }

    /// Returns the limits of the server, such as the longest line, or `None` before the first
    /// welcome.
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

    /// Accepts no more lines, and leaves the room when all pending lines are answered. A session
    /// that has not joined yet joins first.
    ///
    /// Continue to call [`receive`](Self::receive) until it returns `Ok(None)`.
    pub fn finish(&mut self) {
        self.is_finishing = true;
        let is_disconnected = matches!(self.state, State::Connecting(_) | State::Waiting(_));
        if is_disconnected && self.pending.is_empty() && self.resume.was_welcomed() {
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
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("address", self.targets.current())
            .field("resume", &self.resume)
            .field("pending_count", &self.pending.len())
            .finish_non_exhaustive()
    }
}
