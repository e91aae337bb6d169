//! Transactions in a log: what readers of committed data see, and that it is the same after a crash.

use super::{Rig, batch_of, by_producer, context, spec_with, start};
use crate::transactions::EndMarker;
use crate::{AppendContext, AppendError, LogConfig, Origin, Partition, ReadBound, Store};
use model::Offset;

/// A batch of one record in a transaction.
fn data(producer_id: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    let mut bytes = batch_of(1, &[5; 300]);
    bytes[21..23].copy_from_slice(&0x10i16.to_be_bytes());
    by_producer(bytes, producer_id, epoch, sequence)
}

fn verified() -> AppendContext {
    AppendContext { origin: Origin::Verified { bumps_epoch: true }, ..context() }
}

async fn put(store: &Store, partition: &Partition, bytes: &[u8]) -> Result<Offset, AppendError> {
    put_as(store, partition, bytes, &verified()).await
}

async fn put_as(
    store: &Store,
    partition: &Partition,
    bytes: &[u8],
    context: &AppendContext,
) -> Result<Offset, AppendError> {
    loop {
        match partition.append(bytes, context) {
            Err(AppendError::Busy) => store.room().await,
            Err(error) => return Err(error),
            Ok(appended) => {
                store.committed(&appended.ticket).await.expect("durable");
                return Ok(appended.base_offset);
            }
        }
    }
}

async fn end(store: &Store, partition: &Partition, producer_id: i64, epoch: i16, commit: bool) -> Offset {
    end_by(2, store, partition, (producer_id, epoch, commit)).await
}

/// Ends a transaction at a level of `transaction.version`.
async fn end_by(
    level: i16,
    store: &Store,
    partition: &Partition,
    (producer_id, epoch, commit): (i64, i16, bool),
) -> Offset {
    let marker = EndMarker { producer_id, producer_epoch: epoch, commit, coordinator_epoch: 0 };
    let context = AppendContext { origin: Origin::Coordinator, ..context() };
    loop {
        match partition.append_marker(&marker, level, &context) {
            Err(AppendError::Busy) => store.room().await,
            Err(error) => panic!("{error}"),
            Ok(appended) => {
                store.committed(&appended.ticket).await.expect("durable");
                return appended.base_offset;
            }
        }
    }
}

/// What a reader of committed data gets from an offset on: the end of it, and what it is to skip.
async fn committed(partition: &Partition, from: i64) -> (i64, Vec<(i64, i64)>) {
    let read = partition.read(Offset(from), 1 << 20, true, ReadBound::LastStable).await.expect("reads");
    let skipped = partition.aborted(Offset(from), read.end).await.expect("finds");
    (read.end.0, skipped.into_iter().map(|(producer, first)| (producer, first.0)).collect())
}

#[test]
fn readers_of_committed_data_stop_before_what_is_open_and_hear_what_was_aborted() {
    let mut rig = Rig::new(41);
    // Two or three batches a segment.
    let config = LogConfig { segment_bytes: 1000, ..LogConfig::default() };
    let run = rig.begin();
    let options = rig.options(&run);
    let ours = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, ours)).await.expect("creates");
        let unverified = AppendError::Unverified { log_end: Offset(0) };
        assert_eq!(partition.append(&data(7, 0, 0), &context()).err(), Some(unverified));
        assert_eq!(put(&store, &partition, &data(7, 0, 0)).await, Ok(Offset(0)));
        assert_eq!(put(&store, &partition, &data(8, 0, 0)).await, Ok(Offset(1)));
        // What goes on needs no word of the coordinator.
        assert!(partition.append(&data(7, 0, 1), &context()).is_ok());
        assert_eq!(committed(&partition, 0).await, (0, Vec::new()));
        assert_eq!(end(&store, &partition, 7, 1, false).await, Offset(3));
        assert_eq!(committed(&partition, 0).await, (1, vec![(7, 0)]));
        assert_eq!(partition.offsets().last_stable, Offset(1));
        assert_eq!(put(&store, &partition, &data(7, 0, 2)).await, Err(AppendError::InvalidProducerEpoch));
        assert_eq!(put(&store, &partition, &data(7, 1, 0)).await, Ok(Offset(4)));
        assert_eq!(end(&store, &partition, 8, 1, true).await, Offset(5));
        // The marker comes twice.
        assert_eq!(end(&store, &partition, 8, 1, true).await, Offset(6));
        assert_eq!(committed(&partition, 0).await, (4, vec![(7, 0)]));
        // Behind what is stable there is nothing yet, and that is no error.
        assert_eq!(committed(&partition, 6).await, (6, Vec::new()));
        assert_eq!(end(&store, &partition, 7, 2, false).await, Offset(7));
        assert_eq!(committed(&partition, 4).await, (8, vec![(7, 4)]));
        assert_eq!(put(&store, &partition, &data(9, 3, 0)).await, Ok(Offset(8)));
    });
    // After a power loss, after a clean stop, and then from files alone.
    for clean in [true, false, true] {
        let run = run_of(&mut rig, &config, clean);
        rig.crash(run);
    }
}

