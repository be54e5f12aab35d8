//! Saving, changing and restoring the modes of the terminal.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, tcgetattr,
    tcsetattr,
};

use super::keys::ControlKeys;

/// Disables the reports of the focus, and the marks around pasted text (bracketed paste).
pub const DISABLE_REPORTS: &str = "\x1b[?1004l\x1b[?2004l";
/// Enables these reports and marks.
pub const ENABLE_REPORTS: &str = "\x1b[?1004h\x1b[?2004h";

/// The modes of the terminal, which are restored on drop and on a panic.
///
/// The panic hook restores them also in a program that aborts on a panic.
#[derive(Debug)]
pub struct TerminalModes {
    before: Termios,
    /// Whether the modes are those of the editor, which a panic must restore.
    is_editing: Arc<AtomicBool>,
}

impl TerminalModes {
    /// Saves the current modes of standard input, and sets a panic hook that restores them.
    pub fn save() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let is_editing = Arc::new(AtomicBool::new(false));
        let (modes, is_set, hook) = (before.clone(), Arc::clone(&is_editing), panic::take_hook());
        panic::set_hook(Box::new(move |panic| {
            // First, so that the message of the panic is shown correctly.
            if is_set.swap(false, Ordering::Relaxed) {
                set_modes(&modes);
                // In a line of its own. Ignored: the terminal may be closed.
                let text = format!("\r\n\x1b[J{DISABLE_REPORTS}");
                let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
            }
            hook(panic);
        }));
        Ok(TerminalModes { before, is_editing })
    }

    /// Returns the keys for the special characters that the terminal had before.
    pub fn control_keys(&self) -> ControlKeys {
        ControlKeys::new(&self.before.special_codes)
    }

    /// Sets the modes of the editor: each byte is read at once, without echo and signals.
    pub fn start_editing(&self) -> io::Result<()> {
        let mut modes = self.before.clone();
        modes.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
        modes.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::IGNCR
            | InputModes::INLCR
            | InputModes::INPCK
            | InputModes::ISTRIP
            | InputModes::IXON;
        modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        self.is_editing.store(true, Ordering::Relaxed);
        Ok(tcsetattr(io::stdin(), OptionalActions::Now, &modes)?)
    }

    /// Restores the saved modes. The caller writes [`DISABLE_REPORTS`].
    pub fn restore(&self) {
        if self.is_editing.swap(false, Ordering::Relaxed) {
            set_modes(&self.before);
        }
    }
}

impl Drop for TerminalModes {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Sets the modes. Errors are ignored: the terminal may be closed.
fn set_modes(modes: &Termios) {
    // Now, not after pending output: a terminal that does not read must not block the end.
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::Read;
    use std::process::Command;

    /// Panics in the modes of the editor. The modes are not dropped, as after an abort.
    fn panic_while_editing() {
        let modes = TerminalModes::save().unwrap();
        modes.start_editing().unwrap();
        std::mem::forget(modes);
        panic!("while editing");
    }

    #[test]
    #[ignore = "run by the last test, in a terminal of its own"]
    fn panic_unwinds() {
        panic_while_editing();
    }

    #[test]
    #[ignore = "run by the last test, in a terminal of its own"]
    fn panic_aborts() {
        // Called after the hook of TerminalModes, like the abort of the profile `dist`.
        panic::set_hook(Box::new(|_| std::process::abort()));
        panic_while_editing();
    }

    #[test]
    #[ignore = "run by the last test, in a terminal of its own"]
    fn panic_during_panic() {
        struct PanicOnDrop;
        impl Drop for PanicOnDrop {
            fn drop(&mut self) {
                panic!("while unwinding");
            }
        }
        let _guard = PanicOnDrop;
        panic_while_editing();
    }

    #[test]
    fn panic_restores_the_terminal() {
        for test in ["panic_unwinds", "panic_aborts", "panic_during_panic"] {
            let mut master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
            grantpt(&master).unwrap();
            unlockpt(&master).unwrap();
            let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
            let terminal = || File::options().read(true).write(true).open(&path).unwrap();
            let kept = terminal();
            let modes = |kept: &File| {
                let modes = tcgetattr(kept).unwrap();
                (modes.local_modes, modes.input_modes, format!("{:?}", modes.special_codes))
            };
            let before = modes(&kept);
            assert!(before.0.contains(LocalModes::ECHO | LocalModes::ICANON));
            let mut command = Command::new(std::env::current_exe().unwrap());
            let name = format!("app::tui::modes::tests::{test}");
            command.args([&*name, "--exact", "--ignored", "--nocapture"]);
            command.stdin(terminal()).stdout(terminal()).stderr(terminal());
            assert!(!command.status().unwrap().success(), "{test}");
            assert_eq!(modes(&kept), before, "{test}");
            // Reading ends with an error when no process has the terminal open.
            drop((kept, command));
            let mut output = Vec::new();
            let _ = master.read_to_end(&mut output);
            let output = String::from_utf8_lossy(&output);
            assert_eq!(output.matches(DISABLE_REPORTS).count(), 1, "{test}: {output}");
        }
    }
}
