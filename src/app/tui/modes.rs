//! Saving and restoring the modes of the terminal.

use std::io::{self, Write};
use std::panic;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Disables the marks around pasted text (bracketed paste), which the editor enables.
const DISABLE_PASTE_MARKS: &str = "\x1b[?2004l";
const ENABLE_PASTE_MARKS: &str = "\x1b[?2004h";

/// The modes of the terminal, which are restored on drop and on a panic.
///
/// The editor restores them only after it has read a line, and the program usually ends within one.
#[derive(Debug)]
pub struct TerminalModes {
    before: Termios,
    /// The modes that the editor sets.
    editing: Option<Termios>,
}

impl TerminalModes {
    /// Saves the current modes of standard input, and sets a panic hook that restores them.
    pub fn save() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let (modes, hook) = (before.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            // First, so that the message of the panic is shown correctly.
            set_modes(&modes);
            hook(panic);
        }));
        Ok(TerminalModes { before, editing: None })
    }

    /// Saves the modes of the editor, once it has set them.
    pub fn save_editing(&mut self) {
        if self.editing.is_none() {
            self.editing = tcgetattr(io::stdin()).ok();
        }
    }

    /// Restores the saved modes, at the end or before the program stops.
    pub fn restore(&self) {
        set_modes(&self.before);
    }

    /// Sets the modes of the editor again, after the program was stopped.
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

/// Sets the modes and disables the paste marks. Errors are ignored: the terminal may be closed.
fn set_modes(modes: &Termios) {
    let _ = write_to_terminal(DISABLE_PASTE_MARKS);
    // Now, not after pending output: a terminal that does not read must not block the end.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
}

/// Writes to the terminal without the editor.
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
    #[ignore = "run by the next test, in a terminal of its own"]
    fn panic_in_raw_mode() {
        // Not dropped, as after a panic in another thread.
        std::mem::forget(TerminalModes::save().unwrap());
        let mut raw = tcgetattr(io::stdin()).unwrap();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw).unwrap();
        panic!("in raw mode");
    }

    #[test]
    fn panic_restores_the_terminal() {
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
        assert_eq!(command.status().unwrap().code(), Some(101), "the previous test has failed");
        assert_eq!(local(), before);
    }
}
