//! Which batches of a producer a log takes, by its epochs and its open transaction.
//!
//! Sequence numbers are looked at elsewhere.

use super::EndMarker;

/// Markers from this level of `transaction.version` on have an epoch of their own (KIP-890, KIP-1228).
const EPOCH_BUMP: i16 = 2;

/// What a log knows of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownProducer {
    /// The epoch of its last batch or marker.
    pub epoch: i16,
    /// The epoch of the coordinator that wrote its last marker; -1: none did.
    pub coordinator_epoch: i32,
    /// It has a transaction open here.
    pub is_open: bool,
}

/// Why a log does not take a batch or a marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// INVALID_PRODUCER_EPOCH: the epoch is older than what the log has seen.
    ProducerEpoch,
    /// TRANSACTION_COORDINATOR_FENCED: a newer coordinator has written a marker.
    CoordinatorEpoch,
    /// INVALID_TXN_STATE: a batch outside of the transaction that its producer has open.
    NotTransactional,
}

/// Whether a log takes a batch of data; `known` is `None` for a producer that it knows nothing of.
///
/// # Errors
/// What is against it.
pub fn check_data(
    epoch: i16,
    is_transactional: bool,
    known: Option<&KnownProducer>,
) -> Result<(), Violation> {
    let Some(known) = known else { return Ok(()) };
    if epoch < known.epoch {
        return Err(Violation::ProducerEpoch);
    }
    match known.is_open && !is_transactional {
        true => Err(Violation::NotTransactional),
        false => Ok(()),
    }
}

/// Whether a log takes a marker that was decided at a level of `transaction.version`: that of the coordinator, or 0
/// for WriteTxnMarkers before version 2.
///
/// A marker is taken again when it came before: its coordinator asks until it has an answer.
///
/// # Errors
/// What is against it.
pub fn check_marker(
    marker: &EndMarker,
    transaction_version: i16,
    known: Option<&KnownProducer>,
) -> Result<(), Violation> {
    let Some(known) = known else { return Ok(()) };
    let is_newer = marker.producer_epoch > known.epoch;
    let is_same = marker.producer_epoch == known.epoch;
    let is_allowed = match transaction_version >= EPOCH_BUMP {
        // In the same epoch the marker is there already, unless what is open has begun after it.
        true => is_newer || (is_same && !known.is_open),
        false => is_newer || is_same,
    };
    if !is_allowed {
        return Err(Violation::ProducerEpoch);
    }
    match marker.coordinator_epoch < known.coordinator_epoch {
        true => Err(Violation::CoordinatorEpoch),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_of_the_newest_epoch_and_in_the_open_transaction() {
        use Violation::*;
        let cases = [
            (4, true, None, Ok(())),
            (4, true, Some((5, false)), Err(ProducerEpoch)),
            (4, false, Some((5, true)), Err(ProducerEpoch)),
            (5, true, Some((5, true)), Ok(())),
            (5, false, Some((5, true)), Err(NotTransactional)),
            (5, false, Some((5, false)), Ok(())),
            (6, true, Some((5, false)), Ok(())),
        ];
        for (epoch, is_transactional, known, expected) in cases {
            let known = known.map(|(epoch, is_open)| KnownProducer { epoch, coordinator_epoch: -1, is_open });
            let got = check_data(epoch, is_transactional, known.as_ref());
            assert_eq!(got, expected, "{epoch} {is_transactional} {known:?}");
        }
    }

    #[test]
    fn markers_are_of_the_newest_epochs() {
        use Violation::*;
        // Epoch of the marker, whether one is open, and the verdicts for V1 and V2; 5 is known.
        let cases = [
            (4, true, Err(ProducerEpoch), Err(ProducerEpoch)),
            (4, false, Err(ProducerEpoch), Err(ProducerEpoch)),
            (5, true, Ok(()), Err(ProducerEpoch)),
            (5, false, Ok(()), Ok(())),
            (6, true, Ok(()), Ok(())),
            (6, false, Ok(()), Ok(())),
        ];
        for (producer_epoch, is_open, v1, v2) in cases {
            let known = KnownProducer { epoch: 5, coordinator_epoch: 3, is_open };
            let marker = EndMarker { producer_id: 1, producer_epoch, commit: true, coordinator_epoch: 3 };
            for (level, expected) in [(0, v1), (1, v1), (2, v2)] {
                assert_eq!(check_marker(&marker, level, Some(&known)), expected, "{producer_epoch} {level}");
            }
            let old = EndMarker { coordinator_epoch: 2, ..marker };
            let expected = v1.and(Err(CoordinatorEpoch));
            assert_eq!(check_marker(&old, 0, Some(&known)), expected, "{producer_epoch}");
            assert_eq!(check_marker(&old, 0, None), Ok(()));
        }
    }
}
