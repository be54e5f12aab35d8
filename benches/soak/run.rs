//! The run: start, rounds with kills and checkpoints, end and summary.

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_channel::Sender;
use futures_lite::FutureExt;
use serde_json::json;
use smol::{LocalExecutor, Timer};
use smolchat::protocol::Body;

use crate::bad_client::run_bad_clients;
use crate::check::CheckedLine;
use crate::connection::{Connection, ReadEvent};
use crate::harness::server::raise_descriptor_limit;
use crate::member::Member;
use crate::monitor::MonitoredServer;
use crate::options::Options;
use crate::script::Rng;
use crate::shared::{Phase, RecentLines, ScriptError, SharedState, TIMEOUT};
use crate::special_members::{
    ECHO, FIRST_SCRIPTED, NAME_OWNER, NAME_RIVAL, PINGER, check_reserved_name, run_echo, run_pinger,
};

/// Number of bad clients at the same time.
const BAD_CLIENTS: usize = 10;
/// Approximate time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// Maximum growth of memory between the checkpoints of a process, in bytes.
const MAX_GROWTH: i64 = 2 << 20;
/// Maximum time from SIGTERM until the server exits.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the soak and returns its summary.
pub fn run(options: &Options) -> Result<String, String> {
    raise_descriptor_limit().map_err(|error| error.to_string())?;
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak-smolchatd.log");
    let shared = SharedState::new(options.members);
    let mut server =
        MonitoredServer::start(&options.smolchatd, &log).map_err(|error| error.to_string())?;
    // Declared after the server, so that the clients are dropped first.
    let executor = Rc::new(LocalExecutor::new());
    let run = async {
        let (failure_sender, failures) = async_channel::unbounded();
        let rounds = run_rounds(options, &shared, &mut server, &executor, failure_sender);
        let failure = async {
            match failures.recv().await {
                Ok(text) => Err(text),
                Err(_) => std::future::pending().await,
            }
        };
        failure.or(rounds).await
    };
    let summary = smol::block_on(executor.run(run));
    summary.map_err(|text| format!("{text}\nthe log of the server is {}", log.display()))
}

async fn run_rounds(
    options: &Options,
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
    executor: &Rc<LocalExecutor<'_>>,
    failures: Sender<String>,
) -> Result<String, String> {
    let ended = Rc::new(Cell::new(0));
    spawn_members(options, shared, executor, &failures, &ended);
    spawn_bad_clients(options, shared, executor, &failures);
    let measured = Rc::clone(shared);
    executor.spawn(async move { measured.measure_timer_delay().await }).detach();
    on_server_started(shared, server).await?;
    let start = Instant::now();
    let mut rng = Rng::new(options.seed, u64::MAX);
    let rounds = options.duration.div_duration_f64(CHECKPOINT_INTERVAL).round().max(1.0) as u32;
    let round = options.duration / rounds;
    let mut max_connections = 0;
    for number in 1..=rounds {
        let end = start + round * number;
        // Not killed in the second half, so that growth of its memory shows.
        let mut kill_at = (number <= rounds.div_ceil(2))
            .then(|| end - round.mul_f64(rng.between(30, 70) as f64 / 100.0));
        while Instant::now() < end {
            Timer::after(Duration::from_secs(1).min(round / 10)).await;
            max_connections = max_connections.max(shared.open_connections.get());
            let exceeded = server
                .check_usage(max_connections)
                .map_err(|error| format!("cannot measure the server: {error}"))?;
            exceeded.map_or(Ok(()), Err)?;
            if kill_at.is_some_and(|time| time <= Instant::now()) {
                kill_at = None;
                kill_server(shared, server).await?;
            }
        }
        run_checkpoint(shared, server).await.map_err(|error| format!("checkpoint: {error}"))?;
        if number < rounds {
            shared.phase.set(Phase::Active);
        }
        eprintln!("soak: {:.0?}, {} frames", start.elapsed(), shared.totals.borrow().frames);
    }
    if let Some(growth) = server.growth().filter(|growth| *growth > MAX_GROWTH) {
        let memory = &server.checkpoint_memory;
        return Err(format!("memory grew by {growth} bytes, at checkpoints: {memory:?}"));
    }
    shut_down(options, shared, server, &ended).await?;
    Ok(summary(options, shared, server))
}

