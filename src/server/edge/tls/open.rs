//! The decryption of the bytes from a client.

use std::fmt;

use rustls::crypto::cipher::{InboundOpaqueMessage, MessageDecrypter};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::Seal;
use super::record::{
    ALERT, APPLICATION_DATA, BAD_RECORD_MAC, CLOSE_NOTIFY, DECODE_ERROR, FirstRecord, HANDSHAKE,
    HEADER_BYTES, INTERNAL_ERROR, MAX_PLAIN_BYTES, RECORD_OVERFLOW, UNEXPECTED_MESSAGE,
    USER_CANCELED, first_record,
};

/// The key for the records of a client, and the secrets from which later keys come.
pub struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    /// Records under this key.
    records: u64,
    kernel: KernelConnection<ServerConnectionData>,
    /// The client asked for new keys of the server.
    is_update_requested: bool,
    end: Option<End>,
}

/// The end of the records of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client sends no more data.
    Closed,
    /// The client reported an error.
    Aborted,
    /// A record is invalid. The client is sent an alert with this code.
    Failed(u8),
}

/// The result of [`Opener::open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of data, which are at the start of the buffer.
    pub data: usize,
    /// Bytes of records. The bytes behind them are a part of a record.
    pub used: usize,
    /// Records without data.
    pub empty_records: usize,
}

impl Opener {
    /// Creates an opener from the secrets of rustls, if it has a key for them.
    pub(super) fn new(
        kernel: KernelConnection<ServerConnectionData>,
        (records, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Option<Self> {
        let decrypter = decrypter(kernel.negotiated_cipher_suite(), secrets)?;
        Some(Opener { decrypter, records, kernel, is_update_requested: false, end: None })
    }

    /// Decrypts all whole records in `bytes`, and moves their data to the start of `bytes`.
    pub fn open(&mut self, bytes: &mut [u8]) -> Opened {
        let mut opened = Opened::default();
        while self.end.is_none() {
            let rest = bytes.get(opened.used..).unwrap_or_default();
            let length = match first_record(rest) {
                FirstRecord::Partial => break,
                FirstRecord::Whole(length) => length,
                FirstRecord::TooLong => {
                    self.end = Some(End::Failed(RECORD_OVERFLOW));
                    break;
                }
            };
            let start = opened.used + HEADER_BYTES;
            let end = opened.used + length;
            opened.used = end;
            match self.open_record(bytes.get_mut(start - HEADER_BYTES..end).unwrap_or_default()) {
                Ok(0) => opened.empty_records += 1,
                Ok(count) => {
                    bytes.copy_within(start..start + count, opened.data);
                    opened.data += count;
                }
                Err(end) => self.end = Some(end),
            }
        }
        opened
    }

    /// Returns how the records have ended, if they have.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Returns the next keys of the server, if the client has asked for them. Several requests are
    /// answered once (RFC 8446, section 4.6.3).
    pub fn take_update(&mut self) -> Option<Seal> {
        if !std::mem::take(&mut self.is_update_requested) {
            return None;
        }
        let seal = self
            .kernel
            .update_tx_secret()
            .ok()
            .and_then(|secrets| Seal::new(self.kernel.negotiated_cipher_suite(), secrets));
        if seal.is_none() {
            self.end = Some(End::Failed(INTERNAL_ERROR));
        }
        seal
    }

    /// Decrypts a record, whose data is then behind its header. Returns the number of bytes of data.
    fn open_record(&mut self, record: &mut [u8]) -> Result<usize, End> {
        let Some((&mut [kind, ..], payload)) = record.split_first_chunk_mut::<HEADER_BYTES>()
        else {
            return Err(End::Failed(DECODE_ERROR));
        };
        if kind != APPLICATION_DATA {
            return Err(End::Failed(UNEXPECTED_MESSAGE));
        }
        let message = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            payload,
        );
        let plain = self.decrypter.decrypt(message, self.records);
        let plain = plain.map_err(|_| End::Failed(BAD_RECORD_MAC))?;
        self.records += 1;
        let (kind, content) = (u8::from(plain.typ), plain.payload);
        if content.len() > MAX_PLAIN_BYTES {
            return Err(End::Failed(RECORD_OVERFLOW));
        }
        match (kind, content) {
            (APPLICATION_DATA, data) => return Ok(data.len()),
            (HANDSHAKE, &[24, 0, 0, 1, request @ (0 | 1)]) => {
                self.is_update_requested |= request == 1;
                self.update()?;
            }
            (ALERT, [_, CLOSE_NOTIFY]) => return Err(End::Closed),
            (ALERT, [_, USER_CANCELED]) => {}
            (ALERT, [_, _]) => return Err(End::Aborted),
            (ALERT, _) => return Err(End::Failed(DECODE_ERROR)),
            _ => return Err(End::Failed(UNEXPECTED_MESSAGE)),
        }
        Ok(0)
    }

    /// Takes the next key of the client.
    fn update(&mut self) -> Result<(), End> {
        let suite = self.kernel.negotiated_cipher_suite();
        let next = self.kernel.update_rx_secret().ok();
        let next = next.and_then(|(records, secrets)| Some((decrypter(suite, secrets)?, records)));
        (self.decrypter, self.records) = next.ok_or(End::Failed(INTERNAL_ERROR))?;
        Ok(())
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret must not be written to a log.
        f.debug_struct("Opener").field("records", &self.records).finish_non_exhaustive()
    }
}

fn decrypter(
    suite: SupportedCipherSuite,
    secrets: ConnectionTrafficSecrets,
) -> Option<Box<dyn MessageDecrypter>> {
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        return None;
    };
    Some(suite.tls13()?.aead_alg.decrypter(key, iv))
}