#[test]
fn nothing_overtakes_a_batch_that_is_being_verified() {
    let mut rig = Rig::new(42);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, LogConfig::default())).await.expect("creates");
        let sent = |epoch, sequence| partition.append(&data(7, epoch, sequence), &context()).err();
        let unverified = |log_end| Some(AppendError::Unverified { log_end: Offset(log_end) });
        for (epoch, offset) in [(0, 0), (1, 5)] {
            // Two are on their way to the coordinator when the first of them opens the transaction.
            assert_eq!(sent(epoch, 0), unverified(offset));
            assert_eq!(sent(epoch, 1), unverified(offset));
            if epoch > 0 {
                // The marker has begun the epoch, and the first batch of it is not there yet.
                let early = put(&store, &partition, &data(7, epoch, 1)).await;
                assert_eq!(early, Err(AppendError::OutOfOrderSequence));
            }
            assert_eq!(put(&store, &partition, &data(7, epoch, 0)).await, Ok(Offset(offset)));
            assert_eq!(sent(epoch, 2), unverified(offset + 1));
            assert_eq!(put(&store, &partition, &data(7, epoch, 1)).await, Ok(Offset(offset + 1)));
            assert_eq!(sent(epoch, 3), unverified(offset + 2), "the one before is on its way");
            for sequence in [2, 3] {
                let at = Offset(offset + i64::from(sequence));
                assert_eq!(put(&store, &partition, &data(7, epoch, sequence)).await, Ok(at));
            }
            if epoch == 0 {
                end(&store, &partition, 7, 1, true).await;
            }
        }
        assert_eq!(sent(1, 4), None, "none is on its way");
    });
}

#[test]
fn what_was_verified_for_a_transaction_comes_into_no_later_one() {
    let mut rig = Rig::new(43);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, LogConfig::default())).await.expect("creates");
        let (store, partition) = (&store, &partition);
        // Offsets of a group have no sequence numbers: nothing else tells a late batch from one of the next transaction.
        let offsets = |epoch: i16, since: i64| async move {
            let since = Some(Offset(since));
            let context = AppendContext { origin: Origin::Coordinator, since, ..context() };
            put_as(store, partition, &data(7, epoch, -1), &context).await
        };
        assert_eq!(offsets(0, 0).await, Ok(Offset(0)));
        // The marker of V1 has the epoch of the transaction that it ends.
        assert_eq!(end_by(0, store, partition, (7, 0, true)).await, Offset(1));
        assert_eq!(offsets(0, 1).await, Err(AppendError::InvalidTxnState));
        assert_eq!(partition.offsets().last_stable, Offset(2), "none is open");
        assert_eq!(offsets(0, 2).await, Ok(Offset(2)));
        assert_eq!(offsets(0, 1).await, Err(AppendError::InvalidTxnState), "the open one is another");
        assert_eq!(end_by(0, store, partition, (8, 0, true)).await, Offset(3));
        assert_eq!(offsets(0, 3).await, Ok(Offset(4)), "it was the marker of another producer");
        assert_eq!(end_by(0, store, partition, (7, 1, false)).await, Offset(5));
        assert_eq!(offsets(0, 6).await, Err(AppendError::InvalidProducerEpoch));
        assert_eq!(partition.offsets().last_stable, Offset(6));
    });
}

/// One more run, which finds everything as it was.
fn run_of(rig: &mut Rig, config: &LogConfig, clean: bool) -> super::Run {
    let run = rig.begin();
    let options = rig.options(&run);
    let config = config.clone();
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        let (end, mut skipped) = committed(&partition, 0).await;
        skipped.sort_unstable();
        assert_eq!((end, skipped), (8, vec![(7, 0), (7, 4)]));
        assert_eq!(partition.offsets().last_stable, Offset(8));
        let open: Vec<_> = partition
            .producers()
            .into_iter()
            .filter_map(|one| Some((one.producer_id.0, one.current_transaction_start?)))
            .collect();
        assert_eq!(open, [(9, Offset(8))]);
        assert_eq!(put(&store, &partition, &data(8, 0, 1)).await, Err(AppendError::InvalidProducerEpoch));
        if clean {
            store.stop().await.expect("stops");
        }
    });
    run
}
