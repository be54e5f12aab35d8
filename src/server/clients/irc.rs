//! Connections that speak IRC.

use std::sync::Arc;
use std::time::Duration;

use super::Clients;
use crate::room::{Batch, Chunk, ClientId, ClientTable, Room, Slice, SliceKind};
use crate::server::edge::irc::{
    Config, Context, Departure, Lines, MAX_DEPARTURES, MAX_NOTICES, Part, Passwords, Profile,
    Session, Settings, Variant, View,
};
use crate::server::framing::Framing;

/// The time for which that is known: longer than a leave notice waits.
const DEPARTURE_TIMEOUT: Duration = Duration::from_secs(3);

/// The clients that speak IRC, and what they share.
#[derive(Debug)]
pub struct IrcClients {
    rows: ClientTable<IrcRow>,
    pub config: Config,
    pub passwords: Passwords,
    /// The largest number of members that there were.
    pub most_members: usize,
    epoch: Box<str>,
    motd: Option<Box<str>>,
    /// The most bytes of the lines of one notice.
    max_bytes: usize,
    /// The numbers of the frames that were a `NOTICE`.
    notices: Vec<u64>,
    /// The members that have left, and how they did.
    departures: Vec<(Box<str>, Departure)>,
    /// The times at which these are removed.
    departure_deadlines: Vec<Duration>,
    /// The lines of the batch that is delivered, for each variant.
    encoded: [Option<Encoded>; Variant::COUNT],
}

#[derive(Debug)]
struct IrcRow {
    /// Taken while a message is handled.
    session: Option<Box<Session>>,
    profile: Profile,
}

/// The lines of a batch.
#[derive(Debug)]
struct Encoded {
    shared: Slice,
    bytes: Chunk,
    /// The places of the lines; their bytes are moved to `bytes`.
    lines: Lines,
}

impl Default for IrcClients {
    fn default() -> Self {
        IrcClients {
            rows: ClientTable::new(),
            config: Config::default(),
            passwords: Passwords::new(0),
            most_members: 0,
            epoch: "".into(),
            motd: None,
            max_bytes: 0,
            notices: Vec::new(),
            departures: Vec::new(),
            departure_deadlines: Vec::new(),
            encoded: Default::default(),
        }
    }
}

impl IrcClients {
    /// Creates an empty table for the clients of a room.
    pub fn new(config: Config, room: &Room, max_passwords: usize) -> Self {
        IrcClients {
            config,
            passwords: Passwords::new(max_passwords),
            epoch: room.epoch().into(),
            motd: room.motd().map(Into::into),
            max_bytes: room.max_answer_bytes(),
            ..IrcClients::default()
        }
    }

    /// Adds a client that is not registered.
    pub fn insert(&mut self, id: ClientId) {
        let row = IrcRow { session: Some(Box::default()), profile: Profile::default() };
        self.rows.insert(id, row);
    }

    /// Removes a client, if it speaks IRC.
    pub fn remove(&mut self, id: ClientId) {
        self.rows.remove(id);
    }

    /// Returns whether a client speaks IRC.
    pub fn contains(&self, id: ClientId) -> bool {
        self.rows.get(id).is_some()
    }

    /// Returns the profile of a client.
    pub fn profile(&self, id: ClientId) -> Option<&Profile> {
        self.rows.get(id).map(|row| &row.profile)
    }

    pub fn profile_mut(&mut self, id: ClientId) -> Option<&mut Profile> {
        self.rows.get_mut(id).map(|row| &mut row.profile)
    }

    /// Removes the session of a client from the table, which keeps its row.
    pub fn take_session(&mut self, id: ClientId) -> Option<Box<Session>> {
        self.rows.get_mut(id)?.session.take()
    }

    /// Returns the session of a client to the table.
    pub fn put_session(&mut self, id: ClientId, session: Box<Session>) {
        if let Some(row) = self.rows.get_mut(id) {
            row.session = Some(session);
        }
    }

    /// Returns the session of a client.
    pub fn session_mut(&mut self, id: ClientId) -> Option<&mut Session> {
        self.rows.get_mut(id)?.session.as_deref_mut()
    }

    /// Returns the clients that see the channel.
    pub fn in_channel(&self) -> Vec<ClientId> {
        let rows = self.rows.iter().filter(|(_, row)| row.profile.is_in_channel);
        rows.map(|(id, _)| id).collect()
    }

