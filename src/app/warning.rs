//! Warnings on standard error.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest warning in bytes. A pipe that is ready takes so much at once.
const MAX_WARNING: usize = 4000;

/// Prints a warning on standard error, at most [`MAX_WARNING`] bytes of it. Errors are ignored:
/// there is no other place for them.
///
/// If standard error is a pipe that is not read, waits for a second. Later warnings are then
/// dropped until it is read, so that the client handles signals.
pub fn print_warning(message: &str) {
    static IS_BLOCKED: AtomicBool = AtomicBool::new(false);
    let seconds = if IS_BLOCKED.load(Ordering::Relaxed) { 0 } else { 1 };
    let stderr = io::stderr();
    let mut poll_fds = [PollFd::new(&stderr, PollFlags::OUT)];
    let ready = poll(&mut poll_fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 }));
    IS_BLOCKED.store(ready == Ok(0), Ordering::Relaxed);
    if ready != Ok(0) {
        let end = message.floor_char_boundary(MAX_WARNING);
        let message = message.split_at_checked(end).map_or(message, |(start, _)| start);
        let _ = writeln!(&stderr, "smolchat: {message}");
    }
}
