//! Random faults of the log and of the nodes.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum RandomOp {
    Propose(usize),
    Poll(usize, WriteResult),
    Deliver(usize),
    StoreLate(usize),
    Wait(u64),
    Stop(usize, u64),
    Kill(usize),
    StepClock(i64),
    Snapshot(usize),
    Reopen(usize),
}

fn ops() -> impl Strategy<Value = Vec<RandomOp>> {
    let node = 0usize..3;
    let result = prop_oneof![
        4 => Just(WriteResult::Stored),
        2 => Just(WriteResult::AnswerLost),
        2 => Just(WriteResult::Delayed),
        1 => Just(WriteResult::Lost),
    ];
    let op = prop_oneof![
        8 => node.clone().prop_map(RandomOp::Propose),
        16 => (node.clone(), result).prop_map(|(node, result)| RandomOp::Poll(node, result)),
        20 => node.clone().prop_map(RandomOp::Deliver),
        4 => any::<usize>().prop_map(RandomOp::StoreLate),
        8 => (0u64..600).prop_map(RandomOp::Wait),
        1 => (node.clone(), 1_000u64..20_000).prop_map(|(node, ms)| RandomOp::Stop(node, ms)),
        1 => node.clone().prop_map(RandomOp::Kill),
        1 => (-100_000i64..100_000).prop_map(RandomOp::StepClock),
        1 => node.clone().prop_map(RandomOp::Snapshot),
        1 => node.prop_map(RandomOp::Reopen),
    ];
    prop::collection::vec(op, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Three nodes on a log that loses answers, and stores copies late and in another order.
    #[test]
    fn replicas_apply_each_command_once(ops in ops()) {
        let mut cluster = running(3);
        let mut acknowledged = Vec::new();
        let mut next = 0u64;
        let mut stopped = [Duration::ZERO; 3];
        for op in ops {
            let is_running = |node: usize| stopped[node] <= cluster.now;
            match op {
                RandomOp::Propose(node) if matches!(cluster.nodes[node].node.state(), NodeState::Inside(_)) => {
                    cluster.nodes[node].node.propose(next).unwrap();
                    next += 1;
                }
                RandomOp::Propose(_) => {}
                RandomOp::Poll(node, result) if is_running(node) => {
                    cluster.poll(node, result);
                }
                RandomOp::Deliver(node) if is_running(node) => {
                    cluster.deliver(node);
                }
                RandomOp::Poll(..) | RandomOp::Deliver(_) => {}
                RandomOp::StoreLate(index) => cluster.store_late(index),
                RandomOp::Wait(ms) => cluster.now += Duration::from_millis(ms),
                RandomOp::Stop(node, ms) => stopped[node] = cluster.now + Duration::from_millis(ms),
                RandomOp::Kill(node) => {
                    acknowledged.append(&mut cluster.nodes[node].acknowledged);
                    cluster.kill(node);
                }
                RandomOp::StepClock(ms) => cluster.clock_offset += ms,
                RandomOp::Snapshot(node) => {
                    let node = &mut cluster.nodes[node];
                    if node.node.replica().epoch().is_some() {
                        cluster.snapshot = Some(encode(1, node.node.replica(), &node.room));
                    }
                }
                RandomOp::Reopen(node) => cluster.open(node),
            }
        }
        cluster.run(5 * SECOND);
        cluster.store_all_late();
        cluster.run(5 * SECOND);
        cluster.assert_converged();
        let room = &cluster.nodes[0].room;
        let once: HashSet<_> = room.iter().copied().collect();
        prop_assert_eq!(once.len(), room.len());
        for node in &cluster.nodes {
            prop_assert!(node.errors.is_empty(), "{:?}", node.errors);
            acknowledged.extend(&node.acknowledged);
        }
        for command in acknowledged {
            prop_assert!(once.contains(&command));
        }
    }
}
