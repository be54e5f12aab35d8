//! The questions of a client about the members and the server.

use super::commands::is_channel;
use super::message::{Command, Message};
use super::output::Output;
use super::session::{Environment, Member, Session, Settings, shown};
use super::text::{push_word, strip_controls};
use super::wire::{HOST, USER, format_time};

/// The version of the server.
pub(super) const VERSION: &str = concat!("smolchat-", env!("CARGO_PKG_VERSION"));
/// The text of `HELP`.
const HELP: [&str; 4] = [
    "This server has one channel. JOIN shows it, PRIVMSG speaks in it.",
    "Commands: ADMIN AWAY CHATHISTORY HELP INFO INVITE ISON JOIN KICK LIST LUSERS MODE MOTD NAMES",
    "NICK NOTICE OPER PART PING PRIVMSG QUIT SETNAME TIME TOPIC USERHOST VERSION WHO WHOIS WHOWAS",
    "PASS keeps a name: connect again with the same name and password to get it back.",
];
/// The most names in `ISON` and `USERHOST`.
const MAX_ASKED: usize = 16;
/// The bytes of a line of `WHO`, beside the names in it.
const WHO_BYTES: usize = 128;

impl Session {
    /// Answers a question about the members or the channel.
    pub(super) fn on_query(
        &mut self,
        message: &Message,
        parameters: &[&str],
        env: &Environment<'_>,
        out: &mut Output<'_>,
    ) {
        match (message.command(), parameters) {
            (Command::Who, parameters) => who(parameters, env, out),
            (Command::WhoIs, [] | ["", ..]) | (Command::WhoWas, [] | ["", ..]) => {
                out.numeric(431, &[], "No nickname given");
            }
            (Command::WhoIs, [name] | [_, name, ..]) => whois(name, env, out),
            (Command::WhoWas, [name, ..]) => {
                out.numeric(406, &[shown(name)], "There was no such nickname");
                out.numeric(369, &[shown(name)], "End of WHOWAS");
            }
            (Command::List, parameters) => list(parameters.first().copied(), env, out),
            (Command::IsOn, names) => {
                let mut found = String::new();
                for name in names.iter().flat_map(|names| names.split(' ')).take(MAX_ASKED) {
                    if let Some(member) = env.directory.find(name) {
                        push_word(&mut found, member.name);
                    }
                }
                out.numeric(303, &[], &found);
            }
            (Command::UserHost, names) => {
                let mut found = String::new();
                for name in names.iter().take(MAX_ASKED) {
                    if let Some(member) = env.directory.find(name) {
                        let sign = if member.away().is_some() { "=-" } else { "=+" };
                        push_word(&mut found, &[member.name, sign, USER, "@", HOST].concat());
                    }
                }
                out.numeric(302, &[], &found);
            }
            (Command::Help, [] | ["", ..]) => write_help("*", out),
            (Command::Help, [subject, ..]) if subject.eq_ignore_ascii_case("PRIVMSG") => {
                write_help(subject, out);
            }
            (Command::Help, [subject, ..]) => {
                out.numeric(524, &[shown(subject)], "Help not found");
            }
            (Command::Links, _) => {
                out.numeric(364, &["*", &env.config.server], "0 a group-chat server");
                out.numeric(365, &["*"], "End of /LINKS list");
            }
            (Command::Unknown, _) => {
                out.numeric(421, &[shown(message.name())], "Unknown command");
            }
            // A question to another server has its name as the last parameter.
            (_, [.., target]) if !is_this_server(target, env) => {
                out.numeric(402, &[shown(target)], "No such server");
            }
            (command, _) => describe_server(command, env, out),
        }
    }
}

/// Answers a question about the server.
fn describe_server(command: Command, env: &Environment<'_>, out: &mut Output<'_>) {
    let server = &*env.config.server;
    match command {
        Command::LUsers => {
            let count = env.directory.count();
            write_lusers(count as u64, env.directory.unregistered(), out);
            let (count, most) = (count.to_string(), env.directory.most().to_string());
            for (code, text) in [(265, " :Current local users "), (266, " :Current global users ")]
            {
                out.plain_numeric(code, &[&count, " ", &most, text, &count, ", max ", &most]);
            }
        }
        Command::Motd => write_motd(env.settings, out),
        Command::Version => {
            out.numeric(351, &[VERSION, server], "a group-chat server");
            write_support(out);
        }
        Command::Time => out.numeric(391, &[server], &format_time(env.unix_ms)),
        Command::Info => {
            out.plain_numeric(371, &[":", VERSION, ", a group-chat server with one room"]);
            out.numeric(374, &[], "End of /INFO list");
        }
        Command::Admin => {
            out.numeric(256, &[server], "Administrative info");
            for code in [257, 258, 259] {
                out.numeric(code, &[], "the administrator of this machine");
            }
        }
        _ => {}
    }
}

fn is_this_server(target: &str, env: &Environment<'_>) -> bool {
    let mask = target.to_ascii_lowercase();
    matches_mask(&env.config.server.to_ascii_lowercase(), &mask)
        || env.directory.find(target).is_some()
}

/// Returns whether a text matches a mask, in which `*` is any text and `?` any character.
fn matches_mask(text: &str, mask: &str) -> bool {
    let (mut text, mut mask) = (text.chars(), mask.chars());
    // The state after the last star: the mask behind it, and the text that it has not taken.
    let mut star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let (mut next_text, mut next_mask) = (text.clone(), mask.clone());
        match (next_text.next(), next_mask.next()) {
            (None, None) => return true,
            (_, Some('*')) => {
                star = Some((next_mask.clone(), text.clone()));
                mask = next_mask;
                continue;
            }
            (Some(c), Some(m)) if m == '?' || m == c => {
                (text, mask) = (next_text, next_mask);
                continue;
            }
            _ => {}
        }
        let Some((behind, untaken)) = &mut star else { return false };
        if untaken.next().is_none() {
            return false;
        }
        (text, mask) = (untaken.clone(), behind.clone());
    }
}

