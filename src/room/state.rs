//! The state of a room that is the same on all nodes: the members, their names, and the sequence.
//!
//! It depends on nothing but the [`Command`]s and their times. What a node sends to its own clients
//! alone is left out for those of other nodes.

use std::borrow::Cow;
#[cfg(feature = "cluster")]
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use log::Level;

use super::batch::BatchBuilder;
use super::config::{AnswerConfig, Rules};
use super::credential_index::CredentialIndex;
use super::names::{HashKey, NameIndex, OriginKey};
use super::operators::not_operator;
use super::presence::PendingNotice;
#[cfg(feature = "cluster")]
use super::profile::Profile;
use super::requests::{HELP, OPERATOR_HELP};
use super::reserved_names::ReservedNames;
use super::wait_queue::WaitQueue;
use super::{
    ClientId, ClientTable, Command, Credential, History, Moderation, Now, Op, Slice, Token,
};
use crate::protocol::{
    Body, ByeCode, ClientLine, ErrorCode, Frame, ParsedLine, Request, RequestError, Stats,
};

/// The members, their names, the sequence and the history.
#[derive(Debug)]
pub(super) struct RoomState {
    pub rules: Rules,
    /// The random word that identifies this sequence of numbers.
    pub epoch: Box<str>,
    pub hash_key: HashKey,
    pub members: ClientTable<Member>,
    pub names: NameIndex,
    pub credentials: CredentialIndex,
    pub reserved: ReservedNames,
    /// The members that have not said anything, and are not announced.
    pub silent: WaitQueue<Member>,
    /// The members whose connections have ended and that may return.
    pub absent: WaitQueue<Member>,
    pub history: History,
    pub notice: PendingNotice,
    /// The members that are operators, with their labels.
    pub operators: Vec<(ClientId, Box<str>)>,
    pub moderation: Moderation,
    /// The room has or had a ban, a mute, a lock or a topic: the file of a node must not replace
    /// them.
    #[cfg(feature = "cluster")]
    pub is_moderated: bool,
    /// The guests that were given a number.
    pub guests: u64,
    /// The profiles of the members that are IRC clients.
    #[cfg(feature = "cluster")]
    pub profiles: BTreeMap<ClientId, Profile>,
    /// The numbers of the last frames that were a notice.
    #[cfg(feature = "cluster")]
    pub notices: VecDeque<u64>,
    pub now: Now,

    // The rest is not the same on all nodes.
    /// The moderation has changed since the caller took it.
    pub is_moderation_changed: bool,
    pub answers: AnswerConfig,
    pub batch: BatchBuilder,
    /// The effects on the clients of the node that are not handled yet.
    pub effects: Vec<Effect>,
    /// The statistics of the node that the room counts.
    pub counts: Stats,
    /// The statistics of the node that the caller counts.
    pub server_stats: Stats,
}

/// A member of the room.
#[derive(Debug)]
#[cfg_attr(feature = "cluster", derive(Clone, PartialEq, serde::Serialize, serde::Deserialize))]
pub(super) struct Member {
    pub credential: Credential,
    pub name: Box<str>,
    /// The address by which its reserved name is counted.
    pub origin: OriginKey,
    /// Errors in a row.
    pub errors: u8,
    /// The client asked to have its name reserved if it loses its connection.
    pub is_name_kept: bool,
    /// The connection has ended, and the member may return.
    pub is_absent: bool,
    pub visibility: Visibility,
}

/// Whether the other members are told that a member joins and leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Visibility {
    /// They are told of neither, unless the member says something or stays long enough.
    Silent,
    /// They are told of both: the join notice is published or pending.
    Announced,
    /// They are told of neither, because the member asked for that.
    Quiet,
    /// They are told of neither until the member is shown, see [`Command::Show`].
    #[cfg(any(feature = "irc", feature = "cluster"))]
    Hidden,
}

/// An effect of a command on a client of the node.
#[derive(Debug)]
pub(super) enum Effect {
    /// The client is a member.
    Joined(ClientId),
    /// There is no place for the client, or it is refused with this code.
    Refused(ClientId, Option<ByeCode>),
    /// The bans have changed.
    EnforceBans,
    /// An operator asks for the address of a member.
    Whois { to: ClientId, line_id: Option<Box<str>>, name: Box<str>, id: ClientId },
    /// An operator of another node has sent a command, which needs the address of a member.
    #[cfg(feature = "cluster")]
    FindAddress { to: ClientId, line: ClientLine, id: ClientId },
    /// A line for the log about a command of an operator.
    Audit { id: ClientId, label: Box<str>, name: Box<str>, text: String },
    /// The client is no member, because its name is not free.
    #[cfg(feature = "cluster")]
    NameTaken(ClientId),
    /// The client is no longer a member.
    Removed {
        id: ClientId,
        /// The place is free: its connection has ended, or another client has taken the place.
        is_released: bool,
    },
    /// A line for the log, about the client, which has this name.
    Log(Level, ClientId, Box<str>, String),
}

