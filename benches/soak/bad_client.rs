//! Clients that do not use the protocol, or use it wrongly.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smolchat::protocol::{Body, ByeCode};

use crate::actions::invalid_line;
use crate::check::CheckedLine;
use crate::connection::{Connection, ReadEvent};
use crate::script::Rng;
use crate::shared::{POLL_INTERVAL, RecentLines, ScriptError, SharedState, TIMEOUT};

/// Errors in a row after which the server closes a connection.
const MAX_ERRORS: usize = 50;

/// The behaviour of a bad client.
#[derive(Clone, Copy)]
enum BadClient {
    /// Sends nothing, and becomes a guest after some time.
    Silent,
    /// Sends one line, byte by byte.
    SlowWriter,
    /// Resets the connection at once.
    Reset,
    /// Sends the start of a TLS handshake.
    Tls,
    /// Sends an HTTP request.
    Http,
    /// Sends only invalid lines.
    InvalidLines,
}

/// Runs bad clients one after another, until the server terminates.
pub async fn run_bad_clients(
    shared: &Rc<SharedState>,
    rng: &mut Rng,
    recent_lines: &RecentLines,
) -> Result<(), ScriptError> {
    use BadClient::{Http, InvalidLines, Reset, Silent, SlowWriter, Tls};
    loop {
        shared.wait_until_active().await;
        let pause = rng.millis(100, 3_000);
        shared.pause(pause).await;
        let kind = rng.pick(&[Silent, SlowWriter, Reset, Tls, Http, InvalidLines]);
        shared.open_bad_clients.set(shared.open_bad_clients.get() + 1);
        if let Err(error) = run_once(shared, kind, rng, recent_lines).await
            && !shared.is_ending.get()
        {
            return Err(error.into());
        }
        shared.open_bad_clients.set(shared.open_bad_clients.get() - 1);
        shared.totals.borrow_mut().bad_clients += 1;
    }
}

async fn run_once(
    shared: &Rc<SharedState>,
    kind: BadClient,
    rng: &mut Rng,
    recent_lines: &RecentLines,
) -> Result<(), String> {
    let is_tcp = rng.one_in(2);
    let mut connection = Connection::connect(shared, is_tcp, None, recent_lines).await?;
    match kind {
        BadClient::Reset => connection.reset(),
        BadClient::Silent => {
            let until = Instant::now() + rng.millis(100, 4_000);
            read_until(&mut connection, until).await?;
        }
        BadClient::SlowWriter => write_slowly(&mut connection).await?,
        BadClient::Tls => {
            connection.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            wait_for_bye(&mut connection, ByeCode::Tls).await?;
        }
        BadClient::Http => {
            connection.write(b"GET / HTTP/1.1\r\nHost: room\r\nConnection: close\r\n\r\n").await;
            if cfg!(feature = "web") {
                read_page(&mut connection).await?;
            } else {
                wait_for_bye(&mut connection, ByeCode::Http).await?;
            }
        }
        BadClient::InvalidLines => {
            for _ in 0..MAX_ERRORS {
                let (line, reply) = invalid_line(3);
                connection.expected_replies.push_back(reply);
                connection.write(&[&line[..], b"\n"].concat()).await;
            }
            wait_for_bye(&mut connection, ByeCode::Errors).await?;
        }
    }
    Ok(())
}

/// Sends a line byte by byte, and waits until it is delivered.
async fn write_slowly(connection: &mut Connection) -> Result<(), String> {
    let mut is_delivered = false;
    for &byte in b"slowly\n" {
        connection.write(&[byte]).await;
        let until = Instant::now() + Duration::from_millis(150);
        is_delivered |= read_until(connection, until).await?;
    }
    let end = Instant::now() + TIMEOUT;
    while !is_delivered && !connection.was_server_killed() {
        is_delivered |= read_until(connection, Instant::now() + POLL_INTERVAL).await?;
        if Instant::now() > end {
            return Err("timed out waiting for a line that was sent slowly".to_owned());
        }
    }
    Ok(())
}

/// Reads the page until the server closes the connection.
async fn read_page(connection: &mut Connection) -> Result<(), String> {
    let until = Instant::now() + TIMEOUT;
    let mut is_answered = false;
    loop {
        match connection.read_line(until).await {
            ReadEvent::Line(line) if is_answered || line.starts_with(b"HTTP/1.1 200 ") => {
                is_answered = true;
            }
            // The last line of the page can have no newline.
            ReadEvent::Closed(_) if is_answered || connection.was_server_killed() => return Ok(()),
            _ => return Err("no page in response to an HTTP request".to_owned()),
        }
    }
}

/// Reads until the server closes the connection with this code.
async fn wait_for_bye(connection: &mut Connection, code: ByeCode) -> Result<(), String> {
    connection.expected_bye = Some(code);
    connection.read_to_close().await?;
    let replies = &connection.expected_replies;
    if !connection.was_server_killed() && !replies.is_empty() {
        return Err(format!("bye without the replies {replies:?}"));
    }
    if let Some(code) = connection.bye {
        connection.shared.totals.borrow_mut().count_bye(code);
    }
    Ok(())
}

/// Reads until the time `until`. Returns whether a line of a slow writer was delivered.
async fn read_until(connection: &mut Connection, until: Instant) -> Result<bool, String> {
    let mut is_delivered = false;
    loop {
        match connection.read_line(until).await {
            ReadEvent::Line(line) => {
                if let CheckedLine::Sequenced(entry) = connection.check_line(&line)? {
                    let is_chat = matches!(entry.frame.body, Body::Chat { .. });
                    is_delivered |= is_chat && entry.frame.data == "slowly";
                }
            }
            ReadEvent::Timeout => return Ok(is_delivered),
            ReadEvent::Closed(error) => {
                connection.check_end(error.as_ref())?;
                return Ok(is_delivered);
            }
        }
    }
}
