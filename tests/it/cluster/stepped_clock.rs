//! A clock of the log that steps, as nodes behind links see it.
//!
//! A NATS server gives each message the time of its own clock. To step that clock, a link changes the
//! time in each message of the log from a number on, the same for all nodes.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Mutex;

/// The steps of a clock.
#[derive(Default)]
pub struct SteppedClock {
    /// The first message after each step, and the error of the clock from there on, in nanoseconds.
    steps: Mutex<Vec<(u64, i64)>>,
}

impl SteppedClock {
    /// Sets the error of the clock for all messages from a number on.
    pub fn step(&self, first: u64, error_ms: i64) {
        self.steps.lock().unwrap().push((first, error_ms * 1_000_000));
    }

    /// Copies the messages of a NATS server, and changes their times. Calls `wait` before each.
    pub fn copy(
        &self,
        from: impl Read,
        mut to: impl Write,
        wait: impl Fn(),
    ) -> Result<(), std::io::Error> {
        let mut reader = BufReader::new(from);
        loop {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            let text = String::from_utf8(line).unwrap();
            let mut words: Vec<_> = text.trim_end().split(' ').map(str::to_owned).collect();
            let has_payload = matches!(words[0].as_str(), "MSG" | "HMSG");
            let size = if has_payload { words[words.len() - 1].parse().unwrap() } else { 0 };
            if words[0] == "MSG" && words.len() == 5 {
                words[3] = self.change_time(&words[3]);
            }
            let mut message = (words.join(" ") + "\r\n").into_bytes();
            if has_payload {
                let start = message.len();
                message.resize(start + size + 2, 0);
                reader.read_exact(&mut message[start..])?;
            }
            wait();
            to.write_all(&message)?;
        }
    }

    /// Changes the time in the subject for the acknowledgement of a message:
    /// `$JS.ACK.STREAM.CONSUMER.DELIVERIES.NUMBER.CONSUMER_NUMBER.TIME.PENDING`.
    fn change_time(&self, subject: &str) -> String {
        let mut parts: Vec<_> = subject.split('.').map(str::to_owned).collect();
        if !subject.starts_with("$JS.ACK.") {
            return subject.to_owned();
        }
        // Newer servers can add the domain and the account in front of the stream.
        let number_at = if parts.len() == 9 { 5 } else { 7 };
        let number: u64 = parts[number_at].parse().unwrap();
        let steps = self.steps.lock().unwrap();
        let error = steps.iter().rev().find(|(first, _)| *first <= number).map_or(0, |step| step.1);
        let time: i64 = parts[number_at + 2].parse().unwrap();
        parts[number_at + 2] = (time + error).to_string();
        parts.join(".")
    }
}
