//! Counts deliveries: their number, their latency, and whether they are complete and in order.

use hdrhistogram::Histogram;

use crate::payload::Header;

/// Approximate number of members that measure latency, spread evenly over the room.
const PROBES: usize = 25;
/// Highest latency that is recorded, in nanoseconds: one minute.
const MAX_LATENCY: u64 = 60_000_000_000;

/// Counters of one room. Their size depends on members and senders, not on lines.
pub struct Counters {
    members: usize,
    senders: usize,
    /// The next counter that each member expects from each sender.
    next: Vec<u32>,
    /// A running hash for each member over all its deliveries: equal hashes mean equal order.
    order: Vec<u64>,
    delivered: u64,
    reordered: u64,
    /// Latency in this window, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Deliveries in this window.
    pub deliveries: u64,
    /// Bytes that all members read in this window.
    pub bytes: u64,
    /// Reads in this window that returned bytes.
    pub reads: u64,
    /// Start of this window, in nanoseconds of the load generator's clock.
    pub start: u64,
    /// Time of the last delivery, or of the start of this window.
    pub last_delivery: u64,
}

/// Comparison of all deliveries with all lines sent, since the members joined.
#[derive(Clone, Copy, Default)]
pub struct DeliveryCheck {
    /// Deliveries that are missing or were not in the sender's order.
    pub lost: u64,
    /// Deliveries that arrived twice or too late. Late ones count as lost, too.
    pub reordered: u64,
    /// Connections of reading members that the server closed.
    pub closed: u64,
    /// Whether all members received the lines of all senders in the same order.
    pub one_order: bool,
}

impl DeliveryCheck {
    /// Returns whether each member received each line once, in each sender's order.
    pub fn is_complete(self) -> bool {
        self.lost == 0 && self.reordered == 0 && self.closed == 0
    }

    /// Returns whether the deliveries are complete and in one order.
    pub fn is_as_promised(self) -> bool {
        self.is_complete() && self.one_order
    }
}

/// The counters of one member, for the deliveries of one read.
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
    /// Returns counters for a number of reading members, some of which are senders.
    pub fn new(members: usize, senders: usize) -> Self {
        Self {
            members,
            senders,
            next: vec![0; members * senders],
            order: vec![0; members],
            delivered: 0,
            reordered: 0,
            latency: Histogram::new_with_max(MAX_LATENCY, 3).expect("the bounds are valid"),
            deliveries: 0,
            bytes: 0,
            reads: 0,
            start: 0,
            last_delivery: 0,
        }
    }

    /// Resets the counters of the window.
    pub fn start_window(&mut self, now: u64) {
        self.latency.reset();
        self.deliveries = 0;
        self.bytes = 0;
        self.reads = 0;
        self.start = now;
        self.last_delivery = now;
    }

    /// Returns the counters of one member, for a read at the time `now`.
    pub fn member(&mut self, member: usize, now: u64) -> MemberCounters<'_> {
        let step = self.members.div_ceil(PROBES);
        let is_probe = member.is_multiple_of(step) || member + 1 == self.members;
        let row = member * self.senders;
        MemberCounters {
            next: &mut self.next[row..row + self.senders],
            order: &mut self.order[member],
            latency: is_probe.then_some(&mut self.latency),
            now,
            delivered: &mut self.delivered,
            reordered: &mut self.reordered,
            last_delivery: &mut self.last_delivery,
            deliveries: &mut self.deliveries,
        }
    }

    /// Returns how many deliveries are missing after `sent` lines from all senders.
    pub fn outstanding(&self, sent: u64, echoes: bool) -> u64 {
        self.expected(sent, echoes).saturating_sub(self.delivered + self.reordered)
    }

    /// Compares the deliveries with the lines sent: sender `n` is member `sender_members[n]` and
    /// has sent `sent[n]` lines. Closed connections are not counted here.
    pub fn check(&self, sent: &[u32], sender_members: &[usize], echoes: bool) -> DeliveryCheck {
        let total = sent.iter().copied().map(u64::from).sum();
        // Without echoes, a sender receives other lines than the rest of the room.
        let mut orders = (0..self.members)
            .filter(|member| echoes || !sender_members.contains(member))
            .map(|member| self.order[member]);
        let first = orders.next();
        DeliveryCheck {
            lost: self.expected(total, echoes).saturating_sub(self.delivered),
            reordered: self.reordered,
            closed: 0,
            one_order: orders.all(|order| Some(order) == first),
        }
    }

    /// Returns how many deliveries `sent` lines cause.
    fn expected(&self, sent: u64, echoes: bool) -> u64 {
        let receivers = if echoes { self.members } else { self.members.saturating_sub(1) };
        sent * receivers as u64
    }
}

impl MemberCounters<'_> {
    /// Counts one delivery of the message with this header.
    pub fn record(&mut self, header: &Header<'_>) {
        let is_in_order = match self.next.get_mut(header.sender) {
            Some(next) if header.counter >= *next => {
                *next = header.counter + 1;
                true
            }
            _ => false,
        };
        if !is_in_order {
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
