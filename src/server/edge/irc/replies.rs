//! The lines for one client, which begin with the server or with the client itself.

use super::config::Settings;
use super::delivery::ViewChange;
use super::message::write_tag_value;
use super::text::{CTCP, concat, truncate};
use super::wire::{MAX_LINES, MAX_OUTPUT, Variant, end_line, push, write_line, write_text};
use crate::protocol::MAX_NAME;

/// The most bytes of a request of CTCP. With the longest names it fits into a line.
const MAX_REQUEST: usize = 200;

/// The lines that answer one message.
#[derive(Debug)]
pub struct Replies<'a> {
    pub settings: &'a Settings,
    /// The name of the client, or `*` before its registration.
    pub nick: String,
    pub lines: Vec<u8>,
    /// The change of the client's view of the channel that these lines cause.
    pub view: ViewChange,
}

impl<'a> Replies<'a> {
    /// Creates replies without lines.
    pub fn new(settings: &'a Settings, nick: &str) -> Self {
        let nick = if nick.is_empty() { "*" } else { nick }.into();
        Replies { settings, nick, lines: Vec::new(), view: ViewChange::Unchanged }
    }

    /// Returns the bytes of names that fit into one line, without the space before the last name.
    #[inline(never)]
    pub fn list_bytes(&self) -> usize {
        let Settings { config, .. } = self.settings;
        let names = config.server.len() + config.channel.len() + self.nick.len();
        MAX_OUTPUT - names - ":  353  =  : ".len()
    }

    /// Adds the lines of a template. A line that begins with a `:` has a source; the server is the
    /// source of all others. The name of the client follows the number of a reply.
    ///
    /// `$n` is the name of the client, `$s` the server, `$c` the channel, and `$1` the first of the
    /// values. A value before the first `:` is made one word.
    pub fn reply(&mut self, template: &str, values: &[&str]) {
        for line in template.split('\n') {
            let start = self.lines.len();
            if !line.starts_with(':') {
                push(&mut self.lines, &[":", &self.settings.config.server, " "]);
            }
            let is_numeric = line.starts_with(|c: char| c.is_ascii_digit());
            let (number, rest) = line.split_at(if is_numeric { 3 } else { 0 });
            if is_numeric {
                push(&mut self.lines, &[number, " ", &self.nick]);
            }
            let mut rest = rest;
            let mut is_text = false;
            while let Some((before, after)) = rest.split_once('$') {
                is_text |= before.contains(':');
                let (key, after) = after.split_at(1);
                let value = match key {
                    "n" => &self.nick,
                    "s" => &*self.settings.config.server,
                    "c" => &self.settings.config.channel,
                    digit => {
                        let at = digit.bytes().next().unwrap_or_default().wrapping_sub(b'1');
                        values.get(usize::from(at)).copied().unwrap_or_default()
                    }
                };
                push(&mut self.lines, &[before, if is_text { value } else { one_word(value) }]);
                rest = after;
            }
            push(&mut self.lines, &[rest]);
            end_line(&mut self.lines, start);
        }
    }

    /// Adds a label to the lines, which are one batch if they are several. No line is an `ACK`,
    /// unless a later frame of the room answers.
    #[inline(never)]
    pub fn add_label(&mut self, label: &str, batch: u64, is_answered: bool) {
        let lines = std::mem::take(&mut self.lines);
        let count = lines.iter().filter(|&&byte| byte == b'\n').count();
        let tag = label_tag(label);
        if count == 0 && is_answered {
            return;
        }
        if count == 1 {
            return tagged(&mut self.lines, &tag, &lines);
        }
        let batch = batch.to_string();
        let start = if count == 0 { "ACK" } else { "BATCH +l$1 labeled-response" };
        self.reply(start, &[&batch]);
        let start = std::mem::take(&mut self.lines);
        tagged(&mut self.lines, &tag, &start);
        if count == 0 {
            return;
        }
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            // A line can be in one batch only.
            if line.starts_with(b"@batch=") {
                self.lines.extend_from_slice(line);
            } else {
                tagged(&mut self.lines, &concat(&["batch=l", &batch]), line);
            }
        }
        self.reply("BATCH -l$1", &[&batch]);
    }
}

/// Returns a text as one parameter of a reply.
fn one_word(text: &str) -> &str {
    let word = truncate(text, 4 * MAX_NAME);
    match word.is_empty() || word.starts_with(':') || word.contains(' ') {
        true => "*",
        false => word,
    }
}

/// Returns the tag with a label.
pub fn label_tag(label: &str) -> String {
    let mut tag = "label=".into();
    write_tag_value(&mut tag, label);
    tag
}

/// Appends lines, the first of which has one more tag.
pub fn tagged(out: &mut Vec<u8>, tag: &str, lines: &[u8]) {
    let (separator, rest) = match lines.strip_prefix(b"@") {
        Some(rest) => (";", rest),
        None => (" ", lines),
    };
    push(out, &["@", tag, separator]);
    out.extend_from_slice(rest);
}

/// Returns the last line to a client.
pub fn error_line(text: &str) -> Vec<u8> {
    let mut line = Vec::new();
    write_line(&mut line, "", &["ERROR :Closing link: ", text]);
    line
}

/// Appends a text of one IRC client for another as lines. A request of CTCP is one line.
#[inline(never)]
pub fn relay_lines(
    out: &mut Vec<u8>,
    variant: Variant,
    time: u64,
    [source, command, target, text]: [&str; 4],
) {
    let (ctcp, text) = match text.strip_prefix(CTCP) {
        Some(request) => (CTCP, truncate(request, MAX_REQUEST)),
        None => ("", text),
    };
    let tags = variant.tags("", time, "");
    write_text(out, &tags, [source, command, target, ctcp], text, MAX_LINES);
}
