//! The questions of a client about the members and the server.

use super::channel::ChannelMember;
use super::commands::NO_SUCH_NICK;
use super::message::{IrcCommand, Message};
use super::replies::Replies;
use super::session::Exchange;
use super::text::{push_word, strip_controls};
use super::wire::format_time;

/// The version of the server.
pub(super) const VERSION: &str = concat!("smolchat-", env!("CARGO_PKG_VERSION"));
/// The features of the server.
pub(super) const SUPPORT: &str = "\
005 CASEMAPPING=ascii CHANTYPES=# PREFIX=(ov)@+ CHANMODES=,,,n NETWORK=smolchat NICKLEN=32 \
CHANNELLEN=50 CHANLIMIT=#:1 UTF8ONLY :are supported by this server
005 TARGMAX=PRIVMSG:1,NOTICE:1,JOIN:4,PART:4,NAMES:1,LIST:,WHOIS:1,KICK:1 AWAYLEN=200 \
LINELEN=512 CHATHISTORY=1000 MSGREFTYPES=msgid,timestamp :are supported by this server";
/// The numbers of members and connections.
pub(super) const LUSERS: &str = "\
251 :There are $1 users and 0 invisible on 1 servers
252 0 :operator(s) online
253 $3 :unknown connection(s)
254 1 :channels formed
255 :I have $1 clients and 0 servers
265 $1 $2 :Current local users $1, max $2
266 $1 $2 :Current global users $1, max $2";
/// The answer to `LIST`.
const LIST: &str = "321 Channel :Users  Name\n322 $c $1 :$4\n323 :End of /LIST";
/// The answer to `HELP`.
const HELP: &str = "\
704 $1 :One channel: JOIN shows it, PRIVMSG speaks in it.
705 $1 :PASS keeps a name: connect again with the same name and password to get it back.
706 $1 :End of /HELP";
/// The most names in `ISON` and `USERHOST`.
const MAX_ASKED: usize = 16;

impl Exchange<'_> {
    /// Answers a question about the members or the server.
    #[inline(never)]
    pub fn on_query(&mut self, message: &Message<'_>) {
        let [first, second, ..] = message.parameters;
        let reply = match message.command {
            IrcCommand::Who => return self.who(if first.is_empty() { "*" } else { first }),
            IrcCommand::WhoIs | IrcCommand::WhoWas if first.is_empty() => "431 :No nickname given",
            IrcCommand::WhoIs => return self.whois(if second.is_empty() { first } else { second }),
            IrcCommand::WhoWas => "406 $1 :There was no such nickname\n369 $1 :End of WHOWAS",
            IrcCommand::List
                if first.is_empty()
                    || first.split(',').any(|name| name == "*" || self.is_channel(name)) =>
            {
                return self.write_counts(LIST);
            }
            IrcCommand::List => "321 Channel :Users  Name\n323 :End of /LIST",
            IrcCommand::IsOn | IrcCommand::UserHost => return self.find_all(message),
            IrcCommand::Help if first.is_empty() || first.eq_ignore_ascii_case("PRIVMSG") => HELP,
            IrcCommand::Help => "524 $1 :Help not found",
            IrcCommand::LUsers => return self.write_counts(LUSERS),
            IrcCommand::Motd => return self.out.write_motd(),
            IrcCommand::Version => {
                self.out.reply("351 $1 $s :a group-chat server", &[VERSION]);
                SUPPORT
            }
            IrcCommand::Time => return self.out.reply("391 $s :$1", &[&format_time(self.unix_ms)]),
            IrcCommand::Info => "371 :a group-chat server with one room\n374 :End of /INFO list",
            IrcCommand::Admin => {
                "256 $s :Administrative info\n257 :smolchat\n258 :smolchat\n\
                 259 :the administrator of this machine"
            }
            IrcCommand::Oper => "491 :No operators for your host",
            IrcCommand::Operator => "481 :Permission Denied- You're not an IRC operator",
            _ => return self.out.reply("421 $1 :Unknown command", &[message.name]),
        };
        self.out.reply(reply, &[first]);
    }

    /// Returns whether earlier answers still wait for the client, and sends an error in this case:
    /// another list could fill its outbox.
    pub fn is_busy(&mut self, command: &str) -> bool {
        let unread = self.out.lines.len() + self.channel.unread_bytes();
        let is_busy = unread > self.out.settings.answer_bytes / 2;
        if is_busy {
            self.out.reply("263 $1 :Please wait a while and try again", &[command]);
        }
        is_busy
    }

    /// Answers `ISON` and `USERHOST` with the names in the message that are those of members.
    #[inline(never)]
    fn find_all(&mut self, message: &Message<'_>) {
        let is_ison = message.command == IrcCommand::IsOn;
        let mut found = String::new();
        let most = self.out.list_bytes();
        // The last parameter can have several names.
        for names in message.parameters {
            for name in names.split(' ').take(MAX_ASKED) {
                let Some(member) = self.channel.find(name) else { continue };
                let mask = match member.away().is_empty() {
                    _ if is_ison => "",
                    true => "=+user@smolchat",
                    false => "=-user@smolchat",
                };
                // A name that does not fit is left out whole.
                if found.len() + member.name.len() + mask.len() <= most {
                    push_word(&mut found, member.name);
                    found += mask;
                }
            }
        }
        self.out.reply(if is_ison { "303 :$1" } else { "302 :$1" }, &[&found]);
    }

    /// Writes a reply with the numbers of members and connections, and the topic.
    pub fn write_counts(&mut self, template: &str) {
        let [members, most, others] = self.channel.counts().map(|count| count.to_string());
        let topic = self.channel.topic().unwrap_or_default();
        self.out.reply(template, &[&members, &most, &others, topic]);
    }

    #[inline(never)]
    fn who(&mut self, mask: &str) {
        let is_all = self.is_channel(mask);
        let is_mask = mask.bytes().any(|byte| matches!(byte, b'*' | b'?'));
        if self.is_busy("WHO") {
            return;
        }
        let Exchange { channel, out, .. } = self;
        let mut write = |member: ChannelMember<'_>| {
            let away = if member.away().is_empty() { "H" } else { "G" };
            let [user, real_name] = user_and_real_name(&member);
            let channel = if member.is_in_channel() { &*out.settings.config.channel } else { "*" };
            let values = [channel, user, member.name, away, real_name];
            out.reply("352 $1 $2 smolchat $s $3 $4 :0 $5", &values);
            out.lines.len() < out.settings.answer_bytes
        };
        if is_mask || is_all {
            channel.members(&mut |member| {
                let is_shown = match is_all {
                    true => member.is_in_channel(),
                    false => matches_mask(member.name.as_bytes(), mask.as_bytes()),
                };
                !is_shown || write(member)
            });
        } else if let Some(member) = channel.find(mask) {
            write(member);
        }
        out.reply("315 $1 :End of WHO list", &[mask]);
    }

    #[inline(never)]
    fn whois(&mut self, name: &str) {
        if let Some(member) = self.channel.find(name) {
            let [user, real_name] = user_and_real_name(&member);
            let values = [member.name, user, real_name, member.away()];
            self.out.reply("311 $1 $2 smolchat * :$3", &values);
            if member.is_in_channel() {
                self.out.reply("319 $1 :$c", &values);
            }
            self.out.reply("312 $1 $s :smolchat", &values);
            if !member.away().is_empty() {
                self.out.reply("301 $1 :$4", &values);
            }
        } else {
            self.out.reply(NO_SUCH_NICK, &[name]);
        }
        self.out.reply("318 $1 :End of /WHOIS list", &[name]);
    }
}

