//! What members say about records that they have.

use crate::partition::{SharePartition, batch, released};
use crate::runs::{Pending, State};
use crate::{Refused, Write};
use base::mistakes;
use kafka_wire::ErrorCode;

/// What is said about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckType {
    /// There is none with this offset.
    Gap,
    /// It is dealt with.
    Accept,
    /// Somebody may have it again.
    Release,
    /// Nobody shall have it.
    Reject,
    /// It is still being worked on: the lock begins anew (KIP-1222).
    Renew,
}

impl AckType {
    /// From the wire's number.
    pub fn of_code(code: i8) -> Option<AckType> {
        Some(match code {
            0 => AckType::Gap,
            1 => AckType::Accept,
            2 => AckType::Release,
            3 => AckType::Reject,
            4 => AckType::Renew,
            _ => return None,
        })
    }
}

/// What a member says about neighbouring records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckBatch {
    /// The first offset.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// One for all, or one for each.
    pub types: Vec<AckType>,
}

/// The same as offsets of one kind.
type Said = (i64, i64, AckType);

/// Cuts what is said into offsets of one kind.
fn said(batches: &[AckBatch]) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    for batch in batches {
        if let [one] = batch.types[..] {
            said.push((batch.first, batch.last, one));
            continue;
        }
        let begin = said.len();
        for (offset, kind) in (batch.first..=batch.last).zip(&batch.types) {
            match said[begin..].last_mut() {
                Some((_, last, before)) if before == kind => *last = offset,
                _ => said.push((offset, offset, *kind)),
            }
        }
    }
    said
}

impl SharePartition {
    /// Takes in what a member says about records that it has; all of it or nothing. `None` if nothing of it has to be
    /// written.
    ///
    /// # Errors
    /// INVALID_RECORD_STATE if the member does not have one of the records, INVALID_REQUEST if one was never handed
    /// out though others are in flight. What is before the group's position is passed over, as in Kafka: the log may have been cut meanwhile.
    pub fn acknowledge(
        &mut self,
        member: &str,
        now_ms: i64,
        batches: &[AckBatch],
    ) -> Result<Option<Write>, Refused> {
        let said = said(batches);
        for &(first, last, _) in &said {
            self.check(member, first, last)?;
        }
        let ticket = self.next_ticket();
        let (limit, until) = (self.limits.deliveries_max, now_ms.saturating_add(self.limits.lock_ms));
        let mut changed = Vec::new();
        for (first, last, kind) in said {
            let first = first.max(self.start);
            for (at, run) in self.runs.cut(first, last) {
                let to = match kind {
                    AckType::Gap | AckType::Reject => State::Archived,
                    AckType::Accept => State::Acknowledged,
                    AckType::Release => released(run.deliveries, limit),
                    AckType::Renew => {
                        if let State::Acquired { until_ms, .. } = &mut run.state {
                            *until_ms = until;
                        }
                        continue;
                    }
                };
                changed.push(batch(at, run.last, &to, run.deliveries));
                run.pending = Some(Pending { ticket, to, deliveries: run.deliveries });
            }
        }
        Ok(self.begin(changed))
    }

    /// Whether a member has all of these records, and nothing is on its way about them.
    fn check(&self, member: &str, first: i64, last: i64) -> Result<(), Refused> {
        if last < self.start {
            return Ok(());
        }
        let mut at = first.max(self.start);
        if self.window() == 0 {
            // Where nothing is in flight Kafka finds no record to speak of.
            return Err(ErrorCode::InvalidRecordState);
        }
        if last >= self.next {
            return Err(ErrorCode::InvalidRequest);
        }
        for (from, run) in self.runs.over(at, last) {
            let is_held = match &run.state {
                State::Acquired { member: holder, .. } => {
                    **holder == *member || mistakes::is_made("shared records not kept")
                }
                _ => false,
            };
            if from > at || !is_held || run.pending.is_some() {
                return Err(ErrorCode::InvalidRecordState);
            }
            at = run.last.saturating_add(1);
        }
        if at <= last { Err(ErrorCode::InvalidRecordState) } else { Ok(()) }
    }
}
