//! The run: start, rounds with kills and checkpoints, end and summary.

use std::cell::Cell;
use std::collections::VecDeque;
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
use crate::servers::Servers;
use crate::shared::{NodeStatus, Phase, RecentLines, ScriptError, SharedState, TIMEOUT};
use crate::special_members::{
    ECHO, FIRST_SCRIPTED, NAME_OWNER, NAME_RIVAL, PINGER, check_reserved_name, run_echo, run_pinger,
};

/// Number of bad clients at the same time.
const BAD_CLIENTS: usize = 10;
/// Approximate time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(60);
/// Kills of nodes of a cluster between two checkpoints.
const KILLS_IN_CLUSTER: u32 = 3;
/// The most bytes by which memory grows between the checkpoints of a process.
const MAX_GROWTH: i64 = 2 << 20;
/// The longest time from SIGTERM until the server exits.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the soak and returns its summary.
pub fn run(options: &Options) -> Result<String, String> {
    raise_descriptor_limit().map_err(|error| error.to_string())?;
    let shared = SharedState::new(options.members, options.nodes);
    let mut servers = Servers::start(options).map_err(|error| error.to_string())?;
    let logs = servers.logs();
    // Declared after the servers, so that the clients are dropped first.
    let executor = Rc::new(LocalExecutor::new());
    let run = async {
        let (failure_sender, failures) = async_channel::unbounded();
        let rounds = run_rounds(options, &shared, &mut servers, &executor, failure_sender);
        let failure = async {
            match failures.recv().await {
                Ok(text) => Err(text),
                Err(_) => std::future::pending().await,
            }
        };
        failure.or(rounds).await
    };
    let summary = smol::block_on(executor.run(run));
    summary.map_err(|text| format!("{text}\nthe logs of the servers: {logs:?}"))
}

