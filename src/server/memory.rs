//! The memory ceiling of a server, and the limits that fit a memory budget or a limit of open
//! files.
//!
//! Every part of the server has a limit. [`Ceiling::of`] adds up the limits of a [`Config`], and
//! [`fit`] chooses limits that stay within a budget.
//!
//! ```
//! use smolchat::server::Config;
//! use smolchat::server::memory::{Ceiling, Pinned, fit};
//!
//! let config = fit(4 << 20, Config::default(), Pinned::default()).unwrap();
//! assert!(config.room.max_clients >= 100);
//! assert!(Ceiling::of(&config).total() <= 4 << 20);
//! ```

#[cfg(feature = "cluster")]
mod cluster;

use std::fmt;

use crate::room::{History, MODERATION_BYTES, max_addresses, max_connections, max_visitors};
use crate::server::Config;
use crate::server::address_limits::ADDRESS_BUDGET_BYTES;
use crate::server::broadcaster::batch_bytes;
use crate::server::connection::{LINE_OVERHEAD, MAX_INPUT_LINES, MAX_READ_BYTES};
#[cfg(feature = "irc")]
use crate::server::edge::irc;
#[cfg(feature = "tls")]
use crate::server::edge::tls;
#[cfg(feature = "web")]
use crate::server::edge::web::{BROWSER_BYTES, MAX_BROWSERS};
use crate::server::secrets::Plain;

/// The idle program: its stacks, and the heap of an empty room. The pages of its file are not
/// counted: the kernel drops them if memory is short, and reads them again.
const PROGRAM: usize = 384 << 10;
/// A connection: its task, its entry in the reactor, its rows in the tables. A member takes about
/// 790 bytes, measured by `make footprint`.
const CONNECTION: usize = 1 << 10;
/// A frame in the history, beside its bytes: an entry in a queue that grows by doubling.
const FRAME: usize = 48;
/// The most bytes of a frame, beside the line that it was made from.
const FRAME_OVERHEAD: usize = 512;

/// The name, the number and the bytes of a part.
type Part = (&'static str, usize, usize);

/// The most memory that a server takes, by part.
#[derive(Clone, Debug)]
pub struct Ceiling {
    parts: Vec<Part>,
}

impl Ceiling {
    /// Returns the ceiling of a configuration.
    pub fn of(config: &Config) -> Self {
        let room = &config.room;
        let connections = room.max_connections();
        let sockets = connections.saturating_add(config.max_pending(room.max_clients));
        // With connections that wait for the room, and closed ones whose tasks have not run.
        let tasks = sockets.saturating_add(config.events.saturating_mul(2));
        let clients = connections.saturating_add(room.max_visitors());
        let addresses = clients.saturating_add(max_addresses(room.max_clients));
        let held = config.read_bytes + max_line(config) + 1;
        let event = held + MAX_INPUT_LINES * LINE_OVERHEAD;
        let batch = batch_bytes(config.outbox).saturating_add(event);
        let frames = room.history.saturating_mul(FRAME);
        let history = room.history_bytes.saturating_add(frames).saturating_add(batch);
        // A visitor is sent a bye alone, so its outbox and its send buffer hold no more.
        let visitor = config.buffers.receive.saturating_mul(2);
        let visitor = visitor.saturating_add(CONNECTION + held + FRAME_OVERHEAD);
        let outbox = config.outbox.saturating_add(History::max_replay_overhead(room.history));
        #[cfg_attr(
            not(any(feature = "cluster", feature = "irc", feature = "tls")),
            expect(unused_mut)
        )]
        let mut parts = vec![
            ("idle program", 1, PROGRAM),
            ("tables and tasks", tasks, CONNECTION),
            ("half-read lines", connections, held),
            ("events for the room", config.events, event),
            // In the room or as messages, in delivery, and in a write that has not returned.
            ("batch", 3, batch),
            ("outboxes", connections, outbox),
            ("connections without a place", room.max_visitors(), visitor),
            ("history", 1, history),
            ("reserved names, addresses", 1, room.memory_for_absent_clients()),
            ("rates of addresses", addresses, ADDRESS_BUDGET_BYTES),
            ("bans and mutes", usize::from(config.has_bans()), MODERATION_BYTES),
            #[cfg(feature = "web")]
            ("addresses of browsers", MAX_BROWSERS, BROWSER_BYTES),
            ("socket buffers in the kernel", sockets, config.buffers.kernel_bytes()),
        ];
        #[cfg(feature = "cluster")]
        parts.extend(cluster::node_parts(config, event));
        #[cfg(feature = "irc")]
        parts.extend(irc_parts(config, batch));
        #[cfg(all(feature = "irc", feature = "cluster"))]
        parts.extend(cluster::irc_parts(config, event));
        #[cfg(feature = "tls")]
        parts.extend(tls_parts(config, clients, visitor));
        Ceiling { parts }
    }

    /// Returns the whole ceiling in bytes.
    pub fn total(&self) -> u64 {
        let total = |&(_, count, bytes): &_| bytes_of(count, bytes);
        self.parts.iter().map(total).fold(0, u64::saturating_add)
    }
}

