//! The run as a whole: everybody at work, quiet points, kills, and the end.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_channel::Sender;
use futures_lite::FutureExt;
use serde_json::json;
use smol::{LocalExecutor, Timer};
use smolchat::protocol::Body;

use crate::actions::{ECHO, FIRST_SCRIPTED, NAME_OWNER, NAME_RIVAL, PINGER, check_reserved_name};
use crate::bad_client::run_bad_clients;
use crate::check::CheckedLine;
use crate::connection::{Connection, ReadEvent};
use crate::harness::server::raise_descriptor_limit;
use crate::member::Member;
use crate::monitor::MonitoredServer;
use crate::options::Options;
use crate::script::Rng;
use crate::shared::{Phase, RecentLines, ScriptError, SharedState, TIMEOUT};

/// Visitors at once.
const BAD_CLIENTS: usize = 10;
/// Between two quiet points.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// What memory may grow by, from the first third of the quiet points of a process to the last.
const MAX_GROWTH: i64 = 2 << 20;
/// How long the server may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Does it all, and returns the line of totals.
pub fn run(options: &Options) -> Result<String, String> {
    raise_descriptor_limit().map_err(|error| error.to_string())?;
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak-smolchatd.log");
    let shared = SharedState::new(options.members);
    let mut server =
        MonitoredServer::start(&options.smolchatd, &log).map_err(|error| error.to_string())?;
    // Declared behind the server, so that members go before it does.
    let executor = Rc::new(LocalExecutor::new());
    let run = async {
        let (halt, halted) = async_channel::unbounded();
        let work = run_rounds(options, &shared, &mut server, &executor, halt);
        let broken = async {
            match halted.recv().await {
                Ok(text) => Err(text),
                Err(_) => std::future::pending().await,
            }
        };
        broken.or(work).await
    };
    let totals = smol::block_on(executor.run(run));
    totals.map_err(|text| format!("{text}\nthe server's log is {}", log.display()))
}

async fn run_rounds(
    options: &Options,
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
    executor: &Rc<LocalExecutor<'_>>,
    halt: Sender<String>,
) -> Result<String, String> {
    let ended = Rc::new(Cell::new(0));
    spawn_clients(options, shared, executor, &halt, &ended);
    on_server_started(shared, server).await?;
    let start = Instant::now();
    let mut rng = Rng::new(options.seed, u64::MAX);
    let rounds = options.time.div_duration_f64(CHECKPOINT_INTERVAL).round().max(1.0);
    let round = options.time.div_f64(rounds);
    let mut peak = 0;
    for number in 1..=rounds as u32 {
        let end = start + round * number;
        // Later none is killed, so that it can be seen whether one grows.
        let killed = (number <= (rounds as u32).div_ceil(2))
            .then(|| end - round.mul_f64(rng.between(30, 70) as f64 / 100.0));
        let mut to_kill = killed;
        while Instant::now() < end {
            Timer::after(Duration::from_secs(1).min(round / 10)).await;
            peak = peak.max(shared.open_connections.get());
            let wrong = server.check_usage(peak).map_err(|error| format!("no process: {error}"))?;
            wrong.map_or(Ok(()), Err)?;
            if to_kill.is_some_and(|time| time <= Instant::now()) {
                to_kill = None;
                kill_server(shared, server).await?;
            }
        }
        run_checkpoint(shared, server).await?;
        if number < rounds as u32 {
            shared.phase.set(Phase::Active);
        }
        eprintln!("soak: {:.0?}, {} frames", start.elapsed(), shared.totals.borrow().frames);
    }
    if let Some(growth) = server.growth().filter(|growth| *growth > MAX_GROWTH) {
        return Err(format!(
            "memory grew by {growth} bytes, at quiet points: {:?}",
            server.checkpoint_memory
        ));
    }
    shut_down(options, shared, server, &ended).await?;
    Ok(summary(options, shared, server))
}

