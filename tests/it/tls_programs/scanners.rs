//! Programs that look for weaknesses of TLS.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::{TempDir, TestServer};

/// Makes an authority, and a certificate that is as one of a public authority.
const ISSUE: &str = r#"
set -e
cd "$0"
openssl ecparam -genkey -name prime256v1 -noout -out ca.key
openssl req -x509 -new -key ca.key -subj '/CN=test' -days 365 -out ca.pem \
    -addext keyUsage=critical,keyCertSign,cRLSign
openssl ecparam -genkey -name prime256v1 -noout -out key.pem
openssl req -new -key key.pem -subj /CN=localhost -out request.pem
cat >extensions <<END
subjectAltName = DNS:localhost
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
crlDistributionPoints = URI:http://localhost/crl
authorityKeyIdentifier = keyid
END
openssl x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 85 \
    -extfile extensions -out tls.pem
cat key.pem >>tls.pem
"#;

/// Returns a server with such a certificate, whose authority is `ca.pem` in the folder. A program
/// that scans makes hundreds of connections.
#[track_caller]
fn start(dir: &TempDir) -> TestServer {
    let output = Command::new("sh").args(["-c", ISSUE]).arg(dir.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let pem = dir.path("tls.pem").display().to_string();
    TestServer::start(&["--tls", &pem, "--plain", "never", "--max-per-ip", "0"])
}

fn url(server: &TestServer) -> String {
    let (_, port) = server.address(0).rsplit_once(':').unwrap();
    format!("localhost:{port}")
}

#[test]
#[ignore = "needs testssl.sh, see `make test-tls`"]
fn testssl_finds_nothing() {
    let dir = TempDir::new();
    let server = start(&dir);
    let (json, ca) = (dir.path("report.json"), dir.path("ca.pem"));
    // About a minute: protocols, ciphers, keys, preferences, bugs, the certificate, vulnerabilities.
    let mut testssl = Command::new("timeout");
    testssl.args("300 testssl -p -s -f -P -g -S -U --warnings batch --color 0".split(' '));
    testssl.args("--ip 127.0.0.1 --nodns none --jsonfile".split(' ')).arg(&json);
    testssl.arg("--add-ca").arg(&ca).arg(url(&server)).current_dir(dir.path(""));
    let output = testssl.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = fs::read(&json).unwrap_or_else(|error| panic!("{error}: {text}"));
    let report: Vec<Value> = serde_json::from_slice(&report).unwrap();
    let finding = |id: &str| {
        let finding = report.iter().find(|finding| finding["id"] == id);
        finding.unwrap_or_else(|| panic!("no {id}: {text}"))["finding"].as_str().unwrap()
    };
    for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"] {
        assert!(finding(old).starts_with("not offered"), "{old}: {}", finding(old));
    }
    assert!(finding("TLS1_3").starts_with("offered"), "{}", finding("TLS1_3"));
    // The last one that it looks for.
    assert!(finding("RC4").starts_with("not vulnerable"), "{}", finding("RC4"));
    let found = report.iter().filter(|finding| {
        let is_good = ["OK", "INFO"].contains(&finding["severity"].as_str().unwrap());
        // BREACH needs a secret in a compressed page; the page has none, and is the same for all.
        // The other one is about the openssl of this machine.
        !is_good && finding["id"] != "BREACH" && finding["id"] != "engine_problem"
    });
    assert_eq!(found.collect::<Vec<_>>(), [] as [&Value; 0], "{text}");
}

#[test]
#[ignore = "needs sslyze, see `make test-tls`"]
fn sslyze_finds_a_modern_configuration() {
    let dir = TempDir::new();
    let server = start(&dir);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tls/bin/sslyze");
    let mut sslyze = Command::new("timeout");
    // The default scan, and Mozilla's list of what a server without old clients should have.
    sslyze.arg("120").arg(program).args(["--mozilla_config", "modern"]);
    sslyze.arg(format!("--certinfo_ca_file={}", dir.path("ca.pem").display()));
    let output = sslyze.arg(url(&server)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("OK - Compliant."), "{text}");
    for part in ["VULNERABLE", "ERROR", "FAILED -"] {
        let is_own = |line: &&str| line.contains(part) && !line.contains("CA Store");
        let line = text.lines().find(is_own);
        assert_eq!(line, None, "{text}");
    }
}
