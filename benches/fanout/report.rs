//! The report: an aligned table for each work, and all of it as JSON.

use serde_json::{Value, json};

use crate::run::Figures;
use crate::system::System;
use crate::work::{Pace, Work};

/// One line of the report.
pub struct Entry {
    /// The system.
    pub system: System,
    /// Its figures, or why there are none.
    pub outcome: Result<Figures, String>,
}

/// Everything about one work.
pub struct Section {
    /// The work as it was done.
    pub work: Work,
    /// One for each system.
    pub entries: Vec<Entry>,
}

impl Section {
    /// CPU time a delivery as a multiple of the floor's.
    fn ratio(&self, figures: &Figures) -> Option<f64> {
        let floor = self.entries.iter().find(|it| it.system == System::Floor)?;
        let floor = floor.outcome.as_ref().ok()?.talk.as_ref()?.cpu_ns;
        Some(figures.talk.as_ref()?.cpu_ns / floor)
    }

    /// The table, with a heading.
    pub fn table(&self) -> String {
        let work = &self.work;
        let is_idle = matches!(work.pace, Pace::Silent);
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
        if work.stalled > 0 {
            rows[0].push("more MiB".to_owned());
        }
        let mut notes = String::new();
        for entry in &self.entries {
            match &entry.outcome {
                Ok(figures) => rows.push(self.row(entry.system, figures)),
                Err(why) => notes += &format!("  {}: {why}\n", entry.system.name()),
            }
        }
        let title = format!("{}: {} ({})", work.name, work.describe(), work.shows);
        format!("{title}\n{}{notes}", align(&rows))
    }

    fn row(&self, system: System, figures: &Figures) -> Vec<String> {
        let Figures { verdict, .. } = figures;
        let mut row = vec![system.name().to_owned()];
        if let Some(talk) = &figures.talk {
            row.push(format!("{:.0}", talk.deliveries as f64 / talk.seconds));
            row.push(format!("{:.0}", talk.cpu_ns));
            row.push(self.ratio(figures).map_or("-".to_owned(), |ratio| format!("{ratio:.2}")));
            row.push(format!("{:.0}", talk.batch));
            row.extend(talk.latency.map(|nanos| (nanos / 1000).to_string()));
        }
        row.push(format!("{:.0}", figures.member_bytes));
        row.push(format!("{:.3}", figures.join_cpu));
        if let Some(idle) = &figures.idle {
            row.push(format!("{:.1}", idle.wakeups));
            row.push(format!("{:.0}", idle.cpu_us));
        }
        row.push(figures.threads.to_string());
        if figures.talk.is_some() {
            row.push(verdict.lost.to_string());
        }
        row.push(verdict.closed.to_string());
        if figures.talk.is_some() {
            row.push(verdict.reordered.to_string());
            row.push(if verdict.one_order { "yes" } else { "no" }.to_owned());
        }
        if let Some(bytes) = figures.stalled_bytes {
            row.push(format!("{:.1}", bytes as f64 / f64::from(1 << 20)));
        }
        row
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let entries: Vec<Value> = self.entries.iter().map(|it| self.entry_json(it)).collect();
        let work = &self.work;
        json!({
            "work": work.name,
            "members": work.members,
            "stalled": work.stalled,
            "talkers": work.talkers,
            "line_bytes": work.line,
            "seconds": work.time.as_secs_f64(),
            "systems": entries,
        })
    }

    fn entry_json(&self, entry: &Entry) -> Value {
        let figures = match &entry.outcome {
            Ok(figures) => figures,
            Err(why) => return json!({ "system": entry.system.name(), "error": why }),
        };
        let talk = figures.talk.as_ref().map(|talk| {
            let [p50, p99, p99_9] = talk.latency;
            json!({
                "deliveries": talk.deliveries,
                "deliveries_per_second": talk.deliveries as f64 / talk.seconds,
                "cpu_ns_per_delivery": talk.cpu_ns,
                "cpu_to_floor": self.ratio(figures),
                "frame_bytes": talk.frame_bytes,
                "lines_per_read": talk.batch,
                "latency_ns": { "p50": p50, "p99": p99, "p99_9": p99_9 },
            })
        });
        let idle = figures.idle.as_ref().map(|idle| {
            json!({
                "wakeups_per_second": idle.wakeups,
                "cpu_us_per_second": idle.cpu_us,
            })
        });
        let verdict = figures.verdict;
        json!({
            "system": entry.system.name(),
            "talk": talk,
            "idle": idle,
            "bytes_per_member": figures.member_bytes,
            "join_cpu_seconds": figures.join_cpu,
            "threads": figures.threads,
            "peak_bytes": figures.peak,
            "stalled_bytes": figures.stalled_bytes,
            "lost": verdict.lost,
            "closed": verdict.closed,
            "reordered": verdict.reordered,
            "one_order": verdict.one_order,
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
