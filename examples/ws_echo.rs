//! A WebSocket server that sends each message back, on the decoder of `smolchatd`.
//!
//! ```sh
//! cargo run --release --example ws_echo -- 127.0.0.1:9001
//! ```
//!
//! It is for conformance tests such as those of Autobahn, whose messages have up to 16 MiB.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use smolchat::server::edge::web::{
    Answer, CloseCode, Decoded, Decoder, FrameHead, HeadReader, MAX_HEAD_BYTES, answer,
    close_frame, pong_frame, too_large_response,
};

const MAX_MESSAGE_BYTES: u64 = 64 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:9001".into());
    let listener = TcpListener::bind(address)?;
    println!("listening on {}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = serve(stream) {
                eprintln!("connection lost: {error}");
            }
        });
    }
    Ok(())
}

/// Serves one connection.
fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let Some(mut first) = shake_hands(&mut stream)? else { return Ok(()) };
    let mut echo = Echo::new();
    let mut is_open = echo.read(&mut first);
    let mut buffer = vec![0; 64 * 1024];
    while is_open {
        stream.write_all(&echo.output)?;
        echo.output.clear();
        let Some(bytes) = read(&mut stream, &mut buffer)? else { return Ok(()) };
        is_open = echo.read(bytes);
    }
    stream.write_all(&echo.output)
}

/// Reads a request and answers it. Returns the bytes after it if the connection is a WebSocket.
fn shake_hands(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut reader = HeadReader::new(MAX_HEAD_BYTES);
    let mut buffer = [0; 4096];
    loop {
        let Some(bytes) = read(stream, &mut buffer)? else { return Ok(None) };
        let response = match reader.read(bytes) {
            Ok(None) => continue,
            Ok(Some(rest)) => match answer_request(reader.head()) {
                Answer::Upgrade { response, .. } => {
                    stream.write_all(&response)?;
                    return Ok(Some(rest.to_vec()));
                }
                Answer::Response(response) => response,
                // A page from another server.
                #[cfg(feature = "cluster")]
                Answer::UpgradeFrom { .. } => return Ok(None),
            },
            Err(_) => too_large_response(),
        };
        stream.write_all(&response)?;
        return Ok(None);
    }
}

/// Answers a request. The conformance tests ask for `/`, which is the page in `smolchatd`.
fn answer_request(head: &[u8]) -> Answer {
    match head.strip_prefix(b"GET / ") {
        Some(rest) => answer(&[b"GET /ws ", rest].concat(), &[]),
        None => answer(head, &[]),
    }
}

/// Returns the next bytes, or `None` at the end of the stream.
fn read<'b>(stream: &mut TcpStream, buffer: &'b mut [u8]) -> io::Result<Option<&'b mut [u8]>> {
    match stream.read(buffer) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(buffer.get_mut(..count)),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error),
    }
}

/// The state of one WebSocket.
struct Echo {
    decoder: Decoder,
    message: Vec<u8>,
    output: Vec<u8>,
}

impl Echo {
    fn new() -> Self {
        let decoder = Decoder::new(MAX_MESSAGE_BYTES);
        Echo { decoder, message: Vec::new(), output: Vec::new() }
    }

    /// Decodes bytes and writes the answers to `output`. Returns `false` at the end.
    fn read(&mut self, mut bytes: &mut [u8]) -> bool {
        while let Some(decoded) = self.decoder.next(&mut bytes) {
            match decoded {
                Decoded::Text(part) | Decoded::Binary(part) => {
                    self.message.extend_from_slice(part);
                }
                Decoded::End(kind) => {
                    let head = FrameHead::new(kind, self.message.len());
                    self.output.extend_from_slice(head.as_bytes());
                    self.output.append(&mut self.message);
                }
                Decoded::Ping(payload) => self.output.append(&mut pong_frame(payload)),
                Decoded::Pong => {}
                Decoded::Close(code) => return self.close(code),
                Decoded::Error(code) => return self.close(Some(code)),
            }
        }
        true
    }

    fn close(&mut self, code: Option<CloseCode>) -> bool {
        self.output.append(&mut close_frame(code));
        false
    }
}
