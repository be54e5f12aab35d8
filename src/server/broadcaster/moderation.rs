//! Clients that are refused, and the file of the bans.

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

    /// Reads the bans and the topic from their file.
    pub(super) fn read_bans(&mut self, now: Now) {
        let Some(file) = &self.ban_file else { return };
        match file.read() {
            Ok(measures) => self.apply(Input::Measures(Box::new(measures)), now),
            Err(error) => error!("cannot read --ban-file {}: {error}", file.path().display()),
        }
    }

    /// Writes the bans and the topic to their file, if an operator has changed them. It is small,
    /// and operators are few, so the room waits for it.
    pub(super) fn write_bans(&mut self) {
        let Some(measures) = self.room.take_new_measures() else { return };
        if let Some(file) = &self.ban_file
            && let Err(error) = file.write(measures)
        {
            error!("cannot write --ban-file {}: {error}", file.path().display());
        }
    }
}
