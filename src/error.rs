//! Printing an error with its causes.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

/// Returns the message of `error` and those of its causes on one line, separated by `: `.
pub(crate) fn format_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}

/// Prints `error` with its causes on standard error, after the name of the program, and returns
/// `code` as the exit code.
pub fn report_error(program: &str, error: &dyn Error, code: u8) -> ExitCode {
    // Ignored: if standard error is closed, the exit code still reports the failure.
    let _ = writeln!(std::io::stderr(), "{program}: {}", format_chain(error));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client;
    use std::io;

    #[test]
    fn error_with_causes_is_one_line() {
        let cause = io::Error::new(io::ErrorKind::TimedOut, "no answer");
        let error = client::Error::Lost(io::Error::other(cause));
        assert_eq!(format_chain(&error), format!("{error}: no answer"));
        assert_eq!(format_chain(&client::Error::Replaced), client::Error::Replaced.to_string());
    }
}
