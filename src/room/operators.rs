//! Operators and their commands.

use std::borrow::Cow;
use std::time::Duration;

use super::moderation::{Rule, RuleKind, end_after};
use super::state::{Author, Effect, State};
use super::{ClientId, Credential, NodeId};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Network, OperatorCommand, RequestError, SERVER, Verb, case_fold,
};

/// The label of the operators that are users of the machine.
pub(super) const LOCAL_LABEL: &str = "local";
/// The time of a ban, a mute or a lock without one.
const DEFAULT_TIME: Duration = Duration::from_secs(3600);
/// The most bytes of an answer to `/bans`.
const MAX_LIST: usize = 16 << 10;

impl State {
    pub(super) fn label_of(&self, id: ClientId) -> Option<&str> {
        self.operators.iter().find(|(other, _)| *other == id).map(|(_, label)| &**label)
    }

    pub(super) fn is_operator(&self, id: ClientId) -> bool {
        self.label_of(id).is_some()
    }

    /// Returns the member with a name, in any case.
    pub(super) fn find_member(&self, name: &str) -> Option<ClientId> {
        let id = self.names.get(name)?;
        (case_fold(self.name_of(id)?) == case_fold(name)).then_some(id)
    }

    /// Returns whether the room is locked for a client without the credential of a member.
    pub(super) fn is_locked_out(&self, proof: Option<Credential>) -> bool {
        let now = self.now.uptime;
        self.measures.is_locked(self.now.unix_seconds())
            && !proof.is_some_and(|proof| self.reserved.has_credential(&proof, now))
    }

    pub(super) fn make_operator(&mut self, id: ClientId, label: Box<str>, line_id: Option<&str>) {
        let Some(name) = self.members.get(id).map(|member| member.name.clone()) else { return };
        self.operators.retain(|(other, _)| *other != id);
        self.send(id, format!("you are an operator ({label})"), Body::info(line_id.map(Cow::from)));
        self.operators.push((id, label));
        self.audit(Author { id, name: &name, line_id }, "became an operator");
    }

    /// Makes members of a node whose operator does not exist any more ordinary members.
    pub(super) fn keep_operators(&mut self, node: NodeId, labels: &[Box<str>]) {
        let is_kept = |(id, label): &(ClientId, Box<str>)| {
            id.node() != node || &**label == LOCAL_LABEL || labels.contains(label)
        };
        let (kept, removed) = std::mem::take(&mut self.operators).into_iter().partition(is_kept);
        self.operators = kept;
        for (id, _) in Vec::<(ClientId, Box<str>)>::from_iter(removed) {
            self.send(id, "you are not an operator any more", Body::info(None));
        }
    }

    /// Applies a command of an operator.
    pub(super) fn on_operator_command(
        &mut self,
        author: Author<'_>,
        command: OperatorCommand,
    ) -> Result<(), RequestError> {
        let target = &*command.target;
        if command.verb == Verb::Topic && command.text.is_empty() {
            let topic = self.measures.topic.as_deref().unwrap_or("there is no topic").to_owned();
            self.send_info(author, &topic);
            return Ok(());
        }
        if !self.is_operator(author.id) {
            return Err(not_operator());
        }
        match command.verb {
            Verb::Kick => self.kick(author, target, &command.text),
            Verb::Ban => self.restrict(author, RuleKind::Ban, &command),
            Verb::Mute => self.restrict(author, RuleKind::Mute, &command),
            Verb::Unban => self.lift(author, RuleKind::Ban, &command),
            Verb::Unmute => self.lift(author, RuleKind::Mute, &command),
            Verb::Bans => {
                self.send_bans(author);
                Ok(())
            }
            Verb::Whois => {
                let id = self.find_member(target).ok_or_else(|| no_such_member(target))?;
                let name = self.name_of(id).unwrap_or_default().into();
                let line_id = author.line_id.map(Box::from);
                self.audit(author, &format!("asked for the address of {target}"));
                self.add_effect(author.id, Effect::Whois { to: author.id, line_id, name, id });
                Ok(())
            }
            Verb::Topic => {
                self.set_topic(author, &command.text);
                Ok(())
            }
            Verb::Lock => {
                self.lock(author, command.time.unwrap_or(DEFAULT_TIME));
                Ok(())
            }
        }
    }

    /// Ends the connection of a member, or frees the name that is reserved for one.
    fn kick(&mut self, author: Author<'_>, target: &str, reason: &str) -> Result<(), RequestError> {
        let Some(id) = self.find_member(target) else {
            let key = self.names.key(target);
            if !self.reserved.remove_key(key) {
                return Err(no_such_member(target));
            }
            let text = format!("freed the name {target}");
            self.audit(author, &text);
            self.send_info(author, &text);
            return Ok(());
        };
        if self.is_operator(id) {
            return Err(not_allowed(format!("{target} is an operator")));
        }
        let name = self.name_of(id).unwrap_or_default().to_owned();
        self.announce_measure(author, &format!("{name} was kicked"), "", reason, None);
        let text = with_reason(ByeCode::Kicked.text(), reason);
        if self.is_absent(id) {
            self.remove_absent_member(id);
        } else {
            self.close_member_with(id, ByeCode::Kicked, &text, "kicked");
        }
        Ok(())
    }

