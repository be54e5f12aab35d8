//! WebSocket frames in reads of any size give the same output as a simple decoder of the whole.
//!
//! The first line of the input is the plan: its first byte is the limit of a message, each further
//! byte is the size of a read of the rest, which are the frames.

/// The output of a decoder, with the parts of each message joined.
#[cfg(feature = "web")]
#[derive(Debug, PartialEq, Eq)]
enum Output {
    Part(bool, Vec<u8>),
    End(bool),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
    Error(u16),
}

/// Runs one input.
#[cfg(feature = "web")]
pub fn run(data: &[u8]) {
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (plan, frames) = data.split_at(end);
    let frames = frames.strip_prefix(b"\n").unwrap_or(frames);
    let Some((&max_message, reads)) = plan.split_first() else { return };
    let max_message = u64::from(max_message) * 16;
    let expected = decode_simply(frames, max_message);
    assert_eq!(decode_reads(frames, reads, max_message), expected);
    assert_eq!(decode_reads(frames, &[], max_message), expected);
}

/// The server is built without WebSocket.
#[cfg(not(feature = "web"))]
pub fn run(_: &[u8]) {}

#[cfg(feature = "web")]
fn decode_reads(frames: &[u8], reads: &[u8], max_message: u64) -> Vec<Output> {
    use smolchat::server::edge::web::{Decoded, Decoder, Opcode};

    let mut frames = frames.to_vec();
    let mut rest = &mut frames[..];
    let mut decoder = Decoder::new(max_message);
    let mut outputs = Vec::new();
    for size in reads.iter().map(|&size| size.into()).chain([usize::MAX]) {
        let (mut bytes, after) = rest.split_at_mut(size.min(rest.len()));
        rest = after;
        while let Some(decoded) = decoder.next(&mut bytes) {
            match decoded {
                Decoded::Text(part) => push_part(&mut outputs, true, part),
                Decoded::Binary(part) => push_part(&mut outputs, false, part),
                Decoded::End(kind) => outputs.push(Output::End(kind == Opcode::Text)),
                Decoded::Ping(payload) => outputs.push(Output::Ping(payload.to_vec())),
                Decoded::Pong => outputs.push(Output::Pong),
                Decoded::Close(code) => outputs.push(Output::Close(code.map(|code| code.0))),
                Decoded::Error(code) => outputs.push(Output::Error(code.0)),
            }
        }
        assert!(bytes.is_empty());
    }
    outputs
}

#[cfg(feature = "web")]
fn push_part(outputs: &mut Vec<Output>, is_text: bool, part: &[u8]) {
    assert!(!part.is_empty());
    match outputs.last_mut() {
        Some(Output::Part(_, bytes)) => bytes.extend_from_slice(part),
        _ => outputs.push(Output::Part(is_text, part.to_vec())),
    }
}

/// Decodes all frames in the simplest way.
#[cfg(feature = "web")]
fn decode_simply(mut frames: &[u8], max_message: u64) -> Vec<Output> {
    let mut outputs = Vec::new();
    // The kind and the bytes of the message that has begun.
    let mut message: Option<(bool, Vec<u8>)> = None;
    loop {
        let size = message.as_ref().map_or(0, |(_, bytes)| bytes.len() as u64);
        let (first, length, mask, rest) = match split_head(frames) {
            Ok(Some(head)) => head,
            result => {
                // The message is checked as far as the head has arrived.
                let code = head_error(frames, message.is_some(), size, max_message);
                outputs.extend(code.or(result.err()).map(Output::Error));
                return outputs;
            }
        };
        if let Some(code) = head_error(frames, message.is_some(), size, max_message) {
            outputs.push(Output::Error(code));
            return outputs;
        }
        let count = rest.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        let (masked, after) = rest.split_at(count);
        let payload: Vec<u8> = masked.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let is_whole = count as u64 == length;
        frames = after;
        if first & 8 != 0 {
            if !is_whole {
                return outputs;
            }
            let output = control_output(first, payload);
            let is_last = matches!(output, Output::Close(_) | Output::Error(_));
            outputs.push(output);
            if is_last {
                return outputs;
            }
            continue;
        }
        let (is_text, bytes) = message.get_or_insert_with(|| (first & 0xF == 1, Vec::new()));
        for byte in payload {
            bytes.push(byte);
            let error = str::from_utf8(bytes).err();
            if *is_text && error.is_some_and(|error| error.error_len().is_some()) {
                outputs.push(Output::Error(1007));
                return outputs;
            }
            push_part(&mut outputs, *is_text, &[byte]);
        }
        if !is_whole {
            return outputs;
        }
        if first & 0x80 != 0 {
            let (is_text, bytes) = message.take().unwrap();
            if is_text && str::from_utf8(&bytes).is_err() {
                outputs.push(Output::Error(1007));
                return outputs;
            }
            outputs.push(Output::End(is_text));
        }
    }
}

/// A first byte, a length, a mask, and the bytes after the head.
#[cfg(feature = "web")]
type Head<'a> = (u8, u64, [u8; 4], &'a [u8]);

/// Splits a whole head from the frames.
#[cfg(feature = "web")]
fn split_head(frames: &[u8]) -> Result<Option<Head<'_>>, u16> {
    let [first, second, rest @ ..] = frames else { return Ok(None) };
    let count = length_bytes(*second);
    let Some((extended, rest)) = rest.split_at_checked(count) else { return Ok(None) };
    let long = extended.iter().fold(0, |length, &byte| length << 8 | u64::from(byte));
    let length = if count == 0 { u64::from(second & 0x7F) } else { long };
    if count == 2 && length < 126 || count == 8 && !(65_536..1 << 63).contains(&length) {
        return Err(1002);
    }
    Ok(rest.split_first_chunk::<4>().map(|(mask, rest)| (*first, length, *mask, rest)))
}

/// Returns the number of bytes of a length after the second byte of a head.
#[cfg(feature = "web")]
fn length_bytes(second: u8) -> usize {
    match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    }
}

/// Returns the first error in the bytes of a head that have arrived.
#[cfg(feature = "web")]
fn head_error(frames: &[u8], is_begun: bool, size: u64, max_message: u64) -> Option<u16> {
    let (first, rest) = frames.split_first()?;
    let (is_final, opcode) = (first & 0x80 != 0, first & 0xF);
    let is_allowed = match opcode {
        0 => is_begun,
        1 | 2 => !is_begun,
        8..=10 => is_final,
        _ => false,
    };
    let second = rest.first().copied().unwrap_or(0x80);
    if first & 0x70 != 0 || !is_allowed || second & 0x80 == 0 || opcode > 7 && second > 0xFD {
        return Some(1002);
    }
    if rest.len() <= length_bytes(second) {
        return None;
    }
    // With a mask, so that the length alone decides.
    match split_head(&[frames, &[0; 4]].concat()) {
        Ok(head) => (opcode < 8 && size + head?.1 > max_message).then_some(1009),
        Err(code) => Some(code),
    }
}

#[cfg(feature = "web")]
fn control_output(first: u8, payload: Vec<u8>) -> Output {
    match (first & 0xF, &payload[..]) {
        (9, _) => Output::Ping(payload),
        (10, _) => Output::Pong,
        (_, []) => Output::Close(None),
        (_, [high, low, reason @ ..]) => match u16::from_be_bytes([*high, *low]) {
            code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => match str::from_utf8(reason) {
                Ok(_) => Output::Close(Some(code)),
                Err(_) => Output::Error(1007),
            },
            _ => Output::Error(1002),
        },
        _ => Output::Error(1002),
    }
}
