//! The terminal client: an input line at the bottom, with the conversation above it.
//!
//! - [`run`], with `app`, waits for events of the session, keys, signals and timers, and handles
//!   them. `commands` parses the commands, and `server_switch` connects to another server.
//! - `key_input` reads the keyboard, and `keys` turns its bytes into actions.
//! - `editor`, with `line_buffer`, `completion`, `member_names` and `input_history`, is the input
//!   line. `prompt` is the text before it.
//! - `view`, with `entry`, `mention`, `wrap`, `style`, `date`, `presence` and `ignore_list`, turns
//!   events into lines of text.
//! - `screen` is the only writer to the terminal: `composer` and `footer` make the text of a batch,
//!   `printer` writes it, and `modes` sets the modes.
//! - `simulation` runs the parts without a terminal, for tests.
//!
//! # One line from the keyboard to the screen
//!
//! `KeyInput` reads bytes and returns `EditAction`s. `App::on_key` passes each to the `Editor`,
//! which returns the line at Enter. `App::execute` parses it as a `LocalCommand` and, if it is for the
//! server, queues it in parts that are short enough. `App::send_part` sends a part with
//! [`Session::send`](crate::client::Session::send), which gives it an id.
//!
//! The server answers with a frame of this id. `App::next_event` receives it from the session,
//! `App::on_frame` passes it to the `View`, which adds an `Entry` and its text. `Screen::flush` lets
//! the `Composer` put this text above the input line, and the `Printer` write both in one batch.

mod app;
mod commands;
mod completion;
mod composer;
mod date;
mod editor;
mod entry;
mod footer;
mod ignore_list;
mod input_history;
mod key_input;
mod keys;
mod line_buffer;
mod member_names;
mod mention;
mod modes;
mod presence;
mod printer;
mod prompt;
mod screen;
mod server_switch;
mod simulation;
mod style;
mod view;
mod wrap;

use std::time::SystemTime;

use async_signal::{Signal, Signals};

pub use self::simulation::{SimulatedInput, simulate_terminal};

use self::app::App;
use self::editor::Editor;
use self::ignore_list::IgnoreList;
use self::input_history::InputHistory;
use self::key_input::KeyInput;
use self::modes::TerminalModes;
use self::screen::Screen;
use self::server_switch::ServerSwitch;
use self::view::{View, ViewSettings};
use super::chat_log::ChatLog;
use super::{Clock, Error, Options, access};

/// Runs the client on the terminal that is standard input and output.
///
/// # Errors
///
/// Returns an error if the server cannot be reached, if the terminal cannot be used, or if the
/// session fails or a signal ends it.
pub fn run(options: Options) -> Result<(), Error> {
    smol::block_on(async {
        let Options { address, config, reconnect, color, bell, has_timestamps, .. } = options;
        let session = access::connect(address, config.clone(), reconnect).await?;
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
        let modes = TerminalModes::save().map_err(Error::Terminal)?;
        let key_input = KeyInput::new(modes.control_keys()).map_err(Error::Terminal)?;
        let settings = ViewSettings {
            has_colors: color.is_enabled(),
            bell,
            has_timestamps,
            highlights: options.highlights,
            has_presence: options.has_presence,
        };
        let mut view = View::new(settings, Clock::local(), screen::terminal_size().0, unix_ms());
        view.ignored = IgnoreList::new(options.ignored);
        let editor = Editor::new(InputHistory::load(input_history::default_path()));
        let screen = Screen::new(modes).map_err(Error::Terminal)?;
        let server_switch = ServerSwitch::new(config.for_another_server(), reconnect);
        let mut app = App::new(session, server_switch, view, screen, signals, editor, key_input);
        if let Some(path) = options.log {
            app.open_log(ChatLog::new(path));
        }
        let result = app.run().await;
        app.close().await;
        result
    })
}

/// Returns the current time in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
