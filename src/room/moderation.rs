//! The bans, the mutes, the lock and the topic of a room, and their text form.
//!
//! The text has one of them on each line, and is that of the file of `--ban-file`:
//!
//! ```text
//! topic be kind
//! lock 2026-11-26T12:00:00Z root
//! ban 192.0.2.0/24 2026-11-26T12:00:00Z root spam
//! mute 2001:db8::/64 - root
//! ```
//!
//! The time is the end in UTC, or `-` for none. The word after it is the label of the operator, the
//! rest is the reason. Empty lines and those that begin with `#` are comments.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::calendar::Utc;
use crate::protocol::{MAX_OPERATOR_TEXT, Network, replace_controls, split_word};

/// The most bans and mutes.
pub(super) const MAX_RESTRICTIONS: usize = 1000;
/// The most invalid lines whose numbers are known.
const MAX_INVALID: usize = 10;
/// The bans and mutes in a command of a log, which has at most 64 KB.
#[cfg(feature = "cluster")]
const PART_RESTRICTIONS: usize = 20;
/// The expiry of an entry that does not expire. Expiries are seconds since 1970.
const NEVER: u64 = u64::MAX;
/// The last second of the year 9999.
const MAX_END: u64 = 253_402_300_799;
/// The most bytes of all entries: a label and a reason each, in a table that grows by doubling.
pub const MODERATION_BYTES: usize =
    MAX_RESTRICTIONS * 2 * (size_of::<Restriction>() + MAX_OPERATOR_TEXT);

/// The bans, the mutes, the lock and the topic of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Moderation {
    restrictions: Vec<Restriction>,
    /// The end of the lock and the label of the operator.
    lock: Option<(u64, Box<str>)>,
    pub(super) topic: Option<Box<str>>,
}

/// A ban or a mute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Restriction {
    pub kind: RestrictionKind,
    pub network: Network,
    /// Seconds since 1970, see [`end_after`].
    pub until: u64,
    /// The label of the operator.
    pub by: Box<str>,
    /// Empty if there is none.
    pub reason: Box<str>,
}

/// The kind of a [`Restriction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum RestrictionKind {
    Ban,
    Mute,
}

/// Returns the expiry of an entry that lasts for some seconds.
pub(super) fn end_after(now: u64, seconds: u64) -> u64 {
    now.saturating_add(seconds).min(MAX_END)
}

impl Moderation {
    /// Returns the ban or the mute of an address that is in force.
    pub(super) fn find(&self, kind: RestrictionKind, ip: IpAddr, now: u64) -> Option<&Restriction> {
        let applies = |restriction: &&Restriction| {
            restriction.kind == kind && restriction.until > now && restriction.network.contains(ip)
        };
        self.restrictions.iter().find(applies)
    }

    /// Adds a ban or a mute, in place of one of the same network. Returns `false` if there are
    /// [`MAX_RESTRICTIONS`].
    pub(super) fn add(&mut self, restriction: Restriction, now: u64) -> bool {
        self.restrictions.retain(|old| {
            old.until > now && (old.kind, old.network) != (restriction.kind, restriction.network)
        });
        let has_place = self.restrictions.len() < MAX_RESTRICTIONS;
        if has_place {
            self.restrictions.push(restriction);
        }
        has_place
    }

    /// Removes the ban or the mute of a network, and returns whether there was one.
    pub(super) fn remove(&mut self, kind: RestrictionKind, network: Network) -> bool {
        let count = self.restrictions.len();
        self.restrictions.retain(|old| (old.kind, old.network) != (kind, network));
        self.restrictions.len() < count
    }

    /// Locks the room until a time, or opens it if that is over.
    pub(super) fn lock(&mut self, until: u64, by: &str, now: u64) {
        self.lock = (until > now).then(|| (until, by.into()));
    }

    /// Returns the line of the lock; empty if there is none.
    pub(super) fn lock_text(&self) -> String {
        self.lock
            .as_ref()
            .map_or_else(String::new, |(until, by)| format!("lock {} {by}", Expiry(*until)))
    }

    pub(super) fn is_locked(&self, now: u64) -> bool {
        self.lock.as_ref().is_some_and(|(until, _)| *until > now)
    }

