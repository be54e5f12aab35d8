//! The program `smolchat` as a child process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::{ChildGuard, TIMEOUT, wait_until};

/// A `smolchat` whose standard files are pipes. It is killed and reaped when this is dropped.
pub struct ClientProcess {
    process: ChildGuard,
    pub stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl ClientProcess {
    /// Starts a client that joins under a name.
    pub fn start(address: &str, name: &str, options: &[&str]) -> Self {
        Self::run(Self::command_with(address, name, options))
    }

    fn command_with(address: &str, name: &str, options: &[&str]) -> Command {
        let mut command = Self::command();
        command.arg(address).args(["--name", name]).args(options);
        command
    }

    /// Returns the command, without the configuration of the user that runs the tests. Its folders
    /// cannot be created, not even by root.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smolchat"));
        command.env_remove("SMOLCHAT_NAME").env("XDG_CONFIG_HOME", "/dev/null/none");
        command.env("XDG_STATE_HOME", "/dev/null/none").env_remove("STATE_DIRECTORY");
        command
    }

    pub fn run(command: Command) -> Self {
        let mut client = Self::run_unread(command);
        client.stdout = lines(client.process.0.stdout.take().unwrap());
        client
    }

    /// Starts a client whose standard output is a pipe that is not read.
    pub fn start_unread(address: &str, name: &str, options: &[&str]) -> Self {
        Self::run_unread(Self::command_with(address, name, options))
    }

    fn run_unread(command: Command) -> Self {
        Self::run_with_files(command, Stdio::piped(), Stdio::piped())
    }

    /// Starts a client with standard files of the caller.
    pub fn run_with_files(mut command: Command, stdin: Stdio, stdout: Stdio) -> Self {
        command.stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut process = ChildGuard(command.spawn().unwrap());
        let stderr = lines(process.0.stderr.take().unwrap());
        ClientProcess { stdin: process.0.stdin.take(), process, stdout: channel().1, stderr }
    }

    /// Waits until the process handles SIGTERM.
    #[track_caller]
    pub fn wait_until_signals_are_handled(&self) {
        let file = format!("/proc/{}/status", self.process.0.id());
        wait_until("SIGTERM is handled", || {
            let status = std::fs::read_to_string(&file).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (Signal::TERM.as_raw() - 1)) != 0
        });
    }

    pub fn write_input(&mut self, text: &str) {
        self.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Returns the next line of standard output that contains `part`, and discards those before.
    #[track_caller]
    pub fn wait_for_line(&mut self, part: &str) -> String {
        wait_for(&self.stdout, part)
    }

    /// Returns the next line of standard error that contains `part`, and discards those before.
    #[track_caller]
    pub fn wait_for_stderr(&mut self, part: &str) -> String {
        wait_for(&self.stderr, part)
    }

    /// Closes the input, and waits for the end. Returns the exit code, and the lines of standard
    /// output and error that were not read yet.
    #[track_caller]
    pub fn finish(mut self) -> (i32, Vec<String>, String) {
        drop(self.stdin.take());
        let status = self.process.wait();
        let stderr = self.stderr.iter().map(|line| line + "\n").collect();
        (status.code().unwrap(), self.stdout.iter().collect(), stderr)
    }

    /// Waits for the end while the input is open. Returns the exit code.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        self.process.wait().code()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.0), signal).unwrap();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    thread::spawn(move || lines.map(|line| sender.send(line)).find(Result::is_err));
    receiver
}

#[track_caller]
fn wait_for(lines: &Receiver<String>, part: &str) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(_) => {}
            Err(_) => panic!("no line with {part:?}"),
        }
    }
}
