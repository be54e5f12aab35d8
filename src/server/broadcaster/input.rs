//! The inputs of clients.

use super::Broadcaster;
use crate::room::{Input, Now};
use crate::server::address_limits::AnswerCharge;

impl Broadcaster {
    pub(super) fn on_input(
        &mut self,
        input: Input,
        bytes: u32,
        answer: Option<AnswerCharge>,
        now: Now,
    ) {
        match input {
            Input::Disconnect { id, .. } => self.clients.on_read_closed(id, now.uptime),
            // The client has begun a request while this input was in the channel.
            #[cfg(feature = "web")]
            Input::HelloWaitOver { id } if self.clients.is_http(id) => return,
            #[cfg(feature = "web")]
            Input::Lines { id, .. }
            | Input::Authenticated { id, .. }
            | Input::Operator { id, .. }
            | Input::OtherProtocol { id, .. } => {
                self.clients.unset_http(id);
            }
            _ => {}
        }
        self.bytes_in += u64::from(bytes);
        #[cfg(all(feature = "irc", feature = "cluster"))]
        let Some((input, answer)) = self.queue_irc_input(input, answer, now) else { return };
        if input.has_stats_request() {
            self.room.set_server_stats(self.server_stats());
        }
        match input {
            #[cfg(feature = "irc")]
            Input::Lines { id, lines } if self.clients.irc_client(id).is_some() => {
                self.on_irc_lines(id, lines, now);
            }
            #[cfg(feature = "irc")]
            Input::Authenticated { id, .. } if self.clients.irc_client(id).is_some() => {
                self.on_irc_password(id, now);
            }
            input => self.apply(input, now),
        }
        if let Some(answer) = answer {
            self.charge(answer, now);
        }
    }

    /// Applies an input: at once, or through the log of the cluster.
    pub(super) fn apply(&mut self, input: Input, now: Now) {
        #[cfg(feature = "cluster")]
        if self.cluster.is_some() {
            return self.propose(input, now);
        }
        self.room.apply(input, now);
    }

    /// Charges the answer to the lines that were applied last, or will be.
    fn charge(&mut self, answer: AnswerCharge, now: Now) {
        #[cfg(feature = "cluster")]
        let Some(answer) = self.delay_charge(answer) else { return };
        answer.charge(self.room.answer_bytes(), now.uptime);
    }
}
