//! The naive room: the design of smol's `chat-server` example. One task per client reads lines; a
//! dispatcher formats each line and awaits `write_all` to one member after another.
//!
//! It differs from the example where a fair comparison needs it: a join is answered but not
//! announced to all, lines are not printed, and `TCP_NODELAY` is set.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, io, prelude::*};

/// An event of one client.
enum Event {
    Join(SocketAddr, Arc<Async<TcpStream>>),
    Leave(SocketAddr),
    Message(SocketAddr, String),
}

/// Runs the server until it is killed.
pub fn serve() -> io::Result<()> {
    smol::block_on(async {
        let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
        // std uses a backlog of 128, too small when all members join at once.
        rustix::net::listen(&listener, 4096)?;
        println!("listening on {}", listener.get_ref().local_addr()?);

        let (sender, receiver) = bounded(100);
        smol::spawn(dispatch(receiver)).detach();
        loop {
            let (stream, addr) = listener.accept().await?;
            stream.get_ref().set_nodelay(true)?;
            let client = Arc::new(stream);
            let sender = sender.clone();
            smol::spawn(async move {
                sender.send(Event::Join(addr, client.clone())).await.ok();
                read_messages(&sender, addr, &client).await.ok();
                sender.send(Event::Leave(addr)).await.ok();
            })
            .detach();
        }
    })
}

async fn dispatch(receiver: Receiver<Event>) {
    let mut clients = HashMap::new();
    while let Ok(event) = receiver.recv().await {
        match event {
            Event::Join(addr, client) => {
                // The load generator waits for this reply.
                (&*client).write_all(b"+\n").await.ok();
                clients.insert(addr, client);
            }
            Event::Leave(addr) => {
                clients.remove(&addr);
            }
            Event::Message(addr, text) => {
                let line = format!("{addr} says: {text}\n");
                for client in clients.values() {
                    (&**client).write_all(line.as_bytes()).await.ok();
                }
            }
        }
    }
}

async fn read_messages(
    sender: &Sender<Event>,
    addr: SocketAddr,
    client: &Async<TcpStream>,
) -> io::Result<()> {
    let mut lines = io::BufReader::new(client).lines();
    while let Some(line) = lines.next().await {
        sender.send(Event::Message(addr, line?)).await.ok();
    }
    Ok(())
}