fn who(parameters: &[&str], env: &Environment<'_>, out: &mut Output<'_>) {
    let mask = parameters.first().copied().unwrap_or("*");
    let folded = mask.to_ascii_lowercase();
    let is_all = is_channel(mask, env);
    let mut left = env.answer_bytes;
    let mut write = |member: Member<'_>| {
        let Some(rest) = left.checked_sub(WHO_BYTES + 2 * member.name.len()) else { return false };
        left = rest;
        let channel = if member.is_in_channel() { &*env.config.channel } else { "*" };
        let user = member.profile.map_or(USER, |profile| &profile.user);
        let away = if member.away().is_some() { "G" } else { "H" };
        let real_name = member.profile.map_or(member.name, |profile| &profile.real_name);
        let parameters = [channel, user, HOST, &env.config.server, member.name, away];
        out.numeric(352, &parameters, &["0 ", real_name].concat());
        true
    };
    if mask.contains(['*', '?']) || is_all {
        env.directory.members(&mut |member| {
            let is_shown = match is_all {
                true => member.is_in_channel(),
                false => matches_mask(&member.name.to_ascii_lowercase(), &folded),
            };
            !is_shown || write(member)
        });
    } else if let Some(member) = env.directory.find(mask) {
        write(member);
    }
    out.numeric(315, &[shown(mask)], "End of WHO list");
}

fn whois(name: &str, env: &Environment<'_>, out: &mut Output<'_>) {
    let Some(member) = env.directory.find(name) else {
        out.no_such_nick(name);
        return out.numeric(318, &[shown(name)], "End of /WHOIS list");
    };
    let user = member.profile.map_or(USER, |profile| &profile.user);
    let real_name = member.profile.map_or("not an IRC client", |profile| &profile.real_name);
    out.numeric(311, &[member.name, user, HOST, "*"], real_name);
    if member.is_in_channel() {
        out.numeric(319, &[member.name], &env.config.channel);
    }
    out.numeric(312, &[member.name, &env.config.server], "smolchat");
    if let Some(away) = member.away() {
        out.numeric(301, &[member.name], away);
    }
    out.numeric(318, &[member.name], "End of /WHOIS list");
}

fn list(target: Option<&str>, env: &Environment<'_>, out: &mut Output<'_>) {
    out.numeric(321, &["Channel"], "Users  Name");
    let is_asked = |target: &str| {
        target.split(',').any(|one| {
            matches_mask(&env.config.channel.to_ascii_lowercase(), &one.to_ascii_lowercase())
        })
    };
    if target.is_none_or(|target| target.is_empty() || is_asked(target)) {
        let count = env.directory.count().to_string();
        out.numeric(322, &[&env.config.channel, &count], "");
    }
    out.numeric(323, &[], "End of /LIST");
}

fn write_help(subject: &str, out: &mut Output<'_>) {
    out.numeric(704, &[subject], "smolchat over IRC");
    for line in HELP {
        out.numeric(705, &[subject], line);
    }
    out.numeric(706, &[subject], "End of /HELP");
}

/// Writes the numbers of members and connections.
pub(super) fn write_lusers(count: u64, unregistered: usize, out: &mut Output<'_>) {
    let count = count.to_string();
    out.plain_numeric(251, &[":There are ", &count, " users and 0 invisible on 1 servers"]);
    out.numeric(252, &["0"], "operator(s) online");
    out.numeric(253, &[&unregistered.to_string()], "unknown connection(s)");
    out.numeric(254, &["1"], "channels formed");
    out.plain_numeric(255, &[":I have ", &count, " clients and 0 servers"]);
}

/// Writes the message of the day.
pub(super) fn write_motd(settings: Settings<'_>, out: &mut Output<'_>) {
    let Some(motd) = settings.motd else {
        return out.numeric(422, &[], "MOTD File is missing");
    };
    out.plain_numeric(375, &[":- ", &settings.config.server, " Message of the day -"]);
    for line in motd.lines() {
        out.plain_numeric(372, &[":- ", &strip_controls(line)]);
    }
    out.numeric(376, &[], "End of /MOTD command.");
}

/// Writes what the server supports.
pub(super) fn write_support(out: &mut Output<'_>) {
    let names = "CASEMAPPING=ascii CHANTYPES=# PREFIX=(ov)@+ CHANMODES=,,,n NETWORK=smolchat \
                 NICKLEN=32 CHANNELLEN=50 CHANLIMIT=#:1 UTF8ONLY";
    let limits = "TARGMAX=PRIVMSG:1,NOTICE:1,JOIN:4,PART:4,NAMES:1,LIST:,WHOIS:1,KICK:1 \
                  AWAYLEN=200 TOPICLEN=0 KICKLEN=200 MODES=1 LINELEN=512 CHATHISTORY=1000 \
                  MSGREFTYPES=msgid,timestamp";
    for tokens in [names, limits] {
        out.numeric(5, &[tokens], "are supported by this server");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mask_matches_stars_and_question_marks() {
        for (text, mask) in
            [("alice", "alice"), ("alice", "*"), ("alice", "a*c?"), ("alice", "*l*e"), ("", "**")]
        {
            assert!(matches_mask(text, mask), "{text} {mask}");
        }
        for (text, mask) in [("alice", "alic"), ("alice", "?"), ("alice", "*x*"), ("", "?")] {
            assert!(!matches_mask(text, mask), "{text} {mask}");
        }
        // Without exponential time.
        assert!(!matches_mask(&"a".repeat(200), &("*a".repeat(100) + "b")));
    }
}
