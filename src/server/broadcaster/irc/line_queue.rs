//! The lines of IRC clients whose commands are on their way through the log.

use std::collections::{BTreeMap, VecDeque};

use crate::protocol::{ClientLine, ParsedLine, Request, RequestError};
use crate::room::{ClientId, DisconnectReason, Input};
use crate::server::address_limits::AnswerCharge;
use crate::server::clients::IrcClient;

/// The bytes of lines that wait, in all, from which the node takes no more input of clients.
pub const MAX_WAITING: usize = 256 * 1024;

/// The queues of all clients that have lines on their way. None of them is empty.
#[derive(Debug, Default)]
pub struct LineQueues {
    queues: BTreeMap<ClientId, LineQueue>,
    bytes: usize,
}

/// The lines of one client, in order. The first ones are probed: their commands were proposed.
#[derive(Debug, Default)]
pub struct LineQueue {
    lines: VecDeque<WaitingLine>,
    /// The number of lines that were probed.
    probed: usize,
    /// The client as it is after these lines, if they have commands on their way.
    pub ahead: Option<Box<IrcClient>>,
    /// The client becomes a member, and no line behind that is probed: the room may refuse.
    is_joining: bool,
    /// The bytes of the replies to these lines.
    pub replied: usize,
}

/// A line that waits.
#[derive(Debug)]
pub struct WaitingLine {
    pub input: WaitingInput,
    /// Charges the answer.
    pub answer: Option<AnswerCharge>,
    /// The commands of the line that were not read from the log, if it was probed.
    commands: usize,
}

/// An input of an IRC client.
#[derive(Clone, Debug)]
pub enum WaitingInput {
    Line(ParsedLine),
    /// An input that the room handles without the session.
    Direct(DirectInput),
}

/// An input that the room handles without the session of the client.
#[derive(Clone, Debug)]
pub enum DirectInput {
    Authenticated,
    Operator {
        label: Box<str>,
        line_id: Option<Box<str>>,
    },
    /// A wrong secret.
    Error(RequestError),
    Disconnect(DisconnectReason),
}

impl DirectInput {
    /// Returns the input for the room.
    pub fn into_input(self, id: ClientId) -> Input {
        match self {
            DirectInput::Authenticated => Input::Authenticated { id, lines: Vec::new() },
            DirectInput::Operator { label, line_id } => Input::Operator { id, label, line_id },
            DirectInput::Error(error) => Input::Lines { id, lines: vec![Err(error)] },
            DirectInput::Disconnect(reason) => Input::Disconnect { id, reason },
        }
    }
}

impl From<DirectInput> for WaitingInput {
    fn from(input: DirectInput) -> Self {
        WaitingInput::Direct(input)
    }
}

impl From<ParsedLine> for WaitingInput {
    fn from(line: ParsedLine) -> Self {
        match line {
            // The room counts wrong secrets.
            Err(error) if error.code.is_about_secrets() => DirectInput::Error(error).into(),
            line => WaitingInput::Line(line),
        }
    }
}

impl WaitingInput {
    fn bytes(&self) -> usize {
        let text = match self {
            WaitingInput::Line(Ok(ClientLine { request: Request::Edge(text), .. })) => text.len(),
            _ => 0,
        };
        size_of::<WaitingLine>() + text
    }
}

impl LineQueues {
    /// Returns whether the clients of the node have to wait.
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_WAITING
    }

    /// Adds an input behind those of the same client.
    pub fn push(&mut self, id: ClientId, input: WaitingInput, answer: Option<AnswerCharge>) {
        self.bytes += input.bytes();
        let line = WaitingLine { input, answer, commands: 0 };
        self.queues.entry(id).or_default().lines.push_back(line);
    }

    /// Returns the queue of a client, if it has lines on their way.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut LineQueue> {
        self.queues.get_mut(&id)
    }

    /// Changes the line of a client that has to be probed now, if there is one.
    pub fn change_unprobed(&mut self, id: ClientId, change: impl FnOnce(&mut ParsedLine)) {
        let Some(queue) = self.queues.get_mut(&id).filter(|queue| !queue.is_joining) else {
            return;
        };
        let Some(waiting) = queue.lines.get_mut(queue.probed) else { return };
        self.bytes -= waiting.input.bytes();
        if let WaitingInput::Line(line) = &mut waiting.input {
            change(line);
        }
        self.bytes += waiting.input.bytes();
    }

    /// Returns whether a client has lines that were not probed.
    pub fn has_unprobed(&self, id: ClientId) -> bool {
        self.queues.get(&id).is_some_and(|queue| queue.probed < queue.lines.len())
    }

    /// Removes and returns the first line of a client, if all its commands were read from the log.
    pub fn pop_ready(&mut self, id: ClientId) -> Option<WaitingLine> {
        let queue = self.queues.get_mut(&id)?;
        if queue.probed == 0 {
            return None;
        }
        let line = queue.lines.pop_front_if(|line| line.commands == 0)?;
        queue.probed -= 1;
        queue.is_joining &= queue.has_commands();
        if !queue.has_commands() {
            queue.ahead = None;
        }
        self.bytes -= line.input.bytes();
        Some(line)
    }

    /// Counts a command of a client that was read from the log, and returns whether it is the last one
    /// of a line.
    pub fn on_committed(&mut self, id: ClientId) -> bool {
        let line = self.queues.get_mut(&id).and_then(|queue| queue.lines.front_mut());
        let Some(line) = line.filter(|line| line.commands > 0) else { return false };
        line.commands -= 1;
        line.commands == 0
    }

    /// Removes the queue of a client that has no lines on their way any more.
    pub fn remove_empty(&mut self, id: ClientId) {
        if self.queues.get(&id).is_some_and(|queue| queue.lines.is_empty()) {
            self.queues.remove(&id);
        }
    }

    /// Discards the lines of a client.
    pub fn remove(&mut self, id: ClientId) {
        if let Some(queue) = self.queues.remove(&id) {
            self.bytes -= queue.lines.iter().map(|line| line.input.bytes()).sum::<usize>();
        }
    }

    /// Discards all lines.
    pub fn clear(&mut self) {
        *self = LineQueues::default();
    }
}

