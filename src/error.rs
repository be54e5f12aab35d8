//! Errors as they are printed.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// Prints `program: error: its cause: …` as one line on standard error, and gives the exit code.
pub fn report_error(program: &str, error: &dyn Error, code: u8) -> ExitCode {
    let mut line = format!("{program}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(line, ": {error}");
        cause = error.source();
    }
    // If nobody listens, the exit code still speaks.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(code)
}
