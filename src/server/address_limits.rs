//! Limits on the lines and bytes that the clients of one address cause together.
//!
//! The accept loop has an [`AddressTable`]. All connection tasks of an address share its
//! [`AddressBudget`], and charge it with each line before they send the line to the broadcaster:
//! one line, and the bytes of the frames that the line causes. If nothing is left, the task waits
//! and does not read from its socket.
//!
//! The bytes of some answers, such as that to `/history`, are known only after the room has
//! answered. A task attaches an [`AnswerCharge`] to such a request; the broadcaster charges the
//! bytes of the answer. At most one such request of an address is on its way.

mod guesses;

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

#[cfg(feature = "irc")]
use super::edge::irc::IrcCommand;
#[cfg(feature = "tls")]
use super::edge::tls::Acceptor;
use super::secrets::{Plain, Secrets};
use guesses::Guesses;

use crate::protocol::{ClientLine, ParsedLine, Request, escaped_len};
use crate::rate_limit::{Rate, RateLimiter};
use crate::room::{Origin, Peer};

/// Bytes of answers, as a multiple of those that an address may publish. So a member can speak after
/// it was sent the history.
pub const ANSWER_FACTOR: u32 = 8;
/// The most bytes of a chat frame or an error beside its text and its id.
pub const FRAME_BYTES: usize = 256;
/// The most lines of a text that a reader is sent.
#[cfg(feature = "irc")]
const MAX_TEXT_LINES: usize = 16;
/// The most bytes of a join or leave notice for one member.
const NOTICE_BYTES: usize = 384;
/// Notices and answers are not charged while an address owes this time. Connections that the room
/// refuses must not silence the members of the address for long, and neither must the history that
/// many members of an address are sent when they resume.
const MAX_DEBT: Duration = Duration::from_secs(10);
/// The most bytes for one address, in a table that grows by doubling.
pub const ADDRESS_BUDGET_BYTES: usize =
    3 * size_of::<(Origin, Rc<AddressBudget>)>() + size_of::<AddressBudget>() + 32;

/// The cost of a line for its address.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// The most bytes of the frames that the line causes, without its answer if that is unknown;
    /// `None` for a heartbeat.
    pub bytes: Option<usize>,
    /// Only the room knows how long the answer is.
    pub has_unknown_answer: bool,
}

impl From<&ParsedLine> for Cost {
    fn from(line: &ParsedLine) -> Self {
        Cost { bytes: bytes_of(line), has_unknown_answer: has_unknown_answer(line) }
    }
}

/// The limits on the input of each client and of each address.
#[derive(Debug)]
pub struct ReadLimits {
    /// The longest line, in bytes without its newline.
    pub max_line: u32,
    /// Bytes in one read, from 1 to [`MAX_READ_BYTES`](super::connection::MAX_READ_BYTES).
    pub read_bytes: usize,
    /// The rate of lines of one client.
    pub rate: Rate,
    /// The rate of lines of one address.
    pub address_lines: Rate,
    /// The rate of bytes of one address.
    pub address_bytes: Rate,
    /// The rate of bytes of the answers to one address.
    pub answer_bytes: Rate,
    /// Bytes that each further line of a text costs: a reader may be sent it as a line of its own.
    #[cfg(feature = "irc")]
    pub line_bytes: usize,
    /// The names by which a browser may reach the server.
    #[cfg(feature = "web")]
    pub web_hosts: Rc<[String]>,
    /// The secrets of the server.
    pub secrets: Rc<Secrets>,
    /// Where plain text is accepted.
    pub plain: Option<Plain>,
    /// The certificate, if clients can use TLS.
    #[cfg(feature = "tls")]
    pub tls: Option<Rc<Acceptor>>,
    /// The start of the rate limiters' time.
    pub started: Instant,
}

impl ReadLimits {
    /// Returns the time for the rate limiters.
    #[expect(clippy::disallowed_methods, reason = "the rate limiters' clock")]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns whether clients can use TLS.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self))]
    pub fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        false
    }

    /// Returns the cost of a line.
    #[cfg_attr(not(feature = "irc"), expect(unused_mut, clippy::unused_self))]
    pub fn cost_of(&self, line: &ParsedLine) -> Cost {
        let mut cost = Cost::from(line);
        #[cfg(feature = "irc")]
        if self.line_bytes > 0
            && let Ok(ClientLine { request: Request::Say(text) | Request::Action(text), .. }) = line
        {
            let lines = text.matches('\n').take(MAX_TEXT_LINES).count();
            cost.bytes = cost.bytes.map(|bytes| bytes + lines * self.line_bytes);
        }
        cost
    }

    fn has_address_limits(&self) -> bool {
        self.address_lines.is_limited() || self.address_bytes.is_limited()
    }
}

/// A bounded table of addresses.
pub struct AddressTable {
    limits: Rc<ReadLimits>,
    budgets: HashMap<Origin, Rc<AddressBudget>>,
    /// The most budgets of addresses without connections.
    max_idle: usize,
    /// The size at which unused budgets are removed.
    sweep_at: usize,
    /// The budget of clients without a limit.
    unlimited: Rc<AddressBudget>,
}

