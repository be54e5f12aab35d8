//! The members that do not run a random script: a pair that measures round trips, and a pair that
//! checks reserved names.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smolchat::protocol::ErrorCode;

use crate::check::ExpectedReply;
use crate::connection::Connection;
use crate::member::Member;
use crate::shared::{GRACE, POLL_INTERVAL, ScriptError, micros};

/// Index of the member that sends pings.
pub const PINGER: usize = 0;
/// Index of the member that answers them.
pub const ECHO: usize = 1;
/// Index of the member that drops its connection and reconnects for its name.
pub const NAME_OWNER: usize = 2;
/// Index of the member that requests this name.
pub const NAME_RIVAL: usize = 3;
/// Index of the first member with a random script.
pub const FIRST_SCRIPTED: usize = 4;

/// Sends a ping, waits for the answer, and records the round trip, again and again.
pub async fn run_pinger(pinger: &mut Member) -> Result<(), ScriptError> {
    let connection_id = |pinger: &Member| pinger.connection.as_ref().map(|it| it.id);
    pinger.peer = Some(ECHO);
    loop {
        pinger.stay_during_checkpoint().await?;
        let (answers, start) = (pinger.peer_lines, Instant::now());
        pinger.shared.is_ping_pending.set(true);
        pinger.send_message("ping", "ping").await;
        let id = connection_id(pinger);
        pinger.wait_for("the answer to a ping", |pinger| pinger.peer_lines > answers).await?;
        pinger.shared.is_ping_pending.set(false);
        if id.is_some() && id == connection_id(pinger) {
            pinger.shared.round_trips.borrow_mut().saturating_record(micros(start.elapsed()));
        }
        let pause = pinger.rng.millis(20, 80);
        pinger.stay_for(pause).await?;
    }
}

/// Answers each ping.
pub async fn run_echo(echo: &mut Member) -> Result<(), ScriptError> {
    echo.peer = Some(PINGER);
    let shared = Rc::clone(&echo.shared);
    let may_pause = || !shared.is_active() && !shared.is_ping_pending.get();
    let mut answered = 0;
    loop {
        let until = Instant::now() + 5 * POLL_INTERVAL;
        echo.stay_until(until, |echo| echo.peer_lines > answered || may_pause()).await?;
        while answered < echo.peer_lines {
            answered += 1;
            echo.send_message("pong", "pong").await;
        }
        if may_pause() {
            echo.stay_during_checkpoint().await?;
        }
    }
}

/// Checks that a name is reserved for the owner after its connection is closed, and free when the
/// time is over or the owner has left for good, again and again.
pub async fn check_reserved_name(
    owner: &mut Member,
    rival: &mut Member,
) -> Result<(), ScriptError> {
    loop {
        // Drawn in every iteration, so that a seed repeats the script.
        let (waits_for_grace, pause) = (owner.rng.one_in(16), owner.rng.millis(50, 500));
        owner.discard_session();
        owner.skip_checkpoints();
        rival.stay_during_checkpoint().await?;
        rival.mark_may_be_slow();
        owner.name = owner.next_name();
        owner.keep_name = true;
        let generation = owner.shared.generation();
        owner.reconnect().await?;
        owner.half_close().await?;
        let closed = Instant::now();
        let request = format!("/nick {}", owner.name);
        rival.stay_for(Duration::ZERO).await?;
        // A server that was killed does not know reserved names any more, or does not know yet that
        // the owner has left.
        let is_killed = rival.connection.as_ref().is_none_or(Connection::was_server_killed);
        if is_killed || owner.shared.generation() != generation {
            continue;
        }
        let reply = ExpectedReply::Error(ErrorCode::NameKept, None);
        rival.send_request(request.as_bytes(), reply).await;
        rival.wait_for("the reply to /nick", Member::has_all_replies).await?;
        if waits_for_grace {
            // The time of a cluster can be behind by some seconds.
            let grace = if rival.shared.is_cluster() { 2 * GRACE } else { GRACE };
            rival.stay_for(grace + Duration::from_secs(3)).await?;
            if closed.elapsed() <= grace + Duration::from_secs(2) {
                continue;
            }
        } else {
            owner.keep_name = false;
            owner.reconnect().await?;
            owner.half_close().await?;
        }
        owner.shared.totals.borrow_mut().reserved_names += 1;
        rival.send_message(&request, &owner.name).await;
        rival.wait_for("a free name", Member::has_all_replies).await?;
        rival.stay_for(pause).await?;
    }
}
