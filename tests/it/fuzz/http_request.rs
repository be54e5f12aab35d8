//! A request gives the same head in reads of any size, and a response with the right length; only
//! safe hosts get an upgrade.
//!
//! The first line of the input is the plan: each byte is the size of a read of the rest.

/// Runs one input.
#[cfg(feature = "web")]
pub fn run(data: &[u8]) {
    use smolchat::protocol::OtherProtocol;
    use smolchat::server::edge::web::{Answer, MAX_HEAD_BYTES, answer, looks_like_request};

    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (plan, request) = data.split_at(end);
    let request = request.strip_prefix(b"\n").unwrap_or(request);

    let whole = read_head(request, &[]);
    assert_eq!(read_head(request, plan), whole);
    if OtherProtocol::detect(request) == Some(OtherProtocol::Http) {
        let line = request.iter().position(|&byte| byte == b'\n').unwrap_or(request.len());
        assert!((0..=line).all(|end| looks_like_request(&request[..end])));
    }
    if let Some((head, rest)) = &whole {
        assert!(head.len() <= MAX_HEAD_BYTES);
        assert_eq!([&head[..], rest].concat(), request);
        assert!(head.ends_with(b"\n\n") || head.ends_with(b"\n\r\n") || head.len() <= 2);
    }
    let head = whole.map_or(request.to_vec(), |(head, _)| head);
    let answer = answer(&head, &["chat.example.com".into()]);
    #[cfg(feature = "cluster")]
    let answer = answer.in_cluster(&["chat.lan:8080"]);
    match answer {
        Answer::Response(response) => {
            let is_head = head.starts_with(b"HEAD ");
            check_response(&response, is_head);
        }
        Answer::Upgrade { response, is_browser } => {
            assert!(response.starts_with(b"HTTP/1.1 101 ") && response.ends_with(b"\r\n\r\n"));
            let lower = head.to_ascii_lowercase();
            let has_origin = lower.windows(8).any(|bytes| bytes == b"\norigin:");
            assert!(has_origin || !is_browser);
        }
        #[cfg(feature = "cluster")]
        Answer::UpgradeFrom { .. } => panic!("an answer that is not complete"),
    }
}

/// The server is built without HTTP.
#[cfg(not(feature = "web"))]
pub fn run(_: &[u8]) {}

/// Returns the head in these reads and the bytes after it, if the head is complete.
#[cfg(feature = "web")]
fn read_head(request: &[u8], reads: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut reader =
        smolchat::server::edge::web::HeadReader::new(smolchat::server::edge::web::MAX_HEAD_BYTES);
    let mut rest = request;
    for size in reads.iter().map(|&size| size.into()).chain([usize::MAX]) {
        let (bytes, after) = rest.split_at(size.min(rest.len()));
        rest = after;
        if let Some(unread) = reader.read(bytes).ok()? {
            return Some((reader.head().to_vec(), [unread, rest].concat()));
        }
    }
    None
}

/// Checks that a response has one head, and a body of the stated length.
#[cfg(feature = "web")]
fn check_response(bytes: &[u8], is_head: bool) {
    let end = bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let head = str::from_utf8(&bytes[..end]).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap().split(' ').next().unwrap();
    assert!(["200", "304", "400", "403", "404", "405", "421", "426"].contains(&status));
    assert!(head.lines().all(|line| !line.contains(char::is_control)));
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let body = &bytes[end..];
    match length {
        Some(_) if is_head => assert!(body.is_empty()),
        Some(length) => assert_eq!(length.parse(), Ok(body.len())),
        None => assert!(status == "304" && body.is_empty()),
    }
}
