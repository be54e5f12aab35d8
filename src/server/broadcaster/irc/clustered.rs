//! The lines of IRC clients of a node in a cluster, see [`LogPhase`].

use std::rc::Rc;

use super::line_queue::{DirectInput, LineQueue, WaitingInput};
use super::log_phase::{LogPhase, Probe};
use super::{RoomChannel, refuse_muted, relay};
use crate::protocol::{ClientLine, ParsedLine, Request};
use crate::room::{ClientId, Command, EdgeMessage, Input, Now, Room};
use crate::server::address_limits::AnswerCharge;
use crate::server::broadcaster::Broadcaster;
use crate::server::clients::{Clients, IrcClient, IrcState};
use crate::server::edge::irc::IrcCommand;

/// Commits a command of any node. Returns the bytes of the lines for IRC clients of this one.
pub fn commit(room: &mut Room, clients: &mut Clients, command: Command, now: Now) -> usize {
    let mut bytes = 0;
    if let Command::Edge { id, message } = &command
        && room.name_of(*id).is_some()
    {
        match message {
            EdgeMessage::Departure(departure) => {
                clients.irc.add_departure(room, *id, departure, now);
            }
            EdgeMessage::Text { to, command, text } => {
                bytes = relay(room, clients, *id, *to, [command, text], now);
            }
        }
    }
    clients.irc.commit(room, command, now);
    bytes
}

impl IrcState {
    /// Commits a command to the room, and counts its members and notices.
    pub(super) fn commit(&mut self, room: &mut Room, command: Command, now: Now) {
        let before = room.notices().next_back();
        room.commit(command, now);
        if let Some(last) = room.notices().next_back().filter(|last| Some(*last) != before) {
            self.notes.add_notice(last);
        }
        self.most_members = room.member_count().max(self.most_members);
    }

    /// Remembers the command with which a member leaves. The channel can have another name here.
    fn add_departure(&mut self, room: &Room, id: ClientId, command: &str, now: Now) {
        let Some(name) = room.name_of(id) else { return };
        let channel = &self.settings.config.channel;
        let part = command.strip_prefix("PART ").map(|rest| {
            let (_, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            format!("PART {channel} {reason}").trim_end().to_owned()
        });
        self.notes.add_departure(name, part.as_deref().unwrap_or(command), now.unix_ms);
    }
}

impl Broadcaster {
    /// Adds the input of an IRC client to its queue, or returns it.
    pub(in crate::server::broadcaster) fn queue_irc_input(
        &mut self,
        input: Input,
        answer: Option<AnswerCharge>,
        now: Now,
    ) -> Option<(Input, Option<AnswerCharge>)> {
        let Some(cluster) = &mut self.cluster else { return Some((input, answer)) };
        let is_irc = |id: &ClientId| self.clients.irc_client(*id).is_some();
        let (id, mut inputs) = match input {
            Input::Lines { id, lines } if is_irc(&id) => {
                (id, lines.into_iter().map(WaitingInput::from).collect())
            }
            Input::Authenticated { id, .. } if is_irc(&id) => {
                // The client is registered if it waits for that.
                let line = ClientLine { id: None, request: Request::Edge("PONG".into()) };
                (id, vec![DirectInput::Authenticated.into(), WaitingInput::Line(Ok(line))])
            }
            Input::Operator { id, label, line_id } if is_irc(&id) => {
                (id, vec![DirectInput::Operator { label, line_id }.into()])
            }
            Input::Disconnect { id, reason } if cluster.irc_lines.has_unprobed(id) => {
                (id, vec![DirectInput::Disconnect(reason).into()])
            }
            input => return Some((input, answer)),
        };
        if let Some(last) = inputs.pop() {
            inputs.into_iter().for_each(|input| cluster.irc_lines.push(id, input, None));
            cluster.irc_lines.push(id, last, answer);
        }
        self.advance_irc(id, now);
        None
    }

    /// Discards the lines of a client whose connection has ended.
    pub(in crate::server::broadcaster) fn discard_irc_lines(&mut self, id: ClientId) {
        if let Some(cluster) = &mut self.cluster {
            cluster.irc_lines.remove(id);
        }
    }

    /// Probes and answers the lines of a client, as far as that is possible now.
    fn advance_irc(&mut self, id: ClientId, now: Now) {
        loop {
            self.probe_lines(id, now);
            let Some(cluster) = &mut self.cluster else { return };
            let Some(waiting) = cluster.irc_lines.pop_ready(id) else {
                return cluster.irc_lines.remove_empty(id);
            };
            if let WaitingInput::Line(line) = waiting.input {
                self.run_line(id, line, None, now);
            }
            if let Some(answer) = waiting.answer {
                answer.charge(self.room.answer_bytes(), now.uptime);
            }
        }
    }

