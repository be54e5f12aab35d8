//! Tests of the values of the options.

#![allow(clippy::unwrap_used, reason = "tests state what they expect")]

use lexopt::Parser;

use super::*;
use smolchat::cli::ValueKind;

fn args(arguments: &[&str]) -> Result<Args, lexopt::Error> {
    let mut args = Args::default();
    SMOLCHAT.parse_args(Parser::from_args(arguments), |name, value| args.set(name, value))?;
    Ok(args)
}

#[test]
fn every_option_of_the_table_is_accepted() {
    for option in SMOLCHAT.options.iter().filter(|option| option.name != "tls-pin") {
        let flag = option.flag();
        match option.value {
            ValueKind::Switch => {
                args(&[&flag]).unwrap();
                args(&[&format!("{flag}=OFF")]).unwrap();
            }
            ValueKind::Positional(_) => drop(args(&[option.default]).unwrap()),
            ValueKind::Choice(_, words) => {
                for word in words {
                    args(&[&flag, word]).unwrap();
                    args(&[&flag, &word.to_uppercase()]).unwrap();
                }
                assert!(option.default.is_empty() || words.contains(&option.default), "{flag}");
                assert!(args(&[&flag, "perhaps"]).is_err(), "{flag}");
            }
            ValueKind::Text(_) | ValueKind::Path(_) | ValueKind::Command(_) => {
                args(&[&flag, "7"]).unwrap();
                assert!(args(&[&flag]).is_err(), "{flag}");
            }
        }
    }
    assert!(args(&["--nonsense"]).is_err());
    assert!(args(&["router", "and another"]).is_err());
}

#[cfg(feature = "tls")]
#[test]
fn pin_for_a_plain_address_is_an_error() {
    let pin = format!("SHA256:{}", "A".repeat(43));
    let options = |arguments: &[&str], file: &[(&str, &str)]| {
        let mut args = Args::default();
        file.iter().for_each(|(key, value)| args.set_from_file(key, value).unwrap());
        args.end_file();
        SMOLCHAT.parse_args(Parser::from_args(arguments), |name, value| args.set(name, value))?;
        args.into_options(true).map(drop)
    };
    for address in ["router", "unix:/run/chat.sock"] {
        let error = options(&[address, "--tls-pin", &pin], &[]).unwrap_err().to_string();
        assert_eq!(error, "--tls-pin is for an address that begins with tls:");
        assert!(options(&[], &[("address", address), ("tls-pin", &pin)]).is_err());
    }
    for (arguments, file) in [
        (&["tls:router", "--tls-pin", &pin][..], &[][..]),
        (&["router"], &[("tls-pin", &*pin)]),
        (&["router"], &[("address", "tls:other"), ("tls-pin", &pin)]),
    ] {
        assert!(options(arguments, file).is_ok(), "{arguments:?}");
    }
}

#[test]
fn error_of_a_number_names_option_and_value() {
    let error = |value| args(&["--history", value]).err().unwrap().to_string();
    assert_eq!(error("many"), "--history: expected a whole number, found \"many\"");
    assert_eq!(error("-1"), "--history: expected a whole number, found \"-1\"");
    assert_eq!(
        error(&"9".repeat(30)),
        format!(
            "--history: {} is too large, expected a whole number of at most 4294967295",
            "9".repeat(30)
        )
    );
    let error = Args::default().set_from_file("history", "").unwrap_err().to_string();
    assert_eq!(error, "history: expected a whole number, found \"\"");
}

#[test]
#[cfg(feature = "tls")]
fn fingerprints_are_checked() {
    let key = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
    let args_with =
        |value: &str| args(&["--tls-pin", value]).map(|args| args.tls_pins.unwrap().len());
    assert_eq!(args_with(&format!("{key}, {key}=")).unwrap(), 2);
    assert_eq!(args_with("").unwrap(), 0);
    let error = args_with("SHA256:x").unwrap_err().to_string();
    assert!(error.contains("--tls-pin") && error.contains("expected SHA256:"), "{error}");
}

