//! The client between standard input and standard output.

use super::chat_log::ChatLog;
use super::event_sink::{EventSink, TextOutput, print_warning};
use super::line_client::LineClient;
use super::stdin::read_stdin;
use super::{Clock, Error, Options};
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
pub fn run(options: Options, is_interactive: bool, has_echo: bool) -> Result<(), Error> {
    smol::block_on(async {
        let Options { address, config, reconnect, has_presence, log, .. } = options;
        let session = Session::connect(address, config, reconnect).await?;
        let mut log = log.map(ChatLog::new);
        if let Some(error) = log.as_mut().and_then(ChatLog::open) {
            print_warning(&error);
        }
        let output = TextOutput { clock: Clock::local(), has_echo, has_presence, log };
        let sink = EventSink::Text(output);
        let client = LineClient::new(session, sink).with_interactive(is_interactive);
        client.run(read_stdin()).await
    })
}
