use proptest::prelude::*;

use super::*;

const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

/// Returns a frame of a client.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// The output of a decoder, with the parts of each text and binary message joined.
#[derive(Debug, PartialEq, Eq)]
enum Output {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    End(Opcode),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Error(u16),
}

/// The end of a text message.
const END: Output = Output::End(Opcode::Text);

/// Decodes bytes in these reads.
fn decode_reads<'a>(max_message: u64, reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Output> {
    let mut decoder = Decoder::new(max_message);
    let mut outputs = Vec::new();
    for read in reads {
        let mut read = read.to_vec();
        let mut bytes = &mut read[..];
        while let Some(decoded) = decoder.next(&mut bytes) {
            match (decoded, outputs.last_mut()) {
                (Decoded::Text(part), Some(Output::Text(text))) => text.extend_from_slice(part),
                (Decoded::Binary(part), Some(Output::Binary(all))) => all.extend_from_slice(part),
                (decoded, _) => outputs.push(match decoded {
                    Decoded::Text(part) => Output::Text(part.to_vec()),
                    Decoded::Binary(part) => Output::Binary(part.to_vec()),
                    Decoded::End(kind) => Output::End(kind),
                    Decoded::Ping(payload) => Output::Ping(payload.to_vec()),
                    Decoded::Pong => Output::Pong,
                    Decoded::Close(code) => Output::Close(code.map(|code| code.0)),
                    Decoded::Error(code) => Output::Error(code.0),
                }),
            }
        }
        assert!(bytes.is_empty());
    }
    outputs
}

/// Decodes bytes in one read and in single bytes, which must give the same.
fn decode(bytes: &[u8]) -> Vec<Output> {
    let outputs = decode_reads(1000, [bytes]);
    assert_eq!(decode_reads(1000, bytes.chunks(1)), outputs);
    outputs
}

fn text(text: &str) -> Output {
    Output::Text(text.into())
}

#[test]
fn fragments_and_control_frames_are_decoded() {
    let frames = [
        frame(0x01, b"he"),
        frame(0x89, b"are you there"),
        frame(0x00, b""),
        frame(0x00, b"ll"),
        frame(0x8A, b""),
        frame(0x80, b"o"),
        frame(0x82, b"\xFF\0"),
        frame(0x81, b""),
        frame(0x88, &[&1000u16.to_be_bytes()[..], b"good night"].concat()),
        frame(0x81, b"not read"),
    ];
    let expected = [
        text("he"),
        Output::Ping(b"are you there".to_vec()),
        text("ll"),
        Output::Pong,
        text("o"),
        END,
        Output::Binary(b"\xFF\0".to_vec()),
        Output::End(Opcode::Binary),
        END,
        Output::Close(Some(1000)),
    ];
    assert_eq!(decode(&frames.concat()), expected);
}

#[test]
fn lengths_of_all_sizes_are_decoded() {
    for length in [0, 1, 7, 8, 9, 124, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload: Vec<u8> = (0..length).map(|index| b'a' + (index % 26) as u8).collect();
        let frame = frame(0x81, &payload);
        let outputs = decode_reads(70_000, [&frame[..]]);
        if length > 0 {
            assert_eq!(outputs, [Output::Text(payload), END]);
        }
        for size in [3, 1021] {
            assert_eq!(decode_reads(70_000, frame.chunks(size)), outputs);
        }
    }
}

#[test]
fn invalid_frames_are_protocol_errors() {
    for frames in [
        frame(0xC1, b"a"),
        frame(0xA1, b"a"),
        frame(0x91, b"a"),
        frame(0x83, b""),
        frame(0x87, b""),
        frame(0x8B, b""),
        frame(0x8F, b""),
        frame(0x80, b"a"),
        frame(0x00, b"a"),
        frame(0x09, b""),
        frame(0x08, b""),
        frame(0x89, &[b'a'; 126]),
        frame(0x88, b"\x03"),
        b"\x81\x05hello".to_vec(),
        b"\x89\x00".to_vec(),
        b"\x81\xFE\0\x7D".to_vec(),
        b"\x81\xFF\0\0\0\0\0\0\xFF\xFF".to_vec(),
        b"\x81\xFF\x80\0\0\0\0\0\0\0".to_vec(),
        b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec(),
    ] {
        let after = [&frames[..], &frame(0x81, b"not read")].concat();
        assert_eq!(decode(&after), [Output::Error(1002)], "{}", frames.escape_ascii());
    }
    for second in [0x81, 0x82] {
        let frames = [frame(0x01, b"a"), frame(second, b"b")].concat();
        assert_eq!(decode(&frames), [text("a"), Output::Error(1002)]);
    }
    let frames = [frame(0x81, b"a"), frame(0x80, b"b")].concat();
    assert_eq!(decode(&frames), [text("a"), END, Output::Error(1002)]);
}

