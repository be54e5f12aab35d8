//! No frame and no key ends the terminal client, at any size, and it writes only text and the
//! control sequences that it knows.
//!
//! The first two bytes are the columns and rows. Of the lines after them, each that begins with `{`
//! is one of the server, an empty one is a pause, one that begins with `@` is a new size, and all
//! others are keys.

/// Runs one input.
#[cfg(feature = "editor")]
pub fn run(data: &[u8]) {
    use smolchat::app::{SimulatedInput, simulate_terminal};

    let size = |bytes: &[u8]| match bytes {
        [columns, rows, ..] => (1 + usize::from(*columns) * 300 / 256, 1 + usize::from(*rows)),
        _ => (80, 24),
    };
    let lines = data.get(2..).unwrap_or_default().split(|&byte| byte == b'\n');
    let inputs: Vec<_> = lines
        .map(|line| match line {
            [] => SimulatedInput::Pause,
            [b'{', ..] => SimulatedInput::Line(line),
            [b'@', rest @ ..] => {
                let (columns, rows) = size(rest);
                SimulatedInput::Resize(columns, rows)
            }
            keys => SimulatedInput::Keys(keys),
        })
        .collect();
    check_output(&simulate_terminal(size(data), &inputs));
}

/// The client is built without the screen.
#[cfg(not(feature = "editor"))]
pub fn run(_: &[u8]) {}

#[cfg(feature = "editor")]
fn check_output(output: &str) {
    let mut parts = output.split('\x1b');
    check_plain(parts.next().unwrap_or_default());
    for part in parts {
        let sequence = part.strip_prefix('[').expect("a control sequence");
        let parameters =
            sequence.trim_start_matches(|c: char| c.is_ascii_digit() || "?;".contains(c));
        let last = parameters.chars().next().expect("the end of a control sequence");
        assert!("AJCHmhl".contains(last), "{part:?}");
        check_plain(parameters.strip_prefix(last).unwrap_or_default());
    }
    assert!(output.ends_with("\x1b[?2004l"));
}

#[cfg(feature = "editor")]
fn check_plain(text: &str) {
    let is_control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\x07');
    assert!(!text.contains(is_control), "{text:?}");
}

/// The lines of the server that ended clients, at all widths, and any other lines.
#[cfg(all(test, feature = "editor"))]
mod tests {
    use proptest::prelude::*;

    fn input(columns: usize, text: &str) -> Vec<u8> {
        let frame = serde_json::json!({
            "data_source": text.chars().take(20).collect::<String>(), "data": text,
            "kind": "chat", "seq": 1, "time": 50_580_000,
        });
        let mut input = vec![columns as u8, 24];
        input
            .extend(format!("{frame}\n\x1b[200~{}\x1b[201~\x01", text.replace('\n', "\r")).bytes());
        input.extend(format!("\n\n@{}\u{7f}\n", if columns < 128 { 'c' } else { '\u{1}' }).bytes());
        input
    }

    #[test]
    fn long_wide_lines_end_no_client() {
        let bound = format!("x://{}{}", "\u{85}".repeat(4_088), "好".repeat(200));
        for columns in 0..256 {
            super::run(&input(columns, &format!("://a{}", "好".repeat(1_000))));
            super::run(&input(columns, &"e\u{301}\u{200d}👩".repeat(100)));
        }
        for columns in [0, 1, 60, 255] {
            super::run(&input(columns, &format!("://a{}", "好".repeat(10_993))));
            super::run(&input(columns, &bound));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_shown(columns in 0..256_usize, text in any::<String>()) {
            super::run(&input(columns, &text));
        }

        #[test]
        fn any_bytes_are_handled(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            super::run(&data);
        }
    }
}
