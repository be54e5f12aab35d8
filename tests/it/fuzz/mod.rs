//! What the fuzzer found once, and what it starts from, is tried each time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

mod client_line;
mod display;
mod history_file;
mod line_reader;

/// A name, and what is done with an input.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("client_line", client_line::run),
    ("display", display::run),
    ("history_file", history_file::run),
    ("line_reader", line_reader::run),
    ("room", crate::model::run_bytes),
];

fn fuzz(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(path)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

/// What the files and folders there are called, without `.rs`.
fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries(&fuzz(folder)).map(stem).collect()
}

/// Whether the tests run in a package: it has no `fuzz/`, which is a package of its own.
fn is_package() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml.orig").exists()
}

#[test]
fn what_was_found_once_is_found_no_more() {
    if is_package() {
        return;
    }
    for (target, run) in TARGETS {
        let seeds: Vec<PathBuf> = entries(&fuzz("seeds").join(target)).collect();
        assert!(!seeds.is_empty(), "nothing to start {target} from");
        let regressions = fuzz("regressions").join(target);
        // No folder is no file: nothing was found there so far.
        let regressions = regressions.is_dir().then(|| entries(&regressions));
        for file in seeds.into_iter().chain(regressions.into_iter().flatten()) {
            // Seen only when the next line fails.
            println!("{}", file.display());
            run(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn each_target_is_built_has_seeds_and_is_tried_here() {
    if is_package() {
        return;
    }
    let tried: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), tried);
    assert_eq!(names("seeds"), tried);
    assert!(names("regressions").is_subset(&tried));
    let manifest = fs::read_to_string(fuzz("Cargo.toml")).unwrap();
    let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let built: BTreeSet<String> =
        built.map(|name| name.trim_end_matches(".rs\"").to_owned()).collect();
    assert_eq!(built, tried);
}
