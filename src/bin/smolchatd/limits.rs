//! The limit of open files, and the limit of clients that follows from it.

use log::warn;
use rustix::process::{Resource, getrlimit, setrlimit};
use smolchat::server::Config;
use smolchat::server::memory::max_clients_within;

/// Descriptors that the server needs for itself, without listeners: 3 standard files, 10 for the
/// reactor and the signals, and the rest for the history file, the service manager, the statistics
/// and a client that is refused.
const OWN_DESCRIPTORS: usize = 20;

/// Raises the limit of open files to its hard limit, and returns the limit.
pub fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    let soft_limit = limit.current;
    limit.current = limit.maximum;
    let limit = match setrlimit(Resource::Nofile, limit) {
        Ok(()) => limit.maximum,
        Err(error) => {
            warn!("cannot raise the limit of open files: {error}");
            soft_limit
        }
    };
    limit.and_then(|limit| limit.try_into().ok()).unwrap_or(usize::MAX)
}

/// Lowers the limit of clients to what a limit of open files allows.
pub fn fit_clients(config: &mut Config, descriptors: usize, listeners: usize) {
    // An adopted listener has two.
    let own = OWN_DESCRIPTORS.saturating_add(listeners * 2);
    let max_clients = max_clients_within(descriptors.saturating_sub(own), config);
    let room = &mut config.room;
    if max_clients < room.max_clients {
        warn!(
            "the limit of {descriptors} open files allows {max_clients} clients instead of {}; \
             raise the hard limit (ulimit -Hn, LimitNOFILE= in a systemd unit)",
            room.max_clients
        );
        room.max_clients = max_clients;
    }
}