/// Has everybody begin.
fn spawn_clients(
    options: &Options,
    shared: &Rc<SharedState>,
    executor: &Rc<LocalExecutor<'_>>,
    halt: &Sender<String>,
    ended: &Rc<Cell<usize>>,
) {
    let member = |index| Member::new(shared, index, format!("m{index}"), options.seed);
    for index in (0..options.members).filter(|index| *index != NAME_RIVAL) {
        let (mut member, mut rival) = (member(index), member(NAME_RIVAL));
        let (halt, ended) = (halt.clone(), Rc::clone(ended));
        let live = async move {
            let halted = match index {
                PINGER => member.run_pinger().await,
                ECHO => member.run_echo().await,
                NAME_OWNER => check_reserved_name(&mut member, &mut rival).await,
                FIRST_SCRIPTED.. => member.follow_script().await,
                _ => Ok(()),
            };
            ended.set(ended.get() + 1);
            if let Err(ScriptError::CheckFailed(text)) = halted {
                let mut recent_lines = format_recent_lines(&member.name, &member.recent_lines);
                if index == NAME_OWNER {
                    recent_lines += &format_recent_lines(&rival.name, &rival.recent_lines);
                }
                // The first is the one that is told of.
                halt.try_send(format!("{}: {text}\n{recent_lines}", member.name)).ok();
            }
        };
        executor.spawn(live).detach();
    }
    let late = Rc::clone(shared);
    executor.spawn(async move { late.measure_timer_delay().await }).detach();
    for number in 0..BAD_CLIENTS {
        let (shared, halt) = (Rc::clone(shared), halt.clone());
        let mut rng = Rng::new(options.seed, (options.members + number) as u64);
        let live = async move {
            let recent_lines = RecentLines::default();
            if let Err(ScriptError::CheckFailed(text)) =
                run_bad_clients(&shared, &mut rng, &recent_lines).await
            {
                halt.try_send(format!(
                    "a visitor: {text}\n{}",
                    format_recent_lines("a visitor", &recent_lines)
                ))
                .ok();
            }
        };
        executor.spawn(live).detach();
    }
}

fn format_recent_lines(name: &str, recent_lines: &RecentLines) -> String {
    let lines: Vec<String> =
        recent_lines.borrow().iter().map(|line| format!("  {line}\n")).collect();
    format!("the last lines of {name}:\n{}", lines.concat())
}

/// The server is there: finds out where its sequence stands before anybody else comes.
async fn on_server_started(
    shared: &Rc<SharedState>,
    server: &MonitoredServer,
) -> Result<(), String> {
    let recent_lines = RecentLines::default();
    let connection =
        Connection::connect_to(shared, &server.addresses(), true, None, &recent_lines).await;
    let mut connection = connection.map_err(|error| format!("no connection: {error}"))?;
    connection.send_line(&json!({ "hello": { "name": "probe" } }).to_string()).await;
    let ReadEvent::Line(line) = connection.read_line(Instant::now() + TIMEOUT).await else {
        return Err("a server that has just started says nothing".to_owned());
    };
    let CheckedLine::Welcome(frame) = connection.check_line(&line)? else {
        return Err("no welcome".to_owned());
    };
    let Body::Welcome { epoch, seq, .. } = frame.body else { return Ok(()) };
    let is_first = shared.generation.get() == 0;
    let is_other = shared.sequence.borrow_mut().start(&epoch, seq)?;
    if is_other && !is_first {
        if !server.lost_history_file().map_err(|error| error.to_string())? {
            return Err("the epoch is another, and the history file was never lost".to_owned());
        }
        shared.totals.borrow_mut().new_epochs += 1;
    }
    *shared.addresses.borrow_mut() = Some(server.addresses());
    // From here on somebody sees each number.
    let end = Instant::now() + TIMEOUT;
    while shared.statuses.borrow()[PINGER].name.is_none() {
        match connection.read_line(end).await {
            ReadEvent::Line(line) => drop(connection.check_line(&line)?),
            _ => return Err("the witness does not come".to_owned()),
        }
    }
    Ok(())
}

/// Kills the server and starts another.
async fn kill_server(shared: &Rc<SharedState>, server: &mut MonitoredServer) -> Result<(), String> {
    *shared.addresses.borrow_mut() = None;
    shared.generation.set(shared.generation.get() + 1);
    server.kill_and_restart().map_err(|error| format!("no server after a kill: {error}"))?;
    shared.totals.borrow_mut().kills += 1;
    on_server_started(shared, server).await
}

/// Everybody rests, and all that they know must agree.
async fn run_checkpoint(
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
) -> Result<(), String> {
    shared.phase.set(Phase::Draining);
    let why = |error| format!("at a quiet point, {error}");
    shared.until(2 * TIMEOUT, || find_mismatch(shared, server)).await.map_err(why)?;
    shared.phase.set(Phase::Comparing);
    let has_not = || {
        let statuses = shared.statuses.borrow();
        let index = statuses.iter().position(|status| !status.is_checked);
        index.map(|index| format!("member {index} was not told who is here"))
    };
    shared.until(TIMEOUT, has_not).await.map_err(why)?;
    shared.check_private_messages()?;
    let last_seq = shared.statuses.borrow().iter().map(|status| status.last_seq).min();
    shared.sequence.borrow_mut().prune(last_seq.unwrap_or(0));
    server.record_checkpoint().map_err(|error| error.to_string())?;
    shared.totals.borrow_mut().checkpoints += 1;
    Ok(())
}

