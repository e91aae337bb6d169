//! What is known of one transactional id, and the changes that it goes through.
//!
//! Each change is a method that leaves the whole of it right; whether it may happen is judged before.

use crate::{EPOCH_BUMP, PartitionSet, State};
use base::mistakes;
use kafka_wire::ErrorCode;

/// In place of a producer id: none.
pub const NO_PRODUCER: i64 = -1;
/// In place of an epoch: none.
pub const NO_EPOCH: i16 = -1;
/// Of a timeout: it never comes (two-phase commit, KIP-939).
const NO_TIMEOUT: i32 = i32::MAX;

/// A producer gets no epoch above this: one more is kept for fencing it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// Whether a producer in this epoch needs a new id for its next one.
pub(crate) fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_EPOCH
}

/// What is known of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The producer id.
    pub producer_id: i64,
    /// The producer id before the last change; [`NO_PRODUCER`] at first.
    pub previous_producer_id: i64,
    /// The producer id after this transaction, when its epochs are used up; else [`NO_PRODUCER`].
    pub next_producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// The epoch before the last raise, by which a retry is known; [`NO_EPOCH`]: none. Not in the log.
    pub last_epoch: i16,
    /// How long a transaction may be open, in milliseconds.
    pub timeout_ms: i32,
    /// Where it stands.
    pub state: State,
    /// The partitions of the transaction; when it is prepared, those without a marker.
    pub partitions: PartitionSet,
    /// When the transaction began, in ms since 1970; -1: there was none yet.
    pub start_ms: i64,
    /// When it last changed, in ms since 1970.
    pub update_ms: i64,
    /// The level of `transaction.version` that the last change was made by: 0 or 2.
    pub client_version: i16,
}

