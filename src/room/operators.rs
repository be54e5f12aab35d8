//! Operators and their commands.

use std::borrow::Cow;
use std::time::Duration;

use super::moderation::{MAX_RESTRICTIONS, Restriction, RestrictionKind, end_after};
use super::names::OriginKey;
use super::state::{Author, Effect, RoomState};
use super::{ClientId, Credential, NodeId};
use crate::protocol::{
    Body, ByeCode, ErrorCode, Network, OperatorCommand, RequestError, SERVER, Verb, case_fold,
    escaped_len,
};
#[cfg(feature = "cluster")]
use crate::protocol::{ClientLine, Request};

/// The label of the operators that are users of the machine.
pub(super) const LOCAL_LABEL: &str = "local";
/// The time of a ban, a mute or a lock without one.
const DEFAULT_TIME: Duration = Duration::from_secs(3600);
/// The most bytes of an answer to `/bans`, as a JSON string.
const MAX_LIST: usize = 16 << 10;

impl RoomState {
    pub(super) fn label_of(&self, id: ClientId) -> Option<&str> {
        self.operators.iter().find(|(other, _)| *other == id).map(|(_, label)| &**label)
    }

    pub(super) fn is_operator(&self, id: ClientId) -> bool {
        self.label_of(id).is_some()
    }

    /// Returns whether an operator of an origin may come back: it is a member, whose connection may
    /// be lost, or its name is reserved.
    pub(super) fn has_operator_of(&self, origin: OriginKey) -> bool {
        let mut operators = self.operators.iter().filter_map(|(id, _)| self.members.get(*id));
        operators.any(|member| member.origin == origin)
            || self.reserved.has_operator(origin, self.now.uptime)
    }

    /// Returns whether a credential is that of an operator.
    pub(super) fn is_of_operator(&self, credential: &Credential) -> bool {
        let member = self.credentials.find(credential, &self.members);
        member.is_some_and(|id| self.is_operator(id))
            || self.reserved.is_operator(credential, self.now.uptime)
    }

    /// Returns the member with a name, in any case.
    pub(super) fn find_member(&self, name: &str) -> Option<ClientId> {
        let id = self.names.get(name)?;
        (case_fold(self.name_of(id)?) == case_fold(name)).then_some(id)
    }

    /// Returns whether the room is locked for a client without the credential of a member.
    pub(super) fn is_locked_out(&self, proof: Option<Credential>) -> bool {
        let now = self.now.uptime;
        self.moderation.is_locked(self.now.unix_seconds())
            && !proof.is_some_and(|proof| self.reserved.has_credential(&proof, now))
    }

    pub(super) fn make_operator(&mut self, id: ClientId, label: Box<str>, line_id: Option<&str>) {
        let Some(name) = self.members.get(id).map(|member| member.name.clone()) else { return };
        self.operators.retain(|(other, _)| *other != id);
        let is_local = &*label == LOCAL_LABEL;
        let text = ["you are an operator (", &*label, ")"].concat();
        self.operators.push((id, label));
        // A user of the machine becomes one without a command, so there is nothing to answer.
        if !is_local {
            self.send(id, text.into(), Body::info(line_id.map(Cow::from)));
            self.audit(Author { id, name: &name, line_id }, "became an operator");
        }
    }

    /// Makes the operators of a node ordinary members, except those with one of these labels. The
    /// label of an operator that has lost its connection is not known any more.
    pub(super) fn keep_operators(&mut self, node: NodeId, labels: &[Box<str>]) {
        self.reserved.forget_operators();
        let is_kept = |(id, label): &(ClientId, Box<str>)| {
            id.node() != node || &**label == LOCAL_LABEL || labels.contains(label)
        };
        let (kept, removed) = std::mem::take(&mut self.operators).into_iter().partition(is_kept);
        self.operators = kept;
        let removed: Vec<(ClientId, Box<str>)> = removed;
        if !removed.is_empty() {
            self.effects.push(Effect::EnforceBans);
        }
        for (id, _) in removed {
            self.send(id, "you are not an operator any more".into(), Body::info(None));
        }
    }

