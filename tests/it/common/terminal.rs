//! The program `smolchat` in a pseudo-terminal, with an emulator that draws its screen.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use super::server::{assert_idle, cpu_time, kib};
use super::{ChildGuard, POLL_INTERVAL, TIMEOUT, TempDir, TestClient, TestServer};

/// The text that a shell prints after the client.
const SHELL_PROMPT: &str = "$ ";

/// A pseudo-terminal with a client. The client is killed when this is dropped.
pub struct Terminal {
    process: ChildGuard,
    /// Open until the terminal hangs up.
    master: Option<File>,
    reader: Option<JoinHandle<()>>,
    /// Keeps the terminal open when the client has ended.
    slave: Option<OwnedFd>,
    output: Arc<Mutex<TerminalOutput>>,
    original_modes: String,
    home: TempDir,
    name: String,
}

/// The output of the client so far.
struct TerminalOutput {
    parser: vt100::Parser,
    raw: Vec<u8>,
    /// Whether the output is still read.
    is_read: bool,
}

/// A pseudo-terminal before the start of the client.
pub struct PreparedTerminal {
    master: File,
    slave: OwnedFd,
    pub modes: Termios,
    pub command: Command,
    /// Has the folders `config` and `state` of the client.
    pub home: TempDir,
    name: String,
}

impl PreparedTerminal {
    /// Starts the client, and waits for its prompt.
    #[track_caller]
    pub fn start(self) -> Terminal {
        let mut terminal = self.start_without_prompt();
        // The server may have assigned another name, such as `alice-2`.
        let name = terminal.name.clone();
        terminal.wait_for_screen("a prompt", |screen| {
            let line = last_line(screen);
            line.starts_with(&name) && line.contains('>')
        });
        terminal
    }

    /// Starts the client in a terminal where it has no prompt.
    pub fn start_without_prompt(mut self) -> Terminal {
        tcsetattr(&self.slave, OptionalActions::Now, &self.modes).unwrap();
        let original_modes = format_modes(&self.slave);
        let process = ChildGuard(self.command.spawn().unwrap());
        let parser = vt100::Parser::new(cells(24), cells(72), 10_000);
        let output =
            Arc::new(Mutex::new(TerminalOutput { parser, raw: Vec::new(), is_read: true }));
        let reader = read_output(self.master.try_clone().unwrap(), Arc::clone(&output));
        Terminal {
            process,
            master: Some(self.master),
            reader: Some(reader),
            slave: Some(self.slave),
            output,
            original_modes,
            home: self.home,
            name: self.name,
        }
    }
}

impl Terminal {
    /// Starts the client in a terminal of 72 columns and 24 rows, and waits for its prompt.
    #[track_caller]
    pub fn start(address: &str, name: &str, options: &[&str]) -> Self {
        Self::prepare(address, name, options).start()
    }

    /// Starts a server with bob, and alice in a terminal.
    #[track_caller]
    pub fn start_with_bob(options: &[&str]) -> (TestServer, TestClient, Self) {
        let server = TestServer::start(&["--rate", "0"]);
        let bob = server.join("bob");
        let alice = Self::start(server.address(0), "alice", options);
        (server, bob, alice)
    }

    /// Creates the terminal, and the command of the client.
    pub fn prepare(address: &str, name: &str, options: &[&str]) -> PreparedTerminal {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let open = || File::options().read(true).write(true).open(&path).unwrap();
        let slave = OwnedFd::from(open());
        set_size(&slave, 72, 24);
        let (modes, home) = (tcgetattr(&slave).unwrap(), TempDir::new());
        // A controlling terminal, so that its signals reach the client.
        let mut command = Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_smolchat"), address, "--name", name]);
        command.args(options).stdin(open()).stdout(open()).stderr(open());
        command.env("TERM", "xterm-256color").env("XDG_STATE_HOME", home.path("state"));
        command.env("XDG_CONFIG_HOME", home.path("config"));
        command.env_remove("NO_COLOR").env_remove("TERM_PROGRAM");
        PreparedTerminal { master: master.into(), slave, modes, command, home, name: name.into() }
    }

    #[track_caller]
    pub fn type_keys(&mut self, keys: &str) {
        self.type_bytes(keys.as_bytes());
    }

    #[track_caller]
    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.master.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// Stops reading the output of the client.
    pub fn stop_reading(&mut self) {
        self.lock().is_read = false;
        self.reader.take().unwrap().join().unwrap();
    }

    /// Reads the output of the client again.
    pub fn resume_reading(&mut self) {
        self.lock().is_read = true;
        let master = self.master.as_ref().unwrap().try_clone().unwrap();
        self.reader = Some(read_output(master, Arc::clone(&self.output)));
    }

    /// Closes the terminal, like a window or a connection that is closed, and waits until the
    /// client has ended.
    #[track_caller]
    pub fn hang_up(&mut self) -> ExitStatus {
        self.stop_reading();
        (self.master, self.slave) = (None, None);
        self.process.wait()
    }

