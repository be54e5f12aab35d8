//! A bot that repeats what is said to it by `/msg`, to the one who said it.
//!
//! ```sh
//! cargo run --example echo -- 127.0.0.1:8080
//! ```
//!
//! It comes back by itself when the server goes away, under the name that it had.

use std::error::Error;

use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};
use smolchat::protocol::Body;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into()).parse()?;
    let config =
        SessionConfig { name: Some("echo".into()), keep: true, ..SessionConfig::default() };
    smol::block_on(async {
        let mut session = Session::connect(address, config, ReconnectPolicy::Always).await?;
        while let Some(event) = session.receive().await? {
            let SessionEvent::Received(received) = event else { continue };
            let frame = received.frame;
            let is_for_us = matches!(frame.body, Body::Private { .. });
            // What it tells others comes back to it, too.
            if is_for_us && frame.data_source != session.name() {
                session.send_private(&frame.data_source, &frame.data)?;
            }
        }
        Ok(())
    })
}
