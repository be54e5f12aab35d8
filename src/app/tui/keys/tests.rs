use proptest::prelude::*;
use rustix::pty::{OpenptFlags, openpt};
use rustix::termios::tcgetattr;

use super::*;

/// Returns a parser with the special characters of a new terminal, changed by `change`.
fn parser_with(change: impl FnOnce(&mut SpecialCodes)) -> KeyParser {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let mut codes = tcgetattr(&terminal).unwrap().special_codes;
    change(&mut codes);
    KeyParser::new(ControlKeys::new(&codes))
}

fn parser() -> KeyParser {
    parser_with(|_| {})
}

fn insert(text: &str) -> EditAction {
    EditAction::Insert(text.into())
}

fn paste(text: &str) -> EditAction {
    EditAction::Paste(text.into())
}

#[test]
fn keys_have_their_actions() {
    for (bytes, action) in [
        ("\x1b[A", EditAction::Up),
        ("\x1bOB", EditAction::Down),
        ("\x1bO5C", EditAction::WordRight),
        ("\x1bO1;3D", EditAction::WordLeft),
        ("\x1b[1;5D", EditAction::WordLeft),
        ("\x1bf", EditAction::WordRight),
        ("\x1b[3~", EditAction::DeleteRight),
        ("\x1b[H", EditAction::Home),
        ("\x1b[4~", EditAction::End),
        ("\x7f", EditAction::DeleteLeft),
        ("\x1b\x7f", EditAction::DeleteWordLeft),
        ("\x17", EditAction::DeleteToSpace),
        ("\x12", EditAction::Search),
        ("\r", EditAction::Accept),
        ("\x1b\r", EditAction::Accept),
        ("\x1c", EditAction::Quit),
        ("\x1a", EditAction::Suspend),
    ] {
        let (mut whole, mut parts) = (parser(), parser());
        let actions: Vec<_> = bytes.bytes().flat_map(|byte| parts.parse(&[byte])).collect();
        assert_eq!(actions, [action], "{bytes:?}");
        assert_eq!(whole.parse(bytes.as_bytes()), actions, "{bytes:?}");
        assert_eq!((whole.timeout(), parts.timeout()), (None, None), "{bytes:?}");
    }
}

#[test]
fn unknown_sequences_are_dropped() {
    for bytes in [
        "\x1b[?62;1;4c",
        "\x1b[>0;276;0c",
        "\x1b[<0;10;20M\x1b[<0;10;20m",
        "\x1b[M !!",
        "\x1b[32;10;20M",
        "\x1b]11;rgb:0000/0000/0000\x07",
        "\x1b]11;rgb:0000/0000/0000\x1b\\",
        "\x1bP1+r544e=787465726d\x1b\\",
        "\x1b_Gi=31;OK\x1b\\",
        "\x1b[[A",
        "\x1bOP\x1bO5P\x1bO1;2Q\x1b[15~\x1b[5~\x1b[Z",
        "\x1b[=1;2;3;4;5;6;7;8x",
        "\x1b[12;40R",
        "\x1b5",
        "\x16\x18",
    ] {
        let mut parser = parser();
        assert_eq!(parser.parse(bytes.as_bytes()), [], "{bytes:?}");
        assert_eq!(parser.parse(b"a"), [insert("a")], "{bytes:?}");
    }
    assert_eq!(parser().parse(b"\x1b[M\xe0\xff\xc0a"), [insert("a")]);
}

#[test]
fn invalid_utf8_is_replaced_or_dropped() {
    assert_eq!(parser().parse(b"caf\xe9 noir"), [insert("caf\u{fffd} noir")]);
    assert_eq!(
        parser().parse(b"a\xffb\x80\xc3\x28\xed\xa0\x80"),
        [insert("a\u{fffd}b\u{fffd}(\u{fffd}\u{fffd}")]
    );
    let mut parser = parser();
    assert_eq!(parser.parse("é".as_bytes().split_at(1).0), []);
    assert_eq!(parser.parse("é".as_bytes().split_at(1).1), [insert("é")]);
    assert_eq!(parser.parse(b"\xe9"), []);
    assert_eq!(parser.timeout(), Some(SEQUENCE_TIMEOUT));
    assert_eq!(parser.expire(), []);
    assert_eq!(parser.parse(b"\xe9\ra"), [EditAction::Accept, insert("a")]);
}

#[test]
fn incomplete_sequence_expires() {
    for bytes in ["\x1b[", "\x1b[200", "\x1bO", "\x1b]11;", "\x1bP1", "\x1b_x", "\x1b[M!", "\x1b[["]
    {
        let mut parser = parser();
        assert_eq!(parser.parse(bytes.as_bytes()), []);
        assert_eq!(parser.timeout(), Some(SEQUENCE_TIMEOUT), "{bytes:?}");
        assert_eq!(parser.expire(), []);
        assert_eq!(parser.timeout(), None);
        assert_eq!(parser.parse(b"Ab"), [insert("Ab")], "{bytes:?}");
    }
    let mut parser = parser();
    assert_eq!(parser.parse(b"\x1b"), []);
    assert_eq!(parser.timeout(), Some(ESCAPE_TIMEOUT));
    assert_eq!(parser.expire(), [EditAction::Escape]);
}

