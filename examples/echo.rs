//! A bot that sends each private message (`/msg`) back to its sender.
//!
//! ```sh
//! cargo run --example echo -- 127.0.0.1:8080
//! ```
//!
//! When the connection is lost, it reconnects under the same name.

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
            let is_private = matches!(frame.body, Body::Private { .. });
            // The server sends a copy of a private message to its sender, too.
            if is_private && frame.data_source != session.name() {
                session.tell(&frame.data_source, &frame.data)?;
            }
        }
        Ok(())
    })
}
