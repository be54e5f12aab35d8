//! Tests of the limits with a clock of the test.

use super::*;

const NOW: Duration = Duration::from_secs(100);

fn origin(ip: &str) -> Origin {
    Peer::Inet(ip.parse().unwrap(), 1).into()
}

#[test]
fn rate_limits_one_address_alone() {
    let mut admission = Admission::new(10, 0, (20, 3), false);
    let alice = origin("192.0.2.1");
    for _ in 0..3 {
        admission.admit(alice, NOW).unwrap();
    }
    assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooFast(20)));
    admission.admit(origin("192.0.2.2"), NOW).unwrap();
    let next = NOW + Duration::from_millis(50);
    assert!(admission.admit(alice, next - Duration::from_nanos(1)).is_err());
    admission.admit(alice, next).unwrap();
    assert!(admission.admit(alice, next).is_err());
    let later = NOW + Duration::from_secs(60);
    for _ in 0..3 {
        admission.admit(alice, later).unwrap();
    }
    assert!(admission.admit(alice, later).is_err());
}

#[test]
fn limits_of_zero_are_no_limits() {
    let mut admission = Admission::new(1000, 0, (0, 0), false);
    for _ in 0..1000 {
        assert_eq!(admission.admit(origin("192.0.2.1"), NOW), Ok(false));
    }
}

#[test]
fn refused_client_is_not_counted() {
    let mut admission = Admission::new(10, 1, (20, 100), false);
    let alice = origin("192.0.2.1");
    assert_eq!(admission.admit(alice, NOW), Ok(false));
    for _ in 0..4 {
        assert_eq!(admission.admit(alice, NOW), Ok(true));
    }
    for _ in 0..1000 {
        assert_eq!(admission.admit(alice, NOW), Err(Refusal::AddressFull(1)));
    }
    admission.leave(alice, false);
    admission.release(alice, NOW);
    assert_eq!(admission.admit(alice, NOW), Ok(false));
}

#[test]
fn ending_connections_of_address_are_limited() {
    let mut admission = Admission::new(10, 2, (0, 0), false);
    let alice = origin("192.0.2.1");
    for _ in 0..4 {
        assert_eq!(admission.admit(alice, NOW), Ok(false));
        admission.leave(alice, false);
    }
    assert_eq!(admission.find_full(alice), Some(Refusal::AddressFull(2)));
    assert_eq!(admission.find_full(origin("192.0.2.2")), None);
    admission.release(alice, NOW);
    assert_eq!(admission.admit(alice, NOW), Ok(false));
    assert_eq!(admission.find_full(alice), Some(Refusal::AddressFull(2)));
}

#[test]
fn ending_connections_take_places_of_the_room() {
    let mut admission = Admission::new(10, 0, (0, 0), false);
    let alice = origin("192.0.2.1");
    for _ in 0..max_connections(10) {
        assert_eq!(admission.admit(alice, NOW), Ok(false));
        admission.leave(alice, false);
    }
    assert_eq!(admission.find_full(alice), Some(Refusal::RoomFull(10)));
    admission.release(alice, NOW);
    assert_eq!(admission.find_full(alice), None);
}

#[test]
fn ipv6_network_counts_as_one_address() {
    let mut admission = Admission::new(10, 1, (0, 0), false);
    for (ip, is_visitor) in [
        ("2001:db8::1", false),
        ("2001:db8::2:1", true),
        ("2001:db8:0:1::1", false),
        ("fe80::1", false),
        ("fe80::2", false),
    ] {
        assert_eq!(admission.admit(origin(ip), NOW), Ok(is_visitor), "{ip}");
    }
}

#[test]
fn visitors_are_bounded_per_address_and_in_total() {
    let mut admission = Admission::new(1, 0, (0, 0), false);
    admission.admit(Origin::Proxy, NOW).unwrap();
    let mut visitors = 0;
    for host in 1..=5 {
        let host = origin(&format!("192.0.2.{host}"));
        for _ in 0..5 {
            match admission.admit(host, NOW) {
                Ok(is_visitor) => visitors += usize::from(is_visitor),
                Err(refusal) => assert_eq!(refusal, Refusal::RoomFull(1)),
            }
        }
    }
    assert_eq!(visitors, MIN_VISITORS);
    assert_eq!(admission.len(), 1);
}

/// Members that take over from other addresses cannot make one address much larger than its
/// limit.
#[test]
fn address_full_of_takeovers_has_no_visitors() {
    let mut admission = Admission::new(10, 1, (0, 0), false);
    let alice = origin("192.0.2.1");
    admission.admit(alice, NOW).unwrap();
    for _ in 0..4 {
        assert_eq!(admission.admit(alice, NOW), Ok(true));
        admission.promote(alice);
    }
    assert_eq!(admission.admit(alice, NOW), Err(Refusal::AddressFull(1)));
    for _ in 0..5 {
        admission.leave(alice, false);
        admission.release(alice, NOW);
    }
    assert!(admission.table.is_empty() && admission.len() == 0);
}

#[test]
fn table_is_bounded_and_keeps_connected_clients() {
    let mut admission = Admission::new(10, 1, (1, 1), false);
    let alice = origin("192.0.2.1");
    admission.admit(alice, NOW).unwrap();
    for number in 0..100_000u32 {
        let other = Origin::Network(IpAddr::from(number.to_be_bytes()));
        admission.admit(other, NOW).unwrap();
        admission.leave(other, false);
        admission.release(other, NOW);
        assert!(admission.table.len() <= 2 * 10 + SPARE_ADDRESSES);
    }
    assert!(admission.admit(alice, NOW).is_err());
    admission.leave(alice, false);
    admission.release(alice, NOW + Duration::from_secs(1));
    admission.remove_idle(NOW + Duration::from_secs(1));
    assert!(admission.table.is_empty());
}

#[test]
fn many_recent_connections_are_forgotten_in_time() {
    let mut admission = Admission::new(10, 1, (0, 0), true);
    let alice = origin("192.0.2.1");
    for _ in 0..10 * MAX_RECENT {
        admission.admit(alice, NOW).unwrap();
        admission.leave(alice, true);
    }
    let excess = |seconds| admission.excess_connections(alice, NOW + Duration::from_secs(seconds));
    assert_eq!([0, 90, 990].map(excess), [990, 900, 0]);
}
