//! The configuration file of the client, and the help, manual and completions of both programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use smolchat::cli::{Program, SMOLCHAT, SMOLCHATD, Shell};

use crate::common::client_process::ClientProcess;
use crate::common::{TempDir, TestServer, run_server};

/// Writes the configuration file below a folder that is `$XDG_CONFIG_HOME`.
fn write_config(folder: &Path, settings: &str) -> PathBuf {
    let file = folder.join("smolchat/config");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, settings).unwrap();
    file
}

/// Runs the client with a configuration folder.
fn run(folder: &Path, options: &[&str]) -> (i32, Vec<String>, String) {
    let mut command = ClientProcess::command();
    command.env("XDG_CONFIG_HOME", folder).env("USER", "user").args(options);
    ClientProcess::run(command).finish()
}

#[test]
fn file_sets_name_and_address() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let settings = format!(
        "# a comment\r\n\r\n  address={}\r\n name =  carol  \nno-keep = on",
        server.address(0)
    );
    write_config(&dir.path("config"), &settings);
    let (code, stdout, stderr) = run(&dir.path("config"), &["--send", "/who"]);
    assert_eq!((code, stdout, stderr), (0, vec!["1 here: carol".into()], String::new()));
}

#[test]
fn file_is_in_home_without_xdg_config_home() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    write_config(&dir.path(".config"), &format!("address = {}", server.address(0)));
    // A relative path is ignored.
    for config_home in [None, Some(""), Some("config")] {
        let mut command = ClientProcess::command();
        command.env_remove("XDG_CONFIG_HOME");
        command.envs(config_home.map(|path| ("XDG_CONFIG_HOME", path)));
        command.env("HOME", dir.path("")).args(["--name", "alice", "--send", "hello"]);
        let (code, _, stderr) = ClientProcess::run(command).finish();
        assert_eq!((code, stderr.as_str()), (0, ""), "{config_home:?}");
    }
}

#[test]
fn option_overrides_environment_overrides_file() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let who = |settings: &str, variable: &str, options: &[&str]| {
        write_config(&dir.path(""), settings);
        let mut command = ClientProcess::command();
        command.env("XDG_CONFIG_HOME", dir.path("")).env("USER", "user");
        command.env("SMOLCHAT_NAME", variable);
        command.args([server.address(0), "--send", "/who"]).args(options);
        let (code, stdout, stderr) = ClientProcess::run(command).finish();
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
        stdout[0].clone()
    };
    assert_eq!(who("", "", &[]), "1 here: user");
    assert_eq!(who("name = alice\naddress = 127.0.0.1:1", "", &[]), "1 here: alice");
    assert_eq!(who("name = alice", "bob", &[]), "1 here: bob");
    assert_eq!(who("name = alice", "bob", &["--name", "carol"]), "1 here: carol");
}

#[test]
fn invalid_line_of_file_is_one_warning() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let invalid = [
        "colour = never",
        "color = red",
        "color",
        "= never",
        "time = 5",
        "history = -1",
        "no-keep = perhaps",
        "--name = mallory",
        "json = on",
        "exec = cat",
        "send = hi",
        "help = on",
        "\u{0}",
    ];
    let settings =
        format!("name = alice\n{}\naddress = {}\n", invalid.join("\n"), server.address(0));
    let file = write_config(&dir.path(""), &settings);
    let (code, stdout, stderr) = run(&dir.path(""), &["--send", "/who"]);
    assert_eq!((code, stdout), (0, vec!["1 here: alice".into()]));
    assert_eq!(stderr.lines().count(), invalid.len(), "{stderr}");
    for (index, warning) in stderr.lines().enumerate() {
        let start = format!("smolchat: {}:{}: ", file.display(), index + 2);
        assert!(warning.starts_with(&start), "{warning}");
    }
    assert!(stderr.contains("color: cannot parse argument \"red\": "), "{stderr}");

    fs::write(&file, b"name = \xff\n").unwrap();
    let (code, _, stderr) = run(&dir.path(""), &[server.address(0), "--send", "hi"]);
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.contains("config:1: ") && stderr.contains("UTF-8"), "{stderr}");
}

