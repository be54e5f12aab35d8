//! A bot that sends each private line back to its author.
//!
//! ```sh
//! cargo run --example echo -- 127.0.0.1:8080
//! ```
//!
//! It reconnects when the connection is lost, and keeps its name.

use std::error::Error;

use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};
use smolchat::protocol::Body;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let config = SessionConfig::new("echo").keep_name(true);
    smol::block_on(async {
        let mut session = Session::connect(address, config, ReconnectPolicy::Always).await?;
        while let Some(event) = session.receive().await? {
            let SessionEvent::Received(received) = event else { continue };
            let frame = received.frame;
            let is_private = matches!(frame.body, Body::Private { .. });
            // The server also sends a copy of each private line to its sender.
            if is_private && frame.data_source != session.name() {
                session.send_private(&frame.data_source, &frame.data)?;
            }
        }
        Ok(())
    })
}