impl AddressTable {
    /// Creates an empty table, which keeps at most `max_idle` addresses without connections.
    pub fn new(limits: Rc<ReadLimits>, max_idle: usize) -> Self {
        let without_limits = ReadLimits {
            address_lines: Rate::UNLIMITED,
            address_bytes: Rate::UNLIMITED,
            answer_bytes: Rate::UNLIMITED,
            #[cfg(feature = "web")]
            web_hosts: Rc::clone(&limits.web_hosts),
            secrets: Rc::clone(&limits.secrets),
            #[cfg(feature = "tls")]
            tls: limits.tls.clone(),
            ..*limits
        };
        let mut unlimited = AddressBudget::new(Rc::new(without_limits));
        unlimited.is_shared = true;
        let unlimited = Rc::new(unlimited);
        AddressTable { limits, budgets: HashMap::new(), max_idle, sweep_at: 0, unlimited }
    }

    /// Returns the budget for a new connection, and charges it for the join notice.
    pub fn budget_of(&mut self, peer: Peer) -> Rc<AddressBudget> {
        let origin = Origin::from(peer);
        let secrets = &self.limits.secrets;
        let is_counted =
            self.limits.has_address_limits() || secrets.has_password() || secrets.has_operators();
        if origin == Origin::Proxy || !is_counted {
            return Rc::clone(&self.unlimited);
        }
        let now = self.limits.now();
        let budget = self.budget(origin, now);
        budget.charge_notice(now);
        budget
    }

    fn budget(&mut self, origin: Origin, now: Duration) -> Rc<AddressBudget> {
        if self.budgets.len() >= self.sweep_at {
            self.remove_unused(now);
        }
        let limits = &self.limits;
        let new = || Rc::new(AddressBudget::new(Rc::clone(limits)));
        Rc::clone(self.budgets.entry(origin).or_insert_with(new))
    }

    /// Removes the addresses that have no connection and owe nothing. If too many are left without
    /// a connection, removes all of these: the table must not grow.
    fn remove_unused(&mut self, now: Duration) {
        let is_used = |budget: &Rc<AddressBudget>| Rc::strong_count(budget) > 1;
        self.budgets.retain(|_, budget| is_used(budget) || !budget.is_idle(now));
        let used = self.budgets.values().filter(|budget| is_used(budget)).count();
        if self.budgets.len() - used > self.max_idle / 2 {
            self.budgets.retain(|_, budget| is_used(budget));
        }
        self.budgets.shrink_to(self.budgets.len() * 2);
        self.sweep_at = (2 * self.budgets.len()).max(64).min(used + self.max_idle);
    }
}

/// The rate limiters of one address, shared by its connection tasks.
pub struct AddressBudget {
    pub limits: Rc<ReadLimits>,
    lines: Cell<RateLimiter>,
    bytes: Cell<RateLimiter>,
    /// Heartbeats have the rate of lines for themselves: the answer shows a client that waits that
    /// the server is there.
    heartbeats: Cell<RateLimiter>,
    answers: Cell<RateLimiter>,
    guesses: Cell<Guesses>,
    /// Whether the budget is that of several addresses.
    is_shared: bool,
    /// Requests on their way to the broadcaster that have an [`AnswerCharge`].
    requests: Cell<usize>,
    /// Tasks that wait until there is no such request.
    waiting: Cell<Vec<Waker>>,
    /// How often these tasks were woken.
    wake_ups: Cell<u64>,
}

impl AddressBudget {
    /// Creates a budget of which nothing has been taken.
    pub fn new(limits: Rc<ReadLimits>) -> Self {
        AddressBudget {
            limits,
            lines: Cell::default(),
            bytes: Cell::default(),
            heartbeats: Cell::default(),
            answers: Cell::default(),
            guesses: Cell::default(),
            is_shared: false,
            requests: Cell::default(),
            waiting: Cell::default(),
            wake_ups: Cell::default(),
        }
    }

    /// Returns whether there are limits for an address.
    pub fn is_limited(&self) -> bool {
        self.limits.has_address_limits()
    }

    /// Returns whether everything that was taken is paid for.
    pub fn is_idle(&self, now: Duration) -> bool {
        let limiters = [&self.lines, &self.bytes, &self.heartbeats, &self.answers];
        limiters.iter().all(|limiter| limiter.get().is_idle(now)) && self.guesses.get().is_idle(now)
    }

    /// Takes a line and returns how long it has to wait. All lines that wait are paid for already,
    /// so each gets its turn in the order of these calls.
    pub fn charge_line(&self, cost: impl Into<Cost>, now: Duration) -> Duration {
        match cost.into().bytes {
            Some(bytes) => self.charge(bytes, now),
            None => take(&self.heartbeats, self.limits.address_lines, 1, now),
        }
    }

    fn charge(&self, bytes: usize, now: Duration) -> Duration {
        let wait = take(&self.lines, self.limits.address_lines, 1, now);
        wait.max(take(&self.bytes, self.limits.address_bytes, bytes, now))
    }

