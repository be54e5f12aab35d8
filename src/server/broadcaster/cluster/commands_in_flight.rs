//! The commands of a node that are on their way through the log, and the charges for their answers.

use std::collections::VecDeque;

use crate::server::address_limits::{ADDRESS_BUDGET_BYTES, AnswerCharge};

/// The most charges that wait before the node holds back its clients.
pub const MAX_CHARGES: usize = 1024;
/// The most bytes of a charge, in a queue that grows by doubling. The budget of its address may be in no
/// table any more.
pub const CHARGE_BYTES: usize = 2 * size_of::<(u64, AnswerCharge)>() + ADDRESS_BUDGET_BYTES;

/// The commands of an incarnation that were proposed, and that were read from the log.
#[derive(Debug, Default)]
pub struct CommandsInFlight {
    proposed: u64,
    committed: u64,
    /// The charges for the answers, by the number of the command: one a command at most.
    charges: VecDeque<(u64, AnswerCharge)>,
}

impl CommandsInFlight {
    /// Returns whether no charge may be added.
    pub fn is_full(&self) -> bool {
        self.charges.len() >= MAX_CHARGES
    }

    /// Counts a command that was passed to the log.
    pub fn on_proposed(&mut self) {
        self.proposed += 1;
    }

    /// Keeps the charge for the answer to the last command until that is read from the log. Returns it
    /// if no command is on its way, or if the answer to the last one is charged already.
    pub fn keep_charge(&mut self, charge: AnswerCharge) -> Option<AnswerCharge> {
        let charged = self.charges.back().map_or(self.committed, |(number, _)| *number);
        if self.proposed <= charged {
            return Some(charge);
        }
        self.charges.push_back((self.proposed, charge));
        None
    }

    /// Counts a command that was read from the log, and returns the charge for its answer.
    pub fn on_committed(&mut self) -> Option<AnswerCharge> {
        self.committed += 1;
        let is_due = |(number, _): &mut (u64, AnswerCharge)| *number <= self.committed;
        self.charges.pop_front_if(is_due).map(|(_, charge)| charge)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::server::Config;
    use crate::server::address_limits::AddressBudget;

    #[expect(clippy::disallowed_methods, reason = "the start of the rate limiters' time")]
    fn budget() -> Rc<AddressBudget> {
        let limits = Config::default().read_limits(Instant::now());
        Rc::new(AddressBudget::new(Rc::new(limits)))
    }

    #[test]
    fn input_without_a_command_is_charged_at_once() {
        let (budget, mut commands) = (budget(), CommandsInFlight::default());
        assert!(commands.keep_charge(budget.request()).is_some());
        commands.on_proposed();
        assert!(commands.keep_charge(budget.request()).is_none());
        assert!(commands.keep_charge(budget.request()).is_some(), "the command has its charge");
        assert!(commands.on_committed().is_some());
        // No request of the address is on its way, although no further command is read.
        assert!(budget.try_request(Duration::ZERO).is_some());
    }

    #[test]
    fn charges_that_wait_are_bounded() {
        let (budget, mut commands) = (budget(), CommandsInFlight::default());
        for _ in 0..MAX_CHARGES {
            assert!(!commands.is_full());
            commands.on_proposed();
            assert!(commands.keep_charge(budget.request()).is_none());
        }
        assert!(commands.is_full());
        let bytes = commands.charges.capacity() * size_of::<(u64, AnswerCharge)>();
        assert!(bytes <= MAX_CHARGES * CHARGE_BYTES, "{bytes}");
        assert!(commands.on_committed().is_some() && !commands.is_full());
    }
}