    /// Returns the lines of the lock, the bans and the mutes that are in force.
    pub(super) fn lines(&self, now: u64) -> impl Iterator<Item = String> {
        let lock = self.is_locked(now).then(|| self.lock_text()).into_iter();
        let restrictions =
            self.restrictions.iter().filter(move |restriction| restriction.until > now);
        lock.chain(restrictions.map(Restriction::to_string))
    }

    /// Splits the moderation into parts of a few kilobytes each.
    #[cfg(feature = "cluster")]
    pub(super) fn into_parts(mut self) -> Vec<Self> {
        let restrictions = std::mem::take(&mut self.restrictions);
        let mut restrictions = restrictions.chunks(PART_RESTRICTIONS);
        let first = restrictions.next().unwrap_or_default().to_vec();
        let part = |restrictions: &[Restriction]| Moderation {
            restrictions: restrictions.to_vec(),
            ..Moderation::default()
        };
        let mut parts = vec![Moderation { restrictions: first, ..self }];
        parts.extend(restrictions.map(part));
        parts
    }

    /// Adds the bans and mutes of another part.
    #[cfg(feature = "cluster")]
    pub(super) fn extend(&mut self, part: Moderation) {
        for restriction in part.restrictions {
            self.add(restriction, 0);
        }
    }

    /// Parses a text, at a time in seconds since 1970. Leaves invalid and expired lines out. Returns also
    /// the numbers of the first invalid lines, at most [`MAX_INVALID`].
    pub fn parse(text: &str, now: u64) -> (Self, Vec<usize>) {
        let mut moderation = Moderation::default();
        let mut invalid = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let is_valid = moderation.parse_line(&replace_controls(line), now).is_some();
            if !is_valid && invalid.len() < MAX_INVALID {
                invalid.push(number);
            }
        }
        (moderation, invalid)
    }

    fn parse_line(&mut self, line: &str, now: u64) -> Option<()> {
        let (word, rest) = split_word(line);
        if rest.len() > 2 * MAX_OPERATOR_TEXT {
            return None;
        }
        match word {
            "topic" => self.topic = (!rest.is_empty()).then(|| rest.into()),
            "lock" => {
                let (end, by) = split_word(rest);
                self.lock = Some((end.parse::<Expiry>().ok()?.0, by.into()));
            }
            "ban" | "mute" => {
                let kind = if word == "ban" { RestrictionKind::Ban } else { RestrictionKind::Mute };
                let (network, rest) = split_word(rest);
                let (end, rest) = split_word(rest);
                let (by, reason) = split_word(rest);
                let network: Network = network.parse().ok()?;
                let until = end.parse::<Expiry>().ok()?.0;
                let restriction =
                    Restriction { kind, network, until, by: by.into(), reason: reason.into() };
                let is_expired = until <= now;
                if network.is_wide() || !is_expired && !self.add(restriction, now) {
                    return None;
                }
            }
            _ if word.is_empty() || word.starts_with('#') => {}
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Moderation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(topic) = &self.topic {
            writeln!(f, "topic {topic}")?;
        }
        self.lines(0).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == RestrictionKind::Ban { "ban" } else { "mute" };
        write!(f, "{kind} {} {} {}", self.network, Expiry(self.until), self.by)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " {}", self.reason) }
    }
}

/// An expiry as text.
struct Expiry(u64);

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == NEVER { f.write_str("-") } else { Utc(self.0).fmt(f) }
    }
}