/// Returns the parts of IRC clients. Without a port for IRC there are no such clients.
#[cfg(feature = "irc")]
fn irc_parts(config: &Config, batch: usize) -> [Part; 3] {
    let answer = config.room.answer_bytes.min(config.outbox / 2);
    let connections = config.room.max_connections();
    let [clients, lists] = if config.irc.is_open { [connections, 3] } else { [0; 2] };
    [
        ("IRC clients", clients, irc::CLIENT_BYTES + irc::PASSWORD_BYTES),
        ("IRC lines and answers", lists, batch * irc::MAX_GROWTH + 3 * answer),
        ("IRC notices and departures", lists.min(1), irc::SHARED_BYTES),
    ]
}

/// Returns the parts of clients that can use TLS. `visitor` is the size of a refused client, of which
/// as many wait for an alert as for a handshake.
#[cfg(feature = "tls")]
fn tls_parts(config: &Config, clients: usize, visitor: usize) -> [Part; 4] {
    let clients = if config.tls.is_some() { clients } else { 0 };
    let handshakes = config.max_handshakes(config.room.max_clients);
    [
        ("TLS keys and records", clients, tls::CONNECTION_BYTES),
        ("TLS handshakes", handshakes, tls::HANDSHAKE_BYTES),
        ("TLS certificate", handshakes.min(1), tls::CERTIFICATE_BYTES),
        ("TLS: refused clients", handshakes, 2 * visitor + tls::CONNECTION_BYTES),
    ]
}

/// Returns the longest line of a client, IRC clients included.
fn max_line(config: &Config) -> usize {
    let max_line = config.room.max_line as usize;
    #[cfg(feature = "irc")]
    if config.irc.is_open {
        return max_line.max(irc::MAX_LINE);
    }
    max_line
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &(name, count, bytes) in self.parts.iter().filter(|&&(_, count, _)| count > 0) {
            let total = kib(bytes_of(count, bytes));
            writeln!(f, "{name:<32} {count:>7} x {bytes:>10} B = {total:>10} KiB")?;
        }
        write!(f, "{:<32} {:>36} KiB", "total", kib(self.total()))
    }
}

/// Multiplies in 64 bits, so that a 32-bit machine can report a ceiling that it could not hold.
fn bytes_of(count: usize, bytes: usize) -> u64 {
    (count as u64).saturating_mul(bytes as u64)
}

fn kib(bytes: u64) -> u64 {
    bytes.div_ceil(1024)
}

