//! Chromium, driven over the pipes of the DevTools protocol.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::{Value, json};

use super::Tab;
use crate::common::{ChildGuard, TIMEOUT, TempDir};

/// A Chromium without windows.
pub struct Chromium {
    connection: RefCell<Connection>,
    // Ends before its profile is removed.
    _process: ChildGuard,
    _profile: TempDir,
}

struct Connection {
    commands: ChildStdin,
    messages: Receiver<Value>,
    count: u64,
    /// Entries of the console, for example failed requests.
    log: Vec<String>,
}

impl Chromium {
    #[track_caller]
    pub fn start() -> Rc<Self> {
        Self::start_with(&[])
    }

    #[track_caller]
    pub fn start_with(options: &[&str]) -> Rc<Self> {
        let profile = TempDir::new();
        let mut shell = Command::new("sh");
        // Chromium reads commands from descriptor 3, and writes to 4. It has no sandbox as root.
        shell.args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#]);
        shell.args(["chromium-headless-shell", "--remote-debugging-pipe", "--no-sandbox"]);
        shell.args(["--host-resolver-rules=MAP * 127.0.0.1", "--hide-scrollbars"]);
        // Not in /dev/shm, which is small in some containers.
        shell.arg("--disable-dev-shm-usage");
        shell.arg(format!("--user-data-dir={}", profile.path("").display()));
        shell.args(options);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = ChildGuard(shell.spawn().unwrap());
        let commands = process.0.stdin.take().unwrap();
        let output = BufReader::new(process.0.stdout.take().unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            for message in output.split(0).map_while(Result::ok) {
                let _ = sender.send(serde_json::from_slice(&message).unwrap());
            }
        });
        let connection = RefCell::new(Connection { commands, messages, count: 0, log: Vec::new() });
        Rc::new(Chromium { connection, _process: process, _profile: profile })
    }

    /// Opens a tab with a storage of its own, as on another device.
    #[track_caller]
    pub fn open(self: &Rc<Self>) -> ChromiumTab {
        let context = self.call("", "Target.createBrowserContext", json!({}));
        ChromiumTab::open(self, context["browserContextId"].clone())
    }

    /// Sends a command to a tab, or to the browser, and returns the result.
    #[track_caller]
    fn call(&self, session: &str, method: &str, params: Value) -> Value {
        let connection = &mut *self.connection.borrow_mut();
        connection.count += 1;
        let mut command = json!({ "id": connection.count, "method": method, "params": params });
        if !session.is_empty() {
            command["sessionId"] = session.into();
        }
        connection.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        loop {
            let message = connection.messages.recv_timeout(TIMEOUT);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == connection.count {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            let entry = &message["params"]["entry"];
            assert_ne!(message["method"], "Runtime.exceptionThrown", "{message}");
            assert_ne!(entry["source"], "security", "{message}");
            connection.log.extend(entry["text"].as_str().map(str::to_owned));
        }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The child process is a script that starts Chromium, so Chromium is asked to end.
        let connection = self.connection.get_mut();
        let _ = connection.commands.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        while connection.messages.recv_timeout(TIMEOUT).is_ok() {}
    }
}

/// A tab of Chromium. Chromium ends when its last tab is dropped.
pub struct ChromiumTab {
    chromium: Rc<Chromium>,
    context: Value,
    session: String,
}

impl ChromiumTab {
    #[track_caller]
    fn open(chromium: &Rc<Chromium>, context: Value) -> Self {
        let target = json!({ "url": "about:blank", "browserContextId": context });
        let target = chromium.call("", "Target.createTarget", target);
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = chromium.call("", "Target.attachToTarget", attach);
        let session = session["sessionId"].as_str().unwrap().to_owned();
        let tab = ChromiumTab { chromium: Rc::clone(chromium), context, session };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    /// Opens another tab of the same person.
    #[track_caller]
    pub fn open_another(&self) -> Self {
        Self::open(&self.chromium, self.context.clone())
    }

    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.chromium.call(&self.session, method, params)
    }

    /// Returns the messages on the console so far, in all tabs.
    #[track_caller]
    pub fn log(&self) -> Vec<String> {
        self.evaluate("0");
        self.chromium.connection.borrow().log.clone()
    }

