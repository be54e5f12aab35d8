//! The encryption of the bytes for a client.

use std::fmt;

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::record::{ALERT, APPLICATION_DATA, HANDSHAKE, MAX_RECORD_BYTES};

/// The records after which a client has to reconnect: half of those that one key of AES-GCM may
/// encrypt (RFC 8446, section 5.5).
pub const MAX_RECORDS: u64 = 1 << 23;
/// The most bytes of records that may wait when an update of the keys is added.
const MAX_UPDATE_BYTES: usize = MAX_RECORD_BYTES + 1024;
/// A message that tells of new keys, and asks for none.
const KEY_UPDATE: &[u8] = &[24, 0, 0, 1, 0];

/// The key for the records to a client, and the record that the socket has not taken.
///
/// The data of that record counts as sent: once it is begun, a record is sent to its end.
pub struct Seal {
    encrypter: Box<dyn MessageEncrypter>,
    /// Records under this key.
    records: u64,
    /// The bytes of records, of which the first `sent` are sent.
    pending: Vec<u8>,
    sent: usize,
    /// The connection ends: an alert follows the last data.
    is_ending: bool,
    /// The description of that alert, until it is encrypted.
    last_alert: Option<u8>,
}

impl Seal {
    /// Creates a seal from the secrets of rustls, if it has a key for them.
    pub fn new(
        suite: SupportedCipherSuite,
        (records, secrets): (u64, ConnectionTrafficSecrets),
    ) -> Option<Self> {
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
        else {
            return None;
        };
        let encrypter = suite.tls13()?.aead_alg.encrypter(key, iv);
        Some(Seal {
            encrypter,
            records,
            pending: Vec::new(),
            sent: 0,
            is_ending: false,
            last_alert: None,
        })
    }

    /// Encrypts data as one record, behind those that wait. The data has at most
    /// [`MAX_PLAIN_BYTES`](super::MAX_PLAIN_BYTES). Returns `false` if the key can encrypt no more.
    pub fn seal(&mut self, data: &[&[u8]]) -> bool {
        self.add(APPLICATION_DATA, data)
    }

    /// Returns whether the client has to reconnect, because the key has encrypted nearly as much as
    /// it may.
    pub fn is_used_up(&self) -> bool {
        self.records >= MAX_RECORDS
    }

    /// Sets the alert that follows the last data, unless there is one.
    pub fn end_with(&mut self, alert: u8) {
        if !std::mem::replace(&mut self.is_ending, true) {
            self.last_alert = Some(alert);
        }
    }

    /// Returns whether an alert ends the connection.
    pub fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Encrypts the last alert, if the connection ends and the alert is not encrypted yet. Returns
    /// whether it did.
    pub fn seal_last_alert(&mut self) -> bool {
        match self.last_alert.take() {
            // A warning for the end, otherwise a fatal alert.
            Some(alert) => self.add(ALERT, &[&[if alert == 0 { 1 } else { 2 }, alert]]),
            None => false,
        }
    }

    /// Tells the client of new keys, and uses those of `next` from now on. Returns `false` if the
    /// client has not read earlier updates.
    pub fn update(&mut self, next: Seal) -> bool {
        if self.pending.len() - self.sent > MAX_UPDATE_BYTES || !self.add(HANDSHAKE, &[KEY_UPDATE])
        {
            return false;
        }
        (self.encrypter, self.records) = (next.encrypter, next.records);
        true
    }

    /// Returns the bytes that wait for the socket.
    pub fn pending(&self) -> &[u8] {
        self.pending.get(self.sent..).unwrap_or_default()
    }

    /// Removes the first `count` bytes that wait, which have been sent.
    pub fn advance(&mut self, count: usize) {
        self.sent = self.sent.saturating_add(count);
        if self.sent >= self.pending.len() {
            // Returns the memory.
            self.pending = Vec::new();
            self.sent = 0;
        }
    }

    fn add(&mut self, kind: u8, data: &[&[u8]]) -> bool {
        let message = OutboundPlainMessage {
            typ: ContentType::from(kind),
            version: ProtocolVersion::TLSv1_2,
            payload: OutboundChunks::new(data),
        };
        let Ok(record) = self.encrypter.encrypt(message, self.records) else { return false };
        self.records += 1;
        let record = record.encode();
        if self.pending.is_empty() {
            self.pending = record;
        } else {
            self.pending.extend_from_slice(&record);
        }
        true
    }

    /// Sets the number of records under this key.
    #[cfg(test)]
    pub fn set_records(&mut self, records: u64) {
        self.records = records;
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret must not be written to a log.
        f.debug_struct("Seal").field("records", &self.records).finish_non_exhaustive()
    }
}
