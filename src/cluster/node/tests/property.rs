//! Random faults of the log and of the nodes.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
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

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let node = 0usize..3;
    let result = prop_oneof![
        4 => Just(WriteResult::Stored),
        2 => Just(WriteResult::AnswerLost),
        2 => Just(WriteResult::Delayed),
        1 => Just(WriteResult::Lost),
    ];
    let op = prop_oneof![
        8 => node.clone().prop_map(Op::Propose),
        16 => (node.clone(), result).prop_map(|(node, result)| Op::Poll(node, result)),
        20 => node.clone().prop_map(Op::Deliver),
        4 => any::<usize>().prop_map(Op::StoreLate),
        8 => (0u64..600).prop_map(Op::Wait),
        1 => (node.clone(), 1_000u64..20_000).prop_map(|(node, ms)| Op::Stop(node, ms)),
        1 => node.clone().prop_map(Op::Kill),
        1 => (-100_000i64..100_000).prop_map(Op::StepClock),
        1 => node.clone().prop_map(Op::Snapshot),
        1 => node.prop_map(Op::Reopen),
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
                Op::Propose(node) if matches!(cluster.nodes[node].node.state(), NodeState::Inside(_)) => {
                    cluster.nodes[node].node.propose(next).unwrap();
                    next += 1;
                }
                Op::Propose(_) => {}
                Op::Poll(node, result) if is_running(node) => {
                    cluster.poll(node, result);
                }
                Op::Deliver(node) if is_running(node) => {
                    cluster.deliver(node);
                }
                Op::Poll(..) | Op::Deliver(_) => {}
                Op::StoreLate(index) => cluster.store_late(index),
                Op::Wait(ms) => cluster.now += Duration::from_millis(ms),
                Op::Stop(node, ms) => stopped[node] = cluster.now + Duration::from_millis(ms),
                Op::Kill(node) => {
                    acknowledged.append(&mut cluster.nodes[node].acknowledged);
                    cluster.kill(node);
                }
                Op::StepClock(ms) => cluster.clock_offset += ms,
                Op::Snapshot(node) => {
                    let node = &mut cluster.nodes[node];
                    if node.node.replica().epoch().is_some() {
                        cluster.snapshot = Some(encode(1, node.node.replica(), &node.room));
                    }
                }
                Op::Reopen(node) => cluster.open(node),
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
