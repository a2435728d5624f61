//! What is done with a shard's records: when they are delivered, what follows a failure,
//! when they are given up. No AWS and no clock in here: decisions only.
//!
//! The rules are AWS's, from Lambda's developer guide:
//!
//! - "How Lambda processes records from stream and queue-based event sources" (batching
//!   behavior): a batch is delivered when it has its size, when the next record would make
//!   the payload larger than 6 MB, or when the batching window is over.
//! - "Retain discarded records for a DynamoDB event source in Lambda": a function that fails
//!   is tried again up to `MaximumRetryAttempts` times; one that could not be invoked, until
//!   the records are too old. Splitting a batch does not count as a retry.
//! - "Configuring partial batch response with DynamoDB and Lambda": everything before the
//!   lowest sequence number that the function names is done. With
//!   `BisectBatchOnFunctionError`, the batch is split there, otherwise the rest is retried.
//!
//! Where AWS is silent, or was not followed to the letter:
//!
//! - The window begins with the first record that waits. On AWS's page it begins with the end
//!   of the invocation before, so on AWS a lonely record may be delivered sooner.
//! - A partial answer that names the batch's first record leaves nothing to split off. It is
//!   a failure of the whole batch, which is then halved. So the record that fails ends up
//!   alone, and nothing else is given up with it.
//! - The halves of a batch keep its count of retries and invocations.
//! - Failed batches are tried again after 0.1 s, then twice as long each time up to 5 s,
//!   split ones at once. AWS backs off as well, and does not say how.
//! - What is older than the stream keeps records is too old, whatever the mapping says.

use std::collections::VecDeque;
use std::time::SystemTime;

use traces::Next;

use super::batch::{Batch, Condition, EVENT_BYTES, Outcome, Record, back_off};
use super::mapping::Settings;
use crate::observer::in_ms;

/// Lambda's limit for the payload of an invocation.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before something happens: a record comes, a delivery ends.
    Nothing,
    /// Nothing before this time.
    Wait(SystemTime),
    /// Invoke the function, then call [`Lane::delivered`].
    Deliver(Batch),
    /// Tell the on-failure destination, then call [`Lane::discarded`].
    Discard(Batch, Condition),
}

/// Records that are handled strictly one batch after the other: those of a shard, or, with a
/// parallelization factor, those of some of its items.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// Records not delivered yet, and when they came.
    waiting: VecDeque<(SystemTime, Record)>,
    /// What failed and goes on before the others, in the order of the stream.
    failed: VecDeque<Failed>,
    /// A step is being carried out.
    busy: bool,
}

#[derive(Debug)]
enum Failed {
    Retry {
        batch: Batch,
        not_before: SystemTime,
    },
    GiveUp(Batch),
}

impl Lane {
    /// Adds a record that has passed the filters.
    pub(super) fn push(&mut self, record: Record, now: SystemTime) {
        self.waiting.push_back((now, record));
    }

    /// How many records are not delivered yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether every record is done.
    pub(super) fn is_empty(&self) -> bool {
        !self.busy && self.waiting.is_empty() && self.failed.is_empty()
    }

    /// What to do now. After [`Step::Deliver`] and [`Step::Discard`] there is nothing to do
    /// until they are reported as carried out.
    pub(super) fn next(&mut self, now: SystemTime, settings: &Settings) -> Step {
        if self.busy {
            return Step::Nothing;
        }
        let step = match self.failed.pop_front() {
            Some(failed) => self.resume(failed, now, settings),
            None => self.begin(now, settings),
        };
        self.busy = matches!(step, Step::Deliver(_) | Step::Discard(..));
        step
    }

    fn resume(&mut self, failed: Failed, now: SystemTime, settings: &Settings) -> Step {
        let (mut batch, not_before) = match failed {
            Failed::GiveUp(batch) => {
                return Step::Discard(batch, Condition::RetryAttemptsExhausted);
            }
            Failed::Retry { batch, not_before } => (batch, not_before),
        };
        let too_old = batch
            .records
            .iter()
            .take_while(|record| is_too_old(record, now, settings))
            .count();
        if too_old > 0 {
            let rest = batch.split_off(too_old);
            if !rest.records.is_empty() {
                self.failed.push_front(Failed::Retry {
                    batch: rest,
                    not_before,
                });
            }
            return Step::Discard(batch, Condition::RecordAgeExceeded);
        }
        if not_before > now {
            self.failed.push_front(Failed::Retry { batch, not_before });
            return Step::Wait(not_before);
        }
        Step::Deliver(batch)
    }

