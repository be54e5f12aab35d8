//! The signals of the server, converted to a stream of [`Control`]s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_signal::{Signal, Signals};
use futures_lite::{Stream, StreamExt};
use log::{error, info};
use smolchat::daemon::notify::Notifier;
use smolchat::os::{has_controlling_terminal, is_signal_ignored};
use smolchat::server::Control;

/// A SIGINT or SIGTERM within this time after the first is the same signal, delivered twice: the
/// terminal sends it to a whole process group, and timeout(1) to its child and to the group.
const SAME_SIGNAL: Duration = Duration::from_secs(1);

/// Watches for signals. SIGHUP stays ignored if it is ignored already.
pub fn watch() -> Result<Signals, String> {
    let mut signals = vec![Signal::Int, Signal::Term, Signal::Usr1];
    if !is_signal_ignored(Signal::Hup as i32) {
        signals.push(Signal::Hup);
    }
    Signals::new(signals).map_err(|error| format!("cannot watch for signals: {error}"))
}

/// Returns the controls that the signals stand for. The stream ends if signals cannot be read.
pub fn controls(
    signals: Signals,
    manager: Option<Arc<Notifier>>,
) -> impl Stream<Item = Control> + Unpin + 'static {
    // Now, because a terminal that hangs up is gone before its SIGHUP arrives.
    let mut rules = SignalRules { has_terminal: has_controlling_terminal(), shutdown_at: None };
    signals
        .map_while(|signal| {
            signal.inspect_err(|error| error!("cannot read the next signal: {error}")).ok()
        })
        .filter_map(move |signal| {
            let is_first = rules.shutdown_at.is_none();
            let control = rules.apply(signal, Instant::now());
            if control == Some(Control::Shutdown) && is_first {
                info!("SIG{}: shutting down", format!("{signal:?}").to_ascii_uppercase());
                if let Some(manager) = &manager {
                    let _ = manager.notify("STOPPING=1");
                }
            }
            control
        })
}

/// The rules that convert signals to controls.
struct SignalRules {
    /// Whether the process had a controlling terminal at its start.
    has_terminal: bool,
    /// The time of the first signal that ends the server.
    shutdown_at: Option<Instant>,
}

impl SignalRules {
    fn apply(&mut self, signal: Signal, now: Instant) -> Option<Control> {
        match (signal, self.shutdown_at) {
            (Signal::Usr1, _) => Some(Control::Report),
            (Signal::Hup, _) if !self.has_terminal => Some(Control::Reload),
            (_, None) => {
                self.shutdown_at = Some(now);
                Some(Control::Shutdown)
            }
            // A hang-up is not a second request to end.
            (Signal::Hup, Some(_)) => None,
            (_, Some(first)) => (now - first > SAME_SIGNAL).then_some(Control::Shutdown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the controls for signals at these times in milliseconds.
    fn controls(has_terminal: bool, signals: &[(u64, Signal)]) -> Vec<(u64, Control)> {
        let start = Instant::now();
        let mut rules = SignalRules { has_terminal, shutdown_at: None };
        let apply =
            |&(ms, signal)| Some((ms, rules.apply(signal, start + Duration::from_millis(ms))?));
        signals.iter().filter_map(apply).collect()
    }

    #[test]
    fn second_signal_counts_after_one_second() {
        for second in [Signal::Int, Signal::Term] {
            let signals = [(0, Signal::Term), (1, second), (1000, second), (1001, second)];
            let expected = [(0, Control::Shutdown), (1001, Control::Shutdown)];
            assert_eq!(controls(false, &signals), expected);
        }
    }

    #[test]
    fn hangup_ends_server_with_a_terminal_alone() {
        let signals = [(0, Signal::Hup), (5, Signal::Hup), (3000, Signal::Hup)];
        assert_eq!(controls(true, &signals), [(0, Control::Shutdown)]);
        let reloads = signals.map(|(ms, _)| (ms, Control::Reload));
        assert_eq!(controls(false, &signals), reloads);
    }

    #[test]
    fn hangup_does_not_cut_a_shutdown_short() {
        let signals = [(0, Signal::Int), (3000, Signal::Hup), (3001, Signal::Usr1)];
        let expected = [(0, Control::Shutdown), (3001, Control::Report)];
        assert_eq!(controls(true, &signals), expected);
        let signals = [(0, Signal::Hup), (3000, Signal::Term)];
        let expected = [(0, Control::Shutdown), (3000, Control::Shutdown)];
        assert_eq!(controls(true, &signals), expected);
    }
}
