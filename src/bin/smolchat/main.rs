//! `smolchat`, the client: converts config file and arguments to [`Options`], and errors to an exit
//! code.

mod args;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use lexopt::Parser;
use smolchat::app::password::PASSWORD_VARIABLE;
use smolchat::app::script::{self, Script};
use smolchat::app::{Error as Ended, Options, config_file, run};
use smolchat::cli::SMOLCHAT;
use smolchat::report_error;

use self::args::Args;

fn main() -> ExitCode {
    match parse() {
        Ok(Invocation::Text(text)) => match io::stdout().write_all(text.as_bytes()) {
            // The reader may close the pipe early, like `head`.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                report_error("smolchat", &Ended::Output(error), 1)
            }
            _ => ExitCode::SUCCESS,
        },
        Ok(Invocation::Run(options, script)) => {
            let result = match script {
                Some(script) => script::run(*options, script),
                None => run(*options),
            };
            match result {
                Ok(()) => ExitCode::SUCCESS,
                // The exit code that a shell reports for a program killed by the signal.
                Err(Ended::Signal(number)) => ExitCode::from(128 + number as u8),
                Err(error) => {
                    let code = report_error("smolchat", &error, 1);
                    if let Some(remedy) = error.remedy() {
                        let _ = writeln!(io::stderr(), "smolchat: {remedy}");
                    }
                    code
                }
            }
        }
        Err(error) => {
            let error: Box<dyn Error> =
                format!("{error} (smolchat --help lists the options)").into();
            report_error("smolchat", &*error, 2)
        }
    }
}

/// The action that the arguments select.
enum Invocation {
    /// Prints the text and exits.
    Text(String),
    /// Connects to the server, for a person at the keyboard if there is no script.
    Run(Box<Options>, Option<Script>),
}

/// Reads the config file, the environment and the arguments; the later takes precedence.
fn parse() -> Result<Invocation, lexopt::Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut args = Args::new(variable("USER"));
    let path = config_file::default_path();
    let warnings =
        path.map(|path| config_file::load(&path, |key, value| args.set_from_file(key, value)));
    args.name = variable("SMOLCHAT_NAME").or(args.name);
    args.password = variable(PASSWORD_VARIABLE);
    args.end_file();
    if let Some(text) =
        SMOLCHAT.parse_args(Parser::from_env(), |name, value| args.set(name, value))?
    {
        return Ok(Invocation::Text(text));
    }
    if let Some(program) = args.manual {
        return Ok(Invocation::Text(program.manual()));
    }
    if let Some(shell) = args.completions {
        return Ok(Invocation::Text(SMOLCHAT.completions(shell)));
    }
    if let Some((_, error)) = args.setting_error {
        return Err(format!("{error}, in the config file").into());
    }
    let (options, script) = args.into_options(io::stdin().is_terminal())?;
    for warning in warnings.into_iter().flatten() {
        let _ = writeln!(io::stderr(), "smolchat: {warning}");
    }
    Ok(Invocation::Run(Box::new(options), script))
}
