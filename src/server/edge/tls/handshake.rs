//! The handshake of a connection: bytes of the client in, bytes for the client out.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, InsufficientSizeError};

use super::record::{FirstRecord, first_record};
use super::{Opener, Seal};

/// The most bytes of input of which the handshake still needs more. A first message with keys for a
/// quantum computer has 2 KiB.
const MAX_INPUT: usize = 8 * 1024;

/// The state of a handshake.
pub struct Handshake {
    connection: UnbufferedServerConnection,
    input: Vec<u8>,
    /// The bytes of `input` that rustls has seen: whole records. It must not see records behind the
    /// end of the handshake, because it would decrypt them.
    seen: usize,
    has_failed: bool,
}

/// The result of [`Handshake::read`].
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Bytes for the client.
    pub output: Vec<u8>,
    /// The handshake is done.
    pub is_done: bool,
}

/// An error that ends a handshake.
#[derive(Debug)]
pub struct HandshakeFailure {
    /// The alert for the client.
    pub output: Vec<u8>,
    /// The cause, for the log.
    pub cause: String,
}

/// The two halves of a connection.
#[derive(Debug)]
pub struct Established {
    /// The seal, until the broadcaster has it.
    pub seal: Option<Box<Seal>>,
    /// Boxed, so that a future can move it without a second place for it.
    pub opener: Box<Opener>,
    /// Bytes of the client behind the handshake, which arrived in the same read.
    pub rest: Vec<u8>,
}

/// The need of rustls.
enum Need {
    Again,
    Input,
    Nothing,
}

impl Handshake {
    /// Creates a handshake, or returns `None` if the configuration does not permit any.
    pub fn new(config: Arc<ServerConfig>) -> Option<Self> {
        let connection = UnbufferedServerConnection::new(config).ok()?;
        Some(Handshake { connection, input: Vec::new(), seen: 0, has_failed: false })
    }

    /// Reads the next bytes of the client.
    ///
    /// # Errors
    ///
    /// Returns an error if they are not those of a handshake that this server accepts, and for all
    /// later bytes.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Step, HandshakeFailure> {
        let mut step = Step::default();
        if self.has_failed {
            let cause = "the handshake has failed".into();
            return Err(HandshakeFailure { output: step.output, cause });
        }
        self.input.extend_from_slice(bytes);
        loop {
            let cause = match self.process(&mut step.output) {
                Ok(Need::Again) => continue,
                Ok(Need::Nothing) => {
                    step.is_done = true;
                    return Ok(step);
                }
                Ok(Need::Input) if self.see_record() => continue,
                Ok(Need::Input) if self.input.len() <= MAX_INPUT => return Ok(step),
                Ok(Need::Input) => format!("a message has more than {MAX_INPUT} bytes"),
                Err(error) => {
                    // The alert. No further call: rustls panics if it reads other bytes than at
                    // the error.
                    while self.connection.wants_write() {
                        let _ = self.process(&mut step.output);
                    }
                    error.to_string()
                }
            };
            self.has_failed = true;
            return Err(HandshakeFailure { output: step.output, cause });
        }
    }

    /// Splits the connection, whose handshake is done.
    pub fn finish(self) -> Option<Established> {
        let Handshake { connection, mut input, seen, .. } = self;
        let (secrets, kernel) = connection.dangerous_into_kernel_connection().ok()?;
        let seal = Seal::new(kernel.negotiated_cipher_suite(), secrets.tx)?;
        let opener = Opener::new(kernel, secrets.rx)?;
        let rest = input.split_off(seen.min(input.len()));
        Some(Established { seal: Some(Box::new(seal)), opener: Box::new(opener), rest })
    }

    /// Shows rustls one more record, and returns whether there is one. rustls rejects a record that
    /// is too long.
    fn see_record(&mut self) -> bool {
        let unseen = self.input.get(self.seen..).unwrap_or_default();
        match first_record(unseen) {
            FirstRecord::Partial => return false,
            FirstRecord::Whole(length) => self.seen += length,
            FirstRecord::TooLong => self.seen = self.input.len(),
        }
        true
    }

    fn process(&mut self, output: &mut Vec<u8>) -> Result<Need, rustls::Error> {
        let seen = self.input.get_mut(..self.seen).unwrap_or_default();
        let status = self.connection.process_tls_records(seen);
        let discard = status.discard;
        let need = match status.state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(|buffer| data.encode(buffer), output);
                Ok(Need::Again)
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(Need::Again)
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                Ok(Need::Input)
            }
            // The client has closed the connection during the handshake.
            Ok(_) => Err(rustls::Error::HandshakeNotComplete),
            Err(error) => Err(error),
        };
        if need.is_ok() {
            self.input.drain(..discard.min(self.seen));
            self.seen -= discard.min(self.seen);
        }
        match need {
            Ok(Need::Input) if !self.connection.is_handshaking() => Ok(Need::Nothing),
            need => need,
        }
    }
}

/// Appends bytes that `encode` writes to a buffer of the right size.
fn encode(mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>, output: &mut Vec<u8>) {
    let start = output.len();
    if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
        encode(&mut [])
    {
        output.resize(start + required_size, 0);
        let written = encode(output.get_mut(start..).unwrap_or_default()).unwrap_or(0);
        output.truncate(start + written);
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("seen", &self.seen).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{TestCertificate, TlsPeer};

    #[test]
    fn error_behind_a_message_in_its_record_gets_an_alert() {
        let certificate = TestCertificate::new("coalesced");
        let mut peer = TlsPeer::new(&certificate.pem, &[]);
        peer.read(&[]).unwrap();
        let hello = peer.take_outgoing();
        for behind in [&b"\x14\x00\x00\x00"[..], b"\xFF\x00\x00\x01\x00", &hello[5..]] {
            let message = [&hello[5..], behind].concat();
            let length = (message.len() as u16).to_be_bytes();
            let record = [&hello[..3], &length, &message].concat();
            for pieces in [vec![&record[..]], vec![&record[..hello.len()], &record[hello.len()..]]]
            {
                let mut handshake = certificate.handshake();
                let mut results = pieces.iter().map(|piece| handshake.read(piece));
                let failure = results.find_map(Result::err).expect("an error");
                assert!(failure.output.windows(2).any(|bytes| bytes == b"\x15\x03"), "{failure:?}");
                // The connection has ended; whatever follows is not read.
                assert!(handshake.read(&hello).unwrap_err().output.is_empty());
            }
        }
    }
}
