//! The commands of a room: the inputs that change its [`RoomState`](super::state::RoomState).
//!
//! A [`Lobby`](super::lobby::Lobby) makes them of the inputs of its own clients. In a cluster they
//! go into a log, and each node applies the commands of all nodes in the order of the log.

#[cfg(feature = "cluster")]
use super::input::has_stats_request;
use super::names::OriginKey;
use super::{ClientId, Credential, DisconnectReason, Moderation, NodeId};
#[cfg(feature = "cluster")]
use super::{Profile, Rules};
use crate::protocol::{Hello, OtherProtocol, ParsedLine};

/// An input that changes the state of the room.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub enum Command {
    /// A client becomes a member.
    Join(Box<Join>),
    /// A member has sent lines.
    Lines {
        id: ClientId,
        /// The lines, in order.
        lines: Vec<ParsedLine>,
    },
    /// A member leaves.
    Leave { id: ClientId, cause: LeaveCause },
    /// A member becomes an operator.
    Operator { id: ClientId, label: Box<str>, line_id: Option<Box<str>> },
    /// The rules are replaced, by those of the nodes in the room.
    #[cfg(feature = "cluster")]
    Rules(Box<Rules>),
    /// Only the operators with these labels remain, of the members of a node.
    KeepOperators { node: NodeId, labels: Vec<Box<str>> },
    /// The bans, the mutes, the lock and the topic are replaced.
    Moderation(Box<Moderation>),
    /// Bans and mutes are added to those of [`Moderation`](Self::Moderation).
    #[cfg(feature = "cluster")]
    AddModeration(Box<Moderation>),
    /// A client is sent a text, which only another node knows.
    #[cfg(feature = "cluster")]
    Tell { id: ClientId, text: String, line_id: Option<Box<str>> },
    /// A member is shown with a join notice, or hidden with a leave notice.
    #[cfg(any(feature = "irc", feature = "cluster"))]
    Show { id: ClientId, is_shown: bool },
    /// Time has passed, and waits may be over.
    Tick,
    /// A node has ended, and all its members leave.
    #[cfg(feature = "cluster")]
    NodeDown { node: NodeId },
    /// A member states other values about itself.
    #[cfg(feature = "cluster")]
    Profile { id: ClientId, profile: Box<Profile> },
    /// A member has another credential, if it has this name.
    #[cfg(feature = "cluster")]
    Credential { id: ClientId, name: Box<str>, credential: Credential },
    /// A message of an edge to the same edge of all nodes, about a member. It changes no state.
    #[cfg(feature = "cluster")]
    Edge { id: ClientId, message: EdgeMessage },
}

/// A client that becomes a member.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Join {
    pub id: ClientId,
    /// The credential of the token in its welcome.
    pub credential: Credential,
    /// The credential of the token in its hello.
    pub proof: Option<Credential>,
    /// The hello, without its token; none if the client did not send one.
    pub hello: Option<Box<Hello>>,
    /// The id of the hello.
    pub line_id: Option<Box<str>>,
    /// The remote port, for the name of a guest.
    pub port: Option<u16>,
    pub origin: OriginKey,
    /// The other members are not told of it until it is shown.
    pub is_hidden: bool,
    pub place: Place,
    /// The label of the client as an operator.
    pub operator: Option<Box<str>>,
    /// The client is refused if its name is not free, and stays connected.
    #[cfg(feature = "cluster")]
    #[serde(default)]
    pub is_name_required: bool,
    #[cfg(feature = "cluster")]
    #[serde(default)]
    pub profile: Option<Profile>,
    /// The lines that the client has sent with its hello or instead of one.
    pub lines: Vec<ParsedLine>,
}

/// A message of an edge about a member.
#[cfg(feature = "cluster")]
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub enum EdgeMessage {
    /// The command with which the member leaves the channel or the server.
    Departure(Box<str>),
    /// A text that is no frame of the room, for a client or for all that see the channel.
    Text { to: Option<ClientId>, command: Box<str>, text: Box<str> },
}

/// The place of a client that becomes a member, if it does not take over that of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub enum Place {
    /// It has a place.
    Own,
    /// It gets the place of an absent member, which leaves.
    OfAbsent(ClientId),
    /// It gets the place of a guest, which leaves.
    OfGuest(ClientId),
    /// There is none, and the client is refused.
    Missing,
}

/// The reason for which a member leaves.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub enum LeaveCause {
    /// Its connection has ended.
    Disconnected(DisconnectReason),
    /// It speaks another protocol.
    OtherProtocol(OtherProtocol),
    /// Its address is banned.
    Banned,
    /// It was sent an answer in another protocol.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls", feature = "cluster"))]
    Answered,
}

#[cfg(feature = "cluster")]
impl Command {
    /// Returns whether a line requests the statistics, which
    /// [`set_server_stats`](super::Room::set_server_stats) has to set before.
    pub fn has_stats_request(&self) -> bool {
        match self {
            Command::Join(join) => has_stats_request(&join.lines),
            Command::Lines { lines, .. } => has_stats_request(lines),
            _ => false,
        }
    }

    /// Returns commands of at most one line each, which together have the same effect, for a log
    /// that does not take a command with all lines of one read.
    pub fn into_lines(self) -> Vec<Command> {
        let (join, id, lines) = match self {
            Command::Join(mut join) => {
                let (id, lines) = (join.id, std::mem::take(&mut join.lines));
                (Some(Command::Join(join)), id, lines)
            }
            Command::Lines { id, lines } => (None, id, lines),
            Command::Moderation(moderation) => {
                let mut parts = moderation.into_parts().into_iter().map(Box::new);
                let first = parts.next().map(Command::Moderation);
                return first.into_iter().chain(parts.map(Command::AddModeration)).collect();
            }
            other => return vec![other],
        };
        let lines = lines.into_iter().map(|line| Command::Lines { id, lines: vec![line] });
        join.into_iter().chain(lines).collect()
    }
}
