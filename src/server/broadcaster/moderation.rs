//! The file of the bans.

use log::error;

use super::Broadcaster;
use crate::room::{Input, Now};

impl Broadcaster {
    /// Reads the bans and the topic from their file.
    pub(super) fn read_bans(&mut self, now: Now) {
        let Some(file) = &self.ban_file else { return };
        match file.read() {
            Ok(measures) => self.room.apply(Input::Measures(Box::new(measures)), now),
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
