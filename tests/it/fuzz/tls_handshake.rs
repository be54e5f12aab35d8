//! The handshake of a real client of TLS, with changed messages. The first byte of the input is the
//! length of the reads; each group of five bytes is a change of a message.

#[allow(clippy::duplicate_mod, dead_code, reason = "a target of its own")]
#[path = "tls_hello.rs"]
mod tls_hello;
#[allow(clippy::duplicate_mod, reason = "the tests have it, too; the fuzzer has only this one")]
#[path = "../common/tls_peer.rs"]
mod tls_peer;

use std::sync::Arc;

use smolchat::server::edge::tls::{Handshake, MAX_PLAIN_BYTES};
use tls_hello::certificate;
use tls_peer::TlsPeer;

pub fn run(input: &[u8]) {
    let Some((&length, changes)) = input.split_first() else { return };
    let (certificate, pem) = certificate();
    let mut peer = TlsPeer::new(pem, &[]);
    let mut handshake = Handshake::new(Arc::clone(certificate.config())).unwrap();
    peer.read(&[]).unwrap();
    let mut is_intact = true;
    for is_last in [false, true] {
        let mut flight = peer.take_outgoing();
        if is_last {
            peer.send(b"hello\n");
            flight.extend(peer.take_outgoing());
        }
        let intact = flight.clone();
        for change in changes.chunks_exact(5).filter(|change| (change[4] >= 128) == is_last) {
            apply(change, &mut flight);
        }
        is_intact &= flight == intact;
        let mut output = Vec::new();
        let mut bytes = &flight[..];
        let mut is_done = false;
        while !bytes.is_empty() && !is_done {
            let (part, rest) = bytes.split_at(bytes.len().min(usize::from(length) + 1));
            match handshake.read(part) {
                Ok(step) => {
                    output.extend(step.output);
                    is_done = step.is_done;
                }
                Err(failure) => {
                    assert!(!is_intact && !failure.cause.is_empty());
                    // The connection has ended.
                    assert!(handshake.read(rest).is_err());
                    return;
                }
            }
            bytes = rest;
        }
        if is_done {
            let established = handshake.finish().unwrap();
            let (mut opener, mut data) = (established.opener, established.rest);
            data.extend_from_slice(bytes);
            let opened = opener.open(&mut data);
            assert!(opened.data <= MAX_PLAIN_BYTES);
            assert!(!is_intact || &data[..opened.data] == b"hello\n");
            return;
        }
        if is_last {
            // Bytes behind the first message can make the server wait for more.
            return assert!(!is_intact, "an intact handshake is done");
        }
        let is_read = peer.read(&output).is_ok();
        assert!(!is_intact || is_read);
        // A client that finds the change ends here.
        if !is_read || peer.is_handshaking() {
            return;
        }
    }
}

fn apply(change: &[u8], bytes: &mut Vec<u8>) {
    let &[high, low, length, byte, kind] = change else { return };
    let at = usize::from(u16::from_be_bytes([high, low]));
    tls_peer::change_bytes(bytes, at, length.into(), byte, kind);
}
