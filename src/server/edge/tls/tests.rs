//! Handshakes and records without a socket.

#[path = "../../../../tests/it/common/tls_peer.rs"]
mod tls_peer;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::CipherSuite;

use super::record::{BAD_RECORD_MAC, RECORD_OVERFLOW, UNEXPECTED_MESSAGE};
use super::*;
pub use tls_peer::TlsPeer;
use tls_peer::change_bytes;

/// The certificate of a test in a folder of its own.
pub struct TestCertificate {
    path: PathBuf,
    pub(super) pem: Vec<u8>,
    certificate: Certificate,
}

impl TestCertificate {
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smolchat-{name}-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tls.pem");
        let certificate = Certificate::open(&path, None).unwrap();
        TestCertificate { pem: fs::read(&path).unwrap(), path, certificate }
    }

    pub(super) fn handshake(&self) -> Handshake {
        Handshake::new(Arc::clone(self.certificate.config())).unwrap()
    }

    /// Returns a client whose handshake is done, and the server's side. The client sends `early` in
    /// the flight of its last message.
    pub fn connect(
        &self,
        suites: &[CipherSuite],
        early: &[u8],
    ) -> (TlsPeer, Seal, Box<Opener>, Vec<u8>) {
        let mut peer = TlsPeer::new(&self.pem, suites);
        let mut handshake = self.handshake();
        peer.read(&[]).unwrap();
        let step = handshake.read(&peer.take_outgoing()).unwrap();
        assert!(!step.is_done);
        peer.read(&step.output).unwrap();
        if !early.is_empty() {
            peer.send(early);
        }
        let step = handshake.read(&peer.take_outgoing()).unwrap();
        assert_eq!(step, HandshakeStep { output: Vec::new(), is_done: true });
        let Established { seal, opener, rest } = handshake.finish().unwrap();
        (peer, *seal.unwrap(), opener, rest)
    }
}

impl Drop for TestCertificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.path.parent().unwrap());
    }
}

/// Returns the data of whole records.
fn open(opener: &mut Opener, mut bytes: Vec<u8>) -> Vec<u8> {
    let opened = opener.open(&mut bytes);
    assert_eq!(opened.used, bytes.len());
    bytes.truncate(opened.data);
    bytes
}

fn take_pending(seal: &mut Seal) -> Vec<u8> {
    let bytes = seal.pending().to_vec();
    seal.advance(bytes.len());
    bytes
}

#[test]
fn each_cipher_suite_carries_data_both_ways() {
    let certificate = TestCertificate::new("suites");
    for suite in
        [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256]
    {
        let (mut peer, mut seal, mut opener, rest) = certificate.connect(&[suite], b"");
        assert_eq!(rest, b"");
        peer.send(b"hello");
        peer.send(&vec![b'x'; 20_000]);
        let data = open(&mut opener, peer.take_outgoing());
        assert_eq!((data.len(), &data[..6]), (20_005, &b"hellox"[..]));
        assert!(seal.seal(&[b"good", b" day"]));
        peer.read(&take_pending(&mut seal)).unwrap();
        assert_eq!(peer.data, b"good day");
    }
}

#[test]
fn data_behind_the_handshake_is_not_lost() {
    let certificate = TestCertificate::new("early");
    let (_, _, mut opener, rest) = certificate.connect(&[], b"hello\n");
    assert_eq!(open(&mut opener, rest), b"hello\n");
}

#[test]
fn handshake_in_single_bytes_is_done() {
    let certificate = TestCertificate::new("pieces");
    let mut peer = TlsPeer::new(&certificate.pem, &[]);
    let mut handshake = certificate.handshake();
    peer.read(&[]).unwrap();
    let mut is_done = false;
    while !is_done {
        let bytes = peer.take_outgoing();
        assert!(!bytes.is_empty());
        for byte in bytes {
            let step = handshake.read(&[byte]).unwrap();
            is_done = step.is_done;
            peer.read(&step.output).unwrap();
        }
    }
    // Records in pieces.
    let mut opener = handshake.finish().unwrap().opener;
    peer.send(b"hello");
    let bytes = peer.take_outgoing();
    for end in 0..bytes.len() {
        assert_eq!(opener.open(&mut bytes[..end].to_vec()), OpenedRecords::default());
    }
    assert_eq!(open(&mut opener, bytes), b"hello");
}

