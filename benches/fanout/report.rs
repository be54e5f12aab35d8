//! The report: an aligned table for each work, and all of it as JSON.

use serde_json::{Value, json};

use crate::run::Metrics;
use crate::system::System;
use crate::workload::{Pacing, Workload};

/// One line of the report.
pub struct SystemResult {
    /// The system.
    pub system: System,
    /// Its figures, or why there are none.
    pub outcome: Result<Metrics, String>,
}

/// Everything about one work.
pub struct WorkloadReport {
    /// The work as it was done.
    pub workload: Workload,
    /// One for each system.
    pub results: Vec<SystemResult>,
}

impl WorkloadReport {
    /// CPU time a delivery as a multiple of the floor's.
    fn ratio(&self, metrics: &Metrics) -> Option<f64> {
        let floor = self.results.iter().find(|it| it.system == System::Floor)?;
        let floor = floor.outcome.as_ref().ok()?.traffic.as_ref()?.cpu_ns_per_delivery;
        Some(metrics.traffic.as_ref()?.cpu_ns_per_delivery / floor)
    }

    /// The table, with a heading.
    pub fn table(&self) -> String {
        let workload = &self.workload;
        let is_idle = matches!(workload.pacing, Pacing::Silent);
        let mut rows = vec![if is_idle {
            cells(&[
                "",
                "bytes/member",
                "join CPU s",
                "wake-ups/s",
                "CPU µs/s",
                "threads",
                "closed",
            ])
        } else {
            cells(&[
                "",
                "deliveries/s",
                "CPU ns each",
                "x floor",
                "lines/read",
                "p50 µs",
                "p99 µs",
                "p99.9 µs",
                "bytes/member",
                "join CPU s",
                "threads",
                "lost",
                "closed",
                "reordered",
                "one order",
            ])
        }];
        if workload.stalled > 0 {
            rows[0].push("more MiB".to_owned());
        }
        let mut notes = String::new();
        for result in &self.results {
            match &result.outcome {
                Ok(metrics) => rows.push(self.row(result.system, metrics)),
                Err(why) => notes += &format!("  {}: {why}\n", result.system.name()),
            }
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

    /// The same for programs.
    pub fn json(&self) -> Value {
        let results: Vec<Value> = self.results.iter().map(|it| self.result_json(it)).collect();
        let workload = &self.workload;
        json!({
            "work": workload.name,
            "members": workload.members,
            "stalled": workload.stalled,
            "talkers": workload.senders,
            "line_bytes": workload.line_bytes,
            "seconds": workload.duration.as_secs_f64(),
            "systems": results,
        })
    }

    fn result_json(&self, result: &SystemResult) -> Value {
        let metrics = match &result.outcome {
            Ok(metrics) => metrics,
            Err(why) => return json!({ "system": result.system.name(), "error": why }),
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

fn cells(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// Pads each column to its widest cell: the first to the left, figures to the right.
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