/// Starts all members. Counts in `ended` those whose scripts have ended.
fn spawn_members(
    options: &Options,
    shared: &Rc<SharedState>,
    executor: &Rc<LocalExecutor<'_>>,
    failures: &Sender<String>,
    ended: &Rc<Cell<usize>>,
) {
    // The owner's script runs the rival, too.
    for index in (0..options.members).filter(|index| *index != NAME_RIVAL) {
        let mut member = Member::new(shared, index, options.seed);
        let mut rival = Member::new(shared, NAME_RIVAL, options.seed);
        let (failures, ended) = (failures.clone(), Rc::clone(ended));
        let script = async move {
            let result = match index {
                PINGER => run_pinger(&mut member).await,
                ECHO => run_echo(&mut member).await,
                NAME_OWNER => check_reserved_name(&mut member, &mut rival).await,
                FIRST_SCRIPTED.. => member.run_script().await,
                _ => Ok(()),
            };
            ended.set(ended.get() + 1);
            if let Err(ScriptError::CheckFailed(text)) = result {
                let mut lines = format_recent_lines(&member.name, &member.recent_lines);
                if index == NAME_OWNER {
                    lines += &format_recent_lines(&rival.name, &rival.recent_lines);
                }
                // Ignored: the first failure has ended the run.
                failures.try_send(format!("{}: {text}\n{lines}", member.name)).ok();
            }
        };
        executor.spawn(script).detach();
    }
}

fn spawn_bad_clients(
    options: &Options,
    shared: &Rc<SharedState>,
    executor: &Rc<LocalExecutor<'_>>,
    failures: &Sender<String>,
) {
    for number in 0..BAD_CLIENTS {
        let (shared, failures) = (Rc::clone(shared), failures.clone());
        let mut rng = Rng::new(options.seed, (options.members + number) as u64);
        let script = async move {
            let recent_lines = RecentLines::default();
            let result = run_bad_clients(&shared, &mut rng, &recent_lines).await;
            if let Err(ScriptError::CheckFailed(text)) = result {
                let lines = format_recent_lines("the bad client", &recent_lines);
                failures.try_send(format!("a bad client: {text}\n{lines}")).ok();
            }
        };
        executor.spawn(script).detach();
    }
}

fn format_recent_lines(name: &str, recent_lines: &RecentLines) -> String {
    let lines: Vec<String> =
        recent_lines.borrow().iter().map(|line| format!("  {line}\n")).collect();
    format!("the last lines of {name}:\n{}", lines.concat())
}

/// Learns the epoch and the last `seq` of a server that has started, and then lets members connect.
async fn on_server_started(
    shared: &Rc<SharedState>,
    server: &MonitoredServer,
) -> Result<(), String> {
    let recent_lines = RecentLines::default();
    let addresses = server.addresses();
    let connection = Connection::connect_to(shared, &addresses, true, None, &recent_lines).await;
    let mut connection = connection.map_err(|error| format!("cannot connect: {error}"))?;
    connection.send_line(&json!({ "hello": { "name": "probe" } }).to_string()).await;
    let ReadEvent::Line(line) = connection.read_line(Instant::now() + TIMEOUT).await else {
        return Err("no line from a server that has started".to_owned());
    };
    let CheckedLine::Welcome(frame) = connection.check_line(&line)? else {
        return Err("no welcome from a server that has started".to_owned());
    };
    let Body::Welcome { epoch, seq, .. } = frame.body else { return Ok(()) };
    let is_new_epoch = shared.sequence.borrow_mut().start(&epoch, seq)?;
    if is_new_epoch && shared.generation.get() > 0 {
        if !server.has_logged_history_problem().map_err(|error| error.to_string())? {
            return Err("a new epoch without a problem of the history file".to_owned());
        }
        shared.totals.borrow_mut().new_epochs += 1;
    }
    *shared.addresses.borrow_mut() = Some(addresses);
    // Stay until a member is present, so that no frame is missed.
    let end = Instant::now() + TIMEOUT;
    while shared.statuses.borrow()[PINGER].name.is_none() {
        match connection.read_line(end).await {
            ReadEvent::Line(line) => drop(connection.check_line(&line)?),
            _ => return Err("timed out waiting for the pinger to join".to_owned()),
        }
    }
    Ok(())
}

/// Kills the server and starts another one.
async fn kill_server(shared: &Rc<SharedState>, server: &mut MonitoredServer) -> Result<(), String> {
    *shared.addresses.borrow_mut() = None;
    shared.generation.set(shared.generation.get() + 1);
    server.kill_and_restart().map_err(|error| format!("cannot restart the server: {error}"))?;
    shared.totals.borrow_mut().kills += 1;
    on_server_started(shared, server).await
}