    fn begin(&mut self, now: SystemTime, settings: &Settings) -> Step {
        let Some((first_came, _)) = self.waiting.front() else {
            return Step::Nothing;
        };
        let window_ends = *first_came + settings.batching_window;
        let too_old = self
            .waiting
            .iter()
            .take(settings.batch_size)
            .take_while(|(_, record)| is_too_old(record, now, settings))
            .count();
        if too_old > 0 {
            return Step::Discard(self.take(too_old), Condition::RecordAgeExceeded);
        }

        let mut payload_bytes = EVENT_BYTES;
        let fitting = self
            .waiting
            .iter()
            .take(settings.batch_size)
            .take_while(|(_, record)| {
                payload_bytes += record.json.len() + 1;
                payload_bytes <= PAYLOAD_BYTES_MAX
            })
            .count()
            // A single record is never that large, but must not be in the way for ever.
            .max(1);
        let is_full = fitting == settings.batch_size || fitting < self.waiting.len();
        if is_full || window_ends <= now {
            Step::Deliver(self.take(fitting))
        } else {
            Step::Wait(window_ends)
        }
    }

    fn take(&mut self, count: usize) -> Batch {
        let records = self.waiting.drain(..count).map(|(_, record)| record);
        Batch::new(records.collect())
    }

    /// Reports how [`Step::Deliver`] ended. Returns how many of the batch's records are done.
    pub(super) fn delivered(
        &mut self,
        mut batch: Batch,
        outcome: Outcome,
        now: SystemTime,
        settings: &Settings,
    ) -> usize {
        self.busy = false;
        let (from, response) = match outcome {
            Outcome::Succeeded => return batch.records.len(),
            Outcome::NotInvoked => {
                batch.stalls += 1;
                let not_before = now + back_off(batch.stalls);
                self.failed.push_front(Failed::Retry { batch, not_before });
                return 0;
            }
            Outcome::Failed { from, response } => (from, response),
        };
        batch.stalls = 0;
        batch.invocations += 1;
        batch.response = Some(response);
        let mut batch = batch.split_off(from);

        let at_once = |batch| Failed::Retry {
            batch,
            not_before: now,
        };
        if settings.bisect && from > 0 {
            self.failed.push_front(at_once(batch));
        } else if settings.bisect && batch.records.len() > 1 {
            let second = batch.split_off(batch.records.len() / 2);
            self.failed.push_front(at_once(second));
            self.failed.push_front(at_once(batch));
        } else if settings
            .maximum_retry_attempts
            .is_some_and(|maximum| batch.retries >= maximum)
        {
            self.failed.push_front(Failed::GiveUp(batch));
        } else {
            batch.retries += 1;
            let not_before = now + back_off(batch.retries);
            self.failed.push_front(Failed::Retry { batch, not_before });
        }
        from
    }

    /// What becomes of the failed part of the batch that was delivered last, of which so many records have failed.
    pub(super) fn next_of_failed(&self, failed: usize) -> Next {
        match self.failed.front() {
            None => Next::Done,
            Some(Failed::GiveUp(_)) => Next::GiveUp,
            Some(Failed::Retry { batch, .. }) if batch.records.len() < failed => Next::Split {
                first: batch.records.len() as u64,
            },
            Some(Failed::Retry { not_before, .. }) => Next::Retry {
                not_before_ms: in_ms(*not_before),
            },
        }
    }

    /// Reports that [`Step::Discard`] is done.
    pub(super) fn discarded(&mut self) {
        self.busy = false;
    }
}

fn is_too_old(record: &Record, now: SystemTime, settings: &Settings) -> bool {
    now.duration_since(record.arrived)
        .is_ok_and(|age| age > settings.maximum_record_age)
}

#[cfg(test)]
mod tests;
