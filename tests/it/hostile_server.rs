//! The client with a server that floods it, keeps it waiting or sends it away.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::common::client_process::ClientProcess;
use crate::common::scripted_server::ScriptedServer;
use crate::common::wait_until;

/// Starts a client that can allocate at most 512 MiB of addresses.
fn start_limited(address: &str, options: &[&str]) -> ClientProcess {
    let client = ClientProcess::command();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 524288; exec \"$0\" \"$@\""]).arg(client.get_program());
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args([address, "--name", "alice"]).args(options);
    ClientProcess::run(command)
}

#[test]
fn flood_of_empty_lines_does_not_fill_memory() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        while connection.stream.write_all(&[b'\n'; 64 << 10]).is_ok() {}
    });
    let _alice = start_limited(server.address(), &["--json"]);
    // A client without a bound is out of memory before it closes the first connection.
    wait_until("the client reconnects", || server.connection_count() >= 3);
}

#[test]
fn endless_line_does_not_fill_memory() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        for _ in 0..32 {
            let _ = connection.stream.write_all(&[b'x'; 1 << 20]);
        }
        connection.send("");
        connection.send(r#"{"data_source":"server","data":"the end","kind":"info"}"#);
        while connection.recv().is_some() {}
    });
    let mut alice = start_limited(server.address(), &["--json"]);
    alice.wait_for_line("the end");
}

#[test]
fn line_of_many_values_is_not_decoded() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        let values = "0,".repeat(3 << 20);
        connection.send(&format!(
            r#"{{"data_source":"server","data":"","kind":"info","x":[{values}0]}}"#
        ));
        while connection.recv().is_some() {}
    });
    let mut alice = start_limited(server.address(), &[]);
    alice.wait_for_line("too many values");
}

#[test]
fn long_names_are_cut() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        let name = "b".repeat(6 << 20);
        for seq in 1..40 {
            connection.send(&format!(
                r#"{{"data_source":"{name}","data":"hi","kind":"chat","seq":{seq},"time":1}}"#
            ));
        }
        while connection.recv().is_some() {}
    });
    let mut alice = start_limited(server.address(), &[]);
    let line = alice.wait_for_line("  hi");
    assert!(line.ends_with(&format!(" {}  hi", "b".repeat(32))), "{} bytes", line.len());
}

#[test]
fn bye_slow_in_a_loop_is_reconnected_with_pauses() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("alice");
        connection
            .send(r#"{"data_source":"server","data":"slow","kind":"bye","code":"slow","seq":0}"#);
    });
    let start = Instant::now();
    let _alice = ClientProcess::start(server.address(), "alice", &["--json"]);
    wait_until("the client reconnects", || server.connection_count() >= 5);
    // The first pause is left out, and each later one is at least 250 ms.
    assert!(start.elapsed() >= Duration::from_millis(750), "{:?}", start.elapsed());
}

#[test]
fn unread_warnings_do_not_delay_signals() {
    let server = ScriptedServer::start(|mut connection| {
        connection.welcome("bot");
        let text = "x".repeat(1000);
        let error = format!(
            r#"{{"data_source":"server","data":"{text}","kind":"error","code":"unknown"}}"#
        );
        while connection.send(&error) {}
    });
    let (unread, stderr) = std::io::pipe().unwrap();
    let client = ClientProcess::command();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(client.get_program());
    command.envs(client.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.args([server.address(), "--name", "bot", "--exec", "cat"]);
    let mut bot = ClientProcess::run_with_files(command, Stdio::piped(), stderr.into());
    wait_until("standard error is full", || rustix::io::ioctl_fionread(&unread).unwrap() > 60_000);
    bot.signal(Signal::TERM);
    assert_eq!(bot.wait(), Some(143));
}

#[cfg(feature = "editor")]
mod terminal {
    use rustix::process::Signal;

    use super::ScriptedServer;
    use crate::common::terminal::Terminal;

    #[test]
    fn flood_of_join_notices_does_not_delay_signals() {
        let server = ScriptedServer::start(|mut connection| {
            connection.welcome("alice");
            let names: Vec<String> = (0..10_000).map(|n| format!(r#""member-{n}""#)).collect();
            let names = names.join(",");
            for seq in 1.. {
                let kind = if seq % 2 == 0 { "leave" } else { "join" };
                let notice = format!(
                    r#"{{"data_source":"server","data":"","kind":"{kind}","seq":{seq},"time":1,"names":[{names}]}}"#
                );
                if !connection.send(&notice) {
                    break;
                }
            }
        });
        let mut alice = Terminal::start(server.address(), "alice", &[]);
        alice.wait_for_text("member-0, member-1 and 9998 more left");
        alice.signal(Signal::TERM);
        assert_eq!(alice.finish().code(), Some(143));
    }

    #[test]
    fn long_names_are_not_kept() {
        let server = ScriptedServer::start(|mut connection| {
            connection.welcome("alice");
            for number in 10..26 {
                let name = format!("{number}{}", "b".repeat(6 << 20));
                connection.send(&format!(
                    r#"{{"data_source":"{name}","data":"hi","kind":"chat","seq":{number},"time":1}}"#
                ));
            }
            while connection.recv().is_some() {}
        });
        let mut alice = Terminal::start(server.address(), "alice", &[]);
        alice.wait_for_text("25bbb");
        assert!(alice.rss() < 64 << 10, "{} KiB", alice.rss());
    }
}
