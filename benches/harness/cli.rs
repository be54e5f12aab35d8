//! The part of `main` that all benches share.

use std::fmt::Display;
use std::process::ExitCode;

/// A request on the command line.
pub enum Invocation<T> {
    /// Run the bench with these options.
    Bench(T),
    /// Print the help.
    Help,
    /// Do nothing: `cargo test` runs the program without `--bench`.
    Test,
}

impl<T> Invocation<T> {
    /// Returns the invocation for the flags `--bench` and `--help`.
    pub fn new(is_bench: bool, is_help: bool, options: T) -> Self {
        match (is_help, is_bench) {
            (true, _) => Self::Help,
            (false, true) => Self::Bench(options),
            (false, false) => Self::Test,
        }
    }
}

/// Runs a bench if the command line asks for it, and prints errors. The exit code is 2 for a wrong
/// command line and 1 for a bench that failed.
pub fn run<T, E: Display>(
    name: &str,
    help: &str,
    invocation: Result<Invocation<T>, lexopt::Error>,
    bench: impl FnOnce(T) -> Result<(), E>,
) -> ExitCode {
    match invocation {
        Ok(Invocation::Bench(options)) => {
            if let Err(error) = bench(options) {
                eprintln!("{name}: {error}");
                return ExitCode::FAILURE;
            }
        }
        Ok(Invocation::Help) => print!("{help}"),
        Ok(Invocation::Test) => println!("{name}: no tests; run it with `cargo bench`"),
        Err(error) => {
            eprintln!("{name}: {error}\n\n{help}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
