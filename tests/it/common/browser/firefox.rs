//! Firefox, driven over the socket of Marionette.

use std::cell::RefCell;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::Tab;
use crate::common::{ChildGuard, TempDir};

/// Resolves the name of the server to this machine, lets the system choose the port of Marionette,
/// and starts without pages and requests of its own.
const PREFERENCES: &str = r#"
user_pref("network.dns.localDomains", "chat.lan");
user_pref("marionette.port", 0);
user_pref("app.update.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
"#;

/// The time in which Firefox starts, and answers a command.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A Firefox without windows, with one tab.
pub struct Firefox {
    connection: RefCell<BufReader<TcpStream>>,
    // Is killed before its profile is removed.
    _process: ChildGuard,
    _profile: TempDir,
}

impl Firefox {
    #[track_caller]
    pub fn start() -> Self {
        let profile = TempDir::new();
        fs::write(profile.path("user.js"), PREFERENCES).unwrap();
        let mut command = Command::new("firefox-esr");
        command.args(["--headless", "--marionette", "--no-remote", "--profile"]);
        command.arg(profile.path("")).env("HOME", profile.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = ChildGuard(command.spawn().unwrap());
        let mut port = None;
        let deadline = std::time::Instant::now() + TIMEOUT;
        while port.is_none() && std::time::Instant::now() < deadline {
            let text = fs::read_to_string(profile.path("MarionetteActivePort"));
            port = text.ok().and_then(|text| text.trim().parse::<u16>().ok());
            std::thread::sleep(Duration::from_millis(20));
        }
        let stream =
            TcpStream::connect(("127.0.0.1", port.expect("a port of Marionette"))).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let connection = RefCell::new(BufReader::new(stream));
        let firefox = Firefox { connection, _process: process, _profile: profile };
        read_message(&mut *firefox.connection.borrow_mut());
        firefox.call("WebDriver:NewSession", json!({}));
        firefox
    }

    /// Sends a command, and returns the result.
    #[track_caller]
    fn call(&self, command: &str, params: Value) -> Value {
        let connection = &mut *self.connection.borrow_mut();
        let message = json!([0, 1, command, params]).to_string();
        connection.get_mut().write_all(format!("{}:{message}", message.len()).as_bytes()).unwrap();
        let mut answer = read_message(connection);
        assert!(answer[2].is_null(), "{command}: {answer}");
        answer[3].take()
    }
}

/// Reads a message, before which its length is written.
#[track_caller]
fn read_message(stream: &mut impl Read) -> Value {
    let mut length = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        match byte {
            [b':'] => break,
            [digit] => length.push(digit.into()),
        }
    }
    let mut message = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut message).unwrap();
    serde_json::from_slice(&message).unwrap()
}

impl Tab for Firefox {
    #[track_caller]
    fn navigate(&self, url: &str) {
        self.call("WebDriver:Navigate", json!({ "url": url }));
    }

    #[track_caller]
    fn reload(&self) {
        self.call("WebDriver:Refresh", json!({}));
    }

    #[track_caller]
    fn evaluate(&self, expression: &str) -> Value {
        let script = json!({ "script": format!("return ({expression})"), "args": [] });
        self.call("WebDriver:ExecuteScript", script)["value"].take()
    }

    #[track_caller]
    fn type_text(&self, text: &str) {
        let element = self.call("WebDriver:GetActiveElement", json!({}));
        let (_, id) = element["value"].as_object().unwrap().iter().next().unwrap();
        self.call("WebDriver:ElementSendKeys", json!({ "id": id, "text": text }));
    }

    #[track_caller]
    fn press_enter(&self) {
        self.type_text("\u{E007}");
    }
}