#[test]
fn keys_are_updated_both_ways() {
    let certificate = TestCertificate::new("update");
    let (mut peer, mut seal, mut opener, _) = certificate.connect(&[], b"");
    for round in 0..3 {
        peer.update_keys();
        peer.update_keys();
        peer.send(b"new key");
        assert_eq!(open(&mut opener, peer.take_outgoing()), b"new key", "{round}");
        // Two requests have one answer.
        let next = opener.take_update().unwrap();
        assert!(opener.take_update().is_none());
        assert!(seal.seal(&[b"old key, "]) && seal.update(next) && seal.seal(&[b"new key"]));
        peer.read(&take_pending(&mut seal)).unwrap();
        assert_eq!(std::mem::take(&mut peer.data), b"old key, new key");
    }
}

#[test]
fn updates_that_are_not_read_are_bounded() {
    let certificate = TestCertificate::new("unread");
    let (mut peer, mut seal, mut opener, _) = certificate.connect(&[], b"");
    let mut updates = 0;
    loop {
        peer.update_keys();
        open(&mut opener, peer.take_outgoing());
        if !seal.update(opener.take_update().unwrap()) {
            break;
        }
        updates += 1;
    }
    assert!(updates > 100);
    assert!(seal.pending().len() < MAX_RECORD_BYTES + 2048);
}

#[test]
fn close_notify_ends_the_data() {
    let certificate = TestCertificate::new("close");
    let (mut peer, mut seal, mut opener, _) = certificate.connect(&[], b"");
    peer.send(b"bye");
    peer.close();
    assert_eq!(open(&mut opener, peer.take_outgoing()), b"bye");
    assert_eq!(opener.end(), Some(InputEnd::Closed));
    seal.end_with(CLOSE_NOTIFY);
    seal.end_with(BAD_RECORD_MAC);
    assert!(seal.seal_last_alert() && !seal.seal_last_alert());
    peer.read(&take_pending(&mut seal)).unwrap();
    assert!(peer.is_closed);
}

#[test]
fn invalid_records_have_their_alerts() {
    let certificate = TestCertificate::new("invalid");
    let change_last = |mut record: Vec<u8>| {
        *record.last_mut().unwrap() ^= 1;
        record
    };
    let plain = |kind, length: u16| {
        let [high, low] = length.to_be_bytes();
        [&[kind, 3, 3, high, low][..], &vec![0; length.into()]].concat()
    };
    for (what, alert) in [
        ("changed", BAD_RECORD_MAC),
        ("twice", BAD_RECORD_MAC),
        ("short", BAD_RECORD_MAC),
        ("too long", RECORD_OVERFLOW),
        ("plain", UNEXPECTED_MESSAGE),
        ("handshake", UNEXPECTED_MESSAGE),
    ] {
        let (mut peer, _, mut opener, _) = certificate.connect(&[], b"");
        peer.send(b"hello");
        let record = peer.take_outgoing();
        let bytes = match what {
            "changed" => change_last(record),
            "twice" => [record.clone(), record].concat(),
            "short" => plain(23, 3),
            "too long" => plain(23, 16_641),
            "plain" => plain(20, 1),
            _ => plain(22, 5),
        };
        let opened = opener.open(&mut bytes.clone());
        assert_eq!(opened.data, if what == "twice" { 5 } else { 0 }, "{what}");
        assert_eq!(opener.end(), Some(InputEnd::Failed(alert)), "{what}");
        // Nothing is read after an invalid record.
        assert_eq!(opener.open(&mut bytes.clone()), OpenedRecords::default());
    }
}

#[test]
fn first_message_that_is_no_hello_gets_an_alert() {
    let certificate = TestCertificate::new("alerts");
    for bytes in [
        &b"\x16\x03\x01\x00\x04\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\xFF\xFF",
        b"\x16\x03\x01\x00\x00",
    ] {
        let failure = certificate.handshake().read(bytes).unwrap_err();
        assert!(failure.output.starts_with(b"\x15\x03"), "{failure:?}");
    }
}

#[test]
fn hello_of_12_kib_is_refused() {
    let certificate = TestCertificate::new("long");
    let mut handshake = certificate.handshake();
    let record = [&[22, 3, 1, 0x10, 0][..], &[1, 0, 0x30, 0], &[0; 0xFFC]].concat();
    assert!(handshake.read(&record).is_ok());
    let rest = [&[22, 3, 1, 0x10, 0][..], &[0; 0x1000]].concat();
    assert!(handshake.read(&rest).is_err());
}

/// A change of a message: a byte at a place, or a piece that is cut out, doubled or put elsewhere.
type Change = (usize, usize, u8, u8);

