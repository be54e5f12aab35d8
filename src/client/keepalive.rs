//! Whether the other end is still there.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use smol::Timer;

/// How long nothing may come before the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(10);
/// How long nothing may come after that.
const ANSWER: Duration = Duration::from_secs(15);

/// Notices a link over which nothing comes any more, which TCP alone does not if nobody talks.
///
/// Only a question that was asked and not answered makes a link dead: a process that was stopped
/// for a minute, and heard nothing in it, still asks first.
#[derive(Debug)]
pub struct Keepalive {
    /// When a sign of life was asked for, if that was not answered yet.
    asked: Option<Instant>,
    timer: Timer,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask for a sign of life.
    Ask,
    /// Give the link up.
    Dead,
}

impl Keepalive {
    /// The pulse of a link over which a first question is being sent.
    pub fn new() -> Self {
        Keepalive { asked: Some(Instant::now()), timer: Timer::never() }
    }

    /// Waits until something has to be done. Something was `heard` last at that time.
    pub fn poll(&mut self, heard: Instant, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            match self.beat(heard, Instant::now()) {
                Ok(beat) => return Poll::Ready(beat),
                Err(due) => self.timer.set_at(due),
            }
            ready!(Pin::new(&mut self.timer).poll(cx));
        }
    }

    /// What to do now, or when to ask again.
    fn beat(&mut self, heard: Instant, now: Instant) -> Result<Action, Instant> {
        let (due, beat) = match self.asked.filter(|asked| *asked >= heard) {
            Some(asked) => (asked + ANSWER, Action::Dead),
            None => (heard + SILENCE, Action::Ask),
        };
        if now < due {
            return Err(due);
        }
        self.asked = Some(now);
        Ok(beat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_link_is_asked_and_then_given_up() {
        let mut keepalive = Keepalive::new();
        let start = Instant::now();
        // The first question was answered.
        let heard = start + Duration::from_secs(1);
        assert_eq!(keepalive.beat(heard, heard), Err(heard + SILENCE));
        assert_eq!(keepalive.beat(heard, heard + SILENCE), Ok(Action::Ask));
        let dead = heard + SILENCE + ANSWER;
        assert_eq!(keepalive.beat(heard, heard + SILENCE), Err(dead));
        assert_eq!(keepalive.beat(heard, dead), Ok(Action::Dead));
        assert!(SILENCE + ANSWER < Duration::from_secs(30));
    }

    #[test]
    fn an_answer_starts_it_anew_and_a_long_sleep_is_no_death() {
        let mut keepalive = Keepalive::new();
        let heard = Instant::now() + Duration::from_secs(1);
        assert_eq!(keepalive.beat(heard, heard + SILENCE), Ok(Action::Ask));
        let heard = heard + SILENCE + Duration::from_secs(1);
        assert_eq!(keepalive.beat(heard, heard), Err(heard + SILENCE));
        let awake = heard + Duration::from_secs(3600);
        assert_eq!(keepalive.beat(heard, awake), Ok(Action::Ask));
        assert_eq!(keepalive.beat(heard, awake), Err(awake + ANSWER));
    }
}
