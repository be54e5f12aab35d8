//! WebSocket against independent implementations: the cases of Autobahn, and a library of Python.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::common::browser::{start_server, tool};
use crate::common::{ChildGuard, TempDir};

#[test]
#[ignore = "needs kosoku, see `make test-web`"]
fn all_cases_of_autobahn_pass() {
    // The test is in target/PROFILE/deps, the example in target/PROFILE/examples.
    let test = env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/ws_echo");
    let mut command = Command::new(&example);
    command.arg("127.0.0.1:0").stdout(Stdio::piped());
    let process = command.spawn().unwrap_or_else(|error| {
        panic!("{}: {error}; `cargo build --example ws_echo` builds it", example.display())
    });
    let mut echo = ChildGuard(process);
    let mut line = String::new();
    BufReader::new(echo.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap();

    let reports = TempDir::new();
    let mut kosoku = Command::new(tool("bin/kosoku"));
    // Cases 12 and 13 are for compression, which is an extension that the server does not have.
    kosoku.args([address, "--exclude", "12.*", "--exclude", "13.*", "--parallelism", "4"]);
    let output = kosoku.arg("--outdir").arg(reports.path("")).output().unwrap();
    let failures = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{failures}");
    let index = fs::read_to_string(reports.path("index.json")).unwrap();
    let index: Value = serde_json::from_str(&index).unwrap();
    let cases = index[address].as_object().unwrap();
    let is_passed = |case: &Value| {
        let behavior = case["behavior"].as_str().unwrap();
        ["OK", "NON-STRICT", "INFORMATIONAL"].contains(&behavior)
    };
    assert!(cases.len() == 301 && cases.values().all(is_passed), "{failures}{index}");
}

#[test]
#[ignore = "needs the websockets of Python, see `make test-web`"]
fn websockets_of_python_join_talk_and_resume() {
    let server = start_server(&["--rate", "0"]);
    let mut python = Command::new(tool("bin/python"));
    python.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = python.args(["tests/websocket_client.py", server.address(0)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
