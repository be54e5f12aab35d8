//! A `smolchat` in a pseudo-terminal, and what a person would see on it.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::common::{PATIENCE, Scratch};

/// The terminal of one person. What runs in it is killed when this is dropped.
pub struct Terminal {
    process: Child,
    master: File,
    /// Keeps the terminal there when the program has gone.
    slave: OwnedFd,
    screen: Arc<Mutex<Screen>>,
    before: Modes,
    home: Scratch,
}

/// What came out of it.
struct Screen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

/// The modes of a terminal, in a form that can be compared.
pub type Modes = String;

fn modes(terminal: &OwnedFd) -> Modes {
    let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
        tcgetattr(terminal).unwrap();
    format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
}

impl Terminal {
    /// Starts the client in a terminal of 72 columns and 24 rows, and waits for its prompt.
    #[track_caller]
    pub fn start(address: &str, name: &str, options: &[&str]) -> Self {
        let mut terminal = Self::start_with(Scratch::new(), address, name, options);
        terminal.until("a prompt", |screen| last_line(screen).starts_with('>'));
        terminal
    }

    /// The same with this home, and without a wait.
    #[track_caller]
    pub fn start_with(home: Scratch, address: &str, name: &str, options: &[&str]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let slave = OwnedFd::from(open());
        set_size(&slave, 72, 24);
        let before = modes(&slave);
        // A terminal of its own, so that signals of the terminal reach it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_smolchat"), address, "--name", name]);
        command.args(options).stdin(open()).stdout(open()).stderr(open());
        command.env("TERM", "xterm-256color").env("XDG_STATE_HOME", home.path("state"));
        command.env_remove("NO_COLOR").env_remove("TERM_PROGRAM");
        let process = command.spawn().unwrap();
        let parser = vt100::Parser::new(cells(24), cells(72), 10_000);
        let screen = Arc::new(Mutex::new(Screen { parser, raw: Vec::new() }));
        let (mut output, shown) = (File::from(master.try_clone().unwrap()), Arc::clone(&screen));
        thread::spawn(move || {
            let mut buffer = [0; 64 << 10];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                let mut screen = shown.lock().unwrap();
                screen.parser.process(&buffer[..count]);
                screen.raw.extend_from_slice(&buffer[..count]);
            }
        });
        Terminal { process, master: master.into(), slave, screen, before, home }
    }

    /// Types keys.
    #[track_caller]
    pub fn keys(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until the screen is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, mut is_so: impl FnMut(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self.locked().parser.screen()) {
            let shown = self.contents();
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}; the screen is:\n{shown}"
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until this is on the screen.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        self.until(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits until this is what is typed, with the cursor in that column behind it.
    #[track_caller]
    pub fn has_typed(&mut self, text: &str, column: u16) {
        self.until(&format!("{text:?} with the cursor in column {column}"), |screen| {
            last_line(screen) == text && screen.cursor_position().1 == column
        });
    }

    /// All that is on the screen.
    pub fn contents(&self) -> String {
        self.locked().parser.screen().contents()
    }

    /// Looks at the screen as it is now.
    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.locked().parser.screen())
    }

    /// All bytes that came so far.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.locked().raw).into_owned()
    }

    /// How often the bell rang.
    pub fn bells(&self) -> usize {
        self.locked().raw.iter().filter(|byte| **byte == 7).count()
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.locked().parser.screen_mut().set_size(cells(rows), cells(columns));
        set_size(&self.slave, columns, rows);
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The state of the process, as `ps` has it.
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    /// A line of `/proc/PID/status`, in KiB.
    pub fn memory(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Processor time that it has used, in ticks of the system.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<u64>().unwrap()).sum()
    }

    /// Whether the terminal is as it was before the program began.
    pub fn is_as_before(&self) -> bool {
        modes(&self.slave) == self.before
    }

    /// Waits until the program has ended, and the terminal is as it was.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            let shown = self.contents();
            assert!(Instant::now() < deadline, "it has not ended; the screen is:\n{shown}");
            thread::sleep(Duration::from_millis(2));
        };
        assert_eq!(modes(&self.slave), self.before);
        let off = "\x1b[?2004l";
        self.until("pasting as before", |screen| !screen.bracketed_paste());
        assert!(self.raw().contains(off), "what is pasted is marked no more");
        status
    }

    /// Where it keeps what was typed.
    pub fn typed_before(&self) -> PathBuf {
        self.home.path("state").join("smolchat/history")
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    fn locked(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The last line of the screen that is not empty.
pub fn last_line(screen: &vt100::Screen) -> String {
    let contents = screen.contents();
    contents
        .lines()
        .map(str::trim_end)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
        .to_owned()
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn set_size(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
