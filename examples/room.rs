//! A chat room in one file: the shape of the server `smolchatd`, on its five packages alone.
//! `docs/design.md` lists what the real server adds, and why.
//!
//! ```text
//! accept loop ──spawns──▶ connection tasks ──Event──▶ broadcaster ──line──▶ every socket
//! ```
//!
//! Each line, in both directions, is a [`Message`] as JSON. There is no login: the name of a user
//! is the address of its client. Start the room with `cargo run --example room -- 127.0.0.1:8080`,
//! connect with `nc 127.0.0.1 8080`, and type `{"data_source": "me", "data": "hello"}`.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use futures_lite::{future::poll_once, io::BufReader, prelude::*};
use serde::{Deserialize, Serialize};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, Timer};

#[derive(Serialize, Deserialize)]
struct Message {
    /// The name of the sender. The server sets it, so that no client can write as another.
    data_source: String,
    data: String,
}

/// An input of the broadcaster, sent by a connection task. `id` is the number of the connection.
enum Event {
    Join { id: u64, user: User },
    Message { id: u64, data: String },
    Leave { id: u64 },
}

struct User {
    name: String,
    stream: TcpStream,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    // All tasks run on this thread, one at a time: each runs until it waits in an `await`.
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let error = |error| io::Error::other(format!("cannot listen on {address}: {error}"));
        let listener = TcpListener::bind(&address).await.map_err(error)?;
        println!("listening on {}", listener.local_addr()?);
        let (events, receiver) = async_channel::bounded(256);
        // Both run until the program is killed. A panic in the broadcaster ends the program.
        accept(&executor, listener, events).or(executor.spawn(broadcast(receiver))).await;
        Ok(())
    }))
}

/// Spawns a task for each client. After an error it waits, so that other tasks can close files.
async fn accept(executor: &LocalExecutor<'_>, listener: TcpListener, events: Sender<Event>) {
    // An address is not an id: a client can use it again before its first `Leave` is applied.
    for id in 0.. {
        match listener.accept().await {
            Ok((stream, address)) => {
                executor.spawn(run_connection(id, address, stream, events.clone())).detach();
            }
            Err(error) => {
                eprintln!("cannot accept a client: {error}");
                Timer::after(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one client: join, read, leave.
async fn run_connection(id: u64, address: SocketAddr, stream: TcpStream, events: Sender<Event>) {
    // Sends short lines at once, instead of up to 40 ms later. Errors are ignored here: a broken
    // socket fails on its first read, and the broadcaster receives until the program ends.
    let _ = stream.set_nodelay(true);
    let user = User { name: address.to_string(), stream: stream.clone() };
    let _ = events.send(Event::Join { id, user }).await;
    if let Err(error) = read_messages(id, stream, &events).await {
        eprintln!("{address}: {error}");
    }
    let _ = events.send(Event::Leave { id }).await;
}

/// Reads until the client closes the connection or sends a line that is not a [`Message`].
async fn read_messages(id: u64, stream: TcpStream, events: &Sender<Event>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    // A line of more than 4096 bytes is cut here, and is then not valid JSON.
    while (&mut reader).take(4096).read_line(&mut line).await? > 0 {
        let Message { data, .. } = serde_json::from_str(&line)?;
        // Waits while the channel is full: a client can send no faster than the room delivers.
        events.send(Event::Message { id, data }).await.map_err(io::Error::other)?;
        line.clear();
    }
    Ok(())
}

/// Applies events one by one, and tells all users. It alone owns the table of users.
async fn broadcast(events: Receiver<Event>) {
    let mut users = HashMap::new();
    while let Ok(event) = events.recv().await {
        if let Some(line) = apply(event, &mut users) {
            deliver(&line, &mut users).await;
        }
    }
}

/// Updates the table, and returns the line that tells all users about the event.
fn apply(event: Event, users: &mut HashMap<u64, User>) -> Option<String> {
    let notice = |name: &str, change: &str| ("server".to_owned(), format!("{name} {change}"));
    let (data_source, data) = match event {
        Event::Join { id, user } => notice(&users.entry(id).or_insert(user).name, "joined"),
        Event::Message { id, data } => (users.get(&id)?.name.clone(), data),
        Event::Leave { id } => notice(&users.remove(&id)?.name, "left"),
    };
    Some(serde_json::to_string(&Message { data_source, data }).ok()? + "\n")
}

/// Writes a line to every user and waits for none: one that does not read must not stop the room.
async fn deliver(line: &str, users: &mut HashMap<u64, User>) {
    for user in users.values_mut() {
        // Polled only once: either the send buffer of the socket takes the whole line, or the user
        // is too slow. The shutdown ends `read_messages`, and the usual `Leave` follows.
        if !matches!(poll_once(user.stream.write_all(line.as_bytes())).await, Some(Ok(()))) {
            let _ = user.stream.shutdown(Shutdown::Both);
        }
    }
}