impl Transaction {
    /// Of an id that is new. It has no epoch yet: [`Transaction::raise_epoch`] gives it 0.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER,
            next_producer_id: NO_PRODUCER,
            epoch: NO_EPOCH,
            last_epoch: NO_EPOCH,
            timeout_ms,
            state: State::Empty,
            partitions: PartitionSet::default(),
            start_ms: -1,
            update_ms: now_ms,
            client_version: 0,
        }
    }

    /// The producer id and epoch that the client has been given.
    ///
    /// They differ from those of the transaction while it is being ended and its epochs are used up.
    pub fn identity(&self) -> (i64, i16) {
        match self.state.is_prepared() && self.next_producer_id != NO_PRODUCER {
            true => (self.next_producer_id, 0),
            false => (self.producer_id, self.epoch),
        }
    }

    /// Whether this is the producer, in its epoch, that may add to the transaction.
    pub(crate) fn check_producer(&self, producer_id: i64, epoch: i16) -> Result<(), ErrorCode> {
        match self.identity() {
            current if current == (producer_id, epoch) => Ok(()),
            _ if mistakes::is_made("fencing not checked") => Ok(()),
            (current, _) if producer_id == current || producer_id == self.producer_id => {
                Err(ErrorCode::ProducerFenced)
            }
            _ => Err(ErrorCode::InvalidProducerIdMapping),
        }
    }

    /// Whether a producer that names its id and epoch may go on (KIP-360). The epoch of the current id is looked
    /// at later; the previous id is that of a retry whose answer, a new id, was lost.
    pub(crate) fn accepts(&self, producer_id: i64, epoch: i16) -> bool {
        let given = self.identity().0;
        self.epoch == NO_EPOCH
            || producer_id == self.producer_id
            || producer_id == given
            || (producer_id == self.previous_producer_id && is_exhausted(epoch))
    }

    /// Its epochs are used up.
    pub(crate) fn is_exhausted(&self) -> bool {
        is_exhausted(self.epoch)
    }

    /// The moment from which the open transaction is over its time, in ms; `None`: there is none, or it has all
    /// the time.
    pub(crate) fn timeout_at_ms(&self) -> Option<i64> {
        let ends = self.state == State::Ongoing && self.timeout_ms != NO_TIMEOUT;
        ends.then(|| self.start_ms.saturating_add(i64::from(self.timeout_ms)).saturating_add(1))
    }

    fn enter(&mut self, state: State) {
        debug_assert!(state.may_follow(self.state), "{:?} to {state:?}", self.state);
        self.previous_producer_id = self.producer_id;
        self.state = state;
    }

    /// The producer begins anew, in the next epoch; `expected` is the one that it has, if it says so.
    ///
    /// # Errors
    /// PRODUCER_FENCED when it has neither the current epoch nor, in a retry, the last.
    pub(crate) fn raise_epoch(
        &mut self,
        timeout_ms: i32,
        expected: Option<i16>,
        now_ms: i64,
    ) -> Result<(), ErrorCode> {
        let (epoch, last_epoch) = match expected {
            _ if self.epoch == NO_EPOCH => (0, NO_EPOCH),
            Some(expected) if expected == self.last_epoch && self.epoch <= LAST_EPOCH => {
                (self.epoch, self.last_epoch)
            }
            _ if self.is_exhausted() => return Err(ErrorCode::ProducerFenced),
            None => (self.epoch + 1, NO_EPOCH),
            Some(expected) if expected == self.epoch => (self.epoch + 1, self.epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        self.enter(State::Empty);
        (self.epoch, self.last_epoch) = (epoch, last_epoch);
        self.begin_anew(timeout_ms, now_ms);
        Ok(())
    }

    /// The producer begins anew, with a new id in epoch 0.
    pub(crate) fn rotate(&mut self, producer_id: i64, timeout_ms: i32, keep_last: bool, now_ms: i64) {
        self.enter(State::Empty);
        self.last_epoch = if keep_last { self.epoch } else { NO_EPOCH };
        (self.producer_id, self.epoch) = (producer_id, 0);
        self.begin_anew(timeout_ms, now_ms);
    }

    fn begin_anew(&mut self, timeout_ms: i32, now_ms: i64) {
        self.timeout_ms = timeout_ms;
        self.partitions = PartitionSet::default();
        self.start_ms = -1;
        self.update_ms = now_ms;
    }

    /// Adds partitions, and opens a transaction if none is.
    pub(crate) fn add(&mut self, partitions: &PartitionSet, client_version: i16, now_ms: i64) {
        if self.state != State::Ongoing {
            self.start_ms = now_ms;
        }
        self.enter(State::Ongoing);
        self.partitions.extend(partitions);
        self.update_ms = now_ms;
        self.client_version = client_version;
    }

    /// Shuts the producer out by an epoch that nobody is given. The abort must follow.
    pub(crate) fn fence(&mut self) {
        self.enter(State::PrepareEpochFence);
        self.epoch = self.epoch.saturating_add(1);
        self.last_epoch = NO_EPOCH;
    }

    /// Decides how the transaction ends. `next_producer_id` is given when the end uses up the epochs.
    pub(crate) fn prepare(&mut self, commit: bool, client_version: i16, next_producer_id: i64, now_ms: i64) {
        if self.state.is_idle() {
            // A V2 abort of a transaction that has not begun here; it needs a time at which it did.
            self.start_ms = now_ms;
        }
        self.enter(if commit { State::PrepareCommit } else { State::PrepareAbort });
        if client_version >= EPOCH_BUMP {
            self.last_epoch = self.epoch;
            // Only the abort that follows a fence can be at the last epoch of all.
            self.epoch = self.epoch.saturating_add(1);
        }
        self.next_producer_id = next_producer_id;
        self.update_ms = now_ms;
        self.client_version = client_version;
    }

    /// All markers are durable.
    pub(crate) fn complete(&mut self, now_ms: i64) {
        let commit = self.state == State::PrepareCommit;
        let (producer_id, epoch) = self.identity();
        self.enter(if commit { State::CompleteCommit } else { State::CompleteAbort });
        (self.producer_id, self.epoch) = (producer_id, epoch);
        self.next_producer_id = NO_PRODUCER;
        self.partitions = PartitionSet::default();
        self.update_ms = now_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ongoing(epoch: i16) -> Transaction {
        let mut transaction = Transaction::new(7, 1000, 5);
        transaction.epoch = epoch;
        transaction.add(&[("a", 0)].into_iter().collect(), 2, 10);
        transaction
    }

    #[test]
    fn epochs_are_raised_or_known_as_a_retry() {
        // Epoch and last epoch before, the expected one, and both after.
        let cases = [
            ((-1, -1), None, Ok((0, -1))),
            ((-1, -1), Some(9), Ok((0, -1))),
            ((4, 3), None, Ok((5, -1))),
            ((4, 3), Some(4), Ok((5, 4))),
            ((4, 3), Some(3), Ok((4, 3))),
            ((4, 3), Some(2), Err(ErrorCode::ProducerFenced)),
            ((4, 3), Some(5), Err(ErrorCode::ProducerFenced)),
            ((4, -1), Some(3), Err(ErrorCode::ProducerFenced)),
            ((LAST_EPOCH, LAST_EPOCH - 1), Some(LAST_EPOCH - 1), Ok((LAST_EPOCH, LAST_EPOCH - 1))),
            ((LAST_EPOCH, -1), Some(3), Err(ErrorCode::ProducerFenced)),
            ((i16::MAX, i16::MAX), Some(3), Err(ErrorCode::ProducerFenced)),
        ];
        for ((epoch, last_epoch), expected, after) in cases {
            let mut transaction = Transaction::new(7, 1000, 0);
            (transaction.epoch, transaction.last_epoch) = (epoch, last_epoch);
            let result = transaction.raise_epoch(2000, expected, 9);
            let got = result.map(|()| (transaction.epoch, transaction.last_epoch));
            assert_eq!(got, after, "{epoch} {last_epoch} {expected:?}");
            let changed = after.is_ok();
            assert_eq!((transaction.timeout_ms, transaction.update_ms) == (2000, 9), changed);
        }
    }

    #[test]
    fn an_end_of_v2_raises_the_epoch_and_one_of_v1_does_not() {
        for (client_version, epoch) in [(0, 4), (2, 5)] {
            let mut transaction = ongoing(4);
            transaction.prepare(true, client_version, NO_PRODUCER, 20);
            assert_eq!(transaction.identity(), (7, epoch));
            transaction.complete(30);
            assert_eq!((transaction.identity(), transaction.state), ((7, epoch), State::CompleteCommit));
            assert_eq!((transaction.start_ms, transaction.update_ms), (10, 30));
            assert!(transaction.partitions.is_empty());
        }
    }

    #[test]
    fn the_last_epoch_goes_over_to_the_next_producer_id() {
        let mut transaction = ongoing(LAST_EPOCH);
        assert!(transaction.is_exhausted());
        transaction.prepare(false, 2, 8, 20);
        assert_eq!((transaction.producer_id, transaction.epoch), (7, i16::MAX), "of the markers");
        assert_eq!(transaction.identity(), (8, 0), "of the client");
        assert_eq!(transaction.check_producer(8, 0), Ok(()));
        assert_eq!(transaction.check_producer(8, 1), Err(ErrorCode::ProducerFenced));
        assert_eq!(transaction.check_producer(7, LAST_EPOCH), Err(ErrorCode::ProducerFenced));
        assert_eq!(transaction.check_producer(9, 0), Err(ErrorCode::InvalidProducerIdMapping));
        transaction.complete(30);
        assert_eq!((transaction.producer_id, transaction.epoch, transaction.previous_producer_id), (8, 0, 7));
        assert_eq!((transaction.last_epoch, transaction.next_producer_id), (LAST_EPOCH, NO_PRODUCER));
        assert!(transaction.accepts(7, LAST_EPOCH) && !transaction.accepts(7, 3));
    }

    #[test]
    fn a_fence_never_runs_out_of_epochs() {
        for epoch in [0, LAST_EPOCH, i16::MAX] {
            let mut transaction = ongoing(epoch);
            transaction.fence();
            transaction.prepare(false, 2, NO_PRODUCER, 20);
            assert_eq!(transaction.epoch, epoch.saturating_add(2));
            transaction.complete(30);
            assert_eq!(transaction.is_exhausted(), epoch >= LAST_EPOCH);
        }
    }

    #[test]
    fn only_an_open_transaction_is_over_its_time() {
        let mut transaction = ongoing(0);
        assert_eq!(transaction.timeout_at_ms(), Some(1011));
        transaction.timeout_ms = NO_TIMEOUT;
        assert_eq!(transaction.timeout_at_ms(), None);
        transaction.timeout_ms = 1000;
        transaction.start_ms = i64::MAX;
        assert_eq!(transaction.timeout_at_ms(), Some(i64::MAX));
        transaction.prepare(true, 0, NO_PRODUCER, 20);
        assert_eq!(transaction.timeout_at_ms(), None);
    }
}
