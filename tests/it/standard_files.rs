//! Standard input, output and error that are closed, broken or full: the server serves all the
//! same, and no client is taken for one of them.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;

use crate::common::witnesses::Witnesses;
use crate::common::{PATIENCE, Scratch, TestServer};
use rustix::process::Signal;

/// The room goes on, with much to log, and the server ends in good order.
#[track_caller]
fn assert_serves(mut server: TestServer) {
    let witnesses = Witnesses::call(&server);
    let names: Vec<String> = (0..50).map(|n| format!("m-{n}")).collect();
    for name in &names {
        let mut visitor = server.join(name);
        visitor.say("/help");
        visitor.recv_kind("info");
    }
    // What the witnesses are sent is frames of the room and nothing else; a line of the log among
    // them would be none.
    assert_eq!(witnesses.stop_when_alone(&server), names);
    server.assert_idle();
    let mut last = server.join("carol");
    server.signal(Signal::TERM);
    last.expect_bye("shutdown");
    assert_eq!(server.wait(PATIENCE).code(), Some(0));
}

fn start(scratch: &Scratch, prelude: &str, stdout: Stdio) -> TestServer {
    let options = ["--log", "debug", "--rate", "0"];
    TestServer::start_unheard(prelude, stdout, &scratch.address("socket"), &options)
}

#[test]
fn where_a_standard_file_is_closed_no_client_takes_its_place() {
    for closed in 1..8 {
        let is_closed = |number: u32| closed & (1 << number) != 0;
        let redirections = ["<&-", ">&-", "2>&-"];
        let closing = (0..3).filter(|number| is_closed(*number));
        let closing: Vec<&str> = closing.map(|number| redirections[number as usize]).collect();
        let scratch = Scratch::new();
        let server = start(&scratch, &format!("exec {}", closing.join(" ")), Stdio::null());
        for number in 0..3 {
            let is = server.descriptor(number);
            assert!(is.as_deref() == Some(Path::new("/dev/null")), "{number} is {is:?}");
        }
        assert_serves(server);
    }
}

#[test]
fn a_standard_output_that_nobody_can_read_is_no_reason_to_wait() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let scratch = Scratch::new();
    assert_serves(start(&scratch, ":", writer.into()));
}

/// A pipe into which nothing more fits, and how much is in it.
fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, writer) = std::io::pipe().unwrap();
    // As much as a pipe holds that nobody has changed (pipe(7)).
    let size = 65_536;
    (&writer).write_all(&vec![b'x'; size]).unwrap();
    (reader, writer, size)
}

#[test]
fn a_standard_output_that_is_full_is_waited_for_and_the_line_is_not_lost() {
    let (mut reader, writer, size) = full_pipe();
    let scratch = Scratch::new();
    let server = start(&scratch, ":", writer.into());
    let mut before = vec![0; size];
    reader.read_exact(&mut before).unwrap();
    assert_serves(server);
    let mut said = String::new();
    reader.read_to_string(&mut said).unwrap();
    assert_eq!(said, format!("listening on {}\n", scratch.address("socket")));
}

#[test]
fn a_standard_error_that_nobody_reads_or_can_read_costs_no_time() {
    let (mut reader, writer, size) = full_pipe();
    let options = ["--log", "debug", "--rate", "0"];
    assert_serves(TestServer::start_logging_to(writer.into(), &options));
    // It was full, and stayed so.
    let mut log = Vec::new();
    reader.read_to_end(&mut log).unwrap();
    assert_eq!(log, vec![b'x'; size]);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_serves(TestServer::start_logging_to(writer.into(), &options));
}
