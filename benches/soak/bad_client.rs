//! Visitors who do not speak the protocol, or not as one should.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smolchat::protocol::{Body, ByeCode};

use crate::actions::invalid_line;
use crate::check::CheckedLine;
use crate::connection::{Connection, ReadEvent};
use crate::script::Rng;
use crate::shared::{POLL_INTERVAL, RecentLines, ScriptError, SharedState, TIMEOUT};

/// Errors in a row for which a client is sent away.
const MAX_ERRORS: usize = 50;

/// What a visitor is.
#[derive(Clone, Copy)]
enum BadClient {
    /// Says nothing, and is a guest after a while.
    Silent,
    /// Says one line, byte by byte.
    SlowWriter,
    /// Is gone at once.
    Reset,
    /// Begins a TLS handshake.
    Tls,
    /// Makes a request of HTTP.
    Http,
    /// Says nothing that is right.
    InvalidLines,
}

/// One visit after the other, until somebody drops this.
pub async fn run_bad_clients(
    shared: &Rc<SharedState>,
    rng: &mut Rng,
    recent_lines: &RecentLines,
) -> Result<(), ScriptError> {
    use BadClient::{Http, InvalidLines, Reset, Silent, SlowWriter, Tls};
    loop {
        shared.wait_until_active().await;
        let rest = rng.pause(100, 3_000);
        shared.pause(rest).await;
        let kind = rng.pick(&[Silent, SlowWriter, Reset, Tls, Http, InvalidLines]);
        shared.open_bad_clients.set(shared.open_bad_clients.get() + 1);
        if let Err(why) = run_once(shared, kind, rng, recent_lines).await
            && !shared.ending.get()
        {
            return Err(why.into());
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
    let bye = match kind {
        BadClient::Reset => {
            connection.reset();
            return Ok(());
        }
        BadClient::Silent => {
            let stay = Instant::now() + rng.pause(100, 4_000);
            read_until(&mut connection, stay).await?;
            None
        }
        BadClient::SlowWriter => {
            let mut said = false;
            for &byte in b"slowly\n" {
                connection.write(&[byte]).await;
                said |= read_until(&mut connection, Instant::now() + Duration::from_millis(150))
                    .await?;
            }
            let end = Instant::now() + TIMEOUT;
            while !said && !connection.was_server_killed() {
                said |= read_until(&mut connection, Instant::now() + POLL_INTERVAL).await?;
                if Instant::now() > end {
                    return Err("a line said slowly is not heard".to_owned());
                }
            }
            None
        }
        BadClient::Tls => {
            connection.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            Some(ByeCode::Tls)
        }
        BadClient::Http => {
            connection.write(b"GET / HTTP/1.1\r\nHost: room\r\n\r\n").await;
            Some(ByeCode::Http)
        }
        BadClient::InvalidLines => {
            for _ in 0..MAX_ERRORS {
                // Another kind each time would find the same.
                let (line, answer) = invalid_line(3);
                connection.expected_replies.push_back(answer);
                connection.write(&[&line[..], b"\n"].concat()).await;
            }
            Some(ByeCode::Errors)
        }
    };
    if bye.is_some() {
        connection.expected_bye = bye;
        connection.read_to_close().await?;
        if !connection.was_server_killed() && !connection.expected_replies.is_empty() {
            return Err(format!("bye, and {:?} are not answered", connection.expected_replies));
        }
        connection.bye.into_iter().for_each(|code| shared.totals.borrow_mut().count_bye(code));
    }
    Ok(())
}

/// Listens until then. Tells whether a guest said something slowly.
async fn read_until(connection: &mut Connection, until: Instant) -> Result<bool, String> {
    let mut said = false;
    loop {
        match connection.read_line(until).await {
            ReadEvent::Line(line) => {
                if let CheckedLine::Sequenced(entry) = connection.check_line(&line)? {
                    let is_chat = matches!(entry.frame.body, Body::Chat { .. });
                    said |= is_chat && entry.frame.data == "slowly";
                }
            }
            ReadEvent::Timeout => return Ok(said),
            ReadEvent::Closed(error) => {
                connection.check_end(error.as_ref())?;
                return Ok(said);
            }
        }
    }
}