/// Limits set explicitly, which a budget or another limit must not change.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pinned {
    /// Whether [`address_rate`](Config::address_rate) was set.
    pub is_address_rate_pinned: bool,
    /// Whether [`address_bytes`](Config::address_bytes) was set.
    pub is_address_bytes_pinned: bool,
    /// Whether [`max_clients`](crate::room::Config::max_clients) was set.
    pub is_max_clients_pinned: bool,
    /// Whether [`outbox`](Config::outbox) was set.
    pub is_outbox_pinned: bool,
    /// Whether [`history`](crate::room::Config::history) was set.
    pub is_history_pinned: bool,
    /// Whether [`history_bytes`](crate::room::Config::history_bytes) was set.
    pub is_history_bytes_pinned: bool,
}

/// Changes the limits of `config` so that its ceiling is at most `budget` bytes. The number of
/// clients stays if it fits, and becomes as large as possible otherwise.
///
/// # Errors
///
/// Returns the bytes needed if the [pinned](Pinned) limits do not fit.
pub fn fit(budget: usize, mut config: Config, pinned: Pinned) -> Result<Config, u64> {
    let line = config.room.max_line as usize + FRAME_OVERHEAD;
    let share = |part: usize, least: usize, most: usize| (budget / part).min(most).max(least);
    config.read_bytes = share(3072, 1024, MAX_READ_BYTES);
    config.events = share(256 << 10, 8, config.events);
    config.buffers.send = share(1024, 2304, config.buffers.send);
    config.buffers.receive = share(4096, 1152, config.buffers.receive);
    if !pinned.is_history_bytes_pinned {
        config.room.history_bytes = share(32, line, config.room.history_bytes);
    }
    if !pinned.is_history_pinned {
        config.room.history = config.room.history.min(config.room.history_bytes / 512);
    }
    let (mut clients, mut outbox) = (config.room.max_clients, config.outbox);
    let (most_clients, most_outbox) = (clients, outbox);
    let mut total = |clients, outbox| {
        config.room.max_clients = clients;
        config.outbox = outbox;
        Ceiling::of(&config).total()
    };
    let most = budget as u64;
    if !pinned.is_outbox_pinned {
        outbox = share(900, line, most_outbox);
    }
    if !pinned.is_max_clients_pinned {
        clients = largest(1, most_clients, |clients| total(clients, outbox) <= most);
    }
    if !pinned.is_outbox_pinned {
        outbox = largest(line, most_outbox, |outbox| total(clients, outbox) <= most);
    }
    match total(clients, outbox) {
        total if total <= most => Ok(config),
        total => Err(total),
    }
}

/// Returns the most clients, at most as many as in the configuration, for which the open files
/// suffice. Connections that are not clients yet or any more need some, too.
pub fn max_clients_within(descriptors: usize, config: &Config) -> usize {
    let max_clients = config.room.max_clients;
    let fits = |clients: usize| max_sockets(clients, config) <= descriptors;
    // So few that the other connections alone could take them.
    let least = (descriptors / 2).max(1);
    largest(1, max_clients, fits).max(least).min(max_clients)
}

/// Returns the most connections in a room for `max_clients`.
fn max_sockets(max_clients: usize, config: &Config) -> usize {
    let others = max_visitors(max_clients, config.room.has_password)
        .saturating_add(config.max_pending(max_clients));
    #[cfg(feature = "tls")]
    let others = others.saturating_add(2 * config.max_handshakes(max_clients));
    max_connections(max_clients).saturating_add(others)
}

/// Returns the largest number from `least` to `most` that fits, or `least` if none does.
fn largest(least: usize, most: usize, mut fits: impl FnMut(usize) -> bool) -> usize {
    let (mut least, mut most) = (least, most.max(least));
    while least < most {
        let middle = least + (most - least).div_ceil(2);
        if fits(middle) { least = middle } else { most = middle - 1 }
    }
    least
}

