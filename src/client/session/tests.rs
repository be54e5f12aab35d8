//! Runs a session against a socket whose other end the test writes to.

use std::net::TcpListener;

use futures_lite::{AsyncWriteExt, future};
use smol::Async;

use super::*;

const WELCOME: &str = r#"{"data_source":"server","data":"","kind":"welcome","name":"alice","epoch":"a","seq":7,"token":"t","resumed":false,"members":1,"limits":{"max_line":4096,"rate":10,"burst":40,"history":9,"stored":false}}
"#;

/// Lines that arrive after the welcome.
const LINES: &str = r#"{"data_source":"bob","data":"one","kind":"chat","seq":8,"time":1}
{"data_source":"bob","data":"two","kind":"chat","seq":11,"time":1}
"#;

#[test]
fn session_and_its_futures_are_send() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let connect = Session::connect("router", SessionConfig::default(), ReconnectPolicy::Never);
    drop(assert_send(connect));
    fn assert_receive_is_send(session: &mut Session) {
        drop(assert_send(session.receive()));
    }
    let _ = assert_receive_is_send;
}

#[test]
fn receive_dropped_at_any_byte_loses_no_event() {
    smol::block_on(async {
        let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
        let address = listener.get_ref().local_addr().unwrap().to_string();
        let connect = Session::connect(address, SessionConfig::default(), ReconnectPolicy::Never);
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(WELCOME.as_bytes()).await.unwrap();
            stream
        };
        let (session, mut stream) = future::zip(connect, serve).await;
        let mut session = session.unwrap();
        let mut events = Vec::new();
        for byte in LINES.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            // Polled once, and dropped.
            events.extend(future::poll_once(session.receive()).await);
        }
        while events.len() < 4 {
            events.push(session.receive().await);
        }
        let events: Vec<String> = events.into_iter().map(describe).collect();
        assert_eq!(events, ["frame", "frame 8", "gap 9-10", "frame 11"]);
    });
}

#[test]
fn bye_for_another_protocol_ends_the_session() {
    smol::block_on(async {
        for code in [
            "tls",
            "http",
            "proxy",
            "proxy-required",
            "ssh",
            "irc",
            "other-protocol",
            "unknown-code",
        ] {
            let listener = Async::<TcpListener>::bind(([127, 0, 0, 1], 0)).unwrap();
            let address = listener.get_ref().local_addr().unwrap().to_string();
            let connect =
                Session::connect(address, SessionConfig::default(), ReconnectPolicy::Always);
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let bye = format!(
                    r#"{{"data_source":"server","data":"no","kind":"bye","code":"{code}","seq":7}}"#
                );
                stream.write_all(format!("{WELCOME}{bye}\n").as_bytes()).await.unwrap();
                stream
            };
            let (session, _stream) = future::zip(connect, serve).await;
            let mut session = session.unwrap();
            for _ in ["welcome", "bye"] {
                session.receive().await.unwrap();
            }
            let error = session.receive().await.unwrap_err();
            assert!(matches!(error, Error::Closed(Some(text)) if text == "no"), "{code}");
        }
    });
}

#[test]
fn hello_without_welcome_ends_at_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    smol::block_on(async {
        let config = SessionConfig::default();
        let mut session = Session::new(address, config, ReconnectPolicy::Never);
        // The server sends lines and no welcome; none of them is kept.
        let (mut stream, _) = {
            while !matches!(session.state, State::Connected(_)) {
                poll_fn(|cx| session.poll_step(cx)).await;
            }
            listener.accept().unwrap()
        };
        std::io::Write::write_all(&mut stream, &LINES.as_bytes().repeat(100)).unwrap();
        for _ in 0..150 {
            poll_fn(|cx| session.poll_step(cx)).await;
        }
        assert!(session.events.is_empty());
        session.deadline = Some(Timer::after(std::time::Duration::ZERO));
        let error = session.receive().await.unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error:?}");
    });
}

#[test]
fn quit_without_bye_ends_at_deadline() {
    let config = SessionConfig::default();
    let mut session = Session::new("127.0.0.1:1", config, ReconnectPolicy::Always);
    session.is_quit_sent = true;
    session.on_deadline();
    assert!(matches!(smol::block_on(session.receive()), Ok(None)));
}

fn describe(event: Result<Option<SessionEvent>, Error>) -> String {
    match event.unwrap().unwrap() {
        SessionEvent::Received(received) => match received.frame.body.seq() {
            Some(seq) => format!("frame {seq}"),
            None => "frame".into(),
        },
        SessionEvent::Gap { from, to } => format!("gap {from}-{to}"),
        other => panic!("{other:?}"),
    }
}
