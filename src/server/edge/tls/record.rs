//! The framing of records.

/// The most bytes of data in a record (RFC 8446, section 5.1).
pub const MAX_PLAIN_BYTES: usize = 16 * 1024;
/// The most bytes of a record: the header, the data, and the padding and the tag of any cipher
/// suite (RFC 8446, section 5.2).
pub const MAX_RECORD_BYTES: usize = HEADER_BYTES + MAX_PLAIN_BYTES + 256;
/// The bytes before the content of a record: a type, a version and a length.
pub const HEADER_BYTES: usize = 5;

/// The content types.
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const APPLICATION_DATA: u8 = 23;

/// The level of an alert that ends the connection.
const FATAL: u8 = 2;

/// The descriptions of alerts.
pub const CLOSE_NOTIFY: u8 = 0;
pub const UNEXPECTED_MESSAGE: u8 = 10;
pub const BAD_RECORD_MAC: u8 = 20;
pub const RECORD_OVERFLOW: u8 = 22;
pub const ACCESS_DENIED: u8 = 49;
pub const DECODE_ERROR: u8 = 50;
pub const INTERNAL_ERROR: u8 = 80;
pub const USER_CANCELED: u8 = 90;

/// Returns the record of an alert before the handshake, which is not encrypted.
pub fn plain_alert(description: u8) -> [u8; 7] {
    [ALERT, 3, 3, 0, 2, FATAL, description]
}

/// The first record in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstRecord {
    /// The bytes contain only a part of it.
    Partial,
    /// A record of this many bytes, with its header.
    Whole(usize),
    /// The record is longer than records may be.
    TooLong,
}

/// Finds the end of the first record in `bytes`.
pub fn first_record(bytes: &[u8]) -> FirstRecord {
    let [_, _, _, high, low, ..] = *bytes else { return FirstRecord::Partial };
    let length = HEADER_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_RECORD_BYTES {
        FirstRecord::TooLong
    } else if length > bytes.len() {
        FirstRecord::Partial
    } else {
        FirstRecord::Whole(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_ends_after_its_length() {
        let mut bytes = vec![0x17, 3, 3, 0, 2, b'a'];
        for length in 0..bytes.len() {
            assert_eq!(first_record(&bytes[..length]), FirstRecord::Partial);
        }
        bytes.push(b'b');
        assert_eq!(first_record(&bytes), FirstRecord::Whole(7));
        bytes.push(0x17);
        assert_eq!(first_record(&bytes), FirstRecord::Whole(7));
    }

    #[test]
    fn record_over_the_limit_is_too_long() {
        assert_eq!(first_record(&[0x17, 3, 3, 0x41, 0]), FirstRecord::Partial);
        assert_eq!(first_record(&[0x17, 3, 3, 0x41, 1]), FirstRecord::TooLong);
        assert_eq!(first_record(&[0x17, 3, 3, 0xFF, 0xFF]), FirstRecord::TooLong);
    }
}
