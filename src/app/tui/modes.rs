//! The terminal's modes: as they were before, whatever happens.

use std::io::{self, Write};
use std::panic;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Ends the editor's marking of what is pasted.
const DISABLE_PASTE_MARKS: &str = "\x1b[?2004l";
const ENABLE_PASTE_MARKS: &str = "\x1b[?2004h";

/// Restores the modes of the terminal when it is dropped, and when the program panics.
///
/// The editor sets its own modes and would restore them itself when it has read a line. But this
/// program ends in the middle of a line, as a rule.
#[derive(Debug)]
pub struct TerminalModes {
    before: Termios,
    /// Those that the editor works with.
    editing: Option<Termios>,
}

impl TerminalModes {
    /// Remembers the modes of standard input, before any of them is changed.
    pub fn save() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let (modes, hook) = (before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            // First, so that what follows is shown as it should.
            set_modes(&modes);
            hook(panic);
        }));
        Ok(TerminalModes { before, editing: None })
    }

    /// Remembers those of the editor, which has set them now.
    pub fn save_editing(&mut self) {
        if self.editing.is_none() {
            self.editing = tcgetattr(io::stdin()).ok();
        }
    }

    /// Restores the modes, for good or for as long as the program is stopped.
    pub fn restore(&self) {
        set_modes(&self.before);
    }

    /// Sets those of the editor again, whatever was done to them while the program was stopped.
    pub fn set_editing(&self) {
        if let Some(editing) = &self.editing {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, editing);
            let _ = write_to_terminal(ENABLE_PASTE_MARKS);
        }
    }
}

impl Drop for TerminalModes {
    fn drop(&mut self) {
        set_modes(&self.before);
    }
}

/// A terminal that is gone has no modes to restore.
fn set_modes(modes: &Termios) {
    let _ = write_to_terminal(DISABLE_PASTE_MARKS);
    // Not after what waits to be written: a terminal that is stuck must not keep us here.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
}

/// Writes to the terminal, past the editor.
pub fn write_to_terminal(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::LocalModes;
    use std::fs::File;
    use std::process::Command;

    #[test]
    #[ignore = "it is run by the test below, in a terminal of its own"]
    fn panic_in_raw_mode() {
        // So that it is not dropped: a panic in another thread would not do that.
        std::mem::forget(TerminalModes::save().unwrap());
        let mut raw = tcgetattr(io::stdin()).unwrap();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).unwrap();
        panic!("in raw mode");
    }

    #[test]
    fn a_panic_leaves_the_terminal_as_it_was() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let terminal = || File::options().read(true).write(true).open(&path).unwrap();
        let kept = terminal();
        let local = || tcgetattr(&kept).unwrap().local_modes;
        let before = local();
        assert!(before.contains(LocalModes::ECHO | LocalModes::ICANON));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["app::tui::modes::tests::panic_in_raw_mode", "--exact", "--ignored"]);
        command.stdin(terminal()).stdout(terminal()).stderr(terminal());
        assert_eq!(command.status().unwrap().code(), Some(101), "the test above has failed");
        assert_eq!(local(), before);
    }
}
