//! The file of settings, and what the programs say of themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::smolchat::Smolchat;
use crate::common::{Scratch, TestServer, run_to_end};
use smolchat::cli::{Program, SMOLCHAT, SMOLCHATD, Shell};

/// Writes the file of settings below a folder that is `$XDG_CONFIG_HOME`.
fn write(config: &Path, settings: &str) -> PathBuf {
    let file = config.join("smolchat/config");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, settings).unwrap();
    file
}

/// Runs `smolchat` with these settings.
fn run(config: &Path, options: &[&str]) -> (i32, Vec<String>, String) {
    let mut command = Smolchat::command();
    command.env("XDG_CONFIG_HOME", config).env("USER", "somebody").args(options);
    Smolchat::run(command).end()
}

#[test]
fn name_and_address_come_from_the_file() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    let settings = format!(
        "# where we meet\r\n\r\n  address={}\r\n name =  carol  \nno-keep = on",
        server.address(0)
    );
    write(&scratch.path("config"), &settings);
    let (code, stdout, stderr) = run(&scratch.path("config"), &["--send", "/who"]);
    assert_eq!((code, stdout, stderr), (0, vec!["1 here: carol".into()], String::new()));
}

#[test]
fn without_xdg_config_home_the_file_is_below_the_home() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    write(&scratch.path(".config"), &format!("address = {}", server.address(0)));
    // A path that is not absolute counts for nothing.
    for config in [None, Some(""), Some("config")] {
        let mut command = Smolchat::command();
        command.env_remove("XDG_CONFIG_HOME").envs(config.map(|path| ("XDG_CONFIG_HOME", path)));
        command.env("HOME", scratch.path("")).args(["--name", "alice", "--send", "hello"]);
        let (code, _, stderr) = Smolchat::run(command).end();
        assert_eq!((code, stderr.as_str()), (0, ""), "{config:?}");
    }
}

#[test]
fn the_environment_counts_more_than_the_file_and_an_option_more_than_both() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    let who = |settings: &str, variable: &str, options: &[&str]| {
        write(&scratch.path(""), settings);
        let mut command = Smolchat::command();
        command.env("XDG_CONFIG_HOME", scratch.path("")).env("USER", "user");
        command.env("SMOLCHAT_NAME", variable);
        command.args([server.address(0), "--send", "/who"]).args(options);
        let (code, stdout, stderr) = Smolchat::run(command).end();
        assert_eq!((code, stderr.as_str()), (0, ""), "{stdout:?}");
        stdout[0].clone()
    };
    assert_eq!(who("", "", &[]), "1 here: user");
    assert_eq!(who("name = alice\naddress = 127.0.0.1:1", "", &[]), "1 here: alice");
    assert_eq!(who("name = alice", "bob", &[]), "1 here: bob");
    assert_eq!(who("name = alice", "bob", &["--name", "carol"]), "1 here: carol");
}

#[test]
fn a_bad_line_is_one_warning_and_the_others_count() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    let bad = [
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
    let settings = format!("name = alice\n{}\naddress = {}\n", bad.join("\n"), server.address(0));
    let file = write(&scratch.path(""), &settings);
    let (code, stdout, stderr) = run(&scratch.path(""), &["--send", "/who"]);
    assert_eq!((code, stdout), (0, vec!["1 here: alice".into()]));
    assert_eq!(stderr.lines().count(), bad.len(), "{stderr}");
    for (place, warning) in stderr.lines().enumerate() {
        let beginning = format!("smolchat: {}:{}: ", file.display(), place + 2);
        assert!(warning.starts_with(&beginning), "{warning}");
    }
    assert!(stderr.contains("color: cannot parse argument \"red\": wants never"), "{stderr}");

    fs::write(&file, b"name = \xff\n").unwrap();
    let (code, _, stderr) = run(&scratch.path(""), &[server.address(0), "--send", "hi"]);
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.contains("config:1: ") && stderr.contains("UTF-8"), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_read_is_one_warning() {
    let (server, scratch) = (TestServer::start(&[]), Scratch::new());
    fs::create_dir_all(scratch.path("smolchat/config")).unwrap();
    let (code, _, stderr) = run(&scratch.path(""), &[server.address(0), "--send", "hi"]);
    assert_eq!((code, stderr.lines().count()), (0, 1), "{stderr}");
    assert!(stderr.starts_with("smolchat: cannot read "), "{stderr}");
}

fn asked(program: &Program, options: &[&str]) -> String {
    let output: Output = match program.name {
        "smolchatd" => run_to_end(options),
        _ => Smolchat::command().args(options).output().unwrap(),
    };
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{options:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_the_client_fits_on_a_screen_and_has_examples() {
    let help = asked(&SMOLCHAT, &["--help"]);
    // The last line of the screen is where the shell asks for the next command.
    assert!(help.lines().count() < 24, "{help}");
    assert!(help.lines().all(|line| line.chars().count() < 80), "{help}");
    for example in SMOLCHAT.examples {
        assert!(help.contains(example.command), "{help}");
    }
    assert_eq!(asked(&SMOLCHAT, &["-h"]), help);
}

#[test]
fn each_option_is_in_the_help_and_the_manual_of_its_program() {
    for program in [&SMOLCHAT, &SMOLCHATD] {
        let (help, manual) =
            (asked(program, &["--help"]), asked(&SMOLCHAT, &["--manual", program.name]));
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
        assert_eq!(asked(program, &["--version"]), version);
    }
}

#[test]
fn bash_completes_options_and_their_values() {
    let script = asked(&SMOLCHAT, &["--completions", "bash"]);
    let complete = |words: &[&str]| {
        let typed = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let place = words.len() - 1;
        let run = format!(
            "set -eu\n{script}\nCOMP_WORDS=({typed})\nCOMP_CWORD={place}\n_smolchat\n\
             echo \"${{COMPREPLY[@]-}}\"\n"
        );
        let output = Command::new("bash").args(["-c", &run]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(complete(&["smolchat", "--no-"]), "--no-keep --no-reconnect");
    assert_eq!(complete(&["smolchat", "--color", ""]), "never auto always");
    assert_eq!(complete(&["smolchat", "--bell", "m"]), "mention");
    // This is how bash cuts `--bell=` and `--bell=m`.
    assert_eq!(complete(&["smolchat", "--bell", "="]), "never mention always");
    assert_eq!(complete(&["smolchat", "--bell", "=", "m"]), "mention");
    assert_eq!(complete(&["smolchat", "--name", ""]), "");
}

#[test]
fn each_shell_is_offered_each_option() {
    for shell in Shell::NAMES {
        let script = asked(&SMOLCHAT, &["--completions", shell]);
        for option in SMOLCHAT.options.iter().filter(|option| option.flag().starts_with("--")) {
            let offer = match *shell {
                "fish" => format!("-l {} ", option.name),
                _ => option.flag(),
            };
            assert!(script.contains(&offer), "{shell}: {offer}");
        }
    }
}
