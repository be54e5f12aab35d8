//! Clients that connect while their node is out of the room.

use super::*;

/// Returns a room that admits no client, as a node has it before it is in the room.
fn closed_room(config: Config) -> Room {
    let mut room = new_room(config);
    room.close(ByeCode::Unreachable);
    room
}

fn connect(room: &mut Room, id: ClientId) {
    let peer = Peer::Inet(IpAddr::from([192, 0, 2, 1]), 1000);
    room.propose(Input::Connect { id, peer, token: token(id.0) }, Now::default());
}

/// Returns the number of times that the open batch refuses a client.
fn refusals(room: &mut Room, id: ClientId) -> usize {
    let batch = room.seal();
    batch.unicasts_for(id).iter().filter(|unicast| matches!(unicast.op, Op::Refuse)).count()
}

#[test]
fn client_of_an_earlier_number_is_refused() {
    let mut room = closed_room(config());
    // The node was number 5 in the room before.
    let id = ClientId::new(NodeId(5), 1);
    connect(&mut room, id);
    assert_eq!(refusals(&mut room, id), 1);
}

#[cfg(feature = "tls")]
#[test]
fn client_is_refused_after_the_number_has_changed() {
    let mut room = closed_room(Config { max_refused: 8, ..config() });
    room.set_node(NodeId(5));
    let id = ClientId::new(NodeId(5), 1);
    connect(&mut room, id);
    assert_eq!(refusals(&mut room, id), 0);
    room.set_node(NodeId(6));
    room.reopen();
    let late = Now { uptime: LONG_TIME, ..Now::default() };
    room.pop_hello_wait(late);
    assert_eq!(refusals(&mut room, id), 1);
}