    /// Proposes the commands of the lines of a client that were not probed, up to one that depends on
    /// the result of an earlier one.
    fn probe_lines(&mut self, id: ClientId, now: Now) {
        loop {
            let Some(cluster) = &mut self.cluster else { return };
            cluster.irc_lines.change_unprobed(id, |line| refuse_muted(&self.room, id, line));
            let Some(queue) = cluster.irc_lines.get_mut(id) else { return };
            let Some(input) = queue.next_unprobed().cloned() else { return };
            // The client has left, or has reconnected: it has no name any more.
            if self.room.peer_of(id).is_none() {
                #[cfg(feature = "tls")]
                self.room.finish_refusal(id);
                return cluster.irc_lines.remove(id);
            }
            let is_settled = !queue.has_commands();
            let line = match input {
                WaitingInput::Line(line) => line,
                WaitingInput::Direct(input) => {
                    let count = self.propose_direct(id, input, now);
                    self.on_probed(id, count, false);
                    continue;
                }
            };
            if is_settled && is_question(&line) && self.room.name_of(id).is_some() {
                return self.on_probed(id, 0, false);
            }
            let (ahead, replied) = (queue.ahead.take(), queue.replied);
            let Some(client) = self.clients.irc_client(id) else {
                return cluster.irc_lines.remove(id);
            };
            let mut ahead = ahead.unwrap_or_else(|| Box::new(client.clone()));
            let probe = self.probe_line(id, line, &mut ahead, replied, now);
            let (is_joining, commands) = self.propose_probed(id, probe, &ahead, now);
            if is_settled && commands == 0 {
                // The line is answered first.
                return self.on_probed(id, 0, false);
            }
            self.on_probed(id, commands, is_joining);
            if let Some(queue) = self.line_queue(id) {
                queue.ahead = Some(ahead);
            }
        }
    }

    fn line_queue(&mut self, id: ClientId) -> Option<&mut LineQueue> {
        self.cluster.as_mut()?.irc_lines.get_mut(id)
    }

    fn on_probed(&mut self, id: ClientId, commands: usize, is_joining: bool) {
        if let Some(queue) = self.line_queue(id) {
            queue.on_probed(commands, is_joining);
        }
    }

    /// Proposes an input that the room answers. Returns the number of commands to be read back.
    fn propose_direct(&mut self, id: ClientId, input: DirectInput, now: Now) -> usize {
        let Some(command) = self.room.propose(input.into_input(id), now) else { return 0 };
        let has_answer = author_of_line(&command).is_some();
        usize::from(self.propose_command(command) && has_answer)
    }

    fn probe_line(
        &mut self,
        id: ClientId,
        line: ParsedLine,
        ahead: &mut IrcClient,
        replied: usize,
        now: Now,
    ) -> Probe {
        let settings = Rc::clone(&self.clients.irc.settings);
        let away = ahead.profile.away.clone();
        let phase = Some(LogPhase::Probe(Probe::default()));
        let (room, clients) = (&mut self.room, &mut self.clients);
        let own_profile = &mut ahead.profile;
        let mut channel = RoomChannel { id, now, room, clients, own_profile, replied, phase };
        ahead.session.on_line(line, &mut channel, &settings, now.unix_ms);
        let Some(LogPhase::Probe(mut probe)) = channel.phase else { return Probe::default() };
        if ahead.profile.away != away {
            let profile = Box::new(ahead.profile.clone());
            probe.commands.push(Command::Profile { id, profile });
        }
        probe
    }

    /// Passes the commands of a line to the log. Returns whether the client becomes a member, and the
    /// number of the commands that have to be read back.
    fn propose_probed(
        &mut self,
        id: ClientId,
        probe: Probe,
        ahead: &IrcClient,
        now: Now,
    ) -> (bool, usize) {
        let Probe { commands, is_notice, joined, kept } = probe;
        if let Some((_, token)) = kept.as_ref().filter(|_| joined.is_some()) {
            self.room.set_token(id, *token);
        }
        let token = kept.as_ref().map(|(_, token)| token.to_string());
        let (mut count, mut is_joining) = (0, false);
        for command in commands {
            let command = match command {
                Command::Lines { id, mut lines } => {
                    if let Some(Ok(ClientLine { request: Request::Hello(hello), .. })) =
                        lines.first_mut()
                    {
                        hello.token = token.clone();
                    }
                    self.room.propose(Input::Lines { id, lines }, now)
                }
                command => Some(command),
            };
            let Some(mut command) = command else { continue };
            match &mut command {
                Command::Join(join) => {
                    is_joining = true;
                    join.is_hidden = true;
                    join.is_name_required = true;
                    join.profile = Some(ahead.profile.clone());
                }
                Command::Lines { lines, .. } if is_notice => mark_as_notice(lines),
                _ => {}
            }
            count += usize::from(self.propose_command(command));
        }
        if let Some((name, token)) = kept
            && joined.is_none()
            && count > 0
        {
            let credential = self.room.credential_of(token);
            self.propose_command(Command::Credential { id, name, credential });
        }
        (is_joining, count)
    }

