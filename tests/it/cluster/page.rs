//! The page in Chromium, when it loses its node.

use std::thread;
use std::time::Duration;

use super::nats_servers::NatsServers;
use super::wait_until;
use crate::common::browser::{Chromium, Tab};
use crate::common::{TestClient, TestServer};

/// Starts a node whose address is known to the others.
#[track_caller]
fn start_node(nats: &NatsServers, name: &str, address: &str) -> TestServer {
    let servers = nats.addresses(0).join(",");
    let cluster = ["--cluster", &servers, "--room", "ROOM", "--node", name];
    // A browser on a loaded machine is slow to send its first request.
    let options = ["--hello-wait", "10000", "--rate", "0", "--listen", address];
    TestServer::start(&[&cluster[..], &options].concat())
}

/// Checks that the next frames are these texts: each once, in order, and no notice between them.
#[track_caller]
fn assert_texts(client: &mut TestClient, texts: &[String]) {
    for text in texts {
        let frame = client.recv();
        assert_eq!((&frame["kind"], &frame["data"]), (&"chat".into(), &text.as_str().into()));
    }
}

/// Says texts on the page, one each 20 ms, and calls `fault` after a third of them.
fn say_texts(tab: &impl Tab, batch: &str, fault: impl FnOnce()) -> Vec<String> {
    let texts: Vec<String> = (0..30).map(|number| format!("{batch} {number}")).collect();
    let mut fault = Some(fault);
    for (number, text) in texts.iter().enumerate() {
        if number == 10 {
            fault.take().unwrap()();
        }
        tab.say(text);
        thread::sleep(Duration::from_millis(20));
    }
    texts
}

#[test]
#[ignore = "needs nats-server and a browser"]
fn page_goes_on_at_another_node() {
    let nats = NatsServers::start(1);
    let mut first = start_node(&nats, "n0", "127.0.0.1:0");
    let address = first.address(0).to_owned();
    let mut second = start_node(&nats, "n1", "127.0.0.1:0");
    first.wait_for_log(&["node n1 is number"]);
    second.wait_for_log(&["node n0 is number"]);
    let mut alice = second.join("alice");
    let tab = Chromium::start().open();
    tab.navigate(&format!("http://{address}/"));
    tab.fill_in_name("bob");
    tab.wait_until_live("bob");
    alice.recv_kind("join");

    let mut texts = say_texts(&tab, "first", || first.kill());
    assert_texts(&mut alice, &texts);
    tab.wait_until_live("bob");
    assert_eq!(tab.texts(), texts);

    // The page stays welcome when its node is no longer in the room.
    wait_until("the first node is out of the room", || second.log().contains("its lease is over"));
    tab.say("/reconnect");
    tab.wait_until_live("bob");
    tab.say("still here");
    texts.push("still here".into());
    assert_texts(&mut alice, &texts[30..]);

    // The page returns to its node.
    let first = start_node(&nats, "n0", &address);
    let mut carol = first.join("carol");
    alice.recv_kind("join");
    tab.wait_for("[...document.querySelectorAll('#names li')].length === 3");
    let later = say_texts(&tab, "second", || second.kill());
    assert_texts(&mut carol, &later);
    texts.extend(later);
    tab.wait_until_live("bob");
    assert_eq!(tab.texts(), texts);
}