impl FromStr for Expiry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "-" {
            Ok(Expiry(NEVER))
        } else {
            text.parse().map(|Utc(seconds)| Expiry(seconds))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_790_000_000;

    fn restriction(kind: RestrictionKind, network: &str, until: u64) -> Restriction {
        let network = network.parse().unwrap();
        Restriction { kind, network, until, by: "root".into(), reason: "spam and eggs".into() }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ban_holds_for_its_network_until_its_end() {
        let mut moderation = Moderation::default();
        assert!(moderation.add(restriction(RestrictionKind::Ban, "192.0.2.0/24", NOW + 60), NOW));
        let is_banned =
            |text: &str, now| moderation.find(RestrictionKind::Ban, ip(text), now).is_some();
        assert!(is_banned("192.0.2.200", NOW + 59));
        assert!(!is_banned("192.0.2.200", NOW + 60) && !is_banned("192.0.3.1", NOW));
        assert!(moderation.find(RestrictionKind::Mute, ip("192.0.2.1"), NOW).is_none());
        assert!(!moderation.remove(RestrictionKind::Mute, "192.0.2.0/24".parse().unwrap()));
        assert!(moderation.remove(RestrictionKind::Ban, "192.0.2.0/24".parse().unwrap()));
        assert_eq!(moderation, Moderation::default());
    }

    #[test]
    fn client_network_is_address_or_64_bits() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:db8::1:2:3:4", "2001:db8::/64"),
            ("fe80::1", "fe80::1"),
        ] {
            assert_eq!(Network::of_client(ip(address)).to_string(), expected);
        }
        for (network, is_wide) in
            [("10.0.0.0/16", false), ("10.0.0.0/15", true), ("::/32", false), ("::/31", true)]
        {
            assert_eq!(network.parse::<Network>().unwrap().is_wide(), is_wide, "{network}");
        }
    }

    #[test]
    fn table_is_bounded_and_drops_expired_entries() {
        let mut moderation = Moderation::default();
        let network = |number: u32| IpAddr::from(number.to_be_bytes()).to_string();
        for number in 0..MAX_RESTRICTIONS as u32 {
            assert!(
                moderation.add(restriction(RestrictionKind::Ban, &network(number), NOW + 1), NOW)
            );
        }
        assert!(moderation.add(restriction(RestrictionKind::Ban, &network(0), NOW + 2), NOW));
        assert!(!moderation.add(restriction(RestrictionKind::Ban, &network(5000), NOW + 2), NOW));
        assert!(
            moderation.add(restriction(RestrictionKind::Ban, &network(5000), NOW + 2), NOW + 1)
        );
        assert_eq!(moderation.restrictions.len(), 2);
    }

    #[test]
    fn text_round_trips() {
        let mut moderation = Moderation { topic: Some("be kind".into()), ..Moderation::default() };
        moderation.lock(NOW + 60, "root", NOW);
        moderation.add(restriction(RestrictionKind::Ban, "192.0.2.0/24", NOW), 0);
        moderation.add(restriction(RestrictionKind::Mute, "2001:db8::/64", NEVER), 0);
        let text = moderation.to_string();
        let expected = "topic be kind\n\
                        lock 2026-09-21T14:14:20Z root\n\
                        ban 192.0.2.0/24 2026-09-21T14:13:20Z root spam and eggs\n\
                        mute 2001:db8::/64 - root spam and eggs\n";
        assert_eq!(text, expected);
        assert_eq!(Moderation::parse(&text, 0), (moderation.clone(), vec![]));
        assert!(moderation.is_locked(NOW) && !moderation.is_locked(NOW + 60));
        assert_eq!(moderation.lines(NOW).count(), 2);
    }

    #[test]
    fn invalid_lines_are_left_out_and_numbered() {
        let text = "# a comment\n\nban 192.0.2.1 - root\nban 0.0.0.0/0 - root\nban x - root\n\
                    ban 192.0.2.2 tomorrow root\nmute 192.0.2.3 - root\n";
        let (moderation, invalid) = Moderation::parse(text, NOW);
        assert_eq!((moderation.restrictions.len(), invalid), (2, vec![4, 5, 6]));
        let (_, invalid) = Moderation::parse(&"x\n".repeat(100), NOW);
        assert_eq!(invalid, Vec::from_iter(1..=MAX_INVALID));
    }

    #[test]
    fn expired_lines_take_no_place() {
        let lines = |count, end: &str| -> String {
            (1..=count)
                .map(|n: u16| format!("ban 192.0.{}.{} {end} root\n", n / 256, n % 256))
                .collect()
        };
        let expired = lines(2000, "2026-01-01T00:00:00Z");
        let text = [&*expired, &lines(MAX_RESTRICTIONS as u16, "-"), &expired].concat();
        let (moderation, invalid) = Moderation::parse(&text, NOW);
        assert_eq!((moderation.restrictions.len(), invalid), (MAX_RESTRICTIONS, vec![]));
        let (moderation, _) = Moderation::parse(&expired, NOW);
        assert_eq!(moderation, Moderation::default());
    }

    proptest! {
        #[test]
        fn parse_any_text_never_panics(text in any::<String>()) {
            let (moderation, _) = Moderation::parse(&text, 0);
            prop_assert_eq!(Moderation::parse(&moderation.to_string(), 0), (moderation, vec![]));
        }
    }
}
