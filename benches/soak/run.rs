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

use crate::check::Took;
use crate::harness::server::raise_descriptor_limit;
use crate::link::{Heard, Link};
use crate::member::Member;
use crate::options::Options;
use crate::perform::{ECHO, KEEPER, SPECIAL, TAKER, WITNESS, test_names};
use crate::script::Rng;
use crate::visitor::visit;
use crate::watch::Watched;
use crate::world::{Halt, PATIENCE, Phase, Tail, World};

/// Visitors at once.
const VISITORS: usize = 10;
/// Between two quiet points.
const PERIOD: Duration = Duration::from_secs(60);
/// What memory may grow by, from the first third of the quiet points of a process to the last.
const GROWTH: i64 = 2 << 20;
/// How long the server may take to end.
const END: Duration = Duration::from_secs(10);

/// Does it all, and returns the line of totals.
pub fn run(options: &Options) -> Result<String, String> {
    raise_descriptor_limit().map_err(|error| error.to_string())?;
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak-smolchatd.log");
    let world = World::new(options.members);
    let mut watched =
        Watched::start(&options.smolchatd, &log).map_err(|error| error.to_string())?;
    // Declared behind the server, so that members go before it does.
    let executor = Rc::new(LocalExecutor::new());
    let run = async {
        let (halt, halted) = async_channel::unbounded();
        let work = conduct(options, &world, &mut watched, &executor, halt);
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

async fn conduct(
    options: &Options,
    world: &Rc<World>,
    watched: &mut Watched,
    executor: &Rc<LocalExecutor<'_>>,
    halt: Sender<String>,
) -> Result<String, String> {
    let ended = Rc::new(Cell::new(0));
    populate(options, world, executor, &halt, &ended);
    begin(world, watched).await?;
    let start = Instant::now();
    let mut rng = Rng::new(options.seed, u64::MAX);
    let rounds = options.time.div_duration_f64(PERIOD).round().max(1.0);
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
            peak = peak.max(world.open.get());
            let wrong = watched.look(peak).map_err(|error| format!("no process: {error}"))?;
            wrong.map_or(Ok(()), Err)?;
            if to_kill.is_some_and(|time| time <= Instant::now()) {
                to_kill = None;
                crash(world, watched).await?;
            }
        }
        be_quiet(world, watched).await?;
        if number < rounds as u32 {
            world.phase.set(Phase::Busy);
        }
        eprintln!("soak: {:.0?}, {} frames", start.elapsed(), world.totals.borrow().frames);
    }
    if let Some(growth) = watched.growth().filter(|growth| *growth > GROWTH) {
        return Err(format!("memory grew by {growth} bytes, at quiet points: {:?}", watched.quiet));
    }
    finish(options, world, watched, &ended).await?;
    Ok(report(options, world, watched))
}

/// Has everybody begin.
fn populate(
    options: &Options,
    world: &Rc<World>,
    executor: &Rc<LocalExecutor<'_>>,
    halt: &Sender<String>,
    ended: &Rc<Cell<usize>>,
) {
    let member = |index| Member::new(world, index, format!("m{index}"), options.seed);
    for index in (0..options.members).filter(|index| *index != TAKER) {
        let (mut member, mut taker) = (member(index), member(TAKER));
        let (halt, ended) = (halt.clone(), Rc::clone(ended));
        let live = async move {
            let halted = match index {
                WITNESS => member.witness().await,
                ECHO => member.echo().await,
                KEEPER => test_names(&mut member, &mut taker).await,
                SPECIAL.. => member.follow_script().await,
                _ => Ok(()),
            };
            ended.set(ended.get() + 1);
            if let Err(Halt::Broken(text)) = halted {
                let mut tails = tell(&member.name, &member.tail);
                if index == KEEPER {
                    tails += &tell(&taker.name, &taker.tail);
                }
                // The first is the one that is told of.
                halt.try_send(format!("{}: {text}\n{tails}", member.name)).ok();
            }
        };
        executor.spawn(live).detach();
    }
    let late = Rc::clone(world);
    executor.spawn(async move { late.measure_lateness().await }).detach();
    for number in 0..VISITORS {
        let (world, halt) = (Rc::clone(world), halt.clone());
        let mut rng = Rng::new(options.seed, (options.members + number) as u64);
        let live = async move {
            let tail = Tail::default();
            if let Err(Halt::Broken(text)) = visit(&world, &mut rng, &tail).await {
                halt.try_send(format!("a visitor: {text}\n{}", tell("a visitor", &tail))).ok();
            }
        };
        executor.spawn(live).detach();
    }
}

fn tell(name: &str, tail: &Tail) -> String {
    let lines: Vec<String> = tail.borrow().iter().map(|line| format!("  {line}\n")).collect();
    format!("the last lines of {name}:\n{}", lines.concat())
}

