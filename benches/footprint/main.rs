//! The footprint bench: bytes of the program files, memory, threads, wake-ups and start time of
//! smolchatd. It compares each figure with a limit, and writes the tables in `docs/deploy.md`.
//!
//! # Layout
//!
//! - [`measure`] runs a server with up to 10,000 members;
//! - [`limits`] reads the file of limits and compares figures with it;
//! - [`table`] writes the tables and reads them;
//! - [`harness`] is shared with the other benches.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench with an error in its own tables must stop at once"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod limits;
mod measure;
mod table;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use crate::harness::cli::{self, Invocation};
use crate::harness::server::raise_descriptor_limit;
use crate::limits::Limits;
use crate::measure::measure;
use crate::table::{Figures, Sizes};

const HELP: &str = "\
Measures smolchatd and compares the figures with benches/footprint/limits.

cargo bench --bench footprint -- [OPTIONS]

  --run BUILD=PATH    measure this server; BUILD is how it was built: static, plain or glibc; may
                      be given several times
  --minimal BUILD=PATH
                      compare the size of this server, which has no feature
  --tls BUILD=PATH    compare the size of this server, which has the feature `tls`, too
  --dist DIR          directory of the static programs, with one directory for each target, and
                      others with the servers of the two other kinds, TARGET-minimal and TARGET-tls
  --page FILE         write the tables into this file; without it, check those in docs/deploy.md
";

/// The file with the tables.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/deploy.md");
const NO_TABLES: &str = "the file has no lines `<!-- footprint -->` and `<!-- /footprint -->`";
/// Time without messages in which wake-ups are counted.
const SILENCE: Duration = Duration::from_secs(60);

/// The figures of the tables that have a limit, with its name.
const LIMITED: [(&str, &str); 9] = [
    ("minimal, bytes", "minimal-bytes"),
    ("smolchatd, bytes", "server-bytes"),
    ("smolchatd with tls, bytes", "tls-bytes"),
    ("KiB with no members", "idle-kib"),
    ("bytes per member", "bytes-per-member"),
    ("bytes per WebSocket member", "bytes-per-websocket-member"),
    ("threads", "threads"),
    ("wake-ups in a silent minute", "wake-ups"),
    ("ms from start to listening", "listening-ms"),
];

/// The options of the bench.
#[derive(Default)]
struct Options {
    /// Servers to run, with the names of their builds.
    runs: Vec<(String, PathBuf)>,
    /// Further servers whose sizes have a limit: its name, the name of the build, and the file.
    sizes: Vec<(&'static str, String, PathBuf)>,
    dist: Option<PathBuf>,
    page: Option<PathBuf>,
}

impl Options {
    fn add_size(
        &mut self,
        limit: &'static str,
        parser: &mut lexopt::Parser,
    ) -> Result<(), lexopt::Error> {
        let (build, path) = parser.value()?.parse_with(build_and_path)?;
        self.sizes.push((limit, build, path));
        Ok(())
    }
}

fn main() -> ExitCode {
    cli::run("footprint", HELP, parse_options(), |options| footprint(&options))
}

fn parse_options() -> Result<Invocation<Options>, lexopt::Error> {
    let (mut is_bench, mut is_help, mut options) = (false, false, Options::default());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => is_bench = true,
            Long("help") | Short('h') => is_help = true,
            Long("run") => options.runs.push(parser.value()?.parse_with(build_and_path)?),
            Long("minimal") => options.add_size("minimal-bytes", &mut parser)?,
            Long("tls") => options.add_size("tls-bytes", &mut parser)?,
            Long("dist") => options.dist = Some(parser.value()?.into()),
            Long("page") => options.page = Some(parser.value()?.into()),
            argument => return Err(argument.unexpected()),
        }
    }
    Ok(Invocation::new(is_bench, is_help, options))
}

