//! Warnings on standard error.

use std::io::{self, Write};

/// Prints a warning on standard error. Errors are ignored: there is no other place for them.
pub fn print_warning(message: &str) {
    let _ = writeln!(io::stderr(), "smolchat: {message}");
}
