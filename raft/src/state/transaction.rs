//! Transactions: all steps, or none.

use super::stored::Stored;
use super::{SUM_BYTES_MAX, State};
use crate::command::CommandResult;
use crate::command::transaction::{
    Aborted, Check, Got, Obstacle, Step, StepResult, Test, Transacted, Transaction,
};
use crate::words::Slot;

impl State {
    pub(super) fn transact(&mut self, transaction: &Transaction) -> CommandResult {
        let slot = transaction.keys().next().map(Slot::of);
        if !slot.is_some_and(|slot| self.owns(slot)) {
            return CommandResult::WrongShard { epoch: self.epoch };
        }
        let succeeded = transaction.checks.iter().all(|check| self.passes(check));
        let steps = if succeeded { &transaction.then } else { &transaction.otherwise };
        // A view costs nothing; the steps then copy the nodes that they change. Those that cannot
        // fail need none.
        let before = steps.iter().any(Step::can_fail).then(|| self.clone());
        let applied = self.applied;
        self.applied.0 += 1;
        match self.take(steps, transaction.found_bytes_max) {
            Ok((results, changed)) => {
                if !changed {
                    self.applied = applied;
                }
                CommandResult::Transacted(Box::new(Transacted { succeeded, changed, results }))
            }
            Err((step, why)) => {
                *self = before.expect("a step that failed can fail");
                let step = u16::try_from(step).expect("the number of steps is bounded");
                CommandResult::Aborted(Aborted { succeeded, step, why })
            }
        }
    }

    fn passes(&self, Check { key, test }: &Check) -> bool {
        let current = self.existing(key);
        match test {
            Test::Absent => current.is_none(),
            Test::Present => current.is_some(),
            Test::RevisionIs(revision) => {
                current.is_some_and(|stored| stored.revision() == *revision)
            }
            Test::ValueIs(value) => {
                current.is_some_and(|stored| stored.value_bytes() == value.as_bytes())
            }
        }
    }

    /// Takes the steps, as one mutation that `applied` counts already. Returns what came of each
    /// and whether any changed something, or the place of one that cannot be taken.
    fn take(
        &mut self,
        steps: &[Step],
        found_bytes_max: u32,
    ) -> Result<(Vec<StepResult>, bool), (usize, Obstacle)> {
        let (mut results, mut changed) = (Vec::with_capacity(steps.len()), false);
        let mut room = usize::try_from(found_bytes_max).unwrap_or(usize::MAX);
        for (at, step) in steps.iter().enumerate() {
            results.push(match step {
                Step::Get { key } => {
                    let got = self.existing(key).map(got);
                    let found_bytes = got.as_ref().map_or(0, |got| got.value.as_bytes().len());
                    let left = room.checked_sub(found_bytes);
                    room = left.ok_or((at, Obstacle::TooMuchFound))?;
                    StepResult::Got(got)
                }
                Step::Put { key, value, ttl } => {
                    changed = true;
                    let deadline = ttl.map(|ttl| self.deadline(ttl));
                    let existed = self.store(Stored::new(key, value, self.applied, deadline));
                    StepResult::Stored { created: !existed, deadline }
                }
                Step::Delete { key } => {
                    let existed = self.existing(key).is_some();
                    if existed {
                        changed = true;
                        self.remove(key.as_bytes());
                    }
                    StepResult::Deleted { existed }
                }
                Step::Increment(increment) => {
                    let sum = self.sum(increment);
                    let sum = sum.map_err(|uncounted| (at, Obstacle::Uncounted(uncounted)))?;
                    changed = true;
                    StepResult::Counted(self.store_sum(increment, sum))
                }
            });
        }
        Ok((results, changed))
    }

    /// Returns by how much a transaction could make the count of bytes grow.
    pub(super) fn growth_of_transaction(&self, transaction: &Transaction) -> u64 {
        let growth =
            |steps: &[Step]| steps.iter().map(|step| self.growth_of_step(step)).sum::<u64>();
        growth(&transaction.then).max(growth(&transaction.otherwise))
    }

    fn growth_of_step(&self, step: &Step) -> u64 {
        match step {
            Step::Put { key, value, .. } => self.growth_of(key, value.as_bytes().len()),
            Step::Increment(increment) => self.growth_of(&increment.key, SUM_BYTES_MAX),
            Step::Get { .. } | Step::Delete { .. } => 0,
        }
    }
}

impl Step {
    fn can_fail(&self) -> bool {
        match self {
            Self::Get { .. } | Self::Increment(_) => true,
            Self::Put { .. } | Self::Delete { .. } => false,
        }
    }
}

fn got(stored: &Stored) -> Got {
    Got { value: stored.value(), revision: stored.revision(), deadline: stored.deadline() }
}