#[test]
fn unreadable_file_is_one_warning() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    fs::create_dir_all(dir.path("smolchat/config")).unwrap();
    let (code, _, stderr) = run(&dir.path(""), &[server.address(0), "--send", "hi"]);
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: cannot read "), "{stderr}");
}

/// Returns the standard output of a program that ends with success.
#[track_caller]
fn output_of(program: &Program, options: &[&str]) -> String {
    let output: Output = match program.name {
        "smolchatd" => run_server(options),
        _ => ClientProcess::command().args(options).output().unwrap(),
    };
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{options:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_of_client_fits_on_a_screen() {
    let help = output_of(&SMOLCHAT, &["--help"]);
    // One line less than the screen, for the prompt of the shell.
    assert!(help.lines().count() < 24, "{help}");
    assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
    for example in SMOLCHAT.examples {
        assert!(help.contains(example.command), "{help}");
    }
    assert_eq!(output_of(&SMOLCHAT, &["-h"]), help);
}

#[test]
fn help_and_manual_have_each_option() {
    for program in [&SMOLCHAT, &SMOLCHATD] {
        let (help, manual) =
            (output_of(program, &["--help"]), output_of(&SMOLCHAT, &["--manual", program.name]));
        assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
        assert!(manual.starts_with(&format!(".TH {} 1 ", program.name.to_uppercase())));
        let manual = manual.replace("\\-", "-").replace("\\fB", "").replace("\\fI", "");
        let manual = manual.replace("\\fR", "");
        for option in program.options {
            assert!(help.contains(&option.label()) && help.contains(option.default), "{help}");
            assert!(manual.contains(&format!(".TP\n{}\n", option.label())), "{}", option.label());
        }
        for exit in program.exits {
            assert!(help.contains(&format!("{} {}", exit.code, exit.brief)), "{help}");
        }
        let version = format!("{} {}\n", program.name, env!("CARGO_PKG_VERSION"));
        assert_eq!(output_of(program, &["--version"]), version);
    }
}

#[test]
fn bash_completes_options_and_values() {
    let script = output_of(&SMOLCHAT, &["--completions", "bash"]);
    let complete = |words: &[&str]| {
        let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let index = words.len() - 1;
        let run = format!(
            "set -eu\n{script}\nCOMP_WORDS=({typed})\nCOMP_CWORD={index}\n_smolchat\n\
             echo \"${{COMPREPLY[@]-}}\"\n"
        );
        let output = Command::new("bash").args(["-c", &run]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["smolchat", "--no-"]), "--no-keep --no-reconnect");
    assert_eq!(complete(&["smolchat", "--color", ""]), "never auto always");
    assert_eq!(complete(&["smolchat", "--bell", "m"]), "mention");
    // The words into which bash splits `--bell=` and `--bell=m`.
    assert_eq!(complete(&["smolchat", "--bell", "="]), "never mention always");
    assert_eq!(complete(&["smolchat", "--bell", "=", "m"]), "mention");
    assert_eq!(complete(&["smolchat", "--name", ""]), "");
}

#[test]
fn completions_of_each_shell_have_each_option() {
    for shell in Shell::NAMES {
        let script = output_of(&SMOLCHAT, &["--completions", shell]);
        for option in SMOLCHAT.options.iter().filter(|option| option.flag().starts_with("--")) {
            let expected = match *shell {
                "fish" => format!("-l {} ", option.name),
                _ => option.flag(),
            };
            assert!(script.contains(&expected), "{shell}: {expected}");
        }
    }
}

#[test]
#[cfg(not(feature = "tls"))]
fn encrypted_address_needs_a_build_with_tls() {
    let (server, dir) = (TestServer::start(&[]), TempDir::new());
    let address = format!("tls:{}", server.address(0));
    let config = dir.path("smolchat/config");
    fs::create_dir_all(config.parent().unwrap()).unwrap();
    fs::write(&config, format!("address = {address}\n")).unwrap();
    for arguments in [&[&*address][..], &[]] {
        let mut command = ClientProcess::command();
        command.args(["--send", "hello"]).args(arguments).env("XDG_CONFIG_HOME", dir.path(""));
        let (code, _, errors) = ClientProcess::run(command).finish();
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains("this build has no TLS"), "{errors}");
    }
}