    /// Applies a command of an operator.
    pub(super) fn on_operator_command(
        &mut self,
        author: Author<'_>,
        command: OperatorCommand,
    ) -> Result<(), RequestError> {
        #[cfg(feature = "cluster")]
        if self.is_operator(author.id) && self.ask_other_node(author, &command) {
            return Ok(());
        }
        let OperatorCommand { verb, target, network, time, text } = command;
        // In the spelling of the member.
        let member = self.find_member(&target).and_then(|id| self.name_of(id));
        let target = member.map_or(target, Box::from);
        if verb == Verb::Topic && text.is_empty() {
            let topic = self.moderation.topic.clone();
            self.send_info(author, topic.as_deref().unwrap_or("there is no topic"));
            return Ok(());
        }
        let Some(label) = self.label_of(author.id) else { return Err(not_operator()) };
        let until = end_after(self.now.unix_seconds(), time.unwrap_or(DEFAULT_TIME).as_secs());
        let by = label.into();
        let is_ban = matches!(verb, Verb::Ban | Verb::Unban);
        let kind = if is_ban { RestrictionKind::Ban } else { RestrictionKind::Mute };
        match verb {
            Verb::Kick => self.kick(author, &target, &text)?,
            Verb::Ban | Verb::Mute => {
                let network = self.find_network(&target, network)?;
                let restriction = Restriction { kind, network, until, by, reason: text };
                self.restrict(author, &target, restriction)?;
            }
            Verb::Unban | Verb::Unmute => {
                let network = network.ok_or_else(|| match self.find_member(&target) {
                    Some(_) => no_address(&target),
                    None => refuse(&target, " is not a member; give the address from /bans"),
                })?;
                if !self.moderation.remove(kind, network.widened()) {
                    return Err(refuse(&target, " is not in /bans"));
                }
                let verb = if is_ban { "unbanned " } else { "unmuted " };
                self.announce_action(author, [verb, public_name(&target)], &target, "", None);
            }
            Verb::Bans => self.send_bans(author),
            Verb::Whois => {
                let id = self.find_member(&target).ok_or_else(|| no_such_member(&target))?;
                let line_id = author.line_id.map(Box::from);
                self.audit(author, &["asked for the address of ", &*target].concat());
                self.add_effect(id, Effect::Whois { to: author.id, line_id, name: target, id });
            }
            Verb::Topic => {
                let topic = if &*text == "-" { "" } else { &*text };
                self.moderation.topic = (!topic.is_empty()).then(|| topic.into());
                let verb = if topic.is_empty() { "removed the topic" } else { "set the topic: " };
                self.announce_action(author, [verb, topic], "", "", Some(topic));
            }
            Verb::Lock => {
                self.moderation.lock(until, &by, self.now.unix_seconds());
                let verb = if time == Some(Duration::ZERO) { "opened " } else { "locked " };
                let lock = self.moderation.lock_text();
                self.announce_action(author, [verb, "the room"], &lock, "", None);
            }
        }
        Ok(())
    }

    /// Returns whether another node has to find the address of the target of a command. It then
    /// repeats the command with the address.
    #[cfg(feature = "cluster")]
    fn ask_other_node(&mut self, author: Author<'_>, command: &OperatorCommand) -> bool {
        let is_needed = command.network.is_none()
            && matches!(command.verb, Verb::Ban | Verb::Unban | Verb::Mute | Verb::Unmute);
        let member = self
            .find_member(&command.target)
            .filter(|id| is_needed && id.node() != author.id.node() && !self.is_operator(*id));
        if let Some(id) = member {
            let line_id = author.line_id.map(Box::from);
            let line =
                ClientLine { id: line_id, request: Request::Operator(command.clone().into()) };
            self.add_effect(id, Effect::FindAddress { to: author.id, line, id });
        }
        member.is_some()
    }

