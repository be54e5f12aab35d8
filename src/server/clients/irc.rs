//! Connections that speak IRC.

use std::rc::Rc;
use std::sync::Arc;

use super::Clients;
use crate::room::{Batch, Chunk, ClientId, Room, Slice, SliceKind};
use crate::server::edge::irc::{
    Config, IrcSession, Lines, Notes, Passwords, Profile, Settings, Span, Variant,
};
use crate::server::framing::Framing;

/// A client that speaks IRC.
#[derive(Clone, Debug, Default)]
pub struct IrcClient {
    pub session: IrcSession,
    pub profile: Profile,
}

/// The state that all clients that speak IRC share.
#[derive(Debug, Default)]
pub struct IrcState {
    pub settings: Rc<Settings>,
    pub notes: Notes,
    pub passwords: Passwords,
    /// The largest number of members that there were.
    pub most_members: usize,
    /// The lines of the batch that is delivered, for each variant.
    encoded: [Option<Encoded>; Variant::COUNT],
}

/// The lines of a batch.
#[derive(Debug)]
struct Encoded {
    bytes: Chunk,
    /// All bytes.
    shared: Slice,
    spans: Vec<Span>,
}

impl IrcState {
    /// Sets the values that come from the configuration and the room.
    #[inline(never)]
    pub fn configure(&mut self, config: Config, room: &Room) {
        self.passwords.max = 2 * room.max_connections();
        self.settings = Rc::new(Settings {
            config,
            motd: room.motd().map(Into::into),
            epoch: room.epoch().into(),
            is_stored: room.is_stored(),
            max_line: room.max_line(),
            answer_bytes: room.max_answer_bytes(),
        });
    }

    /// Takes the values over that come from a room which replaces another one.
    #[cfg(feature = "cluster")]
    pub fn enter(&mut self, room: &Room) {
        let config = self.settings.config.clone();
        self.configure(config, room);
        self.notes = Notes::default();
        room.notices().for_each(|seq| self.notes.add_notice(seq));
        self.most_members = room.member_count();
    }

    /// Ends the delivery of a batch, whose lines are not needed any more.
    pub fn end_batch(&mut self) {
        self.encoded = Default::default();
    }

    /// Returns the shared lines of a batch for clients that read a variant.
    pub fn shared_lines(&mut self, variant: Variant, batch: &Batch) -> Option<&Slice> {
        self.encode(variant, batch).map(|encoded| &encoded.shared)
    }

    fn encode(&mut self, variant: Variant, batch: &Batch) -> Option<&Encoded> {
        let encoded = self.encoded.get_mut(variant as usize)?;
        Some(encoded.get_or_insert_with(|| {
            let lines = Lines::encode(&batch.chunk, variant, &self.settings, &self.notes);
            let bytes = Chunk::from(lines.bytes);
            Encoded { shared: Slice::raw(Arc::clone(&bytes)), bytes, spans: lines.spans }
        }))
    }

    /// Returns the lines of one client for its slices of a batch.
    #[inline(never)]
    pub fn lines_of(
        &mut self,
        session: &mut IrcSession,
        slices: &[Slice],
        batch: &Batch,
    ) -> Vec<Slice> {
        let mut lines = Vec::new();
        for slice in slices {
            match slice.kind() {
                SliceKind::Live => {
                    if let Some(Encoded { bytes, spans, .. }) =
                        self.encode(session.variant(), batch)
                    {
                        session.select(&batch.chunk, slice.range(), bytes, spans, &mut lines);
                    }
                }
                SliceKind::Raw => {
                    session.set_view(slice.mark());
                    lines.push(slice.clone());
                }
                SliceKind::Own => {
                    let own = session.on_own_frame(slice.bytes(), &self.settings);
                    if !own.is_empty() {
                        lines.push(Slice::raw(own.into()));
                    }
                }
                // IRC clients are sent the history as replies.
                SliceKind::Replay | SliceKind::Past => {}
            }
        }
        session.end_batch();
        lines
    }
}

impl Clients {
    /// Returns a client that speaks IRC.
    pub fn irc_client(&self, id: ClientId) -> Option<&IrcClient> {
        self.table.get(id)?.irc.as_deref()
    }

    /// Removes a client that speaks IRC from its row of the table, while one of its lines is handled.
    pub fn take_irc_client(&mut self, id: ClientId) -> Option<Box<IrcClient>> {
        self.table.get_mut(id)?.irc.take()
    }

    /// Returns a client to its row, and sets its framing.
    pub fn put_irc_client(&mut self, id: ClientId, irc: Box<IrcClient>) {
        if let Some(client) = self.table.get_mut(id) {
            client.framing = Framing::irc(&irc.session);
            client.irc = Some(irc);
        }
    }

    /// Returns the IRC clients that see the channel.
    pub fn irc_clients_in_channel(&self) -> Vec<ClientId> {
        let rows = self
            .table
            .iter()
            .filter(|(_, client)| client.irc.as_ref().is_some_and(|irc| irc.profile.is_in_channel));
        rows.map(|(id, _)| id).collect()
    }

    /// Returns the bytes that wait in the outbox of a client.
    pub fn waiting_bytes(&self, id: ClientId) -> usize {
        self.table.get(id).map_or(0, |client| client.outbox.waiting_bytes())
    }
}