/// The author of a line.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    pub id: ClientId,
    pub name: &'a str,
    /// The `id` that the author gave the line.
    pub line_id: Option<&'a str>,
}

impl RoomState {
    /// Creates the state of an empty room whose sequence continues a history.
    pub fn new(
        rules: Rules,
        answers: AnswerConfig,
        epoch: Box<str>,
        hash_key: HashKey,
        (history, seq): (History, u64),
    ) -> Self {
        RoomState {
            epoch,
            hash_key,
            members: ClientTable::new(),
            names: NameIndex::new(hash_key),
            credentials: CredentialIndex::default(),
            reserved: ReservedNames::new(rules.max_reserved, rules.max_reserved_per_ip),
            silent: WaitQueue::new(|member| member.visibility == Visibility::Silent),
            absent: WaitQueue::new(|member| member.is_absent),
            history,
            notice: PendingNotice::default(),
            operators: Vec::new(),
            moderation: Moderation::default(),
            #[cfg(feature = "cluster")]
            is_moderated: false,
            guests: 0,
            #[cfg(feature = "cluster")]
            profiles: BTreeMap::new(),
            #[cfg(feature = "cluster")]
            notices: VecDeque::new(),
            now: Now::default(),
            rules,
            answers,
            is_moderation_changed: false,
            batch: BatchBuilder::new(seq),
            effects: Vec::new(),
            counts: Stats::default(),
            server_stats: Stats::default(),
        }
    }

    /// Applies a command. `token` is that of a client of the node that joins.
    pub fn apply(&mut self, command: Command, token: Option<Token>, now: Now) {
        self.now = now;
        match command {
            Command::Join(join) => self.join(*join, token),
            Command::Lines { id, lines } => {
                self.batch.count_answers_to(id);
                for line in lines {
                    self.on_line(id, line);
                }
            }
            Command::Leave { id, cause } => self.leave(id, cause),
            Command::Operator { id, label, line_id } => {
                self.make_operator(id, label, line_id.as_deref());
            }
            Command::KeepOperators { node, labels } => self.keep_operators(node, &labels),
            Command::Moderation(moderation) => self.set_moderation(*moderation),
            #[cfg(feature = "cluster")]
            Command::Rules(rules) => self.set_rules(*rules),
            #[cfg(feature = "cluster")]
            Command::AddModeration(part) => {
                let mut moderation = std::mem::take(&mut self.moderation);
                moderation.extend(*part);
                self.set_moderation(moderation);
            }
            #[cfg(feature = "cluster")]
            Command::Tell { id, text, line_id } => {
                self.send(id, text.into(), Body::info(line_id.map(|id| id.into_string().into())));
            }
            #[cfg(any(feature = "irc", feature = "cluster"))]
            Command::Show { id, is_shown } => self.show(id, is_shown),
            Command::Tick => self.end_waits(),
            #[cfg(feature = "cluster")]
            Command::NodeDown { node } => self.remove_node(node),
            #[cfg(feature = "cluster")]
            Command::Profile { id, profile } => self.set_profile(id, *profile),
            #[cfg(feature = "cluster")]
            Command::Credential { id, name, credential } => {
                self.set_credential(id, &name, credential);
            }
            #[cfg(feature = "cluster")]
            Command::Edge { .. } => {}
        }
        self.publish_due_notice(now);
    }

    fn set_moderation(&mut self, moderation: Moderation) {
        self.moderation = moderation;
        self.effects.push(Effect::EnforceBans);
        #[cfg(feature = "cluster")]
        {
            self.is_moderated |= self.moderation != Moderation::default();
            // They can come from the file of one node, and the other nodes write them to theirs.
            self.is_moderation_changed |= self.answers.node != super::NodeId::default();
        }
    }

    pub(super) fn on_line(&mut self, id: ClientId, line: ParsedLine) {
        // An earlier line of the same command may have removed the member.
        let Some(member) = self.members.get(id).filter(|member| !member.is_absent) else { return };
        let name = member.name.clone();
        let error = match line {
            Ok(ClientLine { id: line_id, request }) => {
                let author = Author { id, name: &name, line_id: line_id.as_deref() };
                match self.on_request(author, request) {
                    Ok(()) => return,
                    Err(error) => RequestError { id: line_id, ..error },
                }
            }
            Err(error) => error,
        };
        self.send_error(id, error);
    }

