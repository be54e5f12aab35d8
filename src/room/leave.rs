//! Leaving: a client is removed from the room, with a leave notice if it was a member.
//!
//! The room sends the last frame of the client. The broadcaster then ends the connection, see
//! `server/client_state.rs`.

use std::fmt;

use log::Level;

#[cfg(any(feature = "web", feature = "tls"))]
use super::Peer;
use super::admission::{Origin, Refusal};
use super::presence::PresenceChange;
use super::reserved_names::ReservedName;
use super::{Client, ClientId, ClientTable, DisconnectReason, Now, Op, Room, Visibility};
use crate::protocol::{Body, ByeCode};

impl Room {
    /// Removes a client whose connection has ended. If the client asked for it, its name is
    /// reserved for it.
    pub fn disconnect(&mut self, id: ClientId, reason: DisconnectReason, now: Now) {
        self.now = now;
        // Its connection has ended before.
        if self.clients.get(id).is_some_and(|client| client.is_absent) {
            return;
        }
        if reason == DisconnectReason::Away && self.keep_absent(id) {
            return;
        }
        if let Some(Client { is_name_kept: true, name: Some(name), token, peer, .. }) =
            self.clients.get(id)
            && !self.config.grace.is_zero()
        {
            let reserved = ReservedName {
                name: name.clone(),
                token: *token,
                origin: (*peer).into(),
                until: now.uptime + self.config.grace,
            };
            self.reserved.reserve(self.names.key(name), reserved, now.uptime);
        }
        if matches!(reason, DisconnectReason::Finished | DisconnectReason::Away) {
            if self.refuse_visitor(id) {
                return;
            }
            self.close_client(id, ByeCode::Quit, reason);
        } else if self.remove_and_announce(id, reason) {
            if reason == DisconnectReason::Slow {
                self.counts.evictions.add(ByeCode::Slow);
            }
            self.batch.unicast(id, Op::Abort);
        }
    }

    /// Ends the connection of a member that may return, and returns whether it stays a member until
    /// then.
    fn keep_absent(&mut self, id: ClientId) -> bool {
        let Some(client) = self.clients.get_mut(id) else { return false };
        if !client.is_name_kept || client.name.is_none() || self.config.grace.is_zero() {
            return false;
        }
        client.is_absent = true;
        self.absent.push(self.now.uptime + self.config.grace, id, &self.clients);
        self.log(Level::Debug, format!("{} went away", self.describe(id)));
        // The member keeps the place, and may take it to another connection before this one ends.
        self.batch.unicast(id, Op::Refuse);
        true
    }

    /// Removes the members that have not returned in time.
    pub(super) fn remove_overdue_members(&mut self) {
        while let Some(client) = self.absent.pop_expired(self.now.uptime, &self.clients) {
            self.remove_absent_member(client.id);
        }
    }

    /// Removes the member that is absent for the longest time, if a visitor needs its place: of all
    /// members if the room is full, of those of the same address if that is full.
    pub(super) fn make_place_for(&mut self, visitor: ClientId) {
        let Some(&Client { is_visitor: true, peer, .. }) = self.clients.get(visitor) else {
            return;
        };
        let origin = Origin::from(peer);
        let member = match self.admission.find_full(origin) {
            None | Some(Refusal::TooFast(_)) => None,
            Some(Refusal::RoomFull(_)) => self.absent.find(&self.clients, |_| true),
            Some(Refusal::AddressFull(_)) => {
                self.absent.find(&self.clients, |client| Origin::from(client.peer) == origin)
            }
        };
        if let Some(id) = member {
            self.remove_absent_member(id);
        }
    }

    fn remove_absent_member(&mut self, id: ClientId) {
        self.remove_and_announce(id, DisconnectReason::Away);
        // Its connection has ended before.
        self.release(id, self.now);
    }