async fn run_rounds(
    options: &Options,
    shared: &Rc<SharedState>,
    servers: &mut Servers,
    executor: &Rc<LocalExecutor<'_>>,
    failures: Sender<String>,
) -> Result<String, String> {
    let ended = Rc::new(Cell::new(0));
    spawn_members(options, shared, executor, &failures, &ended);
    spawn_bad_clients(options, shared, executor, &failures);
    let measured = Rc::clone(shared);
    executor.spawn(async move { measured.measure_timer_delay().await }).detach();
    on_server_started(shared, &servers.servers[0]).await?;
    for (node, server) in shared.nodes.borrow_mut().iter_mut().zip(&servers.servers) {
        node.addresses = Some(server.addresses());
    }
    let start = Instant::now();
    let mut rng = Rng::new(options.seed, u64::MAX);
    let rounds = options.duration.div_duration_f64(CHECKPOINT_INTERVAL).round().max(1.0) as u32;
    let round = options.duration / rounds;
    let mut max_connections = 0;
    for number in 1..=rounds {
        let end = start + round * number;
        // A single server is not killed in the second half, so that growth of its memory shows.
        let kills = match (options.nodes, number <= rounds.div_ceil(2)) {
            (1, is_first_half) => u32::from(is_first_half),
            _ => KILLS_IN_CLUSTER,
        };
        let part = round / kills.max(1);
        let mut kill_times: VecDeque<_> = (0..kills)
            .map(|kill| end - part * kill - part.mul_f64(rng.between(30, 70) as f64 / 100.0))
            .rev()
            .collect();
        while Instant::now() < end {
            Timer::after(Duration::from_secs(1).min(round / 10)).await;
            max_connections = max_connections.max(shared.open_connections.get());
            let exceeded = servers
                .check_usage(max_connections)
                .map_err(|error| format!("cannot measure the server: {error}"))?;
            exceeded.map_or(Ok(()), Err)?;
            if kill_times.pop_front_if(|time| *time <= Instant::now()).is_some() {
                let index = rng.between(0, options.nodes);
                kill_server(shared, servers, index).await?;
            }
        }
        run_checkpoint(shared, servers).await.map_err(|error| format!("checkpoint: {error}"))?;
        if number < rounds {
            shared.phase.set(Phase::Active);
        }
        eprintln!("soak: {:.0?}, {} frames", start.elapsed(), shared.totals.borrow().frames);
    }
    if let Some(growth) = servers.growth().filter(|growth| *growth > MAX_GROWTH) {
        let memory: Vec<_> = servers.servers.iter().map(|it| &it.checkpoint_memory).collect();
        return Err(format!("memory grew by {growth} bytes, at checkpoints: {memory:?}"));
    }
    shut_down(options, shared, servers, &ended).await?;
    Ok(summary(options, shared, servers))
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
    let connection =
        Connection::connect_to(shared, (0, &addresses), true, None, &recent_lines).await;
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
    if is_new_epoch && shared.generation() > 0 {
        if !server.has_logged_history_problem().map_err(|error| error.to_string())? {
            return Err("a new epoch without a problem of the history file".to_owned());
        }
        shared.totals.borrow_mut().new_epochs += 1;
    }
    shared.nodes.borrow_mut()[0].addresses = Some(addresses);
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

/// Kills a server and starts another one.
async fn kill_server(
    shared: &Rc<SharedState>,
    servers: &mut Servers,
    index: usize,
) -> Result<(), String> {
    let generation = shared.nodes.borrow()[index].generation + 1;
    shared.nodes.borrow_mut()[index] = NodeStatus { addresses: None, generation };
    let server = &mut servers.servers[index];
    let restarted = server.kill_and_restart().await;
    restarted.map_err(|error| format!("cannot restart the server: {error}"))?;
    shared.totals.borrow_mut().kills += 1;
    if shared.is_cluster() {
        // The room goes on.
        shared.nodes.borrow_mut()[index].addresses = Some(server.addresses());
        return Ok(());
    }
    on_server_started(shared, server).await
}

/// Waits until all members are idle, and compares what they and the servers know.
async fn run_checkpoint(shared: &Rc<SharedState>, servers: &mut Servers) -> Result<(), String> {
    shared.phase.set(Phase::Draining);
    shared.wait_for(2 * TIMEOUT, || find_mismatch(shared, servers)).await?;
    shared.phase.set(Phase::Comparing);
    let unchecked = || {
        let index = shared.statuses.borrow().iter().position(|status| !status.is_checked);
        index.map(|index| format!("member {index} has no member list"))
    };
    shared.wait_for(TIMEOUT, unchecked).await?;
    shared.check_private_messages()?;
    let oldest = shared.statuses.borrow().iter().map(|status| status.last_seq).min();
    shared.sequence.borrow_mut().prune(oldest.unwrap_or(0));
    servers.record_checkpoint().map_err(|error| error.to_string())?;
    shared.totals.borrow_mut().checkpoints += 1;
    Ok(())
}

/// Returns something that does not match yet.
fn find_mismatch(shared: &SharedState, servers: &Servers) -> Option<String> {
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
    match servers.descriptors_in_use() {
        Ok(count) if count == connections as i64 => None,
        count => Some(format!("{count:?} descriptors for {connections} connections")),
    }
}

/// Terminates the servers. They must send `bye` to all members, exit with success and log no error.
async fn shut_down(
    options: &Options,
    shared: &Rc<SharedState>,
    servers: &mut Servers,
    ended: &Rc<Cell<usize>>,
) -> Result<(), String> {
    shared.is_ending.set(true);
    servers.terminate(SHUTDOWN_TIMEOUT).await?;
    // All but the rival, which has no script of its own.
    let missing = || {
        let missing = options.members - 1 - ended.get();
        (missing > 0).then(|| format!("{missing} members received no bye"))
    };
    shared.wait_for(SHUTDOWN_TIMEOUT, missing).await?;
    let logged_errors = servers.logged_errors().map_err(|error| error.to_string())?;
    if logged_errors.is_empty() { Ok(()) } else { Err(logged_errors.join("\n")) }
}

fn summary(options: &Options, shared: &SharedState, servers: &Servers) -> String {
    let (totals, trips) = (shared.totals.borrow(), shared.round_trips.borrow());
    let delay = shared.timer_delay.borrow();
    let errors: Vec<String> =
        totals.errors.iter().map(|(code, count)| format!("{code} {count}")).collect();
    let millis = |micros: u64| micros as f64 / 1000.0;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let range = |of: fn(&MonitoredServer) -> (u64, u64)| {
        let ranges = servers.servers.iter().map(of);
        let join = |a: (u64, u64), b: (u64, u64)| (a.0.min(b.0), a.1.max(b.1));
        ranges.reduce(join).unwrap_or_default()
    };
    let resident = range(|server| server.resident);
    let descriptors = range(|server| server.descriptors);
    let threads = range(|server| server.threads);
    format!(
        "soak: ok, seed {}, {} servers, {} members, {} connections, {} lines sent, {} frames checked, \
         {} resumes, {} gaps, {} takeovers, {} slow, {} caught up, {} private, \
         {} reserved names, {} bad clients, {} kills, {} new epochs, {} late hellos, \
         {} checkpoints; errors: {}; round trip p99 {:.1} ms, max {:.1} ms of {}, \
         timers of the soak late by p99 {:.1} ms, max {:.1} ms; \
         resident {:.1} to {:.1} MiB, growth {}; descriptors {} to {}, threads {} to {}",
        options.seed,
        options.nodes,
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
        mib(resident.0),
        mib(resident.1),
        servers.growth().map_or("not known".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        descriptors.0,
        descriptors.1,
        threads.0,
        threads.1,
    )
}
