//! The steps of a random run.

#[cfg(feature = "web")]
use super::websocket::web_step;
use super::*;

/// One step of a random run. The first field of most steps selects a client.
#[derive(Clone, Debug)]
pub enum Step {
    Connect,
    /// Sends a hello with the name of the client, and with the token of another one.
    Resume(u8, u8),
    Hello(u8),
    Say(u8, usize),
    Line(u8, &'static str),
    /// Sends so many invalid lines that the room closes the client.
    SendErrors(u8),
    SpeakTls(u8),
    /// Begins an HTTP request.
    #[cfg(feature = "web")]
    BeginRequest(u8),
    /// Completes an HTTP request.
    #[cfg(feature = "web")]
    EndRequest(u8),
    /// Completes a handshake.
    #[cfg(feature = "web")]
    Upgrade(u8),
    /// Closes a WebSocket.
    #[cfg(feature = "web")]
    CloseWebSocket(u8, DisconnectReason),
    /// The remote side reads everything that has arrived.
    Read(u8),
    /// The remote side closes its socket.
    Drop(u8),
    /// The connection task ends.
    EndTask(u8, DisconnectReason),
    Writable(u8),
    Advance(u64),
}

pub fn step() -> impl Strategy<Value = Step> {
    let reason = prop_oneof![
        Just(DisconnectReason::Finished),
        Just(DisconnectReason::Lost(ErrorKind::ConnectionReset)),
        Just(DisconnectReason::Panicked),
        Just(DisconnectReason::Away),
    ];
    prop_oneof![
        6 => Just(Step::Connect),
        4 => any::<u8>().prop_map(Step::Hello),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(id, old)| Step::Resume(id, old)),
        8 => (any::<u8>(), 1..1500usize).prop_map(|(id, length)| Step::Say(id, length)),
        3 => (any::<u8>(), prop::sample::select(&["/quit", "/nonsense", "/history", "/who", ""][..]))
            .prop_map(|(id, line)| Step::Line(id, line)),
        1 => any::<u8>().prop_map(Step::SendErrors),
        1 => any::<u8>().prop_map(Step::SpeakTls),
        3 => any::<u8>().prop_map(Step::Read),
        2 => any::<u8>().prop_map(Step::Drop),
        3 => (any::<u8>(), reason).prop_map(|(id, reason)| Step::EndTask(id, reason)),
        2 => any::<u8>().prop_map(Step::Writable),
        2 => (0..7000u64).prop_map(Step::Advance),
        1 => web_step(),
    ]
}

#[cfg(not(feature = "web"))]
fn web_step() -> impl Strategy<Value = Step> {
    Just(Step::Connect)
}
