//! Reading a coordinator's log from its beginning.

use super::writes::Transaction;
use kafka_wire::{Reader, RecordBatch, WireError};
use memory::Slice;
use model::{LeaderEpoch, Offset, TopicPartition};
use shard::operation::{Operation, ReadDone, ReadItem};
use shard::{Outcome, Service};
use std::time::Duration;
use storage::ReadBound;

/// What is read between two looks at other work.
const PORTION_BYTES: usize = 128 << 10;
/// Pause between two looks at whether earlier writes have come to their end.
const SETTLE: Duration = Duration::from_millis(20);

/// What is found in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A record, and the transaction that it belongs to.
    Record { transaction: Option<Transaction>, key: &'a [u8], value: Option<&'a [u8]> },
    /// The end of a producer's transaction.
    Marker { transaction: Transaction, commit: bool },
}

/// Shows everything that is durable in a partition of this core, in order. Waits first until nothing is on its way
/// into it any more.
///
/// # Errors
/// One line, if the log cannot be read. What it has shown until then is of no use.
pub(crate) async fn replay(
    service: &Service,
    id: TopicPartition,
    mut show: impl FnMut(Entry<'_>),
) -> Result<(), String> {
    let mut at = None;
    loop {
        let partition = service.store().partition(id).ok_or("the partition is not there")?;
        let offsets = partition.offsets();
        if offsets.high_watermark < offsets.log_end {
            executor::sleep(SETTLE).await;
            continue;
        }
        let from = at.unwrap_or(offsets.log_start);
        if from >= offsets.high_watermark {
            return Ok(());
        }
        let done = read(service, id, from).await?;
        if done.bytes == 0 {
            return Ok(());
        }
        at = Some(take_in(&joined(&done.slices, done.bytes), from, &mut show)?);
        executor::yield_now().await;
    }
}

async fn read(service: &Service, id: TopicPartition, from: Offset) -> Result<ReadDone, String> {
    let item = ReadItem { partition: id, from, bytes_max: PORTION_BYTES, leader_epoch: LeaderEpoch::UNKNOWN };
    let operation = Operation::Read {
        items: vec![item],
        bytes_max: PORTION_BYTES,
        minimum_one: true,
        bound: ReadBound::HighWatermark,
    };
    match service.begin(operation).await {
        Outcome::Read(mut results) => match results.pop() {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(format!("it cannot be read at offset {from}: {error:?}")),
            None => Err("a read without a result".to_owned()),
        },
        _ => Err("a read with the outcome of something else".to_owned()),
    }
}

/// Batches in one piece: they may begin in one slice and end in the next.
fn joined(slices: &[Slice], bytes: usize) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes);
    slices.iter().for_each(|slice| all.extend_from_slice(slice));
    all
}

/// Shows what is in some batches; tells where to go on.
fn take_in(bytes: &[u8], from: Offset, show: &mut impl FnMut(Entry<'_>)) -> Result<Offset, String> {
    let (mut rest, mut next) = (bytes, from);
    while !rest.is_empty() {
        let (batch, behind) =
            RecordBatch::split_first(rest).map_err(|error| format!("at offset {next}: {error}"))?;
        rest = behind;
        let end = Offset(batch.last_offset().saturating_add(1));
        if end <= next {
            return Err(format!("at offset {next} is a batch that ends at {end}"));
        }
        if let Err(error) = show_batch(&batch, show) {
            log::error!("a batch at offset {next} cannot be read, and is left out: {error}");
        }
        next = end;
    }
    Ok(next)
}

fn show_batch(batch: &RecordBatch<'_>, show: &mut impl FnMut(Entry<'_>)) -> Result<(), WireError> {
    let transaction = batch.is_transactional().then(|| (batch.producer_id(), batch.producer_epoch()));
    for record in batch.records()? {
        let record = record?;
        let Some(key) = record.key else { continue };
        match transaction {
            Some(transaction) if batch.is_control() => {
                if let Some(commit) = marker(key)? {
                    show(Entry::Marker { transaction, commit });
                }
            }
            _ if batch.is_control() => {}
            transaction => show(Entry::Record { transaction, key, value: record.value }),
        }
    }
    Ok(())
}

/// Whether a control record says that a transaction is committed, or aborted; `None` if it says something else.
fn marker(key: &[u8]) -> Result<Option<bool>, WireError> {
    let mut reader = Reader::new(key);
    reader.i16()?;
    Ok(match reader.i16()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::BatchBuilder;

    fn shown(bytes: &[u8]) -> (Vec<String>, Result<Offset, String>) {
        let mut all = Vec::new();
        let end = take_in(bytes, Offset(0), &mut |entry: Entry<'_>| all.push(format!("{entry:?}")));
        (all, end)
    }

    fn one(mut builder: BatchBuilder, key: &[u8]) -> Vec<u8> {
        builder.append(1, Some(key), None, &[]).expect("small");
        builder.build().expect("small")
    }

    #[test]
    fn records_and_markers_come_in_order() {
        let mut bytes = one(BatchBuilder::new(), b"a");
        bytes.extend(one(BatchBuilder::new().base_offset(1).producer(7, 2, -1).transactional(), b"b"));
        let control = BatchBuilder::new().base_offset(2).producer(7, 2, -1).transactional().control();
        bytes.extend(one(control, &[0, 0, 0, 1]));
        let (all, end) = shown(&bytes);
        assert_eq!(end, Ok(Offset(3)));
        let expected = [
            Entry::Record { transaction: None, key: b"a", value: None },
            Entry::Record { transaction: Some((7, 2)), key: b"b", value: None },
            Entry::Marker { transaction: (7, 2), commit: true },
        ];
        assert_eq!(all, expected.map(|entry| format!("{entry:?}")));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_what_is_no_batch_is_an_error() {
        let mut bytes = one(BatchBuilder::new(), b"a");
        // A length beyond the batch's end.
        bytes[61] = 0x7e;
        bytes.extend(one(BatchBuilder::new().base_offset(1), b"b"));
        let (all, end) = shown(&bytes);
        assert_eq!((all.len(), end), (1, Ok(Offset(2))));
        assert!(shown(&bytes[..20]).1.is_err());
        let again = [one(BatchBuilder::new(), b"a"), one(BatchBuilder::new(), b"a")].concat();
        assert!(shown(&again).1.is_err(), "offsets that do not go on");
    }
}
