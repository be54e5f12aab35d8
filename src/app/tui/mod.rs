//! A conversation that somebody sits in front of: what is typed stays in place at the bottom of
//! the terminal, and what arrives is shown above it.
//!
//! From the outside in:
//!
//! - [`run`], with `app` and `server_switch`, waits for whatever comes first: keys, events of the session,
//!   signals, time.
//! - `editor`, with `keys`, `input_history` and `completion`, is the line that is typed.
//! - `screen`, with `printer` and `modes`, is the way to the terminal, and back.
//! - `view`, with `entry`, `wrap`, `style` and `presence`, is what is seen: events in, text out.

mod app;
mod calendar;
mod commands;
mod completion;
mod editor;
mod entry;
mod input_history;
mod keys;
mod member_names;
mod modes;
mod outage;
mod presence;
mod printer;
mod screen;
mod server_switch;
mod style;
mod view;
mod wrap;

use std::time::SystemTime;

use async_signal::{Signal, Signals};

use self::app::App;
use self::editor::Editor;
use self::modes::Modes;
use self::screen::Screen;
use self::server_switch::ServerSwitch;
use self::view::{Settings, View};
use super::{Clock, Error, Options};
use crate::client::Session;

/// Takes part in a conversation, at a terminal.
///
/// # Errors
///
/// When the server cannot be reached or goes away for good, or a signal ends the program.
pub fn run(options: Options) -> Result<(), Error> {
    smol::block_on(async {
        let Options { address, config, reconnect, color, bell, time, .. } = options;
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
        // Before the editor sets its own.
        let modes = Modes::save().map_err(Error::Terminal)?;
        let settings = Settings { colors: color.is_on(true), bell, time };
        let editor = Editor::start(settings.colors).map_err(Error::Terminal)?;
        let view = View::new(settings, Clock::local(), screen::size().0, unix_ms());
        let screen = Screen::new(editor.printer, modes);
        let server_switch = ServerSwitch::new(config, reconnect);
        let mut app =
            App::new(session, server_switch, view, screen, signals, editor.typed, editor.names);
        let end = app.run().await;
        app.close(&editor.is_empty).await;
        end
    })
}

/// The time, in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