impl LineQueue {
    /// Returns the first line that has to be probed now, if there is one.
    pub fn next_unprobed(&self) -> Option<&WaitingInput> {
        let line = self.lines.get(self.probed).filter(|_| !self.is_joining)?;
        Some(&line.input)
    }

    /// Sets the result of the probe of that line: the number of its commands, and whether one of them
    /// makes the client a member.
    pub fn on_probed(&mut self, commands: usize, is_joining: bool) {
        if let Some(line) = self.lines.get_mut(self.probed) {
            line.commands = commands;
            self.probed += 1;
            self.is_joining = is_joining;
        }
    }

    /// Returns whether lines that were probed have commands on their way.
    pub fn has_commands(&self) -> bool {
        self.lines.iter().take(self.probed).any(|line| line.commands > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::edge::irc::parse_line;

    const ID: ClientId = ClientId(7);

    fn push(queues: &mut LineQueues, line: &str) {
        queues.push(ID, WaitingInput::Line(parse_line(line.as_bytes())), None);
    }

    fn text(line: &WaitingInput) -> String {
        match line {
            WaitingInput::Line(Ok(ClientLine { request: Request::Edge(text), .. })) => {
                text.as_ref().into()
            }
            other => format!("{other:?}"),
        }
    }

    fn pop(queues: &mut LineQueues) -> Option<String> {
        queues.pop_ready(ID).map(|line| text(&line.input))
    }

    #[test]
    fn line_is_ready_after_its_last_command() {
        let mut queues = LineQueues::default();
        for line in ["PRIVMSG #smol :a", "WHO", "QUIT :b"] {
            push(&mut queues, line);
        }
        assert_eq!(pop(&mut queues), None);
        for commands in [1, 0, 2] {
            queues.get_mut(ID).unwrap().on_probed(commands, false);
        }
        assert!(queues.get_mut(ID).unwrap().next_unprobed().is_none());
        assert_eq!(pop(&mut queues), None);
        assert!(queues.on_committed(ID));
        assert_eq!(pop(&mut queues).unwrap(), "PRIVMSG #smol :a");
        assert_eq!(pop(&mut queues).unwrap(), "WHO");
        assert!(!queues.on_committed(ID));
        assert_eq!(pop(&mut queues), None);
        assert!(queues.on_committed(ID));
        assert_eq!(pop(&mut queues).unwrap(), "QUIT :b");
        assert!(!queues.on_committed(ID), "a command that is of no line");
        queues.remove_empty(ID);
        assert_eq!((queues.bytes, queues.queues.len()), (0, 0));
    }

    #[test]
    fn line_behind_a_join_waits_for_it() {
        let mut queues = LineQueues::default();
        push(&mut queues, "USER a 0 * :a");
        push(&mut queues, "JOIN #smol");
        queues.get_mut(ID).unwrap().on_probed(1, true);
        assert!(queues.get_mut(ID).unwrap().next_unprobed().is_none());
        assert!(queues.has_unprobed(ID));
        queues.on_committed(ID);
        pop(&mut queues);
        assert_eq!(text(queues.get_mut(ID).unwrap().next_unprobed().unwrap()), "JOIN #smol");
    }

    #[test]
    fn waiting_bytes_are_bounded() {
        let mut queues = LineQueues::default();
        let mut count = 0;
        while !queues.is_full() {
            push(&mut queues, &format!("PRIVMSG #smol :{}", "x".repeat(400)));
            count += 1;
        }
        assert!(count * 400 < MAX_WAITING);
        queues.remove(ID);
        assert!(!queues.is_full() && queues.bytes == 0);
    }
}
