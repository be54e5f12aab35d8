//! The report: a line for each figure, with its limit.

use std::io;

/// The figures that are over their limits.
#[derive(Default)]
pub struct Report {
    missed: Vec<String>,
}

impl Report {
    /// Prints a figure without a limit.
    pub fn figure(&self, name: &str, value: f64, unit: &str) {
        print_line(name, value, unit, "");
    }

    /// Prints a figure with the highest value that it may have.
    pub fn at_most(&mut self, name: &str, value: f64, unit: &str, limit: f64) {
        self.compare(name, value, unit, &format!("at most {limit:.2}"), value <= limit);
    }

    /// Prints a figure with the lowest value that it may have.
    pub fn at_least(&mut self, name: &str, value: f64, unit: &str, limit: f64) {
        self.compare(name, value, unit, &format!("at least {limit:.2}"), value >= limit);
    }

    /// Returns an error that names the figures over their limits, if there are any.
    pub fn result(self) -> io::Result<()> {
        let missed = self.missed.join("\ncluster: ");
        if missed.is_empty() { Ok(()) } else { Err(io::Error::other(missed)) }
    }

    fn compare(&mut self, name: &str, value: f64, unit: &str, limit: &str, is_within: bool) {
        let mark = if is_within { "" } else { ", missed" };
        print_line(name, value, unit, &format!("({limit}{mark})"));
        if !is_within {
            self.missed.push(format!("{name}: {value:.2} {unit}, {limit} expected"));
        }
    }
}

fn print_line(name: &str, value: f64, unit: &str, limit: &str) {
    println!("  {name:<58} {value:>12.2} {unit:<16} {limit}");
}
