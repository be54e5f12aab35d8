//! Standard input, output and error that are closed, broken or full: the server works, and uses
//! none of their numbers for a client.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

use crate::common::observers::Observers;
use crate::common::{TempDir, TestServer};

/// Checks that a server works, logs much, uses no processor time while idle, and ends with success.
#[track_caller]
fn assert_works(mut server: TestServer) {
    let observers = Observers::start(&server);
    let names: Vec<String> = (0..50).map(|n| format!("m-{n}")).collect();
    for name in &names {
        let mut visitor = server.join(name);
        visitor.say("/help");
        visitor.recv_kind("info");
    }
    // A line of the log that reached a client would not be a frame.
    assert_eq!(observers.stop_when_alone(&server), names);
    server.assert_idle();
    let mut last = server.join("carol");
    server.stop();
    last.expect_bye("shutdown");
}

fn start(dir: &TempDir, prelude: &str, stdout: Stdio) -> TestServer {
    let options = ["--log", "debug", "--rate", "0"];
    TestServer::start_with_stdout(prelude, stdout, &dir.unix_address("socket"), &options)
}

#[test]
fn closed_standard_files_are_replaced_by_null() {
    for closed in 1..8 {
        let is_closed = |number: u32| closed & (1 << number) != 0;
        let redirections = ["<&-", ">&-", "2>&-"];
        let closing = (0..3).filter(|number| is_closed(*number));
        let closing: Vec<&str> = closing.map(|number| redirections[number as usize]).collect();
        let dir = TempDir::new();
        let server = start(&dir, &format!("exec {}", closing.join(" ")), Stdio::null());
        for number in 0..3 {
            let file = server.fd_target(number);
            assert!(file.as_deref() == Some(Path::new("/dev/null")), "{number} is {file:?}");
        }
        assert_works(server);
    }
}

#[test]
fn broken_stdout_does_not_stop_the_server() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let dir = TempDir::new();
    assert_works(start(&dir, ":", writer.into()));
}

/// Returns a full pipe, and the number of bytes in it.
fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, writer) = std::io::pipe().unwrap();
    // The default size of a pipe (pipe(7)).
    let size = 65_536;
    (&writer).write_all(&vec![b'x'; size]).unwrap();
    (reader, writer, size)
}

#[test]
fn full_stdout_gets_the_line_once_it_is_read() {
    let (mut reader, writer, size) = full_pipe();
    let dir = TempDir::new();
    let server = start(&dir, ":", writer.into());
    let mut before = vec![0; size];
    reader.read_exact(&mut before).unwrap();
    assert_works(server);
    let mut output = String::new();
    reader.read_to_string(&mut output).unwrap();
    assert_eq!(output, format!("listening on {}\n", dir.unix_address("socket")));
}

#[test]
fn full_or_broken_stderr_costs_no_processor_time() {
    let (mut reader, writer, size) = full_pipe();
    let options = ["--log", "debug", "--rate", "0"];
    assert_works(TestServer::start_with_stderr(writer.into(), &options));
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    assert_eq!(log, vec![b'x'; size]);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_works(TestServer::start_with_stderr(writer.into(), &options));
}
