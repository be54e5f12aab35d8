//! The statistics of the server.

use super::Broadcaster;
use crate::os::resident_memory;
use crate::protocol::Stats;

/// The log target of a report, which is written at every log level.
pub const REPORT_TARGET: &str = "smolchat::report";

impl Broadcaster {
    /// Returns the statistics that the room does not count.
    pub(super) fn server_stats(&self) -> Stats {
        Stats {
            bytes_in: self.bytes_in,
            lines_out: self.clients.sent_frames,
            bytes_out: self.clients.sent_bytes,
            events_waiting: self.events.len(),
            memory: resident_memory(),
            #[cfg(feature = "cluster")]
            cluster: self.cluster.as_ref().map(|cluster| cluster.stats(self.now().uptime).into()),
            ..Stats::default()
        }
    }

    /// Writes the statistics to the log, as JSON on one line.
    pub(super) fn report(&self) {
        let stats = self.room.stats(self.server_stats());
        if let Ok(line) = serde_json::to_string(&stats) {
            log::error!(target: REPORT_TARGET, "stats {line}");
        }
    }
}
