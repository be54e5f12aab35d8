//! New clients, and the file of the bans.

use log::error;

use super::Broadcaster;
use crate::os::random;
use crate::protocol::ByeCode;
use crate::room::{ClientId, Input, Now, Peer, Token};

impl Broadcaster {
    /// Adds a client to the room, unless there is a reason to refuse it.
    pub(super) fn connect(
        &mut self,
        id: ClientId,
        peer: Peer,
        refusal: Option<(ByeCode, String)>,
        now: Now,
    ) {
        match random().map(Token) {
            Ok(token) => self.apply(Input::Connect { id, peer, token }, now),
            // A member reconnects with its token, so a client without one is not admitted.
            Err(error) => {
                error!("{peer} refused: cannot create a token: {error}");
                self.clients.abort(id, now.uptime);
            }
        }
        if let Some((code, text)) = refusal {
            self.apply(Input::Refuse { id, code, text }, now);
        }
    }

    /// Reads the bans and the topic from their file. If the last write failed, writes it instead: the
    /// file has not all of them.
    pub(super) fn read_bans(&mut self, now: Now) {
        let Some(file) = &mut self.ban_file else { return };
        if file.is_outdated() {
            return file.save(self.room.moderation());
        }
        match file.read(now.unix_seconds()) {
            Ok(moderation) => self.apply(Input::Moderation(Box::new(moderation)), now),
            Err(error) => error!("cannot read --ban-file {}: {error}", file.path().display()),
        }
    }

    /// Writes the bans and the topic to their file, if an operator has changed them. The room waits
    /// for the write: the file is small, and changes are rare.
    pub(super) fn write_bans(&mut self) {
        let Some(moderation) = self.room.take_changed_moderation() else { return };
        if let Some(file) = &mut self.ban_file {
            file.save(moderation);
        }
    }
}