/// The server is there: finds out where its sequence stands before anybody else comes.
async fn begin(world: &Rc<World>, watched: &Watched) -> Result<(), String> {
    let tail = Tail::default();
    let link = Link::dial(world, &watched.addresses(), true, None, &tail).await;
    let mut link = link.map_err(|error| format!("no connection: {error}"))?;
    link.say(&json!({ "hello": { "name": "probe" } }).to_string()).await;
    let Heard::Line(line) = link.hear(Instant::now() + PATIENCE).await else {
        return Err("a server that has just started says nothing".to_owned());
    };
    let Took::Welcome(frame) = link.take(&line)? else {
        return Err("no welcome".to_owned());
    };
    let Body::Welcome { epoch, seq, .. } = frame.body else { return Ok(()) };
    let is_first = world.generation.get() == 0;
    let is_other = world.sequence.borrow_mut().start(&epoch, seq)?;
    if is_other && !is_first {
        if !watched.lost_its_file().map_err(|error| error.to_string())? {
            return Err("the epoch is another, and the history file was never lost".to_owned());
        }
        world.totals.borrow_mut().new_epochs += 1;
    }
    *world.addresses.borrow_mut() = Some(watched.addresses());
    // From here on somebody sees each number.
    let end = Instant::now() + PATIENCE;
    while world.standings.borrow()[WITNESS].name.is_none() {
        match link.hear(end).await {
            Heard::Line(line) => drop(link.take(&line)?),
            _ => return Err("the witness does not come".to_owned()),
        }
    }
    Ok(())
}

/// Kills the server and starts another.
async fn crash(world: &Rc<World>, watched: &mut Watched) -> Result<(), String> {
    *world.addresses.borrow_mut() = None;
    world.generation.set(world.generation.get() + 1);
    watched.crash().map_err(|error| format!("no server after a kill: {error}"))?;
    world.totals.borrow_mut().crashes += 1;
    begin(world, watched).await
}

/// Everybody rests, and all that they know must agree.
async fn be_quiet(world: &Rc<World>, watched: &mut Watched) -> Result<(), String> {
    world.phase.set(Phase::Draining);
    let why = |error| format!("at a quiet point, {error}");
    world.until(2 * PATIENCE, || disagreement(world, watched)).await.map_err(why)?;
    world.phase.set(Phase::Comparing);
    let has_not = || {
        let standings = world.standings.borrow();
        let index = standings.iter().position(|standing| !standing.compared);
        index.map(|index| format!("member {index} was not told who is here"))
    };
    world.until(PATIENCE, has_not).await.map_err(why)?;
    world.settle_privates()?;
    let seen = world.standings.borrow().iter().map(|standing| standing.seen).min();
    world.sequence.borrow_mut().prune(seen.unwrap_or(0));
    watched.note_quiet().map_err(|error| error.to_string())?;
    world.totals.borrow_mut().quiet_points += 1;
    Ok(())
}

/// What does not agree yet.
fn disagreement(world: &World, watched: &Watched) -> Option<String> {
    if world.visitors.get() > 0 {
        return Some(format!("{} visitors have not gone", world.visitors.get()));
    }
    let (sequence, standings) = (world.sequence.borrow(), world.standings.borrow());
    if sequence.cursor() != sequence.newest() {
        return Some(format!("nobody saw number {}", sequence.cursor() + 1));
    }
    for (index, standing) in standings.iter().enumerate() {
        let is_behind = standing.name.is_some() && standing.seen != sequence.cursor();
        if !standing.settled || is_behind {
            return Some(format!("member {index}, of {}: {standing:?}", sequence.cursor()));
        }
        if !sequence.has_all_of(index, standing.said) {
            return Some(format!("lines of member {index} are not there: {standing:?}"));
        }
    }
    let mut names: Vec<&str> = standings.iter().filter_map(|it| it.name.as_deref()).collect();
    names.sort_unstable();
    let present: Vec<&str> = sequence.present().collect();
    if names != present {
        let lack: Vec<_> = names.iter().filter(|name| !present.contains(name)).collect();
        let extra: Vec<_> = present.iter().filter(|name| !names.contains(name)).collect();
        return Some(format!("by the notices {lack:?} are not here, and {extra:?} are"));
    }
    match watched.descriptors_in_use() {
        Ok(count) if count == world.open.get() as i64 => None,
        count => Some(format!("{count:?} descriptors for {} links", world.open.get())),
    }
}

/// Asks the server to end: all are told, and it does so in good order.
async fn finish(
    options: &Options,
    world: &Rc<World>,
    watched: &mut Watched,
    ended: &Rc<Cell<usize>>,
) -> Result<(), String> {
    world.ending.set(true);
    let status = watched.terminate(END).await.map_err(|error| error.to_string())?;
    let status = status.ok_or("the server does not end")?;
    if !status.success() {
        return Err(format!("the server ended with {status}"));
    }
    // The taker has no script of its own.
    let missing = || {
        let left = options.members - 1 - ended.get();
        (left > 0).then(|| format!("{left} members were not told bye"))
    };
    world.until(END, missing).await?;
    let complaints = watched.complaints().map_err(|error| error.to_string())?;
    if complaints.is_empty() { Ok(()) } else { Err(complaints.join("\n")) }
}

fn report(options: &Options, world: &World, watched: &Watched) -> String {
    let (totals, trips) = (world.totals.borrow(), world.round_trips.borrow());
    let late = world.lateness.borrow();
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
        totals.slow,
        totals.caught_up,
        totals.privates,
        totals.kept_names,
        totals.visits,
        totals.crashes,
        totals.new_epochs,
        totals.late_hellos,
        totals.quiet_points,
        errors.join(", "),
        millis(trips.value_at_quantile(0.99)),
        millis(trips.max()),
        trips.len(),
        millis(late.value_at_quantile(0.99)),
        millis(late.max()),
        mib(watched.resident.0),
        mib(watched.resident.1),
        watched.growth().map_or("not known".to_owned(), |bytes| format!("{} KiB", bytes / 1024)),
        watched.descriptors.0,
        watched.descriptors.1,
        watched.threads.0,
        watched.threads.1,
    )
}