    /// Returns the settings of the server.
    pub fn settings(&self) -> Settings<'_> {
        let context = Context {
            server: &self.config.server,
            channel: &self.config.channel,
            epoch: &self.epoch,
            max_bytes: self.max_bytes,
            notices: &self.notices,
            departures: &self.departures,
        };
        Settings { config: &self.config, motd: self.motd.as_deref(), context }
    }

    /// Remembers that the frame with a number is a `NOTICE`.
    pub fn add_notice(&mut self, seq: u64) {
        if self.notices.len() >= MAX_NOTICES {
            self.notices.remove(0);
        }
        self.notices.push(seq);
    }

    /// Remembers how a member leaves.
    pub fn add_departure(&mut self, name: &str, departure: Departure, now: Duration) {
        if self.departures.len() >= MAX_DEPARTURES {
            self.departures.remove(0);
            self.departure_deadlines.remove(0);
        }
        self.departures.push((name.into(), departure));
        self.departure_deadlines.push(now + DEPARTURE_TIMEOUT);
    }

    /// Returns the framing of a client.
    pub fn framing_of(&self, id: ClientId) -> Framing {
        let session = self.rows.get(id).and_then(|row| row.session.as_deref());
        Framing::Irc {
            variant: session.map(Session::variant).unwrap_or_default(),
            is_usual: session.is_some_and(Session::is_usual),
        }
    }

    /// Starts the delivery of a batch.
    pub fn begin_batch(&mut self, now: Duration) {
        while self.departure_deadlines.first().is_some_and(|deadline| *deadline < now) {
            self.departure_deadlines.remove(0);
            self.departures.remove(0);
        }
    }

    /// Ends the delivery of a batch, whose lines are not needed any more.
    pub fn end_batch(&mut self) {
        self.encoded = Default::default();
    }

    /// Returns the shared lines of a batch for clients that read a variant.
    pub fn shared_lines(&mut self, variant: Variant, batch: &Batch) -> &Slice {
        &self.encode(variant, batch).shared
    }

    fn encode(&mut self, variant: Variant, batch: &Batch) -> &Encoded {
        let context = Context {
            server: &self.config.server,
            channel: &self.config.channel,
            epoch: &self.epoch,
            max_bytes: self.max_bytes,
            notices: &self.notices,
            departures: &self.departures,
        };
        let [plain, time, id, both] = &mut self.encoded;
        let encoded = match (variant.has_time, variant.has_id) {
            (false, false) => plain,
            (true, false) => time,
            (false, true) => id,
            (true, true) => both,
        };
        encoded.get_or_insert_with(|| {
            let mut lines = Lines::encode(&batch.chunk, variant, context);
            let bytes = Chunk::from(std::mem::take(&mut lines.bytes));
            Encoded { shared: Slice::raw(Arc::clone(&bytes)), bytes, lines }
        })
    }

    /// Returns the lines of one client for its slices of a batch.
    pub fn lines_of(&mut self, id: ClientId, slices: &[Slice], batch: &Batch) -> Vec<Slice> {
        let Some(mut session) = self.take_session(id) else { return Vec::new() };
        let mut lines = Vec::new();
        for slice in slices {
            match slice.kind() {
                SliceKind::Live => self.select(&mut session, slice, batch, &mut lines),
                SliceKind::Raw => {
                    session.set_view(view_of(slice.mark()));
                    lines.push(slice.clone());
                }
                SliceKind::Own => {
                    let own = session.on_own_frame(slice.bytes(), self.settings());
                    lines.push(Slice::raw(own.into()));
                }
                // IRC clients are sent the history as replies.
                SliceKind::Replay | SliceKind::Past => {}
            }
        }
        session.end_batch();
        self.put_session(id, session);
        lines.retain(|slice| !slice.bytes().is_empty());
        lines
    }

    fn select(
        &mut self,
        session: &mut Session,
        slice: &Slice,
        batch: &Batch,
        lines: &mut Vec<Slice>,
    ) {
        let variant = session.variant();
        self.encode(variant, batch);
        let settings = self.settings();
        let Some(Some(encoded)) = self.encoded.get(variant.index()) else { return };
        let parts = session.select(&batch.chunk, slice.range(), &encoded.lines, settings);
        lines.extend(parts.into_iter().map(|part| match part {
            Part::Shared(range) => Slice::raw_part(Arc::clone(&encoded.bytes), range),
            Part::Own(own) => Slice::raw(own.into()),
        }));
    }
}

/// Returns the mark of a reply that changes the view of the channel.
pub fn mark_of(view: View) -> u64 {
    match view {
        View::Unchanged => 0,
        View::Opened => 1,
        View::Closed => 2,
    }
}

fn view_of(mark: u64) -> View {
    match mark {
        1 => View::Opened,
        2 => View::Closed,
        _ => View::Unchanged,
    }
}

impl Clients {
    /// Sets the clients that speak IRC, at the start.
    pub fn with_irc(self, irc: IrcClients) -> Self {
        Clients { irc, ..self }
    }

    /// Adds a session for a client that is in the table.
    pub fn insert_irc(&mut self, id: ClientId) {
        self.irc.insert(id);
        self.update_irc(id);
    }

    /// Sets the framing of an IRC client by its session.
    pub fn update_irc(&mut self, id: ClientId) {
        if let Some(client) = self.table.get_mut(id) {
            client.framing = self.irc.framing_of(id);
        }
    }
}
