//! The fuzz targets, run on the stable compiler with all seeds and all inputs that the fuzzer
//! found.
//!
//! `fuzz/` is a package of its own with the same targets. `cargo package` leaves it out, so inside
//! the package these tests have no inputs and do nothing.

mod client_line;
mod display;
mod history_file;
mod line_reader;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of a target, and the function that runs one input.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("client_line", client_line::run),
    ("display", display::run),
    ("history_file", history_file::run),
    ("line_reader", line_reader::run),
    ("room", crate::model::run_bytes),
];

/// Returns whether the tests run inside a package that `cargo package` made.
fn is_in_package() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml.orig").exists()
}

fn fuzz_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

/// Returns the names of the files and folders in a folder, without extensions.
fn names(folder: &str) -> BTreeSet<String> {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries(&fuzz_path(folder)).map(stem).collect()
}

#[test]
fn seeds_and_regressions_pass() {
    if is_in_package() {
        return;
    }
    for (target, run) in TARGETS {
        let seeds: Vec<PathBuf> = entries(&fuzz_path("seeds").join(target)).collect();
        assert!(!seeds.is_empty(), "{target} has no seeds");
        let regressions = fuzz_path("regressions").join(target);
        // A target without regressions has no folder.
        let regressions = regressions.is_dir().then(|| entries(&regressions));
        for file in seeds.into_iter().chain(regressions.into_iter().flatten()) {
            // Printed only if the test fails.
            println!("{}", file.display());
            run(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn each_target_is_built_and_has_seeds() {
    if is_in_package() {
        return;
    }
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("seeds"), targets);
    assert!(names("regressions").is_subset(&targets));
    let manifest = fs::read_to_string(fuzz_path("Cargo.toml")).unwrap();
    let built = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let built: BTreeSet<String> =
        built.map(|name| name.trim_end_matches(".rs\"").to_owned()).collect();
    assert_eq!(built, targets);
}
