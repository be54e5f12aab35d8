//! A self-signed certificate, and the encodings of certificates and keys: DER and PEM.

use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

use crate::tls::base64;

// The tags of DER.
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const UTF8_STRING: u8 = 0x0C;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;

// Object identifiers, with tag and length.
const EC_PUBLIC_KEY: &[u8] = &[6, 7, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 2, 1];
const PRIME256V1: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[6, 3, 0x55, 0x1D, 0x11];

/// A certificate and its private key, in DER.
pub struct SelfSigned {
    pub certificate: Vec<u8>,
    /// The key, in PKCS #8.
    pub key: Vec<u8>,
}

impl SelfSigned {
    /// Creates a key of the curve P-256, and a certificate for it that is valid from 1970 to 9999:
    /// routers have no clock that runs without power. `names` are the names of the server.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no random bytes.
    pub fn create(names: &[&str]) -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random)
            .map_err(|_| Unspecified)?;
        let mut serial = [0; 16];
        random.fill(&mut serial)?;
        let body = certificate_body(serial, key.public_key().as_ref(), names);
        let signature = key.sign(&random, &body)?;
        let algorithm = element(SEQUENCE, &[ECDSA_WITH_SHA256]);
        let signature = bit_string(signature.as_ref());
        let certificate = element(SEQUENCE, &[&body, &algorithm, &signature]);
        Ok(SelfSigned { certificate, key: document.as_ref().to_vec() })
    }
}

/// Returns the part of a certificate that is signed.
fn certificate_body(mut serial: [u8; 16], public_key: &[u8], names: &[&str]) -> Vec<u8> {
    // Positive, and without a zero at its start.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x3F | 0x40;
    }
    let name = element(UTF8_STRING, &[b"smolchat"]);
    let name = element(SEQUENCE, &[COMMON_NAME, &name]);
    let name = element(SEQUENCE, &[&element(SET, &[&name])]);
    let from = element(UTC_TIME, &[b"700101000000Z"]);
    let to = element(GENERALIZED_TIME, &[b"99991231235959Z"]);
    let algorithm = element(SEQUENCE, &[EC_PUBLIC_KEY, PRIME256V1]);
    let mut alt_names =
        vec![element(IP_ADDRESS, &[&[127, 0, 0, 1]]), element(IP_ADDRESS, &[&[0; 15], &[1]])];
    alt_names.extend(names.iter().map(|name| element(DNS_NAME, &[name.as_bytes()])));
    let alt_names = element(SEQUENCE, &[&alt_names.concat()]);
    let extension = element(SEQUENCE, &[SUBJECT_ALT_NAME, &element(OCTET_STRING, &[&alt_names])]);
    let extensions = element(SEQUENCE, &[&extension]);
    element(
        SEQUENCE,
        &[
            // Version 3.
            &element(VERSION, &[&element(INTEGER, &[&[2]])]),
            &element(INTEGER, &[&serial]),
            &element(SEQUENCE, &[ECDSA_WITH_SHA256]),
            &name,
            &element(SEQUENCE, &[&from, &to]),
            &name,
            &element(SEQUENCE, &[&algorithm, &bit_string(public_key)]),
            &element(EXTENSIONS, &[&extensions]),
        ],
    )
}

/// Returns an element of at most 64 KiB.
fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let mut element = vec![tag];
    match length {
        0..0x80 => element.push(length as u8),
        0x80..0x100 => element.extend([0x81, length as u8]),
        _ => element.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    element.extend(content);
    element
}

fn bit_string(bytes: &[u8]) -> Vec<u8> {
    // No bit of the last byte is unused.
    element(BIT_STRING, &[&[0], bytes])
}

/// Returns DER as PEM.
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = base64(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, digit) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(digit);
    }
    pem + &format!("\n-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_has_the_shortest_length() {
        for (length, header) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
        ] {
            let element = element(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(element.split_at(header.len()).0, header);
            assert_eq!(element.len(), header.len() + length);
        }
    }
}
