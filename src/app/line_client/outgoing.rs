//! Sends the lines of a [`LineClient`].

use serde_json::{Map, Value};

use super::{InputError, LineClient, MAX_LINE, OutgoingLine};
use crate::app::alias::expand_alias;
use crate::app::link_status::describe_split;
use crate::app::warning::print_warning;
use crate::client::SendError;

impl LineClient {
    pub(super) fn send_line(&mut self, line: OutgoingLine) {
        let line = match line {
            Ok(line) => line,
            Err(InputError::TooLong) => {
                self.refused_count += 1;
                let text = format!("a line is longer than {MAX_LINE} bytes and is not sent");
                return print_warning(&text);
            }
            Err(InputError::Read(error)) => return self.input_error = Some(error),
        };
        let line = String::from_utf8_lossy(&line);
        let line = line.strip_suffix('\r').unwrap_or(&line);
        // Without a connection the answer is delayed, so the typed line stays visible.
        if self.session.is_connected() {
            self.sink.erase_echo();
        }
        if line.is_empty() {
            return;
        }
        let object =
            if self.is_json { serde_json::from_str::<Map<String, Value>>(line).ok() } else { None };
        let result = match object {
            Some(object) => self.session.send_object(object).map(drop),
            // A bot that repeats the texts of members must not execute their commands.
            None if self.is_bot() && line.starts_with('/') => self.queue_parts(&format!("/{line}")),
            None => self.queue_parts(&expand_alias(line)),
        };
        if let Err(error @ (SendError::InvalidObject(_) | SendError::TooLong { .. })) = result {
            self.refused_count += 1;
            print_warning(&error.to_string());
        }
    }

    /// Queues a line, or its parts if it is longer than the server accepts.
    fn queue_parts(&mut self, line: &str) -> Result<(), SendError> {
        let parts = self.session.split(line)?;
        if parts.len() > 1 {
            self.sink.write_status(&describe_split(parts.len(), self.session.limits()));
        }
        self.parts.extend(parts);
        Ok(())
    }

    /// Sends the parts that the session accepts.
    pub(super) fn send_parts(&mut self) {
        while self.session.has_capacity()
            && let Some(part) = self.parts.pop_front()
        {
            // Cannot fail: the session has capacity, and it finishes only after the last part.
            let _ = self.session.send(&part);
        }
        self.is_input_open &= !self.session.is_finishing();
    }
}
