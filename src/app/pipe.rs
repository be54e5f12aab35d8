//! The client between standard input and standard output.

use super::chat_log::ChatLog;
use super::end_signals::EndSignals;
use super::event_sink::{EventSink, TextOutput};
use super::line_client::{ANSWER_TIMEOUT, LineClient};
use super::output::StandardOutput;
use super::stdin::read_stdin;
use super::token_store::TokenStore;
use super::warning::print_warning;
use super::{Clock, Error, Options, access};
use crate::client::Session;

/// Sends the lines of standard input and prints the frames of the room on standard output.
///
/// At the end of the input, waits until the server has answered the last line. `is_interactive`
/// says that standard input is a terminal, `has_echo` that it echoes to standard output.
///
/// # Errors
///
/// Returns an error if the server cannot be reached or the session fails, or, unless
/// `is_interactive`, if a line was refused.
pub fn run(mut options: Options, is_interactive: bool, has_echo: bool) -> Result<(), Error> {
    smol::block_on(async {
        let token_store = TokenStore::open(&mut options);
        let Options { address, config, reconnect, has_presence, log, .. } = options;
        // Before the signals, so that they end the program while it asks the user.
        let session = match is_interactive {
            true => access::connect(address, config, reconnect).await?,
            false => Session::new(address, config, reconnect),
        };
        let signals = EndSignals::new().map_err(Error::Signals)?;
        let mut log = log.map(ChatLog::new);
        if let Some(error) = log.as_mut().and_then(ChatLog::open) {
            print_warning(&error);
        }
        let (clock, output) = (Clock::local(), StandardOutput::start());
        let sink = EventSink::Text(TextOutput { clock, has_echo, has_presence, log, output });
        let client = LineClient::new(session, sink, signals).with_interactive(is_interactive);
        let mut client = client.with_token_store(token_store);
        if !is_interactive {
            client = client.with_answer_timeout(ANSWER_TIMEOUT);
        }
        client.run(read_stdin()).await
    })
}