    /// Tells the page whether the user looks at it. Without a window, Chromium gives the focus to all
    /// tabs.
    #[track_caller]
    pub fn set_focused(&self, is_focused: bool) {
        let event = if is_focused { "focus" } else { "blur" };
        self.evaluate(&format!(
            "document.hasFocus = () => {is_focused}; window.dispatchEvent(new Event('{event}'))"
        ));
    }

    /// Sets the size in pixels of the page.
    #[track_caller]
    pub fn set_size(&self, width: u32, height: u32, is_phone: bool) {
        let scale = if is_phone { 1.5 } else { 1.0 };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone,
        });
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Emulation.setTouchEmulationEnabled", json!({ "enabled": is_phone }));
    }

    /// Sets the colours that the user prefers.
    #[track_caller]
    pub fn set_dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": value });
        self.call("Emulation.setEmulatedMedia", json!({ "features": [feature] }));
    }

    #[track_caller]
    pub fn set_offline(&self, is_offline: bool) {
        let conditions = json!({
            "offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1,
        });
        self.call("Network.emulateNetworkConditions", conditions);
    }

    /// Clicks in the middle of the element that an expression returns, or taps on it. Fails if
    /// another element is above it.
    #[track_caller]
    pub fn click(&self, element: &str, is_tap: bool) {
        self.wait_for(&format!("{element}?.offsetParent"));
        let middle = self.evaluate(&format!(
            "(() => {{ const element = {element}; const {{ x, y, width, height }} = \
             element.getBoundingClientRect(); const [left, top] = [x + width / 2, y + height / 2]; \
             return {{ x: left, y: top, isOnTop: element.contains(document.elementFromPoint(left, \
             top)) }}; }})()"
        ));
        assert_eq!(middle["isOnTop"], true, "{element} is not on top at {middle}");
        if is_tap {
            self.call(
                "Input.dispatchTouchEvent",
                json!({ "type": "touchStart", "touchPoints": [middle] }),
            );
            self.call("Input.dispatchTouchEvent", json!({ "type": "touchEnd", "touchPoints": [] }));
            return;
        }
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": middle["x"], "y": middle["y"], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Presses a key, which types `text`, with modifiers (8 is Shift).
    #[track_caller]
    pub fn press(&self, key: &str, code: u32, text: &str, modifiers: u32) {
        for kind in ["keyDown", "keyUp"] {
            let event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code,
                "text": if kind == "keyDown" { text } else { "" }, "modifiers": modifiers,
            });
            self.call("Input.dispatchKeyEvent", event);
        }
    }

    /// Writes a picture of the page as PNG.
    #[track_caller]
    pub fn write_picture(&self, path: &Path) {
        let picture = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        std::fs::write(path, decode_base64(picture["data"].as_str().unwrap())).unwrap();
    }
}

impl Tab for ChromiumTab {
    #[track_caller]
    fn navigate(&self, url: &str) {
        let result = self.call("Page.navigate", json!({ "url": url }));
        assert!(result["errorText"].is_null(), "{url}: {result}");
        self.wait_for("document.readyState === 'complete'");
    }

    #[track_caller]
    fn reload(&self) {
        self.evaluate("window.isOld = true");
        self.call("Page.reload", json!({}));
        self.wait_for("!window.isOld && document.readyState === 'complete'");
    }

    #[track_caller]
    fn evaluate(&self, expression: &str) -> Value {
        let params = json!({
            "expression": expression, "awaitPromise": true, "returnByValue": true,
            "userGesture": true,
        });
        let mut result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    #[track_caller]
    fn type_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    #[track_caller]
    fn press_enter(&self) {
        self.press("Enter", 13, "\r", 0);
    }
}

/// Decodes base64 without a check.
fn decode_base64(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let text = text.trim_end_matches('=').as_bytes();
    let decode = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0, |bits, &byte| bits << 6 | u32::from(digit(byte)));
        let bits = bits << (32 - 6 * chunk.len());
        bits.to_be_bytes()[..chunk.len() * 6 / 8].to_vec()
    };
    text.chunks(4).flat_map(decode).collect()
}
