use std::time::Instant;

use super::*;
use crate::server::Config;

/// Every connection has one of these futures.
#[test]
#[expect(clippy::disallowed_methods, reason = "the test has no other clock")]
fn future_of_a_connection_is_small() {
    let channel = async_channel::bounded(1);
    let limits = Config::default().read_limits(Instant::now());
    let budget = AddressBudget::new(Rc::new(limits));
    let (one, _two) = smol::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
    let socket = Arc::new(smol::Async::new(one.into_inner().unwrap().into()).unwrap());
    let future = run(
        socket,
        (ClientId(1), Peer::Unix(None)),
        channel.0,
        Rc::new(budget),
        ListenerProtocol::Chat,
        false,
    );
    assert!(size_of_val(&future) <= 168, "{} bytes", size_of_val(&future));
}
