//! The password of a server, on the side of the client.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::common::TempDir;
use crate::common::client_process::ClientProcess;
use crate::common::scripted_server::{ScriptedConnection, ScriptedServer};

const PASSWORD: &str = "open sesame";

fn serve(connection: ScriptedConnection) {
    connection.serve_with_password(PASSWORD);
}

fn command(address: &str, options: &[&str]) -> Command {
    let mut command = ClientProcess::command();
    command.arg(address).args(["--name", "alice"]).args(options);
    command.env_remove("SMOLCHAT_PASSWORD");
    command
}

fn write_password(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn script_without_password_ends_without_retry() {
    let server = ScriptedServer::start(serve);
    for (password, text) in [
        (None, "the server needs a password"),
        (Some("wrong"), "the server does not accept the password"),
    ] {
        let before = server.connection_count();
        let mut command = command(server.address(), &["--send", "hello"]);
        command.envs(password.map(|password| ("SMOLCHAT_PASSWORD", password)));
        let (code, _, stderr) = ClientProcess::run(command).finish();
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(text) && !stderr.contains("wrong"), "{stderr}");
        assert_eq!(stderr.contains("--password-file"), password.is_none(), "{stderr}");
        assert_eq!(server.connection_count(), before + 1);
    }
}

#[test]
fn password_is_taken_from_variable_file_and_option() {
    let server = ScriptedServer::start(serve);
    let dir = TempDir::new();
    let (good, bad) = (dir.path("good"), dir.path("bad"));
    write_password(&good, &format!("{PASSWORD}\n"), 0o600);
    write_password(&bad, "wrong\n", 0o600);
    let config = dir.path("config/smolchat/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    let run = |variable: Option<&str>, file: Option<&Path>, option: Option<&Path>| {
        let line = file.map(|path| format!("password-file = {}\n", path.display()));
        fs::write(&config, line.unwrap_or_default()).unwrap();
        let mut command = command(server.address(), &["--send", "hello"]);
        command.env("XDG_CONFIG_HOME", dir.path("config"));
        command.envs(variable.map(|password| ("SMOLCHAT_PASSWORD", password)));
        if let Some(path) = option {
            command.arg("--password-file").arg(path);
        }
        ClientProcess::run(command).finish().0
    };
    assert_eq!(run(Some(PASSWORD), None, None), 0);
    assert_eq!(run(None, Some(&good), None), 0);
    assert_eq!(run(None, None, Some(&good)), 0);
    assert_eq!(run(Some(PASSWORD), Some(&bad), None), 0, "the variable precedes the config file");
    assert_eq!(run(Some("wrong"), Some(&bad), Some(&good)), 0, "the option precedes the variable");
    assert_eq!(run(Some(PASSWORD), None, Some(&bad)), 1);
}

#[test]
fn password_file_of_others_is_refused() {
    let dir = TempDir::new();
    let path = dir.path("password");
    write_password(&path, PASSWORD, 0o644);
    let options = ["--password-file", path.to_str().unwrap(), "--send", "hello"];
    let (code, _, stderr) = ClientProcess::run(command("127.0.0.1:1", &options)).finish();
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("has mode 0644, expected 0600"), "{stderr}");
    assert!(!stderr.contains(PASSWORD), "{stderr}");
}

#[test]
fn bot_command_does_not_get_the_password() {
    let server = ScriptedServer::start(serve);
    let mut command =
        command(server.address(), &["--exec", "echo \"<$SMOLCHAT_PASSWORD>\"", "--json"]);
    command.env("SMOLCHAT_PASSWORD", PASSWORD);
    let (code, _, stderr) = ClientProcess::run(command).finish();
    assert_eq!((code, stderr.contains(PASSWORD)), (0, false), "{stderr}");
    assert_eq!(server.connection_count(), 1);
}

#[test]
fn password_is_sent_again_to_resume() {
    let server = ScriptedServer::start(|mut connection| {
        let hello = connection.recv().unwrap();
        connection.recv();
        assert_eq!(hello["hello"]["password"], PASSWORD);
        connection.accept("alice");
        if connection.number == 0 {
            return;
        }
        assert_eq!(hello["hello"]["token"], "token 0");
        connection.send(r#"{"data_source":"server","data":"resumed","kind":"info"}"#);
        connection.answer_lines();
    });
    let mut command = command(server.address(), &["--json"]);
    command.env("SMOLCHAT_PASSWORD", PASSWORD);
    let mut alice = ClientProcess::run(command);
    alice.wait_for_line("resumed");
    assert_eq!(alice.finish().0, 0);
}

#[test]
fn hello_with_password_may_be_late() {
    let server = ScriptedServer::start(|mut connection| {
        connection.refuse("password-required");
        serve(connection);
    });
    let mut command = command(server.address(), &["--send", "hello"]);
    command.env("SMOLCHAT_PASSWORD", PASSWORD);
    let (code, _, stderr) = ClientProcess::run(command).finish();
    assert_eq!((code, server.connection_count()), (0, 1), "{stderr}");
}

#[test]
fn address_that_is_throttled_is_told_so() {
    for code in ["too-many-tries", "tls-required"] {
        let server = ScriptedServer::start(|mut connection| {
            connection.recv();
            connection.refuse(code);
            while connection.recv().is_some() {}
        });
        let mut command = command(server.address(), &["--send", "hello"]);
        command.env("SMOLCHAT_PASSWORD", PASSWORD);
        let (exit, _, stderr) = ClientProcess::run(command).finish();
        assert_eq!((exit, server.connection_count()), (1, 1));
        assert!(stderr.contains("the server closed the connection: no"), "{stderr}");
    }
}