    /// Sends a bye to a client, removes it, and ends its connection after all frames are sent.
    pub(super) fn close_client(&mut self, id: ClientId, code: ByeCode, reason: impl fmt::Display) {
        if self.clients.get(id).is_some_and(|client| !client.is_absent) {
            self.publish_notice_of(PresenceChange::Joined);
            self.send_bye(id, code);
            self.remove_and_announce(id, reason);
        }
    }

    /// Removes a client that has got an answer in another protocol, and ends its connection after
    /// all bytes are sent. It is a member if it sent its request after the hello wait.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
    pub(super) fn remove_answered(&mut self, id: ClientId) {
        let Some(&Client { is_visitor, is_absent: false, .. }) = self.clients.get(id) else {
            return;
        };
        self.remove_and_announce(id, "got an answer in another protocol");
        if is_visitor {
            // It has no place.
            self.release(id, self.now);
        }
        self.batch.unicast(id, if is_visitor { Op::Refuse } else { Op::Close });
    }

    /// Returns the address of a client.
    #[cfg(any(feature = "web", feature = "tls"))]
    pub fn peer_of(&self, id: ClientId) -> Option<Peer> {
        self.clients.get(id).map(|client| client.peer)
    }

    /// Sends a bye to every client and closes the room.
    pub(super) fn shut_down(&mut self) {
        self.publish_notice();
        let ids: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        for id in ids {
            self.send_bye(id, ByeCode::Shutdown);
        }
        self.clients = ClientTable::new();
        self.ending = ClientTable::new();
        self.names.clear();
        self.admission = self.config.create_admission();
        self.is_closed = true;
    }

    /// Sends a bye to a client that is not admitted.
    pub(super) fn send_refusal(&mut self, id: ClientId, code: ByeCode, text: &str) {
        self.send_last_frame(id, code, text, Op::Refuse);
    }

    /// Sends a bye to a client, and ends its connection after all frames are sent.
    pub(super) fn send_bye(&mut self, id: ClientId, code: ByeCode) {
        self.send_last_frame(id, code, code.text(), Op::Close);
    }

    fn send_last_frame(&mut self, id: ClientId, code: ByeCode, text: &str, end: Op) {
        if !matches!(code, ByeCode::Quit | ByeCode::Shutdown) {
            self.counts.evictions.add(code);
        }
        self.batch.send(id, text, Body::Bye { code, seq: self.batch.seq });
        self.batch.unicast(id, end);
    }

    /// Removes a client and announces that, if it was a member whose join was announced. Returns
    /// whether it was in the room.
    fn remove_and_announce(&mut self, id: ClientId, reason: impl fmt::Display) -> bool {
        let description = self.describe(id);
        let Some(client) = self.remove_client(id) else { return false };
        let Some(name) = client.name else {
            let line = format!("{description} left before it was a member: {reason}");
            self.log(Level::Debug, line);
            return true;
        };
        self.names.remove(&name);
        match client.visibility {
            Visibility::Silent => {
                let line = format!("{description} left before it was announced: {reason}");
                self.log(Level::Debug, line);
            }
            #[cfg(feature = "irc")]
            Visibility::Hidden => self.log(Level::Info, format!("{description} left: {reason}")),
            Visibility::Quiet => self.log(Level::Info, format!("{description} left: {reason}")),
            Visibility::Announced => {
                self.log(Level::Info, format!("{description} left: {reason}"));
                self.announce(PresenceChange::Left, &name);
            }
        }
        true
    }

    /// Removes a client from the table. Its name stays taken, and its place until
    /// [`release`](Self::release).
    pub(super) fn remove_client(&mut self, id: ClientId) -> Option<Client> {
        let client = self.clients.remove(id)?;
        self.ending.insert(id, client.peer);
        self.admission.leave(client.peer.into(), client.is_visitor);
        Some(client)
    }

    /// Frees the place of a client that was removed: its connection has ended.
    pub fn release(&mut self, id: ClientId, now: Now) {
        if let Some(peer) = self.ending.remove(id) {
            self.admission.release(peer.into(), now.uptime);
        }
    }
}
