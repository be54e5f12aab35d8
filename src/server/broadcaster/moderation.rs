//! The files of the operators: their secrets, and the bans.

use log::{error, info};

use super::Broadcaster;
use crate::room::{Input, Now};

impl Broadcaster {
    /// Reads the secrets and the bans again. If a file is not valid, what it had before stays.
    pub(super) fn reload(&mut self, now: Now) {
        let secrets = &self.secrets;
        if !secrets.has_password() && !secrets.has_operators() && self.ban_file.is_none() {
            return info!("SIGHUP: there is nothing to reload");
        }
        info!("SIGHUP: reading the secrets and the bans again");
        match secrets.read() {
            Ok(labels) => self.room.apply(Input::KeepOperators(labels), now),
            Err(error) => error!("{error}; the old secrets stay"),
        }
        self.read_bans(now);
    }

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