/// Returns why the limits of a configuration contradict each other, if they do.
pub fn find_contradiction(config: &Config) -> Option<String> {
    let room = &config.room;
    let frame = room.max_line as usize + FRAME_OVERHEAD;
    let too_small =
        |option, bytes| Some(format!("{option} {bytes} is too small for a frame of {frame} bytes"));
    if room.max_clients == 0 {
        Some("--max-clients 0 admits no client".into())
    } else if config.plain == Some(Plain::Never) && !config.has_tls() {
        Some("--plain never admits no client: there is no TLS".into())
    } else if config.outbox < frame {
        too_small("--outbox", config.outbox)
    } else if room.history > 0 && room.history_bytes < frame {
        too_small("--history-bytes", room.history_bytes)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_budget_admits_a_hundred_clients() {
        let small = fit(4 << 20, Config::default(), Pinned::default()).unwrap();

        assert!(small.room.max_clients >= 100, "{}", Ceiling::of(&small));
        assert_eq!(find_contradiction(&small), None);
        let large = fit(8 << 30, Config::default(), Pinned::default()).unwrap();
        assert_eq!(large.room.max_clients, Config::default().room.max_clients);
        assert_eq!(large.outbox, Config::default().outbox);
    }

    #[test]
    fn every_budget_is_kept_or_rejected() {
        let mut budget = 64 << 10;
        while budget < 1 << 32 {
            match fit(budget, Config::default(), Pinned::default()) {
                Ok(config) => {
                    assert!(Ceiling::of(&config).total() <= budget as u64);
                    assert_eq!(find_contradiction(&config), None);
                }
                Err(least) => {
                    assert!(least > budget as u64);
                    assert!(budget < 1 << 20, "{budget}");
                }
            }
            budget += budget / 7;
        }
    }

    #[test]
    fn clients_and_ending_connections_fit_the_open_files() {
        let mut config = Config::default();
        for descriptors in 0..3000 {
            let clients = max_clients_within(descriptors, &config);
            assert!((1..=1000).contains(&clients));
            let is_enough = max_sockets(clients, &config) <= descriptors;
            assert!(is_enough || clients <= (descriptors / 2).max(1), "{descriptors}");
        }
        assert_eq!(max_clients_within(44, &config), 22);
        assert_eq!(max_clients_within(1312, &config), 1000);
        config.trusted_proxies.push("192.0.2.1".parse().unwrap());
        assert_eq!(max_clients_within(1312, &config), 840);
        #[cfg(feature = "tls")]
        {
            config.tls = Some(tls::Config::default());
            assert_eq!(max_clients_within(1312, &config), 759);
            config.tls = None;
        }
        config.room.max_clients = usize::MAX / 2;
        assert_eq!(max_clients_within(usize::MAX, &config), usize::MAX / 2);
        config.room.max_clients = 0;
        assert_eq!(max_clients_within(44, &config), 0);
    }

    #[test]
    fn bans_of_local_operators_are_counted() {
        let mut config = Config::default();
        let without = Ceiling::of(&config).total();
        config.room.operator_user = Some(1000);
        assert_eq!(Ceiling::of(&config).total(), without + MODERATION_BYTES as u64);
    }

    #[test]
    fn pinned_limits_stay() {
        let mut config = Config::default();
        config.room.max_clients = 30;
        config.outbox = 64 << 10;
        let pinned =
            Pinned { is_max_clients_pinned: true, is_outbox_pinned: true, ..Pinned::default() };
        let fitted = fit(8 << 20, config, pinned).unwrap();
        assert_eq!((fitted.room.max_clients, fitted.outbox), (30, 64 << 10));
        let mut config = Config::default();
        config.room.max_clients = 1000;
        let pinned = Pinned { is_max_clients_pinned: true, ..Pinned::default() };
        assert!(fit(4 << 20, config, pinned).unwrap_err() > 4 << 20);
    }

    #[test]
    fn ceiling_is_the_sum_of_its_parts() {
        let table = Ceiling::of(&Config::default()).to_string();
        let figures =
            table.lines().filter_map(|line| line.rsplit_once(" KiB")?.0.rsplit(' ').next());
        let figures: Vec<usize> = figures.map(|figure| figure.parse().unwrap()).collect();
        let (sum, parts) = figures.split_last().unwrap();
        // Each part is rounded up.
        assert!(parts.iter().sum::<usize>().abs_diff(*sum) <= parts.len());
    }
}
