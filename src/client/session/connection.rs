//! Advances a session: an attempt to connect, a connection, or the pause before the next attempt.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use smol::Timer;

use super::{QUIT, Session, State};
use crate::client::Error;
use crate::client::connect::connect;
use crate::client::link::HEARTBEAT;

/// The time in which the server must answer the hello with a welcome.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(15);
/// The time in which the server must answer a `/quit` that does not wait for pending lines.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest time between two lines until the bye, if the answers to all lines have arrived.
const BYE_TIMEOUT: Duration = Duration::from_secs(10);
/// The most lines until the bye: more than a server keeps for `/history`.
const MAX_LINES_UNTIL_BYE: u32 = 1 << 20;

impl Session {
    /// Leaves the room without waiting for the answers to pending lines, and accepts no more lines.
    ///
    /// Continue to call [`receive`](Self::receive) until it returns `Ok(None)`, which takes at most
    /// a second.
    pub fn quit(&mut self) {
        self.quit_with(None);
    }

    /// Leaves the room. The session then ends with `error`.
    pub(super) fn quit_with(&mut self, error: Option<Error>) {
        self.is_finishing = true;
        self.quit_error = error;
        self.is_quit_urgent = true;
        match &mut self.state {
            State::Connected(link) => {
                if !self.is_quit_sent {
                    if self.resume.is_live() && self.quit_error.is_none() {
                        self.pending.take_unsent().for_each(|line| link.send(line));
                    }
                    link.send(QUIT);
                    self.is_quit_sent = true;
                }
                self.deadline = Some(Timer::after(QUIT_TIMEOUT));
            }
            State::Connecting(_) | State::Waiting(_) => {
                self.state = State::Ended(self.quit_error.take());
            }
            State::Ended(_) => {}
        }
    }

    /// Advances the state by one step: an attempt to connect, a received line, or a pause.
    pub(super) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Connecting(attempt) => match ready!(attempt.as_mut().poll(cx)) {
                Ok(mut link) => {
                    link.send(&self.resume.start_connection());
                    link.send(HEARTBEAT);
                    self.connected_address = link.server_address();
                    self.state = State::Connected(Box::new(link));
                    self.deadline = Some(Timer::after(WELCOME_TIMEOUT));
                }
                Err(error) => self.on_disconnect(error, false),
            },
            State::Connected(link) => {
                // After `/quit`, lines may wait in the socket because the application is slow.
                let is_unread = self.is_quit_sent && !self.is_quit_urgent;
                if !is_unread && is_due(&mut self.deadline, cx) {
                    self.on_deadline();
                    return Poll::Ready(());
                }
                link.poll_write(cx);
                if self.resume.is_live() && link.has_capacity() && !self.is_quit_sent {
                    self.pending.take_unsent().for_each(|line| link.send(line));
                    if let Poll::Ready(lines) = self.reclaim.poll_request(self.resume.name(), cx) {
                        lines.iter().for_each(|line| link.send(line));
                    }
                    if self.is_finishing && self.pending.is_empty() {
                        self.is_quit_sent = true;
                        link.send(QUIT);
                        self.deadline = Some(Timer::after(BYE_TIMEOUT));
                        return Poll::Ready(());
                    }
                }
                match link.poll_receive(cx) {
                    Poll::Ready(Ok(line)) => {
                        self.replaced_link = None;
                        self.on_line(line);
                    }
                    Poll::Ready(Err(cause)) => self.on_disconnect(cause, false),
                    Poll::Pending if is_unread && is_due(&mut self.deadline, cx) => {
                        self.on_deadline();
                    }
                    Poll::Pending => return Poll::Pending,
                }
                if is_unread {
                    self.extend_bye_deadline();
                }
            }
            State::Waiting(timer) => {
                ready!(Pin::new(timer).poll(cx));
                let attempt = connect(self.address().clone(), self.tls.clone());
                self.state = State::Connecting(Box::pin(attempt));
            }
            State::Ended(_) => {}
        }
        Poll::Ready(())
    }

    /// Waits longer for the bye, because a line has arrived.
    fn extend_bye_deadline(&mut self) {
        self.lines_until_bye += 1;
        self.deadline = Some(Timer::after(match self.lines_until_bye {
            ..MAX_LINES_UNTIL_BYE => BYE_TIMEOUT,
            _ => Duration::ZERO,
        }));
        self.is_quit_urgent |= self.lines_until_bye >= MAX_LINES_UNTIL_BYE;
    }

    /// Handles the end of the wait for a welcome, or for the bye after `/quit`.
    pub(super) fn on_deadline(&mut self) {
        self.deadline = None;
        if self.is_quit_sent {
            self.state = State::Ended(self.quit_error.take());
        } else {
            let text = "the server did not answer the hello";
            let error = io::Error::new(io::ErrorKind::TimedOut, text);
            self.on_disconnect(Error::Lost(error), false);
        }
    }
}

/// Returns whether there is a deadline and it has passed.
fn is_due(deadline: &mut Option<Timer>, cx: &mut Context<'_>) -> bool {
    deadline.as_mut().is_some_and(|deadline| Pin::new(deadline).poll(cx).is_ready())
}
