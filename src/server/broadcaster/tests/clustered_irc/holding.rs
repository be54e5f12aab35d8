//! A node that is not in the room yet, and one that enters it again and again.

use super::*;
use crate::cluster::membership::NodeNumber;
use crate::room::NodeId;

#[test]
fn inputs_wait_until_the_node_is_in_the_room() {
    let mut harness = LogHarness { nodes: vec![LogNode::start("one")], ..LogHarness::new() };
    harness.log.clear();
    let alice = (0, harness.connect(0, ListenerProtocol::Chat));
    let inputs = harness.nodes[0].broadcaster.inputs();
    let lines = vec![ClientLine::parse(b"hello")];
    let input = Input::Lines { id: ClientId(alice.1), lines };
    inputs.try_send(Event::Input { input, bytes: 0, answer: None }).unwrap();
    harness.turn(0, None);
    let cluster = harness.nodes[0].broadcaster.cluster.as_ref().unwrap();
    assert_eq!((cluster.held.len(), cluster.has_inputs()), (1, true));
    harness.flush();
    let lines = harness.lines(alice).concat();
    assert!(lines.contains("welcome") && lines.contains("hello"), "{lines}");
    // As many connections as inputs may wait.
    let mut late = LogHarness { nodes: vec![LogNode::start("one")], ..LogHarness::new() };
    let held = |late: &LogHarness| late.nodes[0].broadcaster.cluster.as_ref().unwrap().held.len();
    for count in 1..64 {
        late.connect(0, ListenerProtocol::Chat);
        assert_eq!(held(&late), count);
    }
    let last = (0, late.connect(0, ListenerProtocol::Chat));
    assert_eq!(held(&late), 0);
    assert!(late.lines(last).concat().contains("unreachable"));
}

#[test]
fn incarnations_without_clients_are_forgotten() {
    let mut node = LogNode::start("one");
    let cluster = node.broadcaster.cluster.as_mut().unwrap();
    for number in 1..=1000 {
        cluster.on_connected(ClientId(number));
        cluster.enter(NodeNumber(number as u32), |node| node == NodeId(7));
    }
    assert_eq!(cluster.numbers.len(), 2);
    assert_eq!(cluster.id_of(ClientId(8)).node(), NodeId(7));
    assert_eq!(cluster.id_of(ClientId(1001)).node(), NodeId(1000));
}
