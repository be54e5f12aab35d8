//! The shape of the program, held by tests: who shares what, who knows whom, and what it is made
//! of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests state what they expect"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the server; each may import from those before it.
const ORDER: [&str; 14] = [
    "system",
    "protocol",
    "history_file",
    "room",
    "outbox",
    "recorder",
    "broadcaster",
    "listener",
    "connection",
    "server",
    "logger",
    "memory",
    "activation",
    "notify",
];

const DEPENDENCIES: [&str; 9] = [
    "async-channel",
    "async-signal",
    "futures-lite",
    "lexopt",
    "log",
    "rustix",
    "serde",
    "serde_json",
    "smol",
];

/// All sources below a folder, with their code but not their tests and comments.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "tests.rs" {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().lines();
                let code = code.filter(|line| !line.trim_start().starts_with("//"));
                found.push((path, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

/// The module of the crate that a source belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn tasks_share_no_state_and_so_need_no_lock() {
    for (path, code) in sources("src") {
        for word in ["Mutex", "RwLock", "RefCell", "Condvar", "static mut", "thread_local"] {
            assert!(!code.contains(word), "{word} in {}", path.display());
        }
    }
}

#[test]
fn a_connection_shares_its_socket_and_a_sender_and_nothing_else() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/connection.rs");
    let code = fs::read_to_string(path).unwrap();
    let fields = code.split("struct Reader {").nth(1).unwrap().split('}').next().unwrap();
    let shared: Vec<&str> = fields
        .lines()
        .map(str::trim)
        .filter(|line| {
            ["Arc<", "Rc<", "Sender<", "Receiver<", "&"].iter().any(|s| line.contains(s))
        })
        .collect();
    assert_eq!(shared, ["socket: Arc<Socket>,", "signals: Sender<Signal>,"]);
}

#[test]
fn the_server_starts_no_thread_but_where_a_disk_is_waited_for() {
    for (path, code) in sources("src") {
        let starts = ["thread::spawn", "thread::Builder", "unblock(", "smol::spawn"];
        if starts.iter().any(|start| code.contains(start)) {
            assert!(["recorder", "client"].contains(&&*module(&path)), "{}", path.display());
        }
    }
}

#[test]
fn imports_run_one_way() {
    let rank = |name: &str| ORDER.iter().position(|module| *module == name);
    for (path, code) in sources("src") {
        let own = module(&path);
        let imports = code.split("crate::").skip(1);
        let imports = imports.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_'));
        for import in imports.filter_map(|mut words| words.next()) {
            let may = match own.as_str() {
                _ if own == import => true,
                "client" => import == "protocol",
                own => rank(import).is_some() && rank(import) < rank(own),
            };
            assert!(may, "{own} imports from {import}, in {}", path.display());
        }
    }
}

#[test]
fn the_direct_dependencies_are_those_of_the_card_and_what_they_bring() {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let lines = section.lines().filter(|line| !line.is_empty());
    let (features, core): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.contains("optional = true"));
    let names = |lines: Vec<&'static str>| -> Vec<&str> {
        lines.into_iter().map(|line| line.split([' ', '=']).next().unwrap()).collect()
    };
    assert_eq!(names(core), DEPENDENCIES);
    assert_eq!(names(features), ["rustyline"], "what is behind a feature");
}
