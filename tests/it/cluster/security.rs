//! TLS and passwords between the nodes and the NATS servers.

use std::path::Path;
use std::process::{Command, Stdio};

use smolchat::cluster::config::ClusterConfig;
use smolchat::cluster::entry::NodeInfo;

use super::nats_servers::{NatsServers, host};
use super::test_node::TestNode;
use super::wait_until;
use crate::common::TempDir;
use crate::service_files::read_source;

fn openssl(folder: &TempDir, arguments: &str) {
    let status = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder.path("."))
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("openssl is installed").success(), "{arguments}");
}

/// Makes an authority (`NAME-ca.pem`), and a certificate of a server (`NAME.pem` with `NAME.key`).
fn make_certificate(folder: &TempDir, name: &str) {
    let (host, key) = (host(), "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes");
    openssl(
        folder,
        &format!(
            "req -x509 {key} -keyout {name}-ca.key -out {name}-ca.pem -subj /CN={name} -days 9999"
        ),
    );
    openssl(
        folder,
        &format!(
            "req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN=server -days 9999 \
             -CA {name}-ca.pem -CAkey {name}-ca.key \
             -addext subjectAltName=IP:{host} -addext basicConstraints=CA:FALSE"
        ),
    );
}

#[test]
#[ignore = "needs nats-server"]
fn tls_needs_the_right_authority_and_password() {
    let folder = TempDir::new();
    make_certificate(&folder, "right");
    make_certificate(&folder, "wrong");
    let path = |name: &str| folder.path(name);
    let settings = format!(
        "tls {{ cert_file: {:?}, key_file: {:?} }}\nauthorization {{ user: smolchat, password: secret }}",
        path("right.pem"),
        path("right.key")
    );
    let servers = NatsServers::start_with_settings(1, "64MB", &settings);
    let start = |authority: &str, user: &str| {
        let config = ClusterConfig {
            servers: vec![format!("tls://{user}@{}", servers.address(0))],
            tls_ca: Some(path(authority)),
            room: "ROOM".into(),
            node: "a".into(),
            replicas: 1,
            ..ClusterConfig::default()
        };
        TestNode::start_with_config(config, NodeInfo { name: "a".into(), ..NodeInfo::default() })
    };
    for (authority, user, part) in [
        ("wrong-ca.pem", "smolchat:secret", "certificate"),
        ("right-ca.pem", "smolchat:guess", "authorization"),
    ] {
        let node = start(authority, user);
        wait_until("the connection is refused", || !node.state().failures.is_empty());
        let failure = node.state().failures[0].clone();
        assert!(failure.contains(part), "{failure}");
        assert!(!failure.contains("guess"), "{failure}");
    }
    start("right-ca.pem", "smolchat:secret").wait_until_inside();
}

/// Starts a node that logs in with `login` in its address, or with a file.
fn start_with_login(servers: &NatsServers, login: &str, file: Option<&Path>) -> TestNode {
    let config = ClusterConfig {
        servers: vec![format!("nats://{login}{}", servers.address(0))],
        credentials: file.map(Path::to_owned),
        room: "ROOM".into(),
        node: "a".into(),
        replicas: 1,
        ..ClusterConfig::default()
    };
    TestNode::start_with_config(config, NodeInfo { name: "a".into(), ..NodeInfo::default() })
}

#[test]
#[ignore = "needs nats-server"]
fn password_with_odd_characters_is_accepted() {
    let settings = r#"authorization { user: "al:ice", password: "p@:/%#s" }"#;
    let servers = NatsServers::start_with_settings(1, "64MB", settings);
    start_with_login(&servers, "al%3Aice:p%40%3A%2F%25%23s@", None).wait_until_inside();
    let settings = r#"authorization { user: alice, password: "p@:/%23s" }"#;
    let servers = NatsServers::start_with_settings(1, "64MB", settings);
    let folder = TempDir::new();
    let file = folder.path("credentials");
    std::fs::write(&file, "alice:p@:/%23s\n").unwrap();
    start_with_login(&servers, "", Some(&file)).wait_until_inside();
    // The credentials of the file precede those of the address.
    start_with_login(&servers, "alice:guess@", Some(&file)).wait_until_inside();
}

#[test]
#[ignore = "needs nats-server"]
fn token_in_the_address_is_accepted() {
    let settings = r#"authorization { token: "s3cret/" }"#;
    let servers = NatsServers::start_with_settings(1, "64MB", settings);
    start_with_login(&servers, "s3cret%2F@", None).wait_until_inside();
}

#[test]
#[ignore = "needs nats-server"]
fn node_that_may_not_read_reports_it() {
    let settings = r#"authorization { users: [ { user: alice, password: secret,
        permissions: { publish: { deny: "$JS.API.CONSUMER.>" } } } ] }"#;
    let servers = NatsServers::start_with_settings(1, "64MB", settings);
    let node = start_with_login(&servers, "alice:secret@", None);
    wait_until("the failure is reported", || {
        node.state().failures.iter().any(|failure| failure.contains("cannot read the log"))
    });
}

/// Starts a NATS server with the configuration in `deploy`, and the variables in the unit.
#[test]
#[ignore = "needs nats-server"]
fn configuration_of_nats_matches_its_unit() {
    let folder = TempDir::new();
    let (settings, log) = (folder.path("nats.conf"), folder.path("log"));
    // nats-server 2.9 does not have this setting.
    let text = read_source("deploy/cluster/nats.conf").replace("sync_interval: always", "");
    std::fs::write(&settings, text).unwrap();
    let unit = read_source("deploy/cluster/nats-server.service");
    let variables = unit.lines().filter_map(|line| line.strip_prefix("#   ")?.split_once('='));
    let status = Command::new("nats-server")
        .args([Path::new("-t"), Path::new("-c"), &settings, Path::new("-l"), &log])
        .envs(variables.map(|(name, value)| (name, value.trim_matches('\''))))
        .status();
    assert!(status.expect("nats-server is installed").success(), "{unit}");
}