    fn on_request(&mut self, author: Author<'_>, request: Request) -> Result<(), RequestError> {
        let Author { id, name, line_id } = author;
        let time = self.now.unix_ms;
        if request == Request::Heartbeat {
            if line_id.is_some() {
                self.send_info(author, "still here");
            }
            return Ok(());
        }
        if !matches!(request, Request::Hello(_)) {
            self.announce_member(id);
        }
        // The join notice of a member comes before everything that the member does.
        if !self.is_crowded() || self.notice.has_join_of(name) {
            self.publish_notice();
        }
        match request {
            Request::Say(text) => {
                let id = line_id.map(Cow::from);
                self.publish(name, &text, |seq| Body::Chat { seq, time, id });
            }
            #[cfg(feature = "cluster")]
            Request::Notice(text) => {
                let id = line_id.map(Cow::from);
                self.publish(name, &text, |seq| Body::Chat { seq, time, id });
                self.mark_notice();
            }
            Request::Action(text) => {
                let id = line_id.map(Cow::from);
                self.publish(name, &text, |seq| Body::Action { seq, time, id });
            }
            Request::Private { to, text } => self.send_private(author, &to, &text)?,
            Request::Nick(requested) => self.rename(author, &requested)?,
            Request::Who => self.send_who(author),
            Request::History(count) => self.show_history(author, count),
            Request::Stats => self.send_stats(author),
            Request::Help if self.is_operator(author.id) => {
                self.send_info(author, &[HELP, OPERATOR_HELP].concat());
            }
            Request::Help => self.send_info(author, HELP),
            Request::Quit => self.close_member(id, ByeCode::Quit, &"quit"),
            #[cfg(feature = "irc")]
            Request::Edge(_) => {}
            Request::Pass(_) => self.send_info(author, "no password is needed"),
            Request::Operator(command) => self.on_operator_command(author, *command)?,
            Request::Op(_) => return Err(not_operator()),
            Request::Heartbeat | Request::Hello(_) => {
                let text = "a hello is accepted only as the first line";
                return Err(RequestError::new(ErrorCode::LateHello, text));
            }
        }
        // A heartbeat, which returned above, does not show that the client speaks the protocol.
        if let Some(member) = self.members.get_mut(id) {
            member.errors = 0;
        }
        Ok(())
    }

    /// Publishes a frame for all members.
    pub fn publish<'a>(
        &mut self,
        source: &'a str,
        data: &'a str,
        body: impl FnOnce(u64) -> Body<'a>,
    ) {
        self.batch.publish(source, data, body);
        self.history.make_room(self.batch.ends());
    }

    /// Announces each member that has said nothing until
    /// [`SILENT_NOTICE_DELAY`](super::presence::SILENT_NOTICE_DELAY) after its welcome, and removes
    /// each absent member that has not returned in time.
    fn end_waits(&mut self) {
        self.remove_overdue_members();
        while let Some(client) = self.silent.pop_expired(self.now.uptime, &self.members) {
            self.announce_member(client.id);
        }
    }

    /// Returns the time at which [`Command::Tick`] has to be applied.
    pub fn deadline(&self) -> Option<Duration> {
        let deadlines = [self.silent.deadline(), self.absent.deadline(), self.notice.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Returns whether a client is one of this node.
    pub fn is_local(&self, id: ClientId) -> bool {
        id.node() == self.answers.node
    }

    /// Adds an operation on a client, if it is one of this node.
    pub fn unicast(&mut self, id: ClientId, op: Op) {
        if self.is_local(id) {
            self.batch.unicast(id, op);
        }
    }

    /// Sends a client a frame from the server, if it is one of this node.
    pub fn send<'a>(&mut self, id: ClientId, text: Cow<'a, str>, body: Body<'a>) {
        if self.is_local(id) {
            self.batch.unicast(id, Op::Send(Slice::own(&Frame::server(text, body))));
        }
    }

    /// Adds an effect on a client, if it is one of this node.
    pub fn add_effect(&mut self, id: ClientId, effect: Effect) {
        if self.is_local(id) {
            self.effects.push(effect);
        }
    }

    /// Writes a line about a client of this node to the log.
    pub fn log(&mut self, level: Level, id: ClientId, name: &str, text: &str) {
        if self.is_local(id) {
            self.effects.push(Effect::Log(level, id, name.into(), text.into()));
        }
    }

    /// Counts a client of this node that is closed.
    pub fn count_eviction(&mut self, id: ClientId, code: ByeCode) {
        if self.is_local(id) {
            self.counts.evictions.add(code);
        }
    }

    pub fn name_of(&self, id: ClientId) -> Option<&str> {
        self.members.get(id).map(|member| &*member.name)
    }

    /// Returns the members, sorted by number.
    pub fn members(&self) -> impl Iterator<Item = (ClientId, &str)> {
        self.members.iter().map(|(id, member)| (id, &*member.name))
    }
}
