//! What the members got: how much, how late, and whether it was all of it and in order.

use hdrhistogram::Histogram;

use crate::payload::Header;

/// About so many members measure latency, spread evenly over the room.
const PROBES: usize = 25;
/// The longest latency that is told from longer ones: a minute.
const LONGEST: u64 = 60_000_000_000;

/// Counters of one room. They hold a number a member and talker, and nothing a line.
pub struct Counters {
    members: usize,
    senders: usize,
    /// The counter that each member expects next from each talker.
    next: Vec<u32>,
    /// Each member's running hash over all that it got: equal hashes, equal order.
    order: Vec<u64>,
    /// Of this window, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Of this window.
    pub deliveries: u64,
    /// Bytes that the members read in this window.
    pub bytes: u64,
    /// Reads that brought something in this window.
    pub reads: u64,
    /// When this window began, in nanoseconds of the load generator's clock.
    pub start: u64,
    /// When the last delivery came, or the window began.
    pub last_delivery: u64,
    /// Connections that the server closed, since everything began.
    pub closed: u64,
    delivered: u64,
    reordered: u64,
}

/// What became of all that was said, since everything began.
#[derive(Clone, Copy, Default)]
pub struct DeliveryCheck {
    /// Lines that a member did not get in their turn.
    pub lost: u64,
    /// Lines that a member got twice or too late; a late one is counted as lost, too.
    pub reordered: u64,
    /// Connections of those who read, closed by the server.
    pub closed: u64,
    /// Whether all members got the lines of all talkers in the same order.
    pub one_order: bool,
}

impl DeliveryCheck {
    /// Whether each member got each line once, in each talker's order.
    pub fn is_complete(self) -> bool {
        self.lost == 0 && self.reordered == 0 && self.closed == 0
    }
}

/// The tally of one member, while it takes in what it has read.
pub struct MemberCounters<'a> {
    next: &'a mut [u32],
    order: &'a mut u64,
    latency: Option<&'a mut Histogram<u64>>,
    now: u64,
    delivered: &'a mut u64,
    reordered: &'a mut u64,
    last_delivery: &'a mut u64,
    deliveries: &'a mut u64,
}

impl Counters {
    /// For so many members who read, and so many of them who talk.
    pub fn new(members: usize, senders: usize) -> Self {
        Self {
            members,
            senders,
            next: vec![0; members * senders],
            order: vec![0; members],
            latency: Histogram::new_with_max(LONGEST, 3).expect("these bounds are allowed"),
            deliveries: 0,
            bytes: 0,
            reads: 0,
            start: 0,
            last_delivery: 0,
            closed: 0,
            delivered: 0,
            reordered: 0,
        }
    }

    /// Members who read.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Starts counting anew what belongs to a window.
    pub fn start_window(&mut self, now: u64) {
        self.latency.reset();
        self.deliveries = 0;
        self.bytes = 0;
        self.reads = 0;
        self.start = now;
        self.last_delivery = now;
    }

    /// The tally of one member, for what it has read just `now`.
    pub fn member(&mut self, member: usize, now: u64) -> MemberCounters<'_> {
        let step = self.members.div_ceil(PROBES);
        let probes = member.is_multiple_of(step) || member + 1 == self.members;
        let row = member * self.senders;
        MemberCounters {
            next: &mut self.next[row..row + self.senders],
            order: &mut self.order[member],
            latency: probes.then_some(&mut self.latency),
            now,
            delivered: &mut self.delivered,
            reordered: &mut self.reordered,
            last_delivery: &mut self.last_delivery,
            deliveries: &mut self.deliveries,
        }
    }

    /// Deliveries still to come after `sent` lines from all talkers together.
    pub fn outstanding(&self, sent: u64, echoes: bool) -> u64 {
        self.expected(sent, echoes).saturating_sub(self.delivered + self.reordered)
    }

    /// The verdict, where talker number `n` sits at `seats[n]` and has sent `sent[n]` lines.
    pub fn check(&self, sent: &[u32], sender_members: &[usize], echoes: bool) -> DeliveryCheck {
        let total = sent.iter().copied().map(u64::from).sum();
        // A talker that does not hear itself got other lines than the rest of the room.
        let mut orders = (0..self.members)
            .filter(|member| echoes || !sender_members.contains(member))
            .map(|member| self.order[member]);
        let first = orders.next();
        DeliveryCheck {
            lost: self.expected(total, echoes).saturating_sub(self.delivered),
            reordered: self.reordered,
            closed: self.closed,
            one_order: orders.all(|order| Some(order) == first),
        }
    }

    /// Deliveries that so many lines are to cause.
    fn expected(&self, sent: u64, echoes: bool) -> u64 {
        let hearers = if echoes { self.members } else { self.members.saturating_sub(1) };
        sent * hearers as u64
    }
}

impl MemberCounters<'_> {
    /// Counts one line that came.
    pub fn record(&mut self, header: &Header<'_>) {
        let in_turn = match self.next.get_mut(header.sender) {
            Some(next) if header.counter >= *next => {
                *next = header.counter + 1;
                true
            }
            _ => false,
        };
        if !in_turn {
            *self.reordered += 1;
            return;
        }
        *self.delivered += 1;
        *self.deliveries += 1;
        *self.last_delivery = self.now;
        let word = (header.sender as u64) << 32 | u64::from(header.counter);
        *self.order = (*self.order ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if let Some(latency) = &mut self.latency {
            latency.saturating_record(self.now.saturating_sub(header.sent_at()));
        }
    }
}
