//! The report: a table for each workload, and everything as JSON.

use serde_json::{Map, Value, json};

use crate::run::Metrics;
use crate::system::System;
use crate::workload::{Pacing, Workload};

/// Columns for a silent workload. The first one is the name of the system.
const IDLE_COLUMNS: &str =
    "|bytes/member|with history|join s|join CPU s|wake-ups/s|CPU µs/s|threads|closed";
/// Columns for a workload with senders.
const TRAFFIC_COLUMNS: &str = "|deliveries/s|CPU ns/delivery|x floor|lines/read|p50 µs|p99 µs|\
    p99.9 µs|bytes/member|join CPU s|threads|lost|closed|reordered|one order";

/// The result of one system.
pub struct SystemResult {
    pub system: System,
    /// The metrics, or the reason why there are none.
    pub outcome: Result<Metrics, String>,
}

/// The results of one workload.
pub struct WorkloadReport {
    /// The workload, as it was run.
    pub workload: Workload,
    /// One result for each system.
    pub results: Vec<SystemResult>,
    /// The CPU time of a delivery as a multiple of that of a plain one, for the systems that were
    /// measured in turn with smolchat.
    pub ratios: Vec<(System, f64)>,
}

impl WorkloadReport {
    /// Returns the CPU time per delivery as a multiple of that of the floor.
    fn ratio(&self, metrics: &Metrics) -> Option<f64> {
        let floor = self.results.iter().find(|it| it.system == System::Floor)?;
        let floor = floor.outcome.as_ref().ok()?.traffic.as_ref()?.cpu_ns_per_delivery;
        Some(metrics.traffic.as_ref()?.cpu_ns_per_delivery / floor)
    }

    /// Returns the table with its heading.
    pub fn table(&self) -> String {
        let workload = &self.workload;
        let columns =
            if matches!(workload.pacing, Pacing::Silent) { IDLE_COLUMNS } else { TRAFFIC_COLUMNS };
        let mut rows = vec![columns.split('|').map(str::to_owned).collect::<Vec<_>>()];
        if workload.stalled > 0 {
            rows[0].push("extra MiB".to_owned());
        }
        let mut notes = String::new();
        for result in &self.results {
            match &result.outcome {
                Ok(metrics) => rows.push(self.row(result.system, metrics)),
                Err(error) => notes += &format!("  {}: {error}\n", result.system.name()),
            }
        }
        for (system, ratio) in &self.ratios {
            let system = system.name();
            notes += &format!("  {system}, in turn with smolchat: {ratio:.3} times its CPU time\n");
        }
        let title = format!("{}: {} ({})", workload.name, workload.describe(), workload.purpose);
        format!("{title}\n{}{notes}", align(&rows))
    }

    fn row(&self, system: System, metrics: &Metrics) -> Vec<String> {
        let Metrics { check, .. } = metrics;
        let mut row = vec![system.name().to_owned()];
        if let Some(traffic) = &metrics.traffic {
            row.push(format!("{:.0}", traffic.deliveries as f64 / traffic.seconds));
            row.push(format!("{:.0}", traffic.cpu_ns_per_delivery));
            row.push(self.ratio(metrics).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
            row.push(format!("{:.0}", traffic.lines_per_read));
            row.extend(traffic.latency.map(|nanos| (nanos / 1000).to_string()));
        }
        row.push(format!("{:.0}", metrics.bytes_per_member));
        if metrics.idle.is_some() {
            let bytes = metrics.bytes_per_member_with_history;
            row.push(bytes.map_or("-".to_owned(), |bytes| format!("{bytes:.0}")));
            row.push(format!("{:.2}", metrics.join_seconds));
        }
        row.push(format!("{:.3}", metrics.join_cpu_seconds));
        if let Some(idle) = &metrics.idle {
            row.push(format!("{:.1}", idle.wakeups_per_second));
            row.push(format!("{:.0}", idle.cpu_us_per_second));
        }
        row.push(metrics.threads.to_string());
        if metrics.traffic.is_some() {
            row.push(check.lost.to_string());
        }
        row.push(check.closed.to_string());
        if metrics.traffic.is_some() {
            row.push(check.reordered.to_string());
            row.push(if check.one_order { "yes" } else { "no" }.to_owned());
        }
        if let Some(bytes) = metrics.stalled_bytes {
            row.push(format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
        }
        row
    }

    /// Returns the report as JSON.
    pub fn json(&self) -> Value {
        let results: Vec<Value> = self.results.iter().map(|it| self.result_json(it)).collect();
        let workload = &self.workload;
        let ratios: Map<String, Value> = self
            .ratios
            .iter()
            .map(|(system, ratio)| (system.name().into(), json!(ratio)))
            .collect();
        json!({
            "work": workload.name,
            "members": workload.members,
            "stalled": workload.stalled,
            "talkers": workload.senders,
            "line_bytes": workload.line_bytes,
            "seconds": workload.duration.as_secs_f64(),
            "ratios_to_plain": ratios,
            "systems": results,
        })
    }

    fn result_json(&self, result: &SystemResult) -> Value {
        let metrics = match &result.outcome {
            Ok(metrics) => metrics,
            Err(error) => return json!({ "system": result.system.name(), "error": error }),
        };
        let traffic = metrics.traffic.as_ref().map(|traffic| {
            let [p50, p99, p99_9] = traffic.latency;
            json!({
                "deliveries": traffic.deliveries,
                "deliveries_per_second": traffic.deliveries as f64 / traffic.seconds,
                "cpu_ns_per_delivery": traffic.cpu_ns_per_delivery,
                "cpu_to_floor": self.ratio(metrics),
                "frame_bytes": traffic.frame_bytes,
                "lines_per_read": traffic.lines_per_read,
                "latency_ns": { "p50": p50, "p99": p99, "p99_9": p99_9 },
            })
        });
        let idle = metrics.idle.as_ref().map(|idle| {
            json!({
                "wakeups_per_second": idle.wakeups_per_second,
                "cpu_us_per_second": idle.cpu_us_per_second,
            })
        });
        let check = metrics.check;
        json!({
            "system": result.system.name(),
            "talk": traffic,
            "idle": idle,
            "bytes_per_member": metrics.bytes_per_member,
            "bytes_per_member_with_history": metrics.bytes_per_member_with_history,
            "join_seconds": metrics.join_seconds,
            "join_cpu_seconds": metrics.join_cpu_seconds,
            "threads": metrics.threads,
            "peak_bytes": metrics.peak_bytes,
            "stalled_bytes": metrics.stalled_bytes,
            "lost": check.lost,
            "closed": check.closed,
            "reordered": check.reordered,
            "one_order": check.one_order,
        })
    }
}

/// Aligns the columns: the first to the left, the others to the right.
fn align(rows: &[Vec<String>]) -> String {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        text += "  ";
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            match column {
                0 => text += &format!("{cell:<width$}"),
                _ => text += &format!("  {cell:>width$}"),
            }
        }
        text.push('\n');
    }
    text
}
