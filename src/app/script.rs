//! The client for scripts and bots: JSON lines, lines from the command line, or a command.

use super::access::add_known_keys;
use super::end_signals::EndSignals;
use super::event_sink::EventSink;
use super::exec::run_command;
use super::line_client::{ANSWER_TIMEOUT, LineClient};
use super::output::StandardOutput;
use super::stdin::read_stdin;
use super::token_store::TokenStore;
use super::{Error, Options};
use crate::client::Session;

/// The source of the lines to send, in place of a person.
#[derive(Clone, Debug)]
pub enum Script {
    /// Standard input; prints all lines of the server.
    JsonInput,
    /// Lines from the command line; prints the answers.
    Send { lines: Vec<String>, is_json: bool },
    /// The output of a shell command, which reads the messages of others.
    Exec { command: String, is_json: bool },
}

/// Sends the lines of `script` and waits until all of them are answered.
///
/// # Errors
///
/// Returns an error if the server cannot be reached or the session fails, if a line was refused, or
/// if the command failed.
pub fn run(mut options: Options, script: Script) -> Result<(), Error> {
    add_known_keys(&mut options)?;
    let token_store = TokenStore::open(&mut options);
    let Options { address, config, reconnect, .. } = options;
    smol::block_on(async {
        let signals = EndSignals::new().map_err(Error::Signals)?;
        match script {
            Script::JsonInput => {
                let sink = EventSink::Json(StandardOutput::start());
                let session = Session::new(address, config, reconnect);
                let client = LineClient::new(session, sink, signals).with_json(true);
                let client = client.with_token_store(token_store);
                client.with_answer_timeout(ANSWER_TIMEOUT).run(read_stdin()).await
            }
            Script::Send { lines, is_json } => {
                let (sender, receiver) = async_channel::unbounded();
                for line in lines {
                    // Cannot fail: the receiver exists and the channel has no bound.
                    let _ = sender.try_send(Ok(line.into_bytes()));
                }
                drop(sender);
                let sink = EventSink::Answers { is_json, output: StandardOutput::start() };
                let session = Session::start(address, config, reconnect);
                let client = LineClient::new(session, sink, signals).with_json(is_json);
                let client = client.with_token_store(token_store);
                client.with_answer_timeout(ANSWER_TIMEOUT).run(receiver).await
            }
            Script::Exec { command, is_json } => {
                let session = Session::start(address, config, reconnect);
                run_command(&command, session, signals, token_store, is_json).await
            }
        }
    })
}
