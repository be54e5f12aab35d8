//! Browsers as child processes, and the page of the server in one of their tabs.
//!
//! All names are resolved to this machine, so that pages have origins that are not a secure
//! context, as in a local network.

mod chromium;
mod firefox;

pub use chromium::{Chromium, ChromiumTab};
pub use firefox::Firefox;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{TestServer, wait_until};

/// Starts a server that waits for the first request of a browser on a loaded machine.
#[track_caller]
pub fn start_server(options: &[&str]) -> TestServer {
    TestServer::start(&[&["--hello-wait", "10000"], options].concat())
}

/// Returns the URL of the page, under a name of a local network.
pub fn url(server: &TestServer) -> String {
    let (_, port) = server.address(0).rsplit_once(':').unwrap();
    format!("http://chat.lan:{port}/")
}

/// Returns the path of a tool that `tests/web.sh` has installed.
pub fn tool(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/web").join(path)
}

/// Rows of messages, without those of the server.
const ROWS: &str = "[...document.querySelectorAll('#log .row:not(.note) .text')]";

/// A tab of a browser, with what a user does on the page.
pub trait Tab {
    /// Opens a URL, and waits until it is loaded.
    fn navigate(&self, url: &str);

    /// Loads the page anew.
    fn reload(&self);

    /// Returns the value of an expression, or that of its promise.
    fn evaluate(&self, expression: &str) -> Value;

    /// Types into the element that has the focus.
    fn type_text(&self, text: &str);

    fn press_enter(&self);

    /// Waits until an expression is true.
    #[track_caller]
    fn wait_for(&self, condition: &str) {
        wait_until(condition, || self.evaluate(&format!("Boolean({condition})")) == true);
    }

    /// Waits until an element is shown, and gives it the focus.
    #[track_caller]
    fn focus(&self, id: &str) {
        let element = format!("document.getElementById('{id}')");
        self.wait_for(&format!("{element}?.offsetParent"));
        self.evaluate(&format!("{element}.focus()"));
    }

    /// Opens the page and joins.
    #[track_caller]
    fn join(&self, server: &TestServer, name: &str) {
        self.navigate(&url(server));
        self.fill_in_name(name);
        self.wait_until_live(name);
    }

    /// Fills in the form of the name and sends it.
    #[track_caller]
    fn fill_in_name(&self, name: &str) {
        self.focus("name");
        self.evaluate("document.getElementById('name').select()");
        self.type_text(name);
        self.press_enter();
    }

    /// Waits until the page is in the room under this name.
    #[track_caller]
    fn wait_until_live(&self, name: &str) {
        self.wait_for(&format!(
            "document.getElementById('message')?.offsetParent \
             && document.getElementById('status').textContent === '' \
             && [...document.querySelectorAll('#names li')].some((row) => row.textContent === '{name}')"
        ));
    }

    /// Types a message and sends it.
    #[track_caller]
    fn say(&self, text: &str) {
        self.focus("message");
        self.type_text(text);
        self.press_enter();
    }

    /// Returns the texts of all messages that are shown, without those that wait.
    #[track_caller]
    fn texts(&self) -> Vec<String> {
        let texts = self.evaluate(&format!("{ROWS}.map((row) => row.textContent)"));
        serde_json::from_value(texts).unwrap()
    }

    /// Waits until a message is shown.
    #[track_caller]
    fn wait_for_text(&self, text: &str) {
        let text = Value::from(text);
        self.wait_for(&format!("{ROWS}.some((row) => row.textContent === {text})"));
    }

    /// Waits until the text of an element contains a part.
    #[track_caller]
    fn wait_for_part(&self, id: &str, part: &str) {
        let part = Value::from(part);
        self.wait_for(&format!("document.getElementById('{id}').textContent.includes({part})"));
    }
}