#[test]
fn invalid_setting_for_tls_is_an_error_until_set() {
    for (key, value) in [("address", "tls:router:x"), ("tls-pin", "SHA256:x")] {
        let mut args = Args::default();
        args.set_from_file(key, value).unwrap_err();
        assert!(args.setting_error.as_ref().unwrap().1.starts_with(key));
        args.set("address", "router".into()).unwrap();
        assert_eq!(args.setting_error.is_some(), key == "tls-pin");
    }
    let mut args = Args::default();
    args.set_from_file("address", "http://router").unwrap_err();
    assert!(args.setting_error.is_none());
}

#[test]
#[cfg(not(feature = "tls"))]
fn encryption_is_refused_without_tls() {
    for arguments in [["--tls-pin=SHA256:x"], ["tls:router"], ["TLS:router:8080"]] {
        let error = args(&arguments).err().unwrap().to_string();
        assert!(error.contains("this build has no TLS"), "{error}");
    }
}

#[test]
fn invalid_name_is_a_usage_error() {
    assert_eq!(args(&["--name", "al.ice_1"]).unwrap().name.unwrap(), "al.ice_1");
    for name in ["", "al ice", "Server", &"x".repeat(MAX_NAME + 1)] {
        let error = args(&["--name", name]).err().unwrap().to_string();
        assert!(error.contains("--name") && error.contains("letters, digits"), "{error}");
    }
}

#[test]
fn home_directory_replaces_tilde() {
    let home = std::env::var("HOME").unwrap();
    let log = |value| args(&["--log", value]).map(|args| args.log.unwrap());
    assert_eq!(log("~/chat.log").unwrap(), Path::new(&home).join("chat.log"));
    assert_eq!(log("a/~/b").unwrap(), Path::new("a/~/b"));
    assert!(args(&["--log", "a", "--log", ""]).unwrap().log.is_none());
    let error = log("~alice/chat.log").err().unwrap().to_string();
    assert!(error.starts_with("--log: ") && error.contains("expected a path"), "{error}");
}

#[test]
fn highlight_takes_words_and_phrases() {
    let words = |value| args(&["--highlight", value]).unwrap().highlights;
    assert_eq!(words("deploy, on fire ,, "), ["deploy", "on fire"]);
    assert_eq!(words(""), [""; 0]);
}

#[test]
fn documentation_lists_every_option() {
    let page = include_str!("../../../../docs/client.md");
    let chapter = page.split("\n## ").find(|text| text.starts_with("Options")).unwrap();
    for option in SMOLCHAT.options {
        let label = option.label().replace('|', "\\|");
        assert!(chapter.contains(&format!("`{label}`")), "{label}");
    }
}

#[test]
fn manual_has_keys_and_commands_of_the_page() {
    let page = include_str!("../../../../docs/client.md");
    let manual = SMOLCHAT.manual();
    for title in ["Keys", "Commands"] {
        let chapter = page.split("\n## ").find(|text| text.starts_with(title)).unwrap();
        let section = manual.split(".SH ").find(|text| text.starts_with(&title.to_uppercase()));
        let section = section.unwrap().replace("\\fB", "").replace("\\fR", "");
        let section = section.replace('\\', "");
        let rows = chapter.lines().filter_map(|line| line.strip_prefix("| "));
        let rows = rows.filter(|row| !row.starts_with("key |") && !row.starts_with("command |"));
        let mut count = 0;
        for row in rows.map(|row| row.replace("\\|", "/")) {
            let cell = row.split(" | ").next().unwrap().replace('`', "");
            for term in cell.split(", ") {
                let term = term.split(' ').next().unwrap().replace('\\', "");
                assert!(section.contains(&term), "{title} of the manual has no {term}");
                count += 1;
            }
        }
        assert!(count > 10, "{title}");
    }
}

#[test]
fn manual_lists_every_config_key() {
    let manual = SMOLCHAT.manual().replace("\\-", "-").replace('\n', " ");
    let keys = manual.split("The keys are ").nth(1).unwrap().split(';').next().unwrap();
    for option in SMOLCHAT.options {
        let key = format!("\\fB{}\\fR", option.name);
        assert_eq!(keys.contains(&key), option.is_setting, "{}", option.name);
    }
}

#[test]
fn switch_can_be_turned_off_again() {
    assert!(args(&["--no-keep"]).unwrap().no_keep);
    assert!(!args(&["--no-keep", "--no-keep=off"]).unwrap().no_keep);
    assert!(args(&["--no-keep=perhaps"]).is_err());
}