proptest! {
    // A panic inside of rustls would end a small static build.
    #[test]
    fn changed_first_message_never_panics(
        changes in vec(any::<Change>(), 0..4),
        reads in vec(1_usize..700, 0..8),
        second in any::<bool>(),
    ) {
        static CERTIFICATE: OnceLock<TestCertificate> = OnceLock::new();
        let certificate = CERTIFICATE.get_or_init(|| TestCertificate::new("changed"));
        let mut peer = TlsPeer::new(&certificate.pem, &[]);
        let mut handshake = certificate.handshake();
        peer.read(&[]).unwrap();
        let mut bytes = peer.take_outgoing();
        if second {
            // Changes the last message in place of the first.
            peer.read(&handshake.read(&bytes).unwrap().output).unwrap();
            bytes = peer.take_outgoing();
        }
        for &(at, length, byte, kind) in &changes {
            change_bytes(&mut bytes, at, length % 64, byte, kind);
        }
        let mut rest = &bytes[..];
        for length in reads.into_iter().chain([usize::MAX]) {
            let (read, later) = rest.split_at(length.min(rest.len()));
            rest = later;
            match handshake.read(read) {
                Ok(step) if step.is_done => {
                    prop_assert!(handshake.finish().is_some());
                    break;
                }
                Ok(_) => {}
                Err(failure) => {
                    prop_assert!(!failure.cause.is_empty());
                    break;
                }
            }
        }
    }
}

#[test]
fn certificate_is_read_again_or_stays() {
    let mut test = TestCertificate::new("reload");
    let first = test.certificate.fingerprint().to_owned();
    fs::write(&test.path, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    test.certificate.reload();
    assert_eq!(test.certificate.fingerprint(), first);
    assert!(!test.certificate.is_outdated());
    fs::remove_file(&test.path).unwrap();
    let second = Certificate::open(&test.path, None).unwrap().fingerprint().to_owned();
    assert!(test.certificate.is_outdated());
    test.certificate.reload();
    assert_eq!(test.certificate.fingerprint(), second);
    assert_ne!(first, second);
}

#[test]
fn key_of_another_certificate_is_an_error() {
    let (one, other) = (TestCertificate::new("one"), TestCertificate::new("other"));
    let error = Certificate::open(&one.path, Some(&other.path)).unwrap_err().to_string();
    assert!(error.contains("does not belong"), "{error}");
    let text = String::from_utf8(one.pem.clone()).unwrap();
    let at = text.find("-----BEGIN CERTIFICATE").unwrap();
    let key_path = one.path.with_extension("key");
    fs::write(&key_path, &text[..at]).unwrap();
    fs::write(&one.path, &text[at..]).unwrap();
    let split = Certificate::open(&one.path, Some(&key_path)).unwrap();
    assert_eq!(split.fingerprint(), one.certificate.fingerprint());
    let error = Certificate::open(&one.path, None).unwrap_err().to_string();
    assert!(error.contains("has no private key, expected PEM"), "{error}");
    let error = Certificate::open(&key_path, None).unwrap_err().to_string();
    assert!(error.contains("has no certificate, expected PEM"), "{error}");
}

#[test]
fn encrypted_key_is_named_with_its_remedy() {
    let test = TestCertificate::new("encrypted");
    let pem = String::from_utf8(test.pem.clone()).unwrap();
    for encrypted in [
        pem.replace(" PRIVATE", " ENCRYPTED PRIVATE"),
        pem.replace(" PRIVATE KEY-----\n", " EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"),
    ] {
        fs::write(&test.path, encrypted).unwrap();
        let error = Certificate::open(&test.path, None).unwrap_err().to_string();
        let path = test.path.display();
        let expected = format!("{path} is encrypted; openssl pkey -in {path} -out FILE");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn byte_order_mark_hides_no_key() {
    let test = TestCertificate::new("mark");
    fs::write(&test.path, ["\u{FEFF}".as_bytes(), &test.pem].concat()).unwrap();
    let marked = Certificate::open(&test.path, None).unwrap();
    assert_eq!(marked.fingerprint(), test.certificate.fingerprint());
}

#[test]
fn new_certificate_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let test = TestCertificate::new("mode");
    assert_eq!(fs::metadata(&test.path).unwrap().permissions().mode() & 0o777, 0o600);
    let missing = test.path.with_file_name("missing").join("tls.pem");
    assert!(Certificate::open(&missing, None).is_err());
    assert!(Certificate::open(&test.path, Some(&missing)).is_err());
}

#[test]
fn halves_of_a_connection_are_small() {
    // Behind a client, and in the box of its task.
    assert!(size_of::<Seal>() <= 72, "{} bytes", size_of::<Seal>());
    assert!(size_of::<Opener>() <= 592, "{} bytes", size_of::<Opener>());
}
