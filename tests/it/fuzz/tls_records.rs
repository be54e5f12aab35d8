//! The records of a client of TLS. Each byte of the input is a step: data, new keys, an end, or a
//! change of a byte.

#[allow(clippy::duplicate_mod, dead_code, reason = "a target of its own")]
#[path = "tls_hello.rs"]
mod tls_hello;
#[allow(clippy::duplicate_mod, reason = "the tests have it, too; the fuzzer has only this one")]
#[path = "../common/tls_peer.rs"]
mod tls_peer;

use std::sync::Arc;

use smolchat::server::edge::tls::{CLOSE_NOTIFY, Handshake, InputEnd, MAX_PLAIN_BYTES};
use tls_hello::certificate;
use tls_peer::TlsPeer;

pub fn run(input: &[u8]) {
    let (certificate, pem) = certificate();
    let mut peer = TlsPeer::new(pem, &[]);
    let mut handshake = Handshake::new(Arc::clone(certificate.config())).unwrap();
    peer.read(&[]).unwrap();
    let step = handshake.read(&peer.take_outgoing()).unwrap();
    peer.read(&step.output).unwrap();
    assert!(handshake.read(&peer.take_outgoing()).unwrap().is_done);
    let established = handshake.finish().unwrap();
    let (mut seal, mut opener) = (established.seal.unwrap(), established.opener);
    let mut bytes = established.rest;
    let mut sent = 0;
    let mut received = 0;
    let mut is_intact = true;
    let mut updates = 0;
    for (index, &step) in input.iter().enumerate() {
        match step {
            0..128 => {
                peer.send(&vec![step; 1 << (step % 16)]);
                sent += 1 << (step % 16);
            }
            // rustls accepts 32 answers in a row.
            128..160 if updates < 32 => {
                peer.update_keys();
                updates += 1;
            }
            128..160 => {}
            160..192 => {
                seal.seal(&[&vec![step; index.min(MAX_PLAIN_BYTES)]]);
            }
            192..224 => {
                peer.send(b"changed");
                sent += b"changed".len();
                is_intact = false;
            }
            224..240 => peer.close(),
            240.. => seal.end_with(CLOSE_NOTIFY),
        }
        bytes.extend(peer.take_outgoing());
        if matches!(step, 192..224)
            && let Some(byte) = bytes.get_mut(usize::from(step.saturating_sub(192)))
        {
            *byte ^= 1 << (index % 8);
        }
        let opened = opener.open(&mut bytes);
        received += opened.data;
        bytes.drain(..opened.used);
        if let Some(next) = opener.take_update() {
            seal.update(next);
        }
        seal.seal_last_alert();
        peer.read(seal.pending()).unwrap();
        seal.advance(usize::MAX);
        // The client of this target sends nothing behind the end of the server.
        if opener.end().is_some() || seal.is_ending() {
            break;
        }
    }
    assert!(received <= sent);
    if is_intact {
        assert_eq!(received, sent);
        assert!(matches!(opener.end(), None | Some(InputEnd::Closed)));
    }
}
