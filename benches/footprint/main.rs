//! What smolchatd takes: bytes of its files and of memory, threads, wake-ups, time to start; each
//! of them held to a limit, and shown in the README.
//!
//! # Layout
//!
//! - [`measure`] runs one server, with up to 10,000 members;
//! - [`limits`] reads the file of limits, and says what is over them;
//! - [`table`] writes the tables of the README, and reads them back.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench that is wrong about its own tables is to stop at once, not to go on"
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

use crate::limits::Limits;
use crate::measure::measure;
use crate::table::{Figures, Sizes};

const HELP: &str = "\
Measures what smolchatd takes, and holds it to benches/footprint/limits.

cargo bench --bench footprint -- [OPTIONS]

  --run BUILD=PATH    run this server; BUILD is how it was built: static, plain or glibc; may be
                      given more than once
  --dist DIR          where the static programs are, each in the folder of its target
  --readme FILE       write the tables into this file; without it, check those that are there
";

/// Where the tables are.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
/// How long nothing is said while wake-ups are counted.
const SILENCE: Duration = Duration::from_secs(60);

/// A figure in a table, and its limit.
const LIMITED: [(&str, &str); 6] = [
    ("smolchatd, bytes", "server-bytes"),
    ("KiB with nobody in", "idle-kib"),
    ("bytes for each of these", "bytes-a-member"),
    ("threads", "threads"),
    ("wake-ups in a silent minute", "wake-ups"),
    ("ms from start to listening", "listening-ms"),
];

fn main() -> ExitCode {
    // `cargo test` runs this, too, without `--bench`.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match footprint() {
        Ok(complaints) if complaints.is_empty() => ExitCode::SUCCESS,
        Ok(complaints) => {
            for complaint in complaints {
                eprintln!("footprint: {complaint}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("footprint: {error}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

/// Measures, prints or writes, and says what is over its limit.
fn footprint() -> Result<Vec<String>, Box<dyn Error>> {
    let (mut to_run, mut dist, mut readme) = (Vec::new(), None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("bench") => {}
            Long("run") => to_run.push(parser.value()?.parse_with(build_and_path)?),
            Long("dist") => dist = Some(PathBuf::from(parser.value()?)),
            Long("readme") => readme = Some(PathBuf::from(parser.value()?)),
            argument => return Err(argument.unexpected().into()),
        }
    }
    let limits = Limits::parse(include_str!("limits"))?;
    harness::server::raise_descriptor_limit()?;
    let sizes = dist.as_deref().map(sizes_in).transpose()?.unwrap_or_default();
    let mut runs = Vec::new();
    let mut complaints = Vec::new();
    for (build, path) in to_run {
        complaints.extend(limits.complaint("server-bytes", &build, fs::metadata(&path)?.len()));
        runs.push((build, measure(&path, SILENCE)?));
    }
    let text = table::write(&sizes, &runs, &machine());
    print!("{text}");

    for Sizes { target, way, server, .. } in &sizes {
        let build = if way == "plain" { way } else { target };
        complaints.extend(limits.complaint("server-bytes", build, *server));
    }
    for (build, figures) in &runs {
        complaints.extend(over(&limits, build, figures));
    }
    match readme {
        Some(path) => {
            let readme = fs::read_to_string(&path)?;
            let readme = table::with_part(&readme, &text).ok_or("the README has no such part")?;
            fs::write(&path, readme)?;
        }
        None => complaints.extend(in_readme(&limits)?),
    }
    Ok(complaints)
}

/// What a server that was run has more of than it may.
fn over(limits: &Limits, build: &str, figures: &Figures) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, value) in figures {
        if let Some((_, figure)) = LIMITED.iter().find(|(row, _)| row == name) {
            complaints.extend(limits.complaint(figure, build, *value));
        }
    }
    let of = |row: &str| figures.iter().find(|(name, _)| *name == row).map(|(_, value)| *value);
    if let (Some(idle), Some(after)) = (of("KiB with nobody in"), of("KiB when they have left")) {
        complaints.extend(limits.complaint("after-kib", build, after.saturating_sub(idle)));
    }
    complaints
}

/// What is over its limit in the tables that the README shows.
fn in_readme(limits: &Limits) -> Result<Vec<String>, Box<dyn Error>> {
    let readme = fs::read_to_string(README)?;
    let shown = table::read(table::part_of(&readme).ok_or("the README has no such part")?);
    if shown.is_empty() {
        return Err("the README shows no figures".into());
    }
    let mut complaints = Vec::new();
    for (column, row, value) in shown {
        // A target is in a row of its table, a build in a column.
        let (figure, build) =
            if column.contains(", bytes") { (&column, &row) } else { (&row, &column) };
        let figure = figure.replace('`', "");
        if let Some((_, figure)) = LIMITED.iter().find(|(name, _)| *name == figure) {
            complaints.extend(limits.complaint(figure, build, value));
        }
    }
    Ok(complaints.into_iter().map(|complaint| format!("in the README, {complaint}")).collect())
}

/// The sizes of what is in the folders of a folder.
fn sizes_in(dist: &Path) -> Result<Vec<Sizes>, Box<dyn Error>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dist)? {
        let folder = entry?.path();
        let size =
            |program: &str| Ok::<_, std::io::Error>(fs::metadata(folder.join(program))?.len());
        let (Ok(server), Ok(client)) = (size("smolchatd"), size("smolchat")) else { continue };
        let way = fs::read_to_string(folder.join("way"))?.trim().to_owned();
        let target = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        all.push(Sizes { target, way, server, client });
    }
    all.sort_by(|one, other| one.target.cmp(&other.target));
    Ok(all)
}

fn build_and_path(text: &str) -> Result<(String, PathBuf), &'static str> {
    let (build, path) = text.split_once('=').ok_or("wants BUILD=PATH")?;
    Ok((build.into(), path.into()))
}

/// What it was measured on.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cpu = cpu.map_or("unknown processor", |(_, name)| name);
    format!("({cpu}, Linux {}; all from one run of `make footprint`)", kernel.trim())
}
