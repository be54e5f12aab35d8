//! The names under which a browser may reach the server.

/// Returns whether this is a host name without a port, as for `--web-host`.
pub fn is_host_name(name: &str) -> bool {
    !name.is_empty()
}