#[test]
fn interrupt_ends_any_sequence() {
    for bytes in ["\x1b", "\x1b[", "\x1b[1;", "\x1bO", "\x1b]11;", "\x1bP1$r", "\x1b_x", "\x1b[M"] {
        let mut parser = parser();
        let bytes = format!("{bytes}\x03a");
        assert_eq!(parser.parse(bytes.as_bytes()), [EditAction::Interrupt, insert("a")]);
        assert_eq!(parser.timeout(), None);
    }
}

#[test]
fn alt_key_that_starts_a_string_ends_soon() {
    for key in ["\x1bP", "\x1bX", "\x1b]", "\x1b^", "\x1b_"] {
        let mut parser = parser();
        assert_eq!(parser.parse(key.as_bytes()), []);
        assert_eq!(parser.timeout(), Some(ESCAPE_TIMEOUT), "{key:?}");
        assert_eq!(parser.expire(), []);
        assert_eq!(parser.parse(b"hi"), [insert("hi")]);
        parser.parse(format!("{key}1").as_bytes());
        assert_eq!(parser.timeout(), Some(SEQUENCE_TIMEOUT), "{key:?}");
    }
}

#[test]
fn pasted_text_has_no_keys() {
    let text = b"\x1b[200~one\rtwo\r\nthree\n\tfour\x04\x1b[31m\x12\x1b[A\x1bb\x03.\x1b[201~\r";
    let pasted = paste("one\ntwo\nthree\n\tfour.");
    assert_eq!(parser().parse(text), [pasted, EditAction::Accept]);
}

#[test]
fn paste_without_end_mark_expires() {
    let mut parser = parser();
    assert_eq!(parser.parse(b"\x1b[200~abc\r"), [paste("abc\n")]);
    assert_eq!(parser.timeout(), Some(SEQUENCE_TIMEOUT));
    assert_eq!(parser.expire(), []);
    assert_eq!(parser.parse(b"d\r"), [insert("d"), EditAction::Accept]);
    let actions = [paste("abc"), EditAction::Interrupt, insert("d")];
    assert_eq!(parser.parse(b"\x1b[200~abc\x03d"), actions);
    assert_eq!(parser.timeout(), None);
}

#[test]
fn characters_of_stty_have_their_actions() {
    let mut parser = parser_with(|codes| {
        codes[SpecialCodeIndex::VINTR] = 0x18;
        codes[SpecialCodeIndex::VQUIT] = 0;
        codes[SpecialCodeIndex::VSUSP] = 0x19;
        codes[SpecialCodeIndex::VERASE] = b'#';
        codes[SpecialCodeIndex::VKILL] = ESCAPE;
    });
    assert_eq!(parser.parse(b"\x18"), [EditAction::Interrupt]);
    assert_eq!(parser.parse(b"\x03"), [EditAction::Interrupt]);
    assert_eq!(parser.parse(b"\x1c\x1a"), []);
    assert_eq!(parser.parse(b"\x19"), [EditAction::Suspend]);
    assert_eq!(parser.parse(b"a#"), [insert("a"), EditAction::DeleteLeft]);
    assert_eq!(parser.parse(b"\x1b[A"), [EditAction::Up]);
    assert_eq!(parser.parse(b"\x1b[200~a#\x1b[201~"), [paste("a#")]);
}

#[test]
fn large_paste_is_parsed_in_linear_time() {
    let mut parser = parser();
    let mut text = b"\x1b[200~".to_vec();
    text.extend("好\x1b[31m\x07".bytes().cycle().take(4 << 20));
    text.extend(PASTE_END);
    let count: usize = text.chunks(4096).map(|bytes| parser.parse(bytes).len()).sum();
    assert_eq!(count, text.len().div_ceil(4096));
}

proptest! {
    #[test]
    fn any_bytes_leave_the_parser_usable(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut parser = parser();
        let (mut parts, mut split) = (Vec::new(), self::parser());
        parser.parse(&bytes);
        for byte in &bytes {
            parts.extend(split.parse(&[*byte]));
        }
        parser.expire();
        prop_assert_eq!(parser.timeout(), None);
        prop_assert_eq!(parser.parse(b"\x03a"), [EditAction::Interrupt, insert("a")]);
    }
}

#[test]
fn focus_reports_are_no_keys() {
    let mut parser = parser();
    let actions = parser.parse(b"a\x1b[O\x1b[Ib");
    assert_eq!(actions, [insert("a"), EditAction::FocusOut, EditAction::FocusIn, insert("b")]);
}
