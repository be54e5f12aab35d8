//! Requests of browsers that the server has to tell apart.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpListener;
use std::thread;

use crate::common::browser::{Chromium, Tab, start_server, url};
use crate::common::websocket::{connect, parse_response, read_all};
use crate::common::{TestClient, TestServer};

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn socket_that_browser_opens_early_gets_no_welcome() {
    // Long enough for the first request of the browser.
    let server = TestServer::start(&["--hello-wait", "1000"]);
    let mut alice = server.join("alice");
    let tab = Chromium::start().open();
    tab.join(&server, "bob");
    alice.recv_kind("join");
    let mut early = connect(server.address(0));
    // A later connection of another address has got its welcome.
    let mut guest = TestClient::connect_from("127.0.0.2", 0, server.address(0)).unwrap();
    assert_eq!(guest.recv()["kind"], "welcome");
    early.set_nonblocking(true).unwrap();
    assert_eq!(early.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    early.set_nonblocking(false).unwrap();
    let host = server.address(0);
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAccept-Encoding: gzip\r\n\r\n");
    early.write_all(request.as_bytes()).unwrap();
    assert_eq!(parse_response(&read_all(&mut early)).status, 200);
    assert_eq!(alice.members().len(), 3, "alice, bob and the guest");
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn page_of_another_origin_cannot_join() {
    let server = start_server(&[]);
    let mut alice = server.join("alice");
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in other.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<p>x",
            );
        }
    });
    let tab = Chromium::start().open();
    // Another port of the same host is another origin, too.
    for host in ["chat.lan", "other.example"] {
        tab.navigate(&format!("http://{host}:{port}/"));
        let address = format!("{}ws", url(&server).replace("http", "ws"));
        let opened = tab.evaluate(&format!(
            "new Promise((resolve) => {{ const socket = new WebSocket('{address}'); socket.onopen \
             = () => resolve(true); socket.onerror = () => resolve(false); }})"
        ));
        assert_eq!(opened, false, "{host}");
    }
    let refused = tab.log().iter().filter(|entry| entry.contains("response code: 403")).count();
    assert_eq!(refused, 2, "{:?}", tab.log());
    assert_eq!(alice.members(), ["alice"]);
}

#[test]
#[ignore = "needs a browser, see `make test-web`"]
fn name_that_another_site_may_have_is_refused() {
    let server = start_server(&["--web-host", "chat.example"]);
    let tab = Chromium::start().open();
    tab.navigate(&url(&server).replace("chat.lan", "other.example"));
    let text = tab.evaluate("document.body.textContent");
    assert!(text.as_str().unwrap().contains("--web-host"), "{text}");
    tab.navigate(&url(&server).replace("chat.lan", "chat.example"));
    tab.fill_in_name("bob");
    tab.wait_until_live("bob");
}
