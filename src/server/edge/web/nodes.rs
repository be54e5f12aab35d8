//! The page at the other nodes of a cluster: its content security policy, and its origin.

use super::Answer;
use super::answer::wrong_origin_response;
use super::host::{is_same_origin, parse_host};

/// The part of the content security policy that the addresses of nodes follow.
const CONNECT_SOURCES: &[u8] = b"connect-src 'self'";
/// The most bytes of the addresses in the policy.
const MAX_SOURCE_BYTES: usize = 4096;

impl Answer {
    /// Returns the answer of a server in a cluster, in which these addresses are those of nodes: the
    /// page may connect to them, and a page from one of them may connect to this server.
    pub fn in_cluster(self, nodes: &[&str]) -> Answer {
        match self {
            Answer::Response(mut response) => {
                allow_nodes(&mut response, nodes);
                Answer::Response(response)
            }
            Answer::UpgradeFrom { origin, response } => {
                if nodes.iter().any(|node| is_same_origin(&origin, node.as_bytes())) {
                    Answer::Upgrade { response, is_browser: true }
                } else {
                    Answer::Response(wrong_origin_response())
                }
            }
            Answer::Upgrade { .. } => self,
        }
    }
}

/// Adds the addresses of nodes to the content security policy of a response.
fn allow_nodes(response: &mut Vec<u8>, nodes: &[&str]) {
    let mut sources = Vec::new();
    for node in nodes {
        // A policy cannot have an IPv6 address.
        let is_usable = parse_host(node.as_bytes()).is_some_and(|host| !host.starts_with(b"["));
        // A page that was loaded over TLS needs wss:, which ws: does not include in Chromium.
        let source = format!(" ws://{node} wss://{node}");
        if is_usable && sources.len() + source.len() <= MAX_SOURCE_BYTES {
            sources.extend_from_slice(source.as_bytes());
        }
    }
    let start = response.windows(CONNECT_SOURCES.len()).position(|part| part == CONNECT_SOURCES);
    if let Some(start) = start {
        let end = start + CONNECT_SOURCES.len();
        response.splice(end..end, sources);
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer;
    use super::*;

    const NODES: [&str; 3] = ["10.0.0.1:8080", "node2.lan:80", "[::1]:8080"];

    /// Returns the response to a request for `node3.lan:8080` with an `Origin`.
    fn respond(path: &str, origin: &str, nodes: &[&str]) -> String {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: node3.lan:8080\r\nAccept-Encoding: gzip\r\n{origin}\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        match answer(head.as_bytes(), &[]).in_cluster(nodes) {
            Answer::Response(bytes) | Answer::Upgrade { response: bytes, .. } => {
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Answer::UpgradeFrom { .. } => panic!("an answer that is not complete"),
        }
    }

    #[test]
    fn policy_has_the_addresses_of_nodes() {
        for path in ["/", "/app.js", "/none"] {
            let alone = respond(path, "", &[]);
            assert!(alone.contains("connect-src 'self';"), "{path}");
            let policy = "connect-src 'self' ws://10.0.0.1:8080 wss://10.0.0.1:8080 \
                          ws://node2.lan:80 wss://node2.lan:80;";
            let expected = alone.replace("connect-src 'self';", policy);
            assert_eq!(respond(path, "", &NODES), expected, "{path}");
        }
    }

    #[test]
    fn policy_is_bounded_and_has_no_other_text() {
        let many: Vec<String> = (0..1000).map(|number| format!("node-{number}.lan:1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let added = respond("/", "", &many).len() - respond("/", "", &[]).len();
        assert!((4000..=MAX_SOURCE_BYTES).contains(&added), "{added} bytes");
        for node in ["a; script-src *", "a:1\r\nX: y", "*", "a:1 *", "a@b:1", "'none'", ""] {
            assert_eq!(respond("/", "", &[node]), respond("/", "", &[]), "{node}");
        }
    }

    #[test]
    fn page_from_a_node_alone_is_upgraded() {
        for (origin, expected) in [
            ("http://10.0.0.1:8080", "101"),
            ("https://10.0.0.1:8080", "101"),
            ("http://node2.lan", "101"),
            ("http://NODE2.lan:80", "101"),
            ("http://[::1]:8080", "101"),
            ("http://node3.lan:8080", "101"),
            ("http://10.0.0.1", "403"),
            ("http://10.0.0.1:8081", "403"),
            ("http://node2.lan:8080", "403"),
            ("http://evil.com", "403"),
            ("http://evil.com, http://node2.lan", "400"),
            ("ws://node2.lan", "403"),
            ("null", "403"),
        ] {
            let origin = format!("Origin: {origin}\r\n");
            let response = respond("/ws", &origin, &NODES);
            assert_eq!(&response[9..12], expected, "{origin}");
            let is_refused_alone = respond("/ws", &origin, &[]).contains(" 403 ");
            assert!(is_refused_alone || expected == "400" || origin.contains("node3"), "{origin}");
        }
        assert_eq!(&respond("/", "Origin: http://node2.lan\r\n", &NODES)[9..12], "403");
    }
}