    /// Ends the connection of a member, or frees the name that is reserved for one.
    fn kick(&mut self, author: Author<'_>, target: &str, reason: &str) -> Result<(), RequestError> {
        let member = self.find_member(target);
        if member.is_some_and(|id| self.is_operator(id)) {
            return Err(refuse(target, " is an operator"));
        }
        let now = self.now.uptime;
        if member.is_none() && !self.reserved.remove_key(self.names.key(target), now) {
            return Err(no_such_member(target));
        }
        self.announce_action(author, ["kicked ", target], "", reason, None);
        match member {
            Some(id) if self.is_absent(id) => self.remove_absent_member(id),
            Some(id) => {
                let text = with_reason(ByeCode::Kicked.text(), reason);
                self.close_member_with(id, ByeCode::Kicked, &text, &"kicked");
            }
            None => {}
        }
        Ok(())
    }

    /// Bans or mutes an address.
    fn restrict(
        &mut self,
        author: Author<'_>,
        target: &str,
        restriction: Restriction,
    ) -> Result<(), RequestError> {
        if restriction.network.is_wide() {
            return Err(refuse(target, " is wider than /16, or /32 for IPv6"));
        }
        let is_ban = restriction.kind == RestrictionKind::Ban;
        let (detail, reason) = (restriction.to_string(), restriction.reason.clone());
        if !self.moderation.add(restriction, self.now.unix_seconds()) {
            let text = format!(" has no place: there are {MAX_RESTRICTIONS} bans and mutes");
            return Err(refuse(target, &text));
        }
        let verb = if is_ban { "banned " } else { "muted " };
        self.announce_action(author, [verb, public_name(target)], &detail, &reason, None);
        if is_ban {
            self.effects.push(Effect::EnforceBans);
        }
        Ok(())
    }

    /// Returns the network of a target that may be banned or muted.
    fn find_network(
        &self,
        target: &str,
        network: Option<Network>,
    ) -> Result<Network, RequestError> {
        let member = self.find_member(target);
        if member.is_some_and(|id| self.is_operator(id)) {
            return Err(refuse(target, " is an operator"));
        }
        let network = network.ok_or_else(|| match member {
            Some(_) => no_address(target),
            None => no_such_member(target),
        })?;
        Ok(network.widened())
    }

    fn send_bans(&mut self, author: Author<'_>) {
        let mut text = String::new();
        let mut len = 0;
        for line in self.moderation.lines(self.now.unix_seconds()) {
            len += escaped_len(&line) + r"\n".len();
            if len > MAX_LIST {
                text += "\n…";
                break;
            }
            text += if text.is_empty() { "" } else { "\n" };
            text += &line;
        }
        self.send_info(author, if text.is_empty() { "there are no bans" } else { &text });
    }

    /// Publishes an action of an operator, and writes it to the log with a detail that is not public.
    fn announce_action(
        &mut self,
        author: Author<'_>,
        action: [&str; 2],
        detail: &str,
        reason: &str,
        topic: Option<&str>,
    ) {
        self.is_moderation_changed = true;
        #[cfg(feature = "cluster")]
        {
            self.is_moderated = true;
        }
        let action = action.concat();
        let detail = if detail.is_empty() { reason } else { detail };
        self.audit(author, &with_reason(&action, detail));
        self.publish_notice();
        let time = self.now.unix_ms;
        let data = with_reason(&[author.name, " ", &*action].concat(), reason);
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

fn refuse(target: &str, text: &str) -> RequestError {
    RequestError::new(ErrorCode::NotAllowed, [target, text].concat())
}

/// Returns the error for a member without an address by which it can be banned or muted.
pub(super) fn no_address(target: &str) -> RequestError {
    refuse(target, " has no address of its own")
}

/// Returns the error for a name that no member has.
pub(super) fn no_such_member(name: &str) -> RequestError {
    RequestError::new(ErrorCode::NoSuchUser, ["no member is called ", name].concat())
}

/// Returns the text for a target in a notice to all members, which has no address.
fn public_name(target: &str) -> &str {
    if target.parse::<Network>().is_ok() { "an address" } else { target }
}

fn with_reason(text: &str, reason: &str) -> String {
    let colon = if reason.is_empty() { "" } else { ": " };
    [text, colon, reason].concat()
}
