//! Answers about the members and the server.

use super::*;

#[test]
fn questions_are_answered() {
    let mut harness = Harness::member("");
    for (line, expected) in [
        ("ISON bob dave CAROL", "303 alice :bob carol"),
        ("USERHOST carol", "302 alice :carol=-user@smolchat"),
        ("WHO carol", "352 alice #smol carl smolchat smolchat.local carol G :0 Carol C"),
        ("WHOIS bob", "311 alice bob user smolchat * :not an IRC client"),
        ("WHOIS dave", "401 alice dave :No such nick/channel"),
        ("WHOWAS dave", "406 alice dave :There was no such nickname"),
        ("MODE #smol", "324 alice #smol +n"),
        ("MODE #smol +o bob", "482 alice #smol :You're not channel operator"),
        ("MODE alice", "221 alice +i"),
        ("OPER a b", "491 alice :No operators for your host"),
        ("INVITE bob #smol", "442 alice #smol :You're not on that channel"),
        ("MOTD", "375 alice :- smolchat.local Message of the day -"),
        ("TIME", "391 alice smolchat.local :2026-09-21T14:13:20.000Z"),
        ("NONSENSE", "421 alice NONSENSE :Unknown command"),
        ("JOIN", "461 alice JOIN :Not enough parameters"),
        ("USER a b c d", "462 alice :You may not reregister"),
        ("AWAY :out", "306 alice :You have been marked as being away"),
        ("AWAY", "305 alice :You are no longer marked as being away"),
        ("HELP nothing", "524 alice nothing :Help not found"),
    ] {
        assert_eq!(harness.ask(line)[0], format!("{S} {expected}"), "{line}");
    }
    assert_eq!(harness.ask("LIST")[1], format!("{S} 322 alice #smol 2 :"));
    assert!(harness.ask("PRIVMSG carol :x").contains(&format!("{S} 301 alice carol :out")));
}

#[test]
fn found_names_are_whole() {
    let mut harness = Harness::member("");
    harness.room.names = vec!["a-member-with-a-long-name", "carol"];
    for (command, mask) in [("ISON", ""), ("USERHOST", "=+user@smolchat")] {
        let names = ["a-member-with-a-long-name"; 15].join(" ");
        let lines = harness.ask(&format!("{command} {names} :{}", &names[..60]));
        let (_, found) = lines[0].split_once(" alice :").unwrap();
        let whole = format!("a-member-with-a-long-name{mask}");
        assert!(found.split(' ').count() > 10 && found.split(' ').all(|word| word == whole));
    }
}

#[test]
fn lists_are_bounded() {
    let mut harness = Harness::member("");
    let name: &str = "\u{20000}".repeat(32).leak();
    harness.room.names = vec![name; 3000];
    harness.room.profile.real_name = "r".repeat(MAX_REAL_NAME).into();
    for question in ["NAMES #smol", "WHO *", "WHO #smol"] {
        let lines = harness.ask(question);
        let bytes: usize = lines.iter().map(|line| line.len() + 2).sum();
        assert!((1500..2600).contains(&bytes), "{question}: {bytes}");
        // No name is cut.
        assert!(lines.iter().all(|line| line.matches('\u{20000}').count() % 32 == 0), "{lines:?}");
    }
    harness.room.unread_bytes = 1001;
    for question in ["NAMES #smol", "WHO *", "CHATHISTORY LATEST #smol * 5"] {
        let lines = harness.ask(question);
        let command = question.split(' ').next().unwrap();
        let expected = format!("{S} 263 alice {command} :Please wait a while and try again");
        assert_eq!(lines[0], expected);
        assert!(lines.iter().map(String::len).sum::<usize>() < 200, "{lines:?}");
    }
}

#[test]
fn names_have_user_and_host_if_requested() {
    let mut harness = Harness::member("userhost-in-names multi-prefix");
    let names = "bob!user@smolchat carol!user@smolchat";
    assert_eq!(harness.ask("NAMES #smol")[0], format!("{S} 353 alice = #smol :{names}"));
}