impl Replies<'_> {
    /// Writes the message of the day.
    pub fn write_motd(&mut self) {
        let Some(motd) = &self.settings.motd else {
            return self.reply("422 :MOTD File is missing", &[]);
        };
        self.reply("375 :- $s Message of the day -", &[]);
        for line in motd.lines() {
            self.reply("372 :- $1", &[&strip_controls(line)]);
        }
        self.reply("376 :End of /MOTD command.", &[]);
    }
}

fn user_and_real_name<'a>(member: &ChannelMember<'a>) -> [&'a str; 2] {
    match member.profile {
        Some(profile) => [&profile.user, &profile.real_name],
        None => ["user", "not an IRC client"],
    }
}

/// Returns whether a text matches a mask, in which `*` is any text and `?` any byte.
fn matches_mask(mut text: &[u8], mut mask: &[u8]) -> bool {
    // The mask after the last star, and the text after its shortest match.
    let mut star = None;
    loop {
        match (text, mask) {
            ([], []) => return true,
            (_, [b'*', behind @ ..]) => {
                star = Some((text, behind));
                mask = behind;
                continue;
            }
            ([t, text_rest @ ..], [m, mask_rest @ ..])
                if *m == b'?' || m.eq_ignore_ascii_case(t) =>
            {
                (text, mask) = (text_rest, mask_rest);
                continue;
            }
            _ => {}
        }
        let Some(([_, untaken @ ..], behind)) = star else { return false };
        star = Some((untaken, behind));
        (text, mask) = (untaken, behind);
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
            assert!(matches_mask(text.as_bytes(), mask.as_bytes()), "{text} {mask}");
        }
        for (text, mask) in [("alice", "alic"), ("alice", "?"), ("alice", "*x*"), ("", "?")] {
            assert!(!matches_mask(text.as_bytes(), mask.as_bytes()), "{text} {mask}");
        }
        // Without exponential time.
        assert!(!matches_mask(&[b'a'; 200], ("*a".repeat(100) + "b").as_bytes()));
    }
}