    /// Bans or mutes an address.
    fn restrict(
        &mut self,
        author: Author<'_>,
        kind: RuleKind,
        command: &OperatorCommand,
    ) -> Result<(), RequestError> {
        let OperatorCommand { target, text: reason, time, .. } = command;
        let network = self.find_network(command)?;
        if network.is_wide() {
            return Err(not_allowed(format!("{network} is wider than /16, or /32 for IPv6")));
        }
        let now = self.now.unix_seconds();
        let time = time.unwrap_or(DEFAULT_TIME);
        let by: Box<str> = self.label_of(author.id).unwrap_or_default().into();
        let until = end_after(now, time.as_secs());
        if !self.measures.add(Rule { kind, network, until, by, reason: reason.clone() }, now) {
            let text = "there are 1000 bans and mutes, which are all that are kept";
            return Err(not_allowed(text.into()));
        }
        let what = format!("{} was {}", public_name(target), past(kind));
        let detail = format!(" for {} ({network})", format_time(time));
        self.announce_measure(author, &what, &detail, reason, None);
        if kind == RuleKind::Ban {
            self.effects.push(Effect::EnforceBans);
        }
        Ok(())
    }

    /// Ends a ban or a mute.
    fn lift(
        &mut self,
        author: Author<'_>,
        kind: RuleKind,
        command: &OperatorCommand,
    ) -> Result<(), RequestError> {
        let network = command.network.ok_or_else(|| no_such_member(&command.target))?.widened();
        if !self.measures.remove(kind, network) {
            return Err(not_allowed(format!("{network} is not {}", past(kind))));
        }
        let what = format!("{} was un{}", public_name(&command.target), past(kind));
        self.announce_measure(author, &what, &format!(" ({network})"), "", None);
        Ok(())
    }

    /// Returns the network of a target that may be banned or muted.
    fn find_network(&self, command: &OperatorCommand) -> Result<Network, RequestError> {
        let target = &*command.target;
        let member = self.find_member(target);
        if member.is_some_and(|id| self.is_operator(id)) {
            return Err(not_allowed(format!("{target} is an operator")));
        }
        match (command.network, member) {
            (Some(network), _) => Ok(network.widened()),
            (None, Some(_)) => Err(not_allowed(format!("{target} has no address of its own"))),
            (None, None) => Err(no_such_member(target)),
        }
    }

    fn send_bans(&mut self, author: Author<'_>) {
        let mut text = String::new();
        for line in self.measures.lines(self.now.unix_seconds()) {
            if text.len() + line.len() > MAX_LIST {
                text += "\n…";
                break;
            }
            text += if text.is_empty() { "" } else { "\n" };
            text += &line;
        }
        self.send_info(author, if text.is_empty() { "there are no bans" } else { &text });
    }

    fn set_topic(&mut self, author: Author<'_>, text: &str) {
        let topic = if text == "-" { "" } else { text };
        self.measures.topic = (!topic.is_empty()).then(|| topic.into());
        let what = match topic {
            "" => "the topic was removed".into(),
            _ => format!("the topic is now: {topic}"),
        };
        self.announce_measure(author, &what, "", "", Some(topic));
    }

    fn lock(&mut self, author: Author<'_>, time: Duration) {
        let now = self.now.unix_seconds();
        let by = self.label_of(author.id).unwrap_or_default().to_owned();
        self.measures.lock(end_after(now, time.as_secs()), &by, now);
        let what = match time {
            Duration::ZERO => "the room was opened".into(),
            time => format!("the room was locked for {}", format_time(time)),
        };
        self.announce_measure(author, &what, "", "", None);
    }

    /// Publishes what an operator did, and writes it to the log with a detail that is not public.
    fn announce_measure(
        &mut self,
        author: Author<'_>,
        what: &str,
        detail: &str,
        reason: &str,
        topic: Option<&str>,
    ) {
        self.has_new_measures = true;
        self.audit(author, &with_reason(&format!("{what}{detail}"), reason));
        self.publish_notice();
        let time = self.now.unix_ms;
        let data = match topic {
            Some(topic) if !topic.is_empty() => format!("{what} (by {})", author.name),
            _ => with_reason(&format!("{what} by {}", author.name), reason),
        };
        self.publish(SERVER, &data, |seq| Body::Info {
            seq: Some(seq),
            time: Some(time),
            topic: topic.map(Cow::from),
            id: author.line_id.map(Cow::from),
            stats: None,
        });
    }

    fn audit(&mut self, author: Author<'_>, text: &str) {
        let Author { id, name, .. } = author;
        let label = self.label_of(id).unwrap_or_default().into();
        self.add_effect(id, Effect::Audit { id, label, name: name.into(), text: text.into() });
    }
}

/// Returns the error for a member that is not an operator.
pub(super) fn not_operator() -> RequestError {
    let text = "only an operator can do this; /op SECRET makes you one";
    RequestError::new(ErrorCode::NotOperator, text)
}

fn not_allowed(text: String) -> RequestError {
    RequestError::new(ErrorCode::NotAllowed, text)
}

fn no_such_member(name: &str) -> RequestError {
    RequestError::new(ErrorCode::NoSuchUser, format!("no member is called {name}"))
}

fn past(kind: RuleKind) -> &'static str {
    if kind == RuleKind::Ban { "banned" } else { "muted" }
}

/// Returns a target for all members, who are not told addresses.
fn public_name(target: &str) -> &str {
    if target.parse::<Network>().is_ok() { "an address" } else { target }
}

fn with_reason(text: &str, reason: &str) -> String {
    if reason.is_empty() { text.into() } else { format!("{text}: {reason}") }
}

/// Formats a time in the largest unit of which it is a multiple.
fn format_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let unit = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds % unit == 0);
    let (unit, letter) = unit.unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}