/// What does not agree yet.
fn find_mismatch(shared: &SharedState, server: &MonitoredServer) -> Option<String> {
    if shared.open_bad_clients.get() > 0 {
        return Some(format!("{} visitors have not gone", shared.open_bad_clients.get()));
    }
    let (sequence, statuses) = (shared.sequence.borrow(), shared.statuses.borrow());
    if sequence.complete_to() != sequence.newest() {
        return Some(format!("nobody saw number {}", sequence.complete_to() + 1));
    }
    for (index, status) in statuses.iter().enumerate() {
        let is_behind = status.name.is_some() && status.last_seq != sequence.complete_to();
        if !status.is_idle || is_behind {
            return Some(format!("member {index}, of {}: {status:?}", sequence.complete_to()));
        }
        if !sequence.has_all_lines(index, status.next_line) {
            return Some(format!("lines of member {index} are not there: {status:?}"));
        }
    }
    let mut names: Vec<&str> = statuses.iter().filter_map(|it| it.name.as_deref()).collect();
    names.sort_unstable();
    let present: Vec<&str> = sequence.present().collect();
    if names != present {
        let lack: Vec<_> = names.iter().filter(|name| !present.contains(name)).collect();
        let extra: Vec<_> = present.iter().filter(|name| !names.contains(name)).collect();
        return Some(format!("by the notices {lack:?} are not here, and {extra:?} are"));
    }
    match server.descriptors_in_use() {
        Ok(count) if count == shared.open_connections.get() as i64 => None,
        count => Some(format!("{count:?} descriptors for {} links", shared.open_connections.get())),
    }
}

/// Asks the server to end: all are told, and it does so in good order.
async fn shut_down(
    options: &Options,
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
    ended: &Rc<Cell<usize>>,
) -> Result<(), String> {
    shared.ending.set(true);
    let status = server.terminate(SHUTDOWN_TIMEOUT).await.map_err(|error| error.to_string())?;
    let status = status.ok_or("the server does not end")?;
    if !status.success() {
        return Err(format!("the server ended with {status}"));
    }
    // The taker has no script of its own.
    let missing = || {
        let left = options.members - 1 - ended.get();
        (left > 0).then(|| format!("{left} members were not told bye"))
    };
    shared.until(SHUTDOWN_TIMEOUT, missing).await?;
    let logged_errors = server.logged_errors().map_err(|error| error.to_string())?;
    if logged_errors.is_empty() { Ok(()) } else { Err(logged_errors.join("\n")) }
}

fn summary(options: &Options, shared: &SharedState, server: &MonitoredServer) -> String {
    let (totals, trips) = (shared.totals.borrow(), shared.round_trips.borrow());
    let late = shared.timer_delay.borrow();
    let errors: Vec<String> =
        totals.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let millis = |micros: u64| micros as f64 / 1000.0;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "soak: ok, seed {}, {} members, {} connections, {} lines said, {} frames checked, \
         {} resumes, {} gaps, {} takeovers, {} slow, {} caught up, {} private, {} names kept, \
         {} visits, {} kills, {} new epochs, {} late hellos, {} quiet points; errors: {}; \
         round trip p99 {:.1} ms, max {:.1} ms of {}, the soak itself late by p99 {:.1} ms, \
         max {:.1} ms; resident {:.1} to {:.1} MiB, growth {}; \
         descriptors {} to {}, threads {} to {}",
        options.seed,
        options.members,
        totals.connections,
        totals.lines,
        totals.frames,
        totals.resumes,
        totals.gaps,
        totals.takeovers,
        totals.slow_closes,
        totals.caught_up,
        totals.private_messages,
        totals.reserved_names,
        totals.bad_clients,
        totals.kills,
        totals.new_epochs,
        totals.late_hellos,
        totals.checkpoints,
        errors.join(", "),
        millis(trips.value_at_quantile(0.99)),
        millis(trips.max()),
        trips.len(),
        millis(late.value_at_quantile(0.99)),
        millis(late.max()),
        mib(server.resident.0),
        mib(server.resident.1),
        server.growth().map_or("not known".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        server.descriptors.0,
        server.descriptors.1,
        server.threads.0,
        server.threads.1,
    )
}
