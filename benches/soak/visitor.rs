//! Visitors who do not speak the protocol, or not as one should.

use std::rc::Rc;
use std::time::{Duration, Instant};

use smolchat::protocol::{Body, ByeCode};

use crate::check::Took;
use crate::link::{Heard, Link};
use crate::perform::garbage;
use crate::script::Rng;
use crate::world::{Halt, LOOK, PATIENCE, Tail, World};

/// Errors in a row for which a client is sent away.
const TOO_MANY_ERRORS: usize = 50;

/// What a visitor is.
#[derive(Clone, Copy)]
enum Visit {
    /// Says nothing, and is a guest after a while.
    Silent,
    /// Says one line, byte by byte.
    Loris,
    /// Is gone at once.
    Reset,
    /// Begins a TLS handshake.
    Tls,
    /// Makes a request of HTTP.
    Http,
    /// Says nothing that is right.
    Garbage,
}

/// One visit after the other, until somebody drops this.
pub async fn visit(world: &Rc<World>, rng: &mut Rng, tail: &Tail) -> Result<(), Halt> {
    use Visit::{Garbage, Http, Loris, Reset, Silent, Tls};
    loop {
        world.busy().await;
        let rest = rng.pause(100, 3_000);
        world.pause(rest).await;
        let kind = rng.pick(&[Silent, Loris, Reset, Tls, Http, Garbage]);
        world.visitors.set(world.visitors.get() + 1);
        if let Err(why) = visit_once(world, kind, rng, tail).await
            && !world.ending.get()
        {
            return Err(why.into());
        }
        world.visitors.set(world.visitors.get() - 1);
        world.totals.borrow_mut().visits += 1;
    }
}

async fn visit_once(
    world: &Rc<World>,
    kind: Visit,
    rng: &mut Rng,
    tail: &Tail,
) -> Result<(), String> {
    let is_tcp = rng.once_in(2);
    let mut link = Link::connect(world, is_tcp, None, tail).await?;
    let bye = match kind {
        Visit::Reset => {
            link.reset();
            return Ok(());
        }
        Visit::Silent => {
            let stay = Instant::now() + rng.pause(100, 4_000);
            listen(&mut link, stay).await?;
            None
        }
        Visit::Loris => {
            let mut said = false;
            for &byte in b"slowly\n" {
                link.write(&[byte]).await;
                said |= listen(&mut link, Instant::now() + Duration::from_millis(150)).await?;
            }
            let end = Instant::now() + PATIENCE;
            while !said && !link.is_of_a_dead_server() {
                said |= listen(&mut link, Instant::now() + LOOK).await?;
                if Instant::now() > end {
                    return Err("a line said slowly is not heard".to_owned());
                }
            }
            None
        }
        Visit::Tls => {
            link.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            Some(ByeCode::Tls)
        }
        Visit::Http => {
            link.write(b"GET / HTTP/1.1\r\nHost: room\r\n\r\n").await;
            Some(ByeCode::Http)
        }
        Visit::Garbage => {
            for _ in 0..TOO_MANY_ERRORS {
                // Another kind each time would find the same.
                let (line, answer) = garbage(3);
                link.asked.push_back(answer);
                link.write(&[&line[..], b"\n"].concat()).await;
            }
            Some(ByeCode::Errors)
        }
    };
    if bye.is_some() {
        link.expects = bye;
        link.hear_out().await?;
        if !link.is_of_a_dead_server() && !link.asked.is_empty() {
            return Err(format!("bye, and {:?} are not answered", link.asked));
        }
        link.bye.into_iter().for_each(|code| world.totals.borrow_mut().bye(code));
    }
    Ok(())
}

/// Listens until then. Tells whether a guest said something slowly.
async fn listen(link: &mut Link, until: Instant) -> Result<bool, String> {
    let mut said = false;
    loop {
        match link.hear(until).await {
            Heard::Line(line) => {
                if let Took::Next(entry) = link.take(&line)? {
                    let is_chat = matches!(entry.frame.body, Body::Chat { .. });
                    said |= is_chat && entry.frame.data == "slowly";
                }
            }
            Heard::Nothing => return Ok(said),
            Heard::End(error) => {
                link.check_end(error.as_ref())?;
                return Ok(said);
            }
        }
    }
}
