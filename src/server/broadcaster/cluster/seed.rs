//! The values of a new incarnation.

use std::io;

use serde::{Deserialize, Serialize};

use crate::os::{fresh_epoch, random};
use crate::room::{Config, HashKey, Rules};

/// The values with which all nodes create the room at the beginning of an epoch.
#[derive(Debug, Deserialize, Serialize)]
pub struct Seed {
    pub epoch: Box<str>,
    pub hash_key: HashKey,
    pub rules: Rules,
}

/// Returns the number of a new incarnation, and the epoch that it begins if there is none.
pub fn fresh_incarnation(room: &Config) -> io::Result<(u64, String)> {
    let [inc, first, second] = [random()?, random()?, random()?].map(u64::from_ne_bytes);
    let seed =
        Seed { epoch: fresh_epoch()?, hash_key: HashKey(first, second), rules: room.rules() };
    Ok((inc, serde_json::to_string(&seed)?))
}

/// Returns the version of the tables of Unicode, on which names depend.
pub fn unicode_version() -> String {
    let (major, minor, micro) = char::UNICODE_VERSION;
    format!("{major}.{minor}.{micro}")
}
