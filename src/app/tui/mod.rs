//! The terminal client: an input line at the bottom, with the conversation above it.
//!
//! - [`run`], with `app`, waits for events of the session, keys, signals and timers, and handles
//!   them. `server_switch` connects to another server, `outage` describes a lost connection.
//! - `editor`, with `editor_helper`, `keys`, `commands`, `completion` and `input_history`, is the
//!   input line.
//! - `screen`, with `printer` and `modes`, writes to the terminal.
//! - `view`, with `entry`, `mention`, `wrap`, `style`, `date` and `presence`, turns events into
//!   text. `prompt` is the text before the input line.

mod app;
mod commands;
mod completion;
mod date;
mod editor;
mod editor_helper;
mod entry;
mod input_history;
mod keys;
mod member_names;
mod mention;
mod modes;
mod outage;
mod presence;
mod printer;
mod prompt;
mod screen;
mod server_switch;
mod style;
mod view;
mod wrap;

use std::time::SystemTime;

use async_signal::{Signal, Signals};

use self::app::App;
use self::editor::Editor;
use self::modes::TerminalModes;
use self::prompt::format_prompt;
use self::screen::Screen;
use self::server_switch::ServerSwitch;
use self::view::{View, ViewSettings};
use super::chat_log::ChatLog;
use super::{Clock, Error, Options};
use crate::client::Session;

/// Runs the client on the terminal that is standard input and output.
///
/// # Errors
///
/// Returns an error if the server cannot be reached, if the terminal cannot be used, or if the
/// session fails or a signal ends it.
pub fn run(options: Options) -> Result<(), Error> {
    smol::block_on(async {
        let Options { address, config, reconnect, color, bell, has_timestamps, .. } = options;
        let session = Session::connect(address, config.clone(), reconnect).await?;
        let signals = Signals::new([
            Signal::Int,
            Signal::Term,
            Signal::Hup,
            Signal::Quit,
            Signal::Tstp,
            Signal::Cont,
            Signal::Winch,
        ]);
        let signals = signals.map_err(Error::Terminal)?;
        // Before the editor changes the modes.
        let modes = TerminalModes::save().map_err(Error::Terminal)?;
        let settings = ViewSettings {
            has_colors: color.is_enabled(true),
            bell,
            has_timestamps,
            highlights: options.highlights,
            has_presence: options.has_presence,
        };
        let has_colors = settings.has_colors;
        let columns = screen::terminal_size().0;
        let prompt = format_prompt(session.name(), None, columns);
        let editor = Editor::start(has_colors, prompt).map_err(Error::Terminal)?;
        let view = View::new(settings, Clock::local(), columns, unix_ms());
        let screen = Screen::new(editor.printer, modes);
        let server_switch = ServerSwitch::new(config, reconnect);
        let mut app = App::new(
            session,
            server_switch,
            view,
            screen,
            signals,
            editor.user_input,
            editor.name_updates,
        );
        if let Some(path) = options.log {
            app.open_log(ChatLog::new(path));
        }
        let result = app.run().await;
        app.close(&editor.is_line_empty).await;
        result
    })
}

/// Returns the current time in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
