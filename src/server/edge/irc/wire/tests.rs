use super::*;

fn encode(frames: &str, variant: Variant, answer_bytes: usize) -> (Vec<String>, Lines) {
    let settings = Settings { epoch: "e1".into(), answer_bytes, ..Settings::default() };
    let mut notes = Notes::default();
    notes.add_notice(9);
    notes.add_departure("bob", "QUIT :Quit: bye", 500);
    notes.add_departure("carol", "PART #smol", 500);
    let lines = Lines::encode(frames.as_bytes(), variant, &settings, &notes);
    assert!(lines.bytes.ends_with(b"\r\n"));
    let text = String::from_utf8(lines.bytes.clone()).unwrap();
    (text.lines().map(String::from).collect(), lines)
}

fn chat(text: &str) -> String {
    let text = serde_json::to_string(text).unwrap();
    format!(r#"{{"data_source":"alice","data":{text},"kind":"chat","seq":7,"time":1000}}"#) + "\n"
}

#[test]
fn frames_become_lines() {
    let time = "@time=1970-01-01T00:00:01.000Z";
    for (frame, expected) in [
        (
            r#"{"data_source":"alice","data":"hi","kind":"chat","seq":7,"time":1000}"#,
            vec![":alice!user@smolchat PRIVMSG #smol :hi"],
        ),
        (
            r#"{"data_source":"alice","data":"hi","kind":"chat","seq":9,"time":1000}"#,
            vec![":alice!user@smolchat NOTICE #smol :hi"],
        ),
        (
            r#"{"data_source":"alice","data":"waves","kind":"action","seq":7,"time":1000}"#,
            vec![":alice!user@smolchat PRIVMSG #smol :\u{1}ACTION waves\u{1}"],
        ),
        (
            r#"{"data_source":"server","data":"","kind":"join","seq":7,"time":1000,"names":["a","b"]}"#,
            vec![":a!user@smolchat JOIN #smol", ":b!user@smolchat JOIN #smol"],
        ),
        (
            r#"{"data_source":"server","data":"","kind":"leave","seq":7,"time":1000,"names":["bob","carol","d"]}"#,
            vec![
                ":bob!user@smolchat QUIT :Quit: bye",
                ":carol!user@smolchat PART #smol",
                ":d!user@smolchat QUIT :left",
            ],
        ),
        (
            r#"{"data_source":"server","data":"","kind":"name","seq":7,"time":1000,"from":"a","to":"b"}"#,
            vec![":a!user@smolchat NICK :b"],
        ),
    ] {
        let (plain, lines) = encode(&format!("{frame}\n"), Variant::default(), 10_000);
        assert_eq!(plain, expected);
        assert_eq!(lines.spans.last().unwrap().end as usize, lines.bytes.len());
        let (timed, _) = encode(&format!("{frame}\n"), Variant::Time, 10_000);
        assert_eq!(timed[0], format!("{time} {}", expected[0]));
        let (tagged, _) = encode(&format!("{frame}\n"), Variant::Tags, 10_000);
        let seq = if expected[0].contains("NOTICE") { 9 } else { 7 };
        assert_eq!(tagged[0], format!("{time};msgid=e1-{seq} {}", expected[0]));
        for (line, expected) in tagged.iter().zip(&expected).skip(1) {
            assert_eq!(*line, format!("{time} {expected}"));
        }
    }
}

#[test]
fn text_becomes_short_lines_without_controls() {
    let plain = |text: &str| encode(&chat(text), Variant::default(), 10_000).0;
    let start = ":alice!user@smolchat PRIVMSG #smol :";
    assert_eq!(
        plain("a\u{1}VERSION\u{1}\rQUIT\n\nb"),
        [format!("{start}aVERSIONQUIT"), format!("{start}b")]
    );
    assert_eq!(plain("\n\u{1}\n"), [format!("{start} ")]);
    let lines = plain(&"word ".repeat(300));
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.len() <= 510 && line.starts_with(start)));
    let lines = plain(&"x\n".repeat(100));
    assert_eq!(lines.len(), MAX_LINES + 1);
    assert_eq!(lines[MAX_LINES], format!("{start}[84 more lines]"));
    assert!(plain(&"x\n".repeat(17))[MAX_LINES].ends_with("[1 more line]"));
}

#[test]
fn lines_of_a_batch_and_a_notice_are_bounded() {
    let text = chat(&"x\n".repeat(16)).repeat(100);
    let (lines, encoded) = encode(&text, Variant::Tags, 20_000);
    assert!(encoded.bytes.len() < 60_000, "{}", encoded.bytes.len());
    assert_eq!(lines.iter().filter(|line| line.contains("msgid=")).count(), 100);
    let names: Vec<String> = (0..1000).map(|n| format!("n{n}")).collect();
    let names = serde_json::to_string(&names).unwrap();
    let frame = format!(
        r#"{{"data_source":"server","data":"","kind":"join","seq":7,"time":1000,"names":{names}}}"#
    ) + "\n";
    let (lines, encoded) = encode(&frame, Variant::Tags, 20_000);
    assert!(encoded.bytes.len() < 20_500);
    let joined = lines.len() - 1;
    let last = format!(" :smolchat.local NOTICE #smol :{} more joined", 1000 - joined);
    assert!(lines[joined].ends_with(&last), "{}", lines[joined]);
    assert_eq!(encoded.spans.last().unwrap().end as usize, encoded.bytes.len());
}
