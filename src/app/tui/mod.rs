//! A conversation that somebody sits in front of: what is typed stays in place at the bottom of
//! the terminal, and what arrives is shown above it.
//!
//! From the outside in:
//!
//! - [`converse`], with `talk` and `travel`, waits for whatever comes first: keys, events of the session,
//!   signals, time.
//! - `editor`, with `keys`, `recall` and `completion`, is the line that is typed.
//! - `canvas`, with `printer` and `modes`, is the way to the terminal, and back.
//! - `view`, with `entry`, `wrap`, `style` and `notices`, is what is seen: events in, text out.

mod away;
mod calendar;
mod canvas;
mod commands;
mod completion;
mod editor;
mod entry;
mod keys;
mod modes;
mod notices;
mod printer;
mod recall;
mod roster;
mod style;
mod talk;
mod travel;
mod view;
mod wrap;

use std::time::SystemTime;

use async_signal::{Signal, Signals};

use self::canvas::Canvas;
use self::editor::Editor;
use self::modes::Modes;
use self::talk::Talk;
use self::travel::Travel;
use self::view::{Settings, View};
use super::{Clock, Options};
use crate::client::{Error, Session};

/// Takes part in a conversation, at a terminal.
///
/// # Errors
///
/// When the server cannot be reached or goes away for good, or a signal ends the program.
pub fn converse(options: Options) -> Result<(), Error> {
    smol::block_on(async {
        let Options { address, greeting, comeback, color, bell, time, .. } = options;
        let session = Session::connect(address, greeting.clone(), comeback).await?;
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
        let view = View::new(settings, Clock::local(), canvas::size().0, unix_ms());
        let canvas = Canvas::new(editor.printer, modes);
        let travel = Travel::new(greeting, comeback);
        let mut talk =
            Talk::new(session, travel, view, canvas, signals, editor.typed, editor.names);
        let end = talk.run().await;
        talk.close(&editor.is_empty).await;
        end
    })
}

/// The time, in milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