#[test]
fn close_codes_are_checked() {
    let close = |code: u16, reason: &[u8]| {
        decode(&frame(0x88, &[&code.to_be_bytes()[..], reason].concat()))
    };
    for code in [1000, 1001, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
        assert_eq!(close(code, b"bye"), [Output::Close(Some(code))]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535] {
        assert_eq!(close(code, b""), [Output::Error(1002)], "{code}");
    }
    assert_eq!(close(1000, b"\xFF"), [Output::Error(1007)]);
    assert_eq!(close(1000, b"\xE2\x82"), [Output::Error(1007)]);
    assert_eq!(decode(&frame(0x88, b"")), [Output::Close(None)]);
}

#[test]
fn text_that_is_not_utf8_fails_at_its_first_byte() {
    let frames = [frame(0x01, b"a\xE2"), frame(0x89, b""), frame(0x80, b"\x82\xAC")].concat();
    let parts = [&b"a\xE2"[..], b"\x82\xAC"].map(|part| Output::Text(part.to_vec()));
    let [first, second] = parts;
    assert_eq!(decode(&frames), [first, Output::Ping(Vec::new()), second, END]);

    let frames = frame(0x81, b"hello\xE2\x82\xFFmore");
    // The last byte that is needed is the wrong one.
    let needed = &frames[..frames.len() - 4];
    let expected = [Output::Text(b"hello\xE2\x82".to_vec()), Output::Error(1007)];
    assert_eq!(decode(needed), expected);
    assert_eq!(decode(&frames), expected);
    let cut = frame(0x81, b"a\xE2\x82");
    assert_eq!(decode(&cut), [Output::Text(b"a\xE2\x82".to_vec()), Output::Error(1007)]);
    // The next message starts anew.
    let frames = [frame(0x81, b"\xC3\xA4"), frame(0x82, b"\xC3"), frame(0x81, b"a")].concat();
    assert_eq!(decode(&frames).last(), Some(&END));
}

#[test]
fn message_over_limit_fails_at_its_head() {
    for head in [&b"\x81\xFE\x03\xE9"[..], b"\x81\xFF\x7F\0\0\0\0\0\0\0"] {
        assert_eq!(decode(head), [Output::Error(1009)]);
    }
    let part = frame(0x01, &[b'a'; 500]);
    let ping = frame(0x89, &[b'a'; 125]);
    let end = frame(0x80, &[b'a'; 500]);
    let whole = [&part[..], &ping, &end].concat();
    assert_eq!(decode(&[&whole[..], &whole].concat()).last(), Some(&END));
    let over = [&part[..], &frame(0x00, &[b'a'; 500]), b"\x80\x81"].concat();
    assert_eq!(decode(&over).last(), Some(&Output::Error(1009)));
}

#[test]
fn decoder_is_small() {
    assert!(size_of::<Decoder>() <= 192, "{} bytes", size_of::<Decoder>());
}

proptest! {
    #[test]
    fn any_split_into_reads_gives_the_same_output(
        frames in proptest::collection::vec(
            (
                proptest::sample::select(
                    vec![0x81u8, 0x01, 0x00, 0x80, 0x02, 0x82, 0x89, 0x8A, 0x88, 0x83],
                ),
                prop_oneof![
                    "[aä€😀]{0,20}".prop_map(String::into_bytes),
                    "[a-z]{100,300}".prop_map(String::into_bytes),
                    proptest::collection::vec(any::<u8>(), 0..8),
                ],
            ),
            0..8,
        ),
        wrong in proptest::option::of((0usize..500, any::<u8>())),
        splits in proptest::collection::vec(0usize..500, 0..20),
    ) {
        let mut bytes = Vec::new();
        for (first, payload) in frames {
            bytes.extend(frame(first, &payload));
        }
        if let Some((index, byte)) = wrong && let Some(changed) = bytes.get_mut(index) {
            *changed = byte;
        }
        let mut splits: Vec<usize> = splits.into_iter().map(|at| at.min(bytes.len())).collect();
        splits.extend([0, bytes.len()]);
        splits.sort_unstable();
        let reads = splits.windows(2).map(|pair| &bytes[pair[0]..pair[1]]);
        prop_assert_eq!(decode_reads(1000, reads), decode(&bytes));
    }
}
