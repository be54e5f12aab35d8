//! The naive room: the shape of smol's own `chat-server` example. A task a client reads lines,
//! one dispatcher formats each and awaits `write_all` to one member after another.
//!
//! It differs from the example where a fair run asks for it: joins are greeted but not told to
//! all, lines are not echoed on standard output, and `TCP_NODELAY` is set.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use smol::channel::{Receiver, Sender, bounded};
use smol::{Async, io, prelude::*};

/// What happened to a client.
enum Event {
    Join(SocketAddr, Arc<Async<TcpStream>>),
    Leave(SocketAddr),
    Message(SocketAddr, String),
}

/// Serves until it is killed.
pub fn serve() -> io::Result<()> {
    smol::block_on(async {
        let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0))?;
        rustix::net::listen(&listener, 4096)?; // std asks for 128, too few for a crowd
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
                // The load generator's sign that it is in.
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
