//! Runs a client against a socket whose other end the test writes to.

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use super::*;
use crate::app::output::StandardOutput;
use crate::client::{ReconnectPolicy, SessionConfig};

const WELCOME: &str = r#"{"data_source":"server","data":"","kind":"welcome","name":"alice","epoch":"a","seq":7,"token":"t","resumed":false,"members":1,"limits":{"max_line":4096,"rate":10,"burst":40,"history":9,"stored":false}}
{"data_source":"server","data":"","kind":"info","id":"heartbeat"}
"#;

#[test]
fn server_that_answers_no_line_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // The server sends a notice all the time, so that the connection is not idle.
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(WELCOME.as_bytes()).unwrap();
        let notice = b"{\"data_source\":\"server\",\"data\":\"\",\"kind\":\"info\"}\n";
        while stream.write_all(notice).is_ok() {}
    });
    let (sender, lines) = async_channel::unbounded();
    sender.try_send(Ok(b"one".to_vec())).unwrap();
    sender.try_send(Ok(b"two".to_vec())).unwrap();
    drop(sender);
    let result = smol::block_on(async {
        let config = SessionConfig::new("alice");
        let session = Session::connect(address, config, ReconnectPolicy::Never).await.unwrap();
        let sink = EventSink::Answers { is_json: false, output: StandardOutput::start() };
        let client = LineClient::new(session, sink, EndSignals::new().unwrap());
        client.with_answer_timeout(Duration::from_millis(100)).run(lines).await
    });
    assert!(matches!(result, Err(Error::Unanswered(2))), "{result:?}");
    server.join().unwrap();
}
