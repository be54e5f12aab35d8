//! `smolchat`, the client: arguments to [`Options`], errors to an exit code.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Arg, ValueExt};
use smolchat::client::{Address, Comeback, Greeting, Options, converse};
use smolchat::complain;

const HELP: &str = "\
smolchat: a terminal client for smolchatd

usage: smolchat [OPTIONS] [ADDR]

  ADDR            HOST, HOST:PORT, [V6]:PORT or unix:PATH   [127.0.0.1:8080]
  --name NAME     who to be         [$SMOLCHAT_NAME, else $USER]
  --history N     lines of what was said to show on arrival
                  [20 on a terminal, else 0]
  --no-keep       do not ask to keep the name while the link is lost
  --no-reconnect  end when the link is lost
  --json          print the server's lines as they are, for scripts
  --help, --version

What is typed is said to all; /help lists the commands, /quit or Ctrl-D leaves.
When the link is lost, smolchat comes back by itself, shows what was missed and
says what was typed in the meantime.

Where the input is no terminal, each of its lines is said, and smolchat ends
when the last one was answered: with 0 if all were confirmed, and with 1
otherwise. It gives up when there was no link for 60 s at a stretch.

  smolchat router --name alice
  echo 'backup done' | smolchat router --name cron";

/// How long a script is kept waiting for a link.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match options() {
        Ok(Some(options)) => match converse(options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain("smolchat", &error, 1),
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            let error: Box<dyn Error> =
                format!("{error} (smolchat --help lists the options)").into();
            complain("smolchat", &*error, 2)
        }
    }
}

/// What the arguments ask for; nothing if they asked for a text that was printed.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let name = variable("SMOLCHAT_NAME").or_else(|| variable("USER"));
    let mut address = None;
    let (history, mut comeback) = match io::stdin().is_terminal() {
        true => (20, Comeback::Always),
        false => (0, Comeback::Within(PATIENCE)),
    };
    let mut greeting = Greeting { name, history, keep: true };
    let mut json = false;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if address.is_none() => address = Some(value.parse()?),
            Arg::Long("name") => greeting.name = Some(arguments.value()?.string()?),
            Arg::Long("history") => {
                let count = arguments.value()?.parse();
                greeting.history = count.map_err(|error| format!("--history: {error}"))?;
            }
            Arg::Long("no-keep") => greeting.keep = false,
            Arg::Long("no-reconnect") => comeback = Comeback::Never,
            Arg::Long("json") => json = true,
            Arg::Long("help") | Arg::Short('h') => return print(HELP),
            Arg::Long("version") | Arg::Short('V') => {
                return print(concat!("smolchat ", env!("CARGO_PKG_VERSION")));
            }
            other => return Err(other.unexpected()),
        }
    }
    let address = address.unwrap_or(Address::Inet("127.0.0.1:8080".into()));
    Ok(Some(Options { address, greeting, comeback, json }))
}

fn print(text: &str) -> Result<Option<Options>, lexopt::Error> {
    // A reader that has gone away has read enough.
    let _ = writeln!(io::stdout(), "{text}");
    Ok(None)
}
