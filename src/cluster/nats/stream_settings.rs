//! The settings of a stream that was created by hand.

use async_nats::jetstream::stream::Config;

/// The least bytes of a stream that has a limit. The log from the previous snapshot on, and two
/// snapshots, are kept.
const MIN_BYTES: i64 = 64 << 20;

/// Returns the settings of an existing stream that keep it from being the expected one.
pub fn setting_differences(found: &Config, expected: &Config) -> Vec<String> {
    let mut differences = Vec::new();
    if found.subjects != expected.subjects {
        let (found, expected) = (found.subjects.join(" "), expected.subjects.join(" "));
        differences.push(format!("subjects {found} instead of {expected}"));
    }
    let is_short = (1..expected.max_message_size).contains(&found.max_message_size);
    let limits = [
        ("retention", found.retention != expected.retention),
        ("max_age", !found.max_age.is_zero()),
        ("max_msgs", found.max_messages > 0),
        ("max_msgs_per_subject", found.max_messages_per_subject > 0),
        ("max_msg_size", is_short),
        ("max_bytes", (1..MIN_BYTES).contains(&found.max_bytes)),
        ("max_consumers", found.max_consumers > 0),
        // Without a limit, a stream is never full.
        ("discard", found.max_bytes > 0 && found.discard != expected.discard),
        ("deny_purge", found.deny_purge),
        ("no_ack", found.no_ack),
    ];
    let differing = limits.iter().filter(|(_, differs)| *differs);
    differences.extend(differing.map(|(name, _)| (*name).to_owned()));
    differences
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_nats::jetstream::stream::{DiscardPolicy, RetentionPolicy};

    use super::*;

    #[test]
    fn settings_that_lose_entries_are_named() {
        let expected = Config {
            subjects: vec!["a".into()],
            max_message_size: 64,
            discard: DiscardPolicy::New,
            ..Config::default()
        };
        let without_limits = Config {
            max_messages: -1,
            max_message_size: -1,
            max_bytes: -1,
            max_consumers: -1,
            discard: DiscardPolicy::Old,
            ..expected.clone()
        };
        let large = Config { max_bytes: MIN_BYTES, ..expected.clone() };
        for usable in [&expected, &without_limits, &large] {
            assert!(setting_differences(usable, &expected).is_empty());
        }
        let found = Config {
            subjects: vec!["b".into(), "c".into()],
            retention: RetentionPolicy::Interest,
            max_age: Duration::from_secs(1),
            max_messages: 5,
            max_messages_per_subject: 1,
            max_message_size: 63,
            max_bytes: MIN_BYTES - 1,
            max_consumers: 1,
            discard: DiscardPolicy::Old,
            deny_purge: true,
            no_ack: true,
            ..Config::default()
        };
        let differences = setting_differences(&found, &expected).join(", ");
        assert_eq!(
            differences,
            "subjects b c instead of a, retention, max_age, max_msgs, max_msgs_per_subject, \
             max_msg_size, max_bytes, max_consumers, discard, deny_purge, no_ack"
        );
    }
}
