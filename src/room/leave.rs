//! Leaving: a member is removed from the room, with a leave notice if its join was announced.
//!
//! The room sends the last frame of the client. The broadcaster then ends the connection, see
//! `server/client_state.rs`.

use std::fmt;

use log::Level;

#[cfg(feature = "cluster")]
use super::NodeId;
use super::presence::PresenceChange;
use super::reserved_names::ReservedName;
use super::state::{Effect, Member, RoomState, Visibility};
use super::{ClientId, ClientTable, DisconnectReason, LeaveCause, Op};
use crate::protocol::{Body, ByeCode};

impl RoomState {
    /// Removes a member, which may be absent only until it returns.
    pub(super) fn leave(&mut self, id: ClientId, cause: LeaveCause) {
        // The connection of an absent member has ended before.
        if self.is_absent(id) {
            if let LeaveCause::Banned = cause {
                self.remove_absent_member(id);
            }
            return;
        }
        match cause {
            LeaveCause::Disconnected(reason) => self.disconnect(id, reason),
            LeaveCause::OtherProtocol(protocol) => {
                let reason = format_args!("the client spoke {protocol}");
                self.close_member(id, protocol.bye_code(), &reason);
            }
            LeaveCause::Banned => self.close_member(id, ByeCode::Banned, &"its address is banned"),
            #[cfg(any(feature = "web", feature = "irc", feature = "tls", feature = "cluster"))]
            LeaveCause::Answered => {
                if self.remove_and_announce(id, false, &"got an answer in another protocol") {
                    self.unicast(id, Op::Close);
                }
            }
        }
    }

    /// Removes a member whose connection has ended. If the member asked for it, its name is reserved
    /// for it.
    fn disconnect(&mut self, id: ClientId, reason: DisconnectReason) {
        if reason == DisconnectReason::Away && self.keep_absent(id) {
            return;
        }
        self.reserve_name(id);
        if matches!(reason, DisconnectReason::Finished | DisconnectReason::Away) {
            self.close_member(id, ByeCode::Quit, &reason);
        } else if self.remove_and_announce(id, false, &reason) {
            if reason == DisconnectReason::Slow {
                self.count_eviction(id, ByeCode::Slow);
            }
            self.unicast(id, Op::Abort);
        }
    }

    /// Reserves the name of a member that asked for it.
    fn reserve_name(&mut self, id: ClientId) {
        let Some(member) = self.members.get(id).filter(|member| member.is_name_kept) else {
            return;
        };
        if !self.rules.grace.is_zero() {
            let reserved = ReservedName {
                name: member.name.clone(),
                credential: member.credential,
                origin: member.origin,
                until: self.now.uptime.saturating_add(self.rules.grace),
                is_operator: self.is_operator(id),
            };
            self.reserved.reserve(self.names.key(&member.name), reserved, self.now.uptime);
        }
    }

    /// Ends the connection of a member that may return, and returns whether it stays a member until
    /// then.
    fn keep_absent(&mut self, id: ClientId) -> bool {
        let Some(member) = self.members.get_mut(id) else { return false };
        if !member.is_name_kept || self.rules.grace.is_zero() {
            return false;
        }
        member.is_absent = true;
        let name = member.name.clone();
        self.absent.push(self.now.uptime.saturating_add(self.rules.grace), id, &self.members);
        self.log(Level::Debug, id, &name, " went away");
        // The member keeps the place, and may take it to another connection before this one ends.
        self.unicast(id, Op::Refuse);
        true
    }

    /// Returns whether a member is absent.
    pub(super) fn is_absent(&self, id: ClientId) -> bool {
        self.members.get(id).is_some_and(|member| member.is_absent)
    }

    /// Removes the members that have not returned in time.
    pub(super) fn remove_overdue_members(&mut self) {
        while let Some(client) = self.absent.pop_expired(self.now.uptime, &self.members) {
            self.remove_absent_member(client.id);
        }
    }

    pub(super) fn remove_absent_member(&mut self, id: ClientId) {
        // Released: its connection has ended before.
        self.remove_and_announce(id, true, &DisconnectReason::Away);
    }

    /// Sends a bye to a member, removes it, and ends its connection after all frames are sent.
    pub(super) fn close_member(&mut self, id: ClientId, code: ByeCode, reason: &dyn fmt::Display) {
        self.close_member_with(id, code, code.text(), reason);
    }

    /// Does the same as [`close_member`](Self::close_member), with a text for the member.
    pub(super) fn close_member_with(
        &mut self,
        id: ClientId,
        code: ByeCode,
        text: &str,
        reason: &dyn fmt::Display,
    ) {
        if self.members.get(id).is_some() {
            self.publish_notice_of(PresenceChange::Joined);
            self.send_last_frame(id, code, text, Op::Close);
            self.remove_and_announce(id, false, reason);
        }
    }

    /// Removes the members of a node that has ended, except those that were absent before. They are
    /// sent nothing.
    #[cfg(feature = "cluster")]
    pub(super) fn remove_node(&mut self, node: NodeId) {
        let is_gone = |&(id, member): &(ClientId, &Member)| id.node() == node && !member.is_absent;
        let gone = self.members.iter().filter(is_gone).map(|(id, _)| id);
        for id in gone.collect::<Vec<ClientId>>() {
            self.reserve_name(id);
            self.remove_and_announce(id, false, &"its node has ended");
        }
    }

    /// Removes all members without a notice, at the end of the room.
    pub(super) fn clear(&mut self) {
        self.members = ClientTable::new();
        self.names.clear();
    }

    /// Sends a bye to a client, and an operation that ends its connection.
    pub(super) fn send_last_frame(&mut self, id: ClientId, code: ByeCode, text: &str, end: Op) {
        if !matches!(code, ByeCode::Quit | ByeCode::Shutdown) {
            self.count_eviction(id, code);
        }
        #[cfg_attr(not(feature = "irc"), expect(unused_mut))]
        let mut text = String::from(text);
        #[cfg(feature = "irc")]
        if code == ByeCode::Irc && !self.answers.irc_addresses.is_empty() {
            text += "; IRC clients connect to ";
            text += &self.answers.irc_addresses;
        }
        // A client that is not a member was sent no frame of the sequence.
        let seq = self.members.get(id).map_or(0, |_| self.batch.seq);
        self.send(id, text.into(), Body::Bye { code, seq });
        self.unicast(id, end);
    }

    /// Removes a member and announces that, if its join was announced. Returns whether it was in the
    /// room.
    fn remove_and_announce(
        &mut self,
        id: ClientId,
        is_released: bool,
        reason: &dyn fmt::Display,
    ) -> bool {
        let Some(Member { name, visibility, .. }) = self.remove_member(id, is_released) else {
            return false;
        };
        self.names.remove(&name);
        match visibility {
            Visibility::Silent => {
                let line = format!(" left before it was announced: {reason}");
                self.log(Level::Debug, id, &name, &line);
            }
            _ => self.log(Level::Info, id, &name, &format!(" left: {reason}")),
        }
        if visibility == Visibility::Announced {
            self.announce(PresenceChange::Left, &name);
        }
        true
    }

    /// Removes a member from the table. Its name stays taken. Its connection keeps the place until it
    /// has ended, except if the member `is_released`.
    pub(super) fn remove_member(&mut self, id: ClientId, is_released: bool) -> Option<Member> {
        let member = self.members.remove(id)?;
        self.credentials.remove(member.credential);
        #[cfg(feature = "cluster")]
        self.profiles.remove(&id);
        self.operators.retain(|(operator, _)| *operator != id);
        self.add_effect(id, Effect::Removed { id, is_released });
        Some(member)
    }
}