    /// Waits until the client has ended, without any check.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Waits until the screen matches.
    #[track_caller]
    pub fn wait_for_screen(
        &mut self,
        expected: &str,
        mut matches: impl FnMut(&vt100::Screen) -> bool,
    ) {
        let deadline = Instant::now() + TIMEOUT;
        while !matches(self.lock().parser.screen()) {
            let screen = self.screen_text();
            assert!(Instant::now() < deadline, "expected {expected}; the screen is:\n{screen}");
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until the screen contains `text`.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for_screen(&format!("{text:?}"), |screen| screen.contents().contains(text));
    }

    /// Waits until the last line is the name and `text`, with the cursor `column` columns after the
    /// name.
    #[track_caller]
    pub fn wait_for_input(&mut self, text: &str, column: u16) {
        let text = format!("{}{text}", self.name);
        let column = column + u16::try_from(self.name.len()).unwrap();
        self.wait_for_screen(&format!("{text:?} with the cursor in column {column}"), |screen| {
            last_line(screen) == text && screen.cursor_position().1 == column
        });
    }

    pub fn screen_text(&self) -> String {
        self.lock().parser.screen().contents()
    }

    pub fn with_screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.lock().parser.screen())
    }

    pub fn raw_output(&self) -> String {
        String::from_utf8_lossy(&self.lock().raw).into_owned()
    }

    pub fn bell_count(&self) -> usize {
        self.lock().raw.iter().filter(|byte| **byte == 7).count()
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.lock().parser.screen_mut().set_size(cells(rows), cells(columns));
        set_size(self.slave.as_ref().unwrap(), columns, rows);
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }

    /// Returns the state of the process, one letter as `ps` prints it.
    pub fn state(&self) -> char {
        self.read_proc("stat").rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    /// Returns the resident memory, in KiB.
    pub fn rss(&self) -> u64 {
        kib(&self.read_proc("status"), "VmRSS:")
    }

    /// Checks that the client uses no processor time once it is idle.
    #[track_caller]
    pub fn assert_idle(&self) {
        assert_idle(Duration::from_millis(1500), || cpu_time(&self.read_proc("stat")));
    }

    fn read_proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.0.id())).unwrap()
    }

    /// Returns whether the terminal has the modes that it had before the client started.
    pub fn has_original_modes(&self) -> bool {
        format_modes(self.slave.as_ref().unwrap()) == self.original_modes
    }

    /// Waits until the client has ended, and checks that the terminal is as it was.
    #[track_caller]
    pub fn finish(&mut self) -> ExitStatus {
        let status = self.process.wait();
        let slave = self.slave.as_ref().unwrap();
        assert_eq!(format_modes(slave), self.original_modes);
        // The prompt of the shell is in the first column of an empty line.
        rustix::io::write(slave, SHELL_PROMPT.as_bytes()).unwrap();
        self.wait_for_screen("the prompt of the shell", |screen| {
            last_line(screen) == SHELL_PROMPT.trim_end() && screen.cursor_position().1 == 2
        });
        let screen = self.screen_text();
        let prompt = format!("{}>", self.name);
        assert!(screen.lines().all(|line| line.trim_end() != prompt), "{screen}");
        assert_eq!(self.open_modes(), Vec::<String>::new());
        status
    }

    /// Returns the private modes that the client has set and not reset, or set twice.
    pub fn open_modes(&self) -> Vec<String> {
        let raw = self.raw_output();
        let changes = raw.split("\x1b[?").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (mode, change) = rest.split_at(end);
            Some((mode.to_owned(), change.chars().next()?))
        });
        let mut open = Vec::new();
        for (mode, change) in changes {
            match (change, open.iter().position(|open| *open == mode)) {
                ('l', Some(index)) => drop(open.remove(index)),
                // Set or reset once too often.
                _ => open.push(mode),
            }
        }
        open
    }

    /// Returns the path of the input history.
    pub fn input_history_path(&self) -> PathBuf {
        self.home.path("state").join("smolchat/history")
    }

    fn lock(&self) -> MutexGuard<'_, TerminalOutput> {
        self.output.lock().unwrap()
    }
}

fn read_output(mut master: File, output: Arc<Mutex<TerminalOutput>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        loop {
            let timeout = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let is_ready = poll(&mut [PollFd::new(&master, PollFlags::IN)], Some(&timeout));
            if !output.lock().unwrap().is_read {
                break;
            }
            if is_ready == Ok(0) {
                continue;
            }
            let Ok(count @ 1..) = master.read(&mut buffer) else { break };
            let mut output = output.lock().unwrap();
            output.parser.process(&buffer[..count]);
            output.raw.extend_from_slice(&buffer[..count]);
        }
    })
}

/// Returns the modes of a terminal in a form that can be compared.
fn format_modes(terminal: &OwnedFd) -> String {
    let Termios { input_modes, output_modes, control_modes, local_modes, special_codes, .. } =
        tcgetattr(terminal).unwrap();
    format!("{input_modes:?} {output_modes:?} {control_modes:?} {local_modes:?} {special_codes:?}")
}

/// Returns the last line of the screen that is not empty.
fn last_line(screen: &vt100::Screen) -> String {
    let contents = screen.contents();
    let mut lines = contents.lines().map(str::trim_end);
    lines.rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn set_size(terminal: &OwnedFd, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}