/// Measures, and prints or writes the tables.
///
/// # Errors
///
/// Returns an error if a figure is over its limit.
fn footprint(options: &Options) -> Result<(), Box<dyn Error>> {
    let limits = Limits::parse(include_str!("limits"))?;
    raise_descriptor_limit()?;
    let sizes = options.dist.as_deref().map(sizes_in).transpose()?.unwrap_or_default();
    let mut runs = Vec::new();
    let mut exceeded = Vec::new();
    for (build, path) in &options.runs {
        exceeded.extend(limits.complaint("server-bytes", build, fs::metadata(path)?.len()));
        runs.push((build.clone(), measure(path, SILENCE)?));
    }
    for (limit, build, path) in &options.sizes {
        let bytes = fs::metadata(path)?.len();
        println!("{build}: {limit} is {bytes}");
        exceeded.extend(limits.complaint(limit, build, bytes));
    }
    let text = table::write(&sizes, &runs, &machine());
    print!("{text}");

    for Sizes { target, way, minimal, server, tls, .. } in &sizes {
        let build = if way == "plain" { way } else { target };
        let servers =
            [("minimal-bytes", *minimal), ("server-bytes", Some(*server)), ("tls-bytes", *tls)];
        let known = servers.into_iter().filter_map(|(limit, bytes)| Some((limit, bytes?)));
        exceeded.extend(known.filter_map(|(limit, bytes)| limits.complaint(limit, build, bytes)));
    }
    for (build, figures) in &runs {
        exceeded.extend(exceeded_by_run(&limits, build, figures));
    }
    match &options.page {
        Some(path) => {
            let page = fs::read_to_string(path)?;
            let page = table::with_part(&page, &text).ok_or(NO_TABLES)?;
            fs::write(path, page)?;
        }
        None => exceeded.extend(exceeded_in_page(&limits)?),
    }
    if exceeded.is_empty() { Ok(()) } else { Err(exceeded.join("\nfootprint: ").into()) }
}

/// Returns a message for each figure of a measured server that is over its limit.
fn exceeded_by_run(limits: &Limits, build: &str, figures: &Figures) -> Vec<String> {
    let mut exceeded = Vec::new();
    for (name, value) in figures {
        if let Some((_, limit)) = LIMITED.iter().find(|(row, _)| row == name) {
            exceeded.extend(limits.complaint(limit, build, *value));
        }
    }
    let of = |row: &str| figures.iter().find(|(name, _)| *name == row).map(|(_, value)| *value);
    if let (Some(idle), Some(after)) = (of("KiB with no members"), of("KiB after all have left")) {
        exceeded.extend(limits.complaint("after-kib", build, after.saturating_sub(idle)));
    }
    exceeded
}

/// Returns a message for each figure in the tables of the page that is over its limit, and for
/// each limit without a figure there.
fn exceeded_in_page(limits: &Limits) -> Result<Vec<String>, Box<dyn Error>> {
    let page = fs::read_to_string(PAGE)?;
    // Targets are rows of the first table, builds are columns of the second.
    let shown: Vec<(String, String, u64)> = table::read(table::part_of(&page).ok_or(NO_TABLES)?)
        .into_iter()
        .map(|(column, row, value)| {
            let is_size = column.contains(", bytes");
            let (figure, build) = if is_size { (column, row) } else { (row, column) };
            (figure.replace('`', ""), build, value)
        })
        .collect();
    let mut exceeded = Vec::new();
    for (name, limit) in LIMITED {
        if !shown.iter().any(|(figure, ..)| figure == name) {
            exceeded.push(format!("there is no figure {name:?}"));
        }
        let figures = shown.iter().filter(|(figure, ..)| figure == name);
        exceeded
            .extend(figures.filter_map(|(_, build, value)| limits.complaint(limit, build, *value)));
    }
    Ok(exceeded.into_iter().map(|text| format!("in docs/deploy.md, {text}")).collect())
}

/// Returns the sizes of the programs in each directory below `dist`.
fn sizes_in(dist: &Path) -> Result<Vec<Sizes>, Box<dyn Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dist)? {
        let dir = entry?.path();
        let size = |program: &str| fs::metadata(dir.join(program)).map(|file| file.len());
        let target = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (Ok(server), Ok(client)) = (size("smolchatd"), size("smolchat")) else { continue };
        // Of another kind of server.
        if target.contains('-') {
            continue;
        }
        let way = fs::read_to_string(dir.join("way"))?.trim().to_owned();
        let other = |flavour| {
            let server = dist.join(format!("{target}-{flavour}/smolchatd"));
            fs::metadata(server).ok().map(|file| file.len())
        };
        let (minimal, tls) = (other("minimal"), other("tls"));
        all.push(Sizes { target, way, minimal, server, tls, client });
    }
    all.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(all)
}

fn build_and_path(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (build, path) = text.split_once('=').ok_or("expected BUILD=PATH")?;
    Ok((build.into(), path.into()))
}

/// Returns the processor and the kernel version, for the page.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = cpu.map_or("unknown processor", |(_, name)| name);
    // The rest of the release differs between builds of one kernel.
    let version = kernel.trim().split('.').take(2).collect::<Vec<_>>().join(".");
    format!("({cpu}, Linux {version}; all from one run of `make footprint`)")
}
