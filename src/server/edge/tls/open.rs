//! The decryption of the bytes from a client.

use std::fmt;

use rustls::crypto::cipher::{InboundOpaqueMessage, MessageDecrypter};
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ContentType, Error, ProtocolVersion, SupportedCipherSuite};

use super::Seal;
use super::provider::key_and_iv;
use super::record::{
    ALERT, APPLICATION_DATA, BAD_RECORD_MAC, CLOSE_NOTIFY, DECODE_ERROR, FirstRecord, HANDSHAKE,
    HEADER_BYTES, INTERNAL_ERROR, RECORD_OVERFLOW, UNEXPECTED_MESSAGE, USER_CANCELED, first_record,
};

/// The key for the records of a client, and the secrets from which later keys come.
pub struct Opener {
    decrypter: Box<dyn MessageDecrypter>,
    /// Records under this key.
    records: u64,
    kernel: KernelConnection<ServerConnectionData>,
    /// The client asked for new keys of the server.
    is_update_requested: bool,
    end: Option<InputEnd>,
}

/// The end of the records of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputEnd {
    /// The client sends no more data.
    Closed,
    /// The client reported an error.
    Aborted,
    /// A record is invalid. The client is sent an alert with this code.
    Failed(u8),
}

/// The result of [`Opener::open`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenedRecords {
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
    pub fn open(&mut self, bytes: &mut [u8]) -> OpenedRecords {
        let mut opened = OpenedRecords::default();
        while self.end.is_none() {
            let rest = bytes.get(opened.used..).unwrap_or_default();
            let length = match first_record(rest) {
                FirstRecord::Partial => break,
                FirstRecord::Whole(length) => length,
                FirstRecord::TooLong => {
                    self.end = Some(InputEnd::Failed(RECORD_OVERFLOW));
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
    pub fn end(&self) -> Option<InputEnd> {
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
            self.end = Some(InputEnd::Failed(INTERNAL_ERROR));
        }
        seal
    }

    /// Decrypts a record, whose data is then behind its header. Returns the number of bytes of data.
    fn open_record(&mut self, record: &mut [u8]) -> Result<usize, InputEnd> {
        let Some((&mut [kind, ..], payload)) = record.split_first_chunk_mut::<HEADER_BYTES>()
        else {
            return Err(InputEnd::Failed(DECODE_ERROR));
        };
        if kind != APPLICATION_DATA {
            return Err(InputEnd::Failed(UNEXPECTED_MESSAGE));
        }
        let message = InboundOpaqueMessage::new(
            ContentType::ApplicationData,
            ProtocolVersion::TLSv1_2,
            payload,
        );
        let plain = self.decrypter.decrypt(message, self.records);
        let plain = plain.map_err(|error| {
            InputEnd::Failed(match error {
                Error::DecryptError => BAD_RECORD_MAC,
                Error::PeerSentOversizedRecord => RECORD_OVERFLOW,
                // It has no content type.
                _ => UNEXPECTED_MESSAGE,
            })
        })?;
        self.records += 1;
        let (kind, content) = (u8::from(plain.typ), plain.payload);
        match (kind, content) {
            (APPLICATION_DATA, data) => return Ok(data.len()),
            (HANDSHAKE, &[24, 0, 0, 1, request @ (0 | 1)]) => {
                self.is_update_requested |= request == 1;
                self.update()?;
            }
            (ALERT, [_, CLOSE_NOTIFY]) => return Err(InputEnd::Closed),
            (ALERT, [_, USER_CANCELED]) => {}
            (ALERT, [_, _]) => return Err(InputEnd::Aborted),
            (ALERT, _) => return Err(InputEnd::Failed(DECODE_ERROR)),
            _ => return Err(InputEnd::Failed(UNEXPECTED_MESSAGE)),
        }
        Ok(0)
    }

    /// Takes the next key of the client.
    fn update(&mut self) -> Result<(), InputEnd> {
        let suite = self.kernel.negotiated_cipher_suite();
        let next = self.kernel.update_rx_secret().ok();
        let next = next.and_then(|(records, secrets)| Some((decrypter(suite, secrets)?, records)));
        (self.decrypter, self.records) = next.ok_or(InputEnd::Failed(INTERNAL_ERROR))?;
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
    let (key, iv) = key_and_iv(secrets)?;
    Some(suite.tls13()?.aead_alg.decrypter(key, iv))
}

#[cfg(test)]
mod tests {
    use rustls::crypto::cipher::{AeadKey, Iv};
    use rustls::crypto::ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256 as SUITE;

    use super::super::record::MAX_PLAIN_BYTES;
    use super::super::tests::TestCertificate;
    use super::*;

    fn secrets() -> ConnectionTrafficSecrets {
        let (key, iv) = (AeadKey::from([7; 32]), Iv::from([7; 12]));
        ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }
    }

    #[test]
    fn data_over_the_limit_has_its_alert() {
        let certificate = TestCertificate::new("oversized");
        for (bytes, expected) in [
            (MAX_PLAIN_BYTES, None),
            (MAX_PLAIN_BYTES + 1, Some(InputEnd::Failed(RECORD_OVERFLOW))),
        ] {
            let (_, _, mut opener, _) = certificate.connect(&[], b"");
            (opener.decrypter, opener.records) = (decrypter(SUITE, secrets()).unwrap(), 0);
            let mut seal = Seal::new(SUITE, (0, secrets())).unwrap();
            assert!(seal.seal(&[&vec![0; bytes]]));
            opener.open(&mut seal.pending().to_vec());
            assert_eq!(opener.end(), expected, "{bytes}");
        }
    }
}
