//! TLS and passwords between the nodes and the NATS servers.

use std::process::{Command, Stdio};

use smolchat::cluster::config::ClusterConfig;
use smolchat::cluster::entry::NodeInfo;

use super::nats_servers::{NatsServers, host};
use super::test_node::TestNode;
use super::wait_until;
use crate::common::TempDir;

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
