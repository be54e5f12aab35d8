//! The program `smolchat` as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::PATIENCE;

/// A `smolchat` whose input is a pipe. It is killed and reaped when this is dropped.
pub struct Smolchat {
    process: Child,
    /// The way to its input.
    pub stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Smolchat {
    /// One that goes to a server under a name.
    pub fn start(address: &str, name: &str, options: &[&str]) -> Self {
        let mut command = Self::command();
        command.arg(address).args(["--name", name]).args(options);
        Self::run(command)
    }

    /// The program, without anything that whoever runs the tests has set up for their own.
    pub fn command() -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smolchat"));
        command.env_remove("SMOLCHAT_NAME").env("XDG_CONFIG_HOME", "/nonexistent");
        command
    }

    /// Runs it, with arguments and variables of the test's own.
    pub fn run(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stdout = lines(process.stdout.take().unwrap());
        let stderr = lines(process.stderr.take().unwrap());
        Smolchat { stdin: process.stdin.take(), process, stdout, stderr }
    }

    /// Writes to its input.
    pub fn type_in(&mut self, text: &str) {
        self.stdin.as_ref().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// The next line of its output that has this in it; those before it are passed over.
    #[track_caller]
    pub fn until(&mut self, part: &str) -> String {
        await_line(&self.stdout, part)
    }

    /// The same, of what it writes to standard error.
    #[track_caller]
    pub fn complains(&mut self, part: &str) -> String {
        await_line(&self.stderr, part)
    }

    /// How it ends, its input being at its end: the exit code, and what it had yet to say.
    #[track_caller]
    pub fn end(mut self) -> (i32, Vec<String>, String) {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it has not ended in {PATIENCE:?}");
            thread::sleep(Duration::from_millis(2));
        };
        let stderr = self.stderr.iter().map(|line| line + "\n").collect();
        (status.code().unwrap(), self.stdout.iter().collect(), stderr)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }
}

impl Drop for Smolchat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    thread::spawn(move || lines.map(|line| sender.send(line)).find(Result::is_err));
    receiver
}

#[track_caller]
fn await_line(lines: &Receiver<String>, part: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(part) => return line,
            Ok(_) => {}
            Err(_) => panic!("waited in vain for a line with {part:?}"),
        }
    }
}
