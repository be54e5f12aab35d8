//! The fuzz targets, run on the stable compiler with all seeds and all inputs that the fuzzer
//! found.
//!
//! The package in `fuzz/` builds the same targets for the fuzzer.

mod client_line;
mod display;
mod history_file;
mod http_request;
#[cfg(feature = "irc")]
mod irc_message;
#[cfg(feature = "irc")]
mod irc_session;
mod line_reader;
mod proxy_header;
mod screen;
#[cfg(feature = "tls")]
mod tls_handshake;
#[cfg(feature = "tls")]
mod tls_records;
mod websocket_frames;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of a target, and the function that runs one input.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("client_line", client_line::run),
    ("display", display::run),
    ("history_file", history_file::run),
    ("http_request", http_request::run),
    #[cfg(feature = "irc")]
    ("irc_message", irc_message::run),
    #[cfg(feature = "irc")]
    ("irc_session", irc_session::run),
    ("line_reader", line_reader::run),
    ("proxy_header", proxy_header::run),
    ("screen", screen::run),
    #[cfg(feature = "tls")]
    ("tls_handshake", tls_handshake::run),
    #[cfg(feature = "tls")]
    ("tls_records", tls_records::run),
    ("websocket_frames", websocket_frames::run),
    ("room", crate::model::run_bytes),
];

/// Returns the paths in a folder beside this file.
fn entries(folder: &str) -> Vec<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fuzz").join(folder);
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Returns the names of the folders in a folder beside this file.
fn names(folder: &str) -> BTreeSet<String> {
    let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    entries(folder).into_iter().map(name).collect()
}

#[test]
fn seeds_and_regressions_pass() {
    let regressions = names("regressions");
    for &(target, run) in TARGETS {
        let mut inputs = entries(&format!("seeds/{target}"));
        assert!(!inputs.is_empty(), "{target} has no seeds");
        if regressions.contains(target) {
            inputs.extend(entries(&format!("regressions/{target}")));
        }
        for file in inputs {
            // Printed only if the test fails.
            println!("{}", file.display());
            run(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn each_folder_of_inputs_has_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    // Without a feature, its targets are not built.
    let is_built = |name: &String| {
        (cfg!(feature = "irc") || !name.starts_with("irc_"))
            && (cfg!(feature = "tls") || !name.starts_with("tls_"))
    };
    let folders = |folder| names(folder).into_iter().filter(is_built).collect::<BTreeSet<_>>();
    assert_eq!(folders("seeds"), targets);
    assert!(folders("regressions").is_subset(&targets));
}
