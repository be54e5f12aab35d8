//! The events of the broadcaster.

use std::sync::Arc;

#[cfg(feature = "cluster")]
use crate::cluster::engine::EngineEvent;
use crate::protocol::ByeCode;
use crate::room::{ClientId, Input, Peer};
use crate::server::address_limits::AnswerCharge;
#[cfg(feature = "tls")]
use crate::server::edge::tls::TlsEvent;
#[cfg(feature = "web")]
use crate::server::edge::web::WebEvent;
use crate::server::listener::ListenerProtocol;
use crate::server::socket::Socket;

/// An event for the broadcaster.
#[derive(Debug)]
pub enum Event {
    /// From the accept loop: a client has connected. The broadcaster writes to it from now on.
    Connected {
        /// The number of the client, larger than any before.
        id: ClientId,
        /// The address, for the limits and the log.
        peer: Peer,
        /// The socket, which the connection task reads.
        socket: Arc<Socket>,
        /// The protocol of the listener.
        protocol: ListenerProtocol,
        /// The reason for which the client is refused, and its code.
        refusal: Option<(ByeCode, String)>,
    },
    /// From a connection task: an input for the room.
    Input {
        /// The lines or the end of one client.
        input: Input,
        /// Bytes read from the client since its last input.
        bytes: u32,
        /// Charges the answers to the lines.
        answer: Option<AnswerCharge>,
    },
    /// From a connection task: an event of HTTP or WebSocket.
    #[cfg(feature = "web")]
    Web {
        /// The number of the client.
        id: ClientId,
        /// The event.
        event: WebEvent,
    },
    /// From a connection task: an event of TLS.
    #[cfg(feature = "tls")]
    Tls {
        /// The number of the client.
        id: ClientId,
        /// The event.
        event: TlsEvent,
    },
    /// From the engine of the cluster: an event, or `None` if the engine has ended.
    #[cfg(feature = "cluster")]
    Engine(Option<Box<EngineEvent>>),
    /// From the server: write the statistics to the log.
    Report,
    /// From the server: read the bans again. Only the operators with these labels remain, or all.
    Reload(Option<Vec<Box<str>>>),
    /// From a task that waits for a socket: it is writable.
    Writable(ClientId),
    /// From the server: end all connections.
    Shutdown,
}