    fn propose_command(&mut self, command: Command) -> bool {
        self.cluster.as_mut().is_some_and(|cluster| cluster.propose(command))
    }

    /// Answers a line of a client, and commits the command that the line has.
    fn run_line(&mut self, id: ClientId, line: ParsedLine, command: Option<Command>, now: Now) {
        let settings = Rc::clone(&self.clients.irc.settings);
        self.room.count_answers_to(id);
        if command.is_some() {
            self.room.set_time(now);
        }
        let replied = self.line_queue(id).map_or(0, |queue| queue.replied);
        let is_known = self.room.peer_of(id).is_some();
        let client = if is_known { self.clients.take_irc_client(id) } else { None };
        let Some(mut client) = client else {
            if let Some(command) = command {
                commit(&mut self.room, &mut self.clients, command, now);
            }
            return;
        };
        let (room, clients) = (&mut self.room, &mut self.clients);
        let own_profile = &mut client.profile;
        let phase = Some(LogPhase::Run(command));
        let mut channel = RoomChannel { id, now, room, clients, own_profile, replied, phase };
        client.session.on_line(line, &mut channel, &settings, now.unix_ms);
        let RoomChannel { replied, phase, .. } = channel;
        self.clients.put_irc_client(id, client);
        if let Some(LogPhase::Run(Some(command))) = phase {
            // The state has changed since the line was probed, and the session has said so.
            self.room.commit_unanswered(id, command, now);
        }
        if let Some(queue) = self.line_queue(id) {
            queue.replied = replied;
        }
    }

    /// Commits a command that was read from the log, and answers the line of which it was made.
    pub(in crate::server::broadcaster) fn commit_with_irc(
        &mut self,
        is_own: bool,
        command: Command,
        now: Now,
        log_now: Now,
    ) {
        let author = if is_own { author_of_line(&command) } else { None };
        let waiting = author.and_then(|id| {
            let queues = &mut self.cluster.as_mut()?.irc_lines;
            if queues.on_committed(id) { Some((id, queues.pop_ready(id)?)) } else { None }
        });
        let Some((id, waiting)) = waiting else {
            commit(&mut self.room, &mut self.clients, command, log_now);
            return;
        };
        match waiting.input {
            WaitingInput::Line(line) => self.run_line(id, line, Some(command), log_now),
            WaitingInput::Direct(_) => {
                commit(&mut self.room, &mut self.clients, command, log_now);
            }
        }
        if let Some(answer) = waiting.answer {
            answer.charge(self.room.answer_bytes(), now.uptime);
        }
        self.advance_irc(id, now);
    }
}

/// Marks the text of a line as a notice.
fn mark_as_notice(lines: &mut [ParsedLine]) {
    if let Some(Ok(ClientLine { request, .. })) = lines.first_mut()
        && let Request::Say(text) = request
    {
        *request = Request::Notice(std::mem::take(text));
    }
}

/// Returns the client of which a line can have caused the command.
fn author_of_line(command: &Command) -> Option<ClientId> {
    match command {
        Command::Join(join) => Some(join.id),
        Command::Lines { id, .. }
        | Command::Operator { id, .. }
        | Command::Show { id, .. }
        | Command::Profile { id, .. }
        | Command::Edge { id, .. } => Some(*id),
        _ => None,
    }
}

/// Returns whether a line changes neither the room nor the session.
fn is_question(line: &ParsedLine) -> bool {
    use IrcCommand::{
        Away, Cap, Invite, Join, Kick, Mode, Nick, Notice, Oper, Part, Pass, PrivMsg, Quit, Topic,
        User,
    };
    let Ok(ClientLine { request: Request::Edge(text), .. }) = line else { return true };
    !matches!(
        IrcCommand::of(text),
        Away | Cap
            | Invite
            | Join
            | Kick
            | Mode
            | Nick
            | Notice
            | Oper
            | Part
            | Pass
            | PrivMsg
            | Quit
            | Topic
            | User
    )
}
