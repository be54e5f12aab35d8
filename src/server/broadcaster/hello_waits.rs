//! The ends of the hello waits.

use std::time::Duration;

use super::{Broadcaster, Event};
use crate::room::{Input, Now, WaitingClient};

/// The time by which the hello wait of a client is extended, if its hello may be unread.
pub(super) const HELLO_WAIT_EXTENSION: Duration = Duration::from_millis(50);
/// Extensions after which such a client becomes a member. Its task has had time to read a hello, so
/// the client sends bytes without a newline.
pub(super) const MAX_EXTENSIONS: u8 = 40;

impl Broadcaster {
    /// Makes members of silent clients whose hello wait is over, except those whose hello has
    /// arrived at the server.
    pub(super) fn end_hello_waits(&mut self, now: Now) {
        while let Some(client) = self.room.pop_hello_wait(now) {
            if client.extensions < MAX_EXTENSIONS && self.clients.has_unread_input(client.id) {
                let client = WaitingClient { extensions: client.extensions + 1, ..client };
                self.room.extend_hello_wait(client, now.uptime + HELLO_WAIT_EXTENSION);
                continue;
            }
            #[cfg(feature = "tls")]
            if self.handle_tls_wait(client, now) {
                continue;
            }
            #[cfg(feature = "irc")]
            if self.handle_irc_wait(client, now) {
                continue;
            }
            #[cfg(feature = "web")]
            if self.handle_web_wait(client, now) {
                continue;
            }
            #[cfg(feature = "cluster")]
            if self.extend_clustered_wait(client, now) {
                continue;
            }
            let input = Input::HelloWaitOver { id: client.id };
            if self.events.is_empty() {
                self.apply(input, now);
            } else {
                // Behind all inputs that wait, because one of them may be the hello.
                self.clients.send_event(Event::Input { input, bytes: 0, answer: None });
            }
        }
        #[cfg(feature = "cluster")]
        if self.cluster.is_some() {
            return;
        }
        self.room.end_waits(now);
    }
}