/// Waits until all members are idle, and compares what they and the server know.
async fn run_checkpoint(
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
) -> Result<(), String> {
    shared.phase.set(Phase::Draining);
    shared.wait_for(2 * TIMEOUT, || find_mismatch(shared, server)).await?;
    shared.phase.set(Phase::Comparing);
    let unchecked = || {
        let index = shared.statuses.borrow().iter().position(|status| !status.is_checked);
        index.map(|index| format!("member {index} has no member list"))
    };
    shared.wait_for(TIMEOUT, unchecked).await?;
    shared.check_private_messages()?;
    let oldest = shared.statuses.borrow().iter().map(|status| status.last_seq).min();
    shared.sequence.borrow_mut().prune(oldest.unwrap_or(0));
    server.record_checkpoint().map_err(|error| error.to_string())?;
    shared.totals.borrow_mut().checkpoints += 1;
    Ok(())
}

/// Returns something that does not match yet.
fn find_mismatch(shared: &SharedState, server: &MonitoredServer) -> Option<String> {
    if shared.open_bad_clients.get() > 0 {
        return Some(format!("{} bad clients are connected", shared.open_bad_clients.get()));
    }
    let (sequence, statuses) = (shared.sequence.borrow(), shared.statuses.borrow());
    let last = sequence.complete_to();
    if last != sequence.newest() {
        return Some(format!("no member received frame {}", last + 1));
    }
    for (index, status) in statuses.iter().enumerate() {
        let is_behind = status.name.is_some() && status.last_seq != last;
        if !status.is_idle || is_behind {
            return Some(format!("member {index} is not idle at frame {last}: {status:?}"));
        }
        if !sequence.has_all_lines(index, status.next_line) {
            return Some(format!("lines of member {index} are missing: {status:?}"));
        }
    }
    let mut names: Vec<&str> = statuses.iter().filter_map(|it| it.name.as_deref()).collect();
    names.sort_unstable();
    let present: Vec<&str> = sequence.present().collect();
    if names != present {
        let missing: Vec<_> = names.iter().filter(|name| !present.contains(name)).collect();
        let extra: Vec<_> = present.iter().filter(|name| !names.contains(name)).collect();
        return Some(format!("missing in the sequence: {missing:?}, extra: {extra:?}"));
    }
    let connections = shared.open_connections.get();
    match server.descriptors_in_use() {
        Ok(count) if count == connections as i64 => None,
        count => Some(format!("{count:?} descriptors for {connections} connections")),
    }
}

/// Terminates the server. It must send `bye` to all members, exit with success and log no error.
async fn shut_down(
    options: &Options,
    shared: &Rc<SharedState>,
    server: &mut MonitoredServer,
    ended: &Rc<Cell<usize>>,
) -> Result<(), String> {
    shared.is_ending.set(true);
    let status = server.terminate(SHUTDOWN_TIMEOUT).await.map_err(|error| error.to_string())?;
    let status = status.ok_or("the server did not exit after SIGTERM")?;
    if !status.success() {
        return Err(format!("the server exited with {status}"));
    }
    // All but the rival, which has no script of its own.
    let missing = || {
        let missing = options.members - 1 - ended.get();
        (missing > 0).then(|| format!("{missing} members received no bye"))
    };
    shared.wait_for(SHUTDOWN_TIMEOUT, missing).await?;
    let logged_errors = server.logged_errors().map_err(|error| error.to_string())?;
    if logged_errors.is_empty() { Ok(()) } else { Err(logged_errors.join("\n")) }
}

fn summary(options: &Options, shared: &SharedState, server: &MonitoredServer) -> String {
    let (totals, trips) = (shared.totals.borrow(), shared.round_trips.borrow());
    let delay = shared.timer_delay.borrow();
    let errors: Vec<String> =
        totals.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let millis = |micros: u64| micros as f64 / 1000.0;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "soak: ok, seed {}, {} members, {} connections, {} lines sent, {} frames checked, \
         {} resumes, {} gaps, {} takeovers, {} slow, {} caught up, {} private, \
         {} reserved names, {} bad clients, {} kills, {} new epochs, {} late hellos, \
         {} checkpoints; errors: {}; round trip p99 {:.1} ms, max {:.1} ms of {}, \
         timers of the soak late by p99 {:.1} ms, max {:.1} ms; \
         resident {:.1} to {:.1} MiB, growth {}; descriptors {} to {}, threads {} to {}",
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
        millis(delay.value_at_quantile(0.99)),
        millis(delay.max()),
        mib(server.resident.0),
        mib(server.resident.1),
        server.growth().map_or("not known".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        server.descriptors.0,
        server.descriptors.1,
        server.threads.0,
        server.threads.1,
    )
}