    /// Takes the line and the bytes of a join or leave notice, which does not wait.
    pub fn charge_notice(&self, now: Duration) {
        let lines = self.lines.get().wait(self.limits.address_lines, now);
        let bytes = self.bytes.get().wait(self.limits.address_bytes, now);
        if lines.max(bytes) < MAX_DEBT {
            self.charge(NOTICE_BYTES, now);
        }
    }

    /// Returns how long a request has to wait because of earlier answers.
    pub fn answer_wait(&self, now: Duration) -> Duration {
        self.answers.get().wait(self.limits.answer_bytes, now)
    }

    /// Returns the charge for a request, if no other is on its way and no answer has to be paid for.
    pub fn try_request(self: &Rc<Self>, now: Duration) -> Option<AnswerCharge> {
        let is_free = self.requests.get() == 0 && self.answer_wait(now).is_zero();
        is_free.then(|| self.request())
    }

    /// Polls until no other request is on its way. A task passes the same `registered_at`, at first
    /// `None`, to all its polls, so that its waker is added once.
    pub fn poll_request(
        self: &Rc<Self>,
        cx: &Context<'_>,
        registered_at: &mut Option<u64>,
    ) -> Poll<AnswerCharge> {
        if self.requests.get() == 0 {
            return Poll::Ready(self.request());
        }
        if registered_at.replace(self.wake_ups.get()) != Some(self.wake_ups.get()) {
            let mut waiting = self.waiting.take();
            waiting.push(cx.waker().clone());
            self.waiting.set(waiting);
        }
        Poll::Pending
    }

    /// Returns the charge for a request that does not wait, such as a hello.
    pub fn request(self: &Rc<Self>) -> AnswerCharge {
        self.requests.set(self.requests.get() + 1);
        AnswerCharge { budget: Rc::clone(self) }
    }
}

/// The right to send one request whose answer is charged to its address.
pub struct AnswerCharge {
    budget: Rc<AddressBudget>,
}

impl AnswerCharge {
    /// Charges the bytes of the answer.
    pub fn charge(self, bytes: usize, now: Duration) {
        if self.budget.answer_wait(now) < MAX_DEBT {
            take(&self.budget.answers, self.budget.limits.answer_bytes, bytes, now);
        }
    }
}

impl Drop for AnswerCharge {
    fn drop(&mut self) {
        let requests = self.budget.requests.get() - 1;
        self.budget.requests.set(requests);
        if requests == 0 {
            // All are woken, in order: the first takes its turn, the others wait again.
            self.budget.wake_ups.set(self.budget.wake_ups.get() + 1);
            self.budget.waiting.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl fmt::Debug for AnswerCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerCharge")
    }
}

/// Takes units and returns how long to wait for the first of them.
fn take(limiter: &Cell<RateLimiter>, rate: Rate, units: usize, now: Duration) -> Duration {
    let mut state = limiter.get();
    let wait = state.wait(rate, now);
    state.take(rate, units, now);
    limiter.set(state);
    wait
}

/// Returns the most bytes of the frames that a line causes, without the answer to a request that
/// has an [`AnswerCharge`], or `None` for a heartbeat.
fn bytes_of(line: &ParsedLine) -> Option<usize> {
    let (id, text) = match line {
        Err(error) => (&error.id, escaped_len(&error.text)),
        Ok(ClientLine { id, request }) => {
            let text = match request {
                Request::Heartbeat => return None,
                #[cfg(feature = "irc")]
                Request::Edge(text) => return bytes_of_edge_line(text),
                Request::Say(text) | Request::Action(text) => escaped_len(text),
                Request::Private { to, text } => escaped_len(to) + escaped_len(text),
                // The error for an invalid name repeats it with Rust's escapes.
                Request::Nick(name) => 2 * FRAME_BYTES + escaped_len(&format!("{name:?}")),
                _ => 0,
            };
            (id, text)
        }
    };
    let frame = FRAME_BYTES + text + id.as_deref().map_or(0, escaped_len);
    // A private line is sent to its recipient and back to its sender.
    let is_private = matches!(line, Ok(ClientLine { request: Request::Private { .. }, .. }));
    Some(if is_private { 2 * frame } else { frame })
}

/// Returns the same for a line of an IRC client.
#[cfg(feature = "irc")]
#[inline(never)]
fn bytes_of_edge_line(text: &str) -> Option<usize> {
    // A text for one member is sent back to its sender, too.
    (!IrcCommand::of(text).is_heartbeat()).then(|| 2 * (FRAME_BYTES + escaped_len(text)))
}

/// Returns whether only the room knows how long the answer to a line is.
fn has_unknown_answer(line: &ParsedLine) -> bool {
    let request = line.as_ref().map(|line| &line.request);
    #[cfg(feature = "irc")]
    if let Ok(Request::Edge(text)) = request {
        return IrcCommand::of(text).has_long_answer();
    }
    matches!(request, Ok(Request::Who | Request::History(_) | Request::Stats | Request::Help))
}

#[cfg(test)]
mod tests;
