//! Records whose every byte follows from their name, so that whoever reads one knows whether it is right.

use base::Random;
use kafka_wire::{BatchBuilder, RecordBatch};

/// Names a record: who made it, and its number there, from 0. A lane writes to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordId {
    pub lane: u32,
    pub counter: u64,
}

/// Lane, counter, length of the whole value.
const PREFIX_BYTES: usize = 16;
const FIRST_TIMESTAMP: i64 = 1_600_000_000_000;

/// A batch that a lane sends, as often as it must.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub first: RecordId,
    pub count: u64,
    pub bytes: Vec<u8>,
}

/// A batch as it was found in a log.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub base_offset: i64,
    pub records: Vec<(RecordId, i64)>,
}

impl Found {
    /// The offset after the last record.
    pub(crate) fn end(&self) -> i64 {
        self.base_offset + self.records.len() as i64
    }
}

/// A batch of a log with transactions.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub base_offset: i64,
    pub last_offset: i64,
    pub producer_id: i64,
    pub is_transactional: bool,
    /// It ends a transaction: by a commit, or not.
    pub marker: Option<bool>,
    /// The names of its records, the first at the base offset.
    pub ids: Vec<RecordId>,
}

fn seed(id: RecordId) -> u64 {
    u64::from(id.lane) << 40 ^ id.counter
}

/// The create time of a record. It grows with the counter, and differs from lane to lane.
pub(crate) fn timestamp(id: RecordId) -> i64 {
    FIRST_TIMESTAMP + id.counter as i64 * 10 + i64::from(id.lane % 97)
}

fn value(id: RecordId, length: usize) -> Vec<u8> {
    let length = length.max(PREFIX_BYTES);
    let mut bytes = vec![0; length];
    bytes[..4].copy_from_slice(&id.lane.to_be_bytes());
    bytes[4..12].copy_from_slice(&id.counter.to_be_bytes());
    bytes[12..16].copy_from_slice(&(length as u32).to_be_bytes());
    Random::new(seed(id)).fill(&mut bytes[PREFIX_BYTES..]);
    bytes
}

/// A batch of the next records of a lane; `producer` is id, epoch and sequence of an idempotent one.
pub(crate) fn batch(first: RecordId, sizes: &[usize], producer: Option<(i64, i16, i32)>) -> Batch {
    let mut builder = BatchBuilder::new();
    if let Some((id, epoch, sequence)) = producer {
        builder = builder.producer(id, epoch, sequence);
    }
    fill(builder, first, sizes)
}

/// The same within a transaction.
pub(crate) fn transactional(first: RecordId, sizes: &[usize], producer: (i64, i16, i32)) -> Batch {
    let (id, epoch, sequence) = producer;
    fill(BatchBuilder::new().producer(id, epoch, sequence).transactional(), first, sizes)
}

fn fill(mut builder: BatchBuilder, first: RecordId, sizes: &[usize]) -> Batch {
    for (place, size) in sizes.iter().enumerate() {
        let id = RecordId { counter: first.counter + place as u64, ..first };
        builder.append(timestamp(id), None, Some(&value(id, *size)), &[]).expect("records here are small");
    }
    let bytes = builder.build().expect("batches here are small");
    Batch { first, count: sizes.len() as u64, bytes }
}

/// Takes the batches of a fetch apart and verifies every byte of them.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Found>, String> {
    each(bytes, read_batch)
}

/// The same of a log with transactions.
pub(crate) fn read_pieces(bytes: &[u8]) -> Result<Vec<Piece>, String> {
    each(bytes, read_piece)
}

fn each<T>(bytes: &[u8], read: impl Fn(&RecordBatch<'_>) -> Result<T, String>) -> Result<Vec<T>, String> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (batch, behind) =
            RecordBatch::split_first(rest).map_err(|error| format!("no whole batch: {error}"))?;
        if batch.crc() != batch.compute_crc() {
            return Err(format!("the checksum of the batch at offset {} is wrong", batch.base_offset()));
        }
        all.push(read(&batch).map_err(|why| format!("batch at {}: {why}", batch.base_offset()))?);
        rest = behind;
    }
    Ok(all)
}

fn read_piece(batch: &RecordBatch<'_>) -> Result<Piece, String> {
    let (marker, ids) = match batch.is_control() {
        true => (Some(read_marker(batch)?), Vec::new()),
        false => (None, read_batch(batch)?.records.into_iter().map(|(id, _)| id).collect()),
    };
    Ok(Piece {
        base_offset: batch.base_offset(),
        last_offset: batch.last_offset(),
        producer_id: batch.producer_id(),
        is_transactional: batch.is_transactional(),
        marker,
        ids,
    })
}

/// Whether a control batch commits a transaction; else it aborts one.
fn read_marker(batch: &RecordBatch<'_>) -> Result<bool, String> {
    let mut records = batch.records().map_err(|error| error.to_string())?;
    let record = records.next().ok_or("a control batch without a record")?;
    let key = record.map_err(|error| error.to_string())?.key.unwrap_or_default();
    match key {
        [_, _, 0, 0] => Ok(false),
        [_, _, 0, 1] => Ok(true),
        other => Err(format!("a control record with the key {other:?}")),
    }
}

fn read_batch(batch: &RecordBatch<'_>) -> Result<Found, String> {
    let mut records = Vec::new();
    for (place, record) in batch.records().map_err(|error| error.to_string())?.enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        if record.offset_delta != place as i32 {
            return Err(format!("record {place} has offset delta {}", record.offset_delta));
        }
        let id = identify(record.value.unwrap_or_default())?;
        let time = batch.base_timestamp() + record.timestamp_delta;
        if time != timestamp(id) {
            return Err(format!("{id:?} has another timestamp than it was sent with"));
        }
        records.push((id, time));
    }
    if records.is_empty() || batch.last_offset_delta() + 1 != records.len() as i32 {
        return Err("its counts disagree".to_owned());
    }
    Ok(Found { base_offset: batch.base_offset(), records })
}

/// The name of a record from its value, all of which is compared.
fn identify(bytes: &[u8]) -> Result<RecordId, String> {
    let Some((prefix, _)) = bytes.split_at_checked(PREFIX_BYTES) else {
        return Err(format!("a value of {} bytes, which nobody sent", bytes.len()));
    };
    let lane = u32::from_be_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
    let counter = prefix[4..12].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let id = RecordId { lane, counter };
    match value(id, bytes.len()) == bytes {
        true => Ok(id),
        false => Err(format!("the value of {id:?} is not what was sent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_read_back_and_damage_is_seen() {
        let first = RecordId { lane: 3, counter: 40 };
        let batch = batch(first, &[20, 300, 16], Some((7, 0, 40)));
        let found = read(&batch.bytes).expect("whole");
        let ids: Vec<u64> = found[0].records.iter().map(|(id, _)| id.counter).collect();
        assert_eq!((ids, found[0].end()), (vec![40, 41, 42], 3));
        for place in [17, 30, 70, batch.bytes.len() - 1] {
            let mut damaged = batch.bytes.clone();
            damaged[place] ^= 1;
            assert!(read(&damaged).is_err(), "byte {place}");
        }
        assert!(read(&batch.bytes[..100]).is_err(), "cut");
    }

    #[test]
    fn records_and_ends_of_transactions_are_told_apart() {
        let first = RecordId { lane: 3, counter: 40 };
        let mut bytes = transactional(first, &[20, 30], (7, 1, 0)).bytes;
        let mut marker = BatchBuilder::new().base_offset(2).producer(7, 1, -1).transactional().control();
        marker.append(5, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]).expect("small");
        bytes.extend(marker.build().expect("small"));
        let pieces = read_pieces(&bytes).expect("whole");
        let told: Vec<_> = pieces.iter().map(|one| (one.last_offset, one.marker, one.ids.len())).collect();
        assert_eq!(told, [(1, None, 2), (2, Some(true), 0)]);
        assert!(pieces.iter().all(|one| one.is_transactional && one.producer_id == 7));
        assert!(read(&bytes).is_err(), "a control batch has no record that anybody sent");
    }

    #[test]
    fn damage_is_seen_below_a_right_checksum_too() {
        let first = RecordId { lane: 1, counter: 0 };
        let mut bytes = batch(first, &[50], None).bytes;
        let last = bytes.len() - 5;
        bytes[last] ^= 4;
        // The append time sets a new checksum.
        kafka_wire::record_batch::set_log_append_time(&mut bytes, 5).expect("a batch");
        assert!(read(&bytes).expect_err("damaged").contains("not what was sent"));
    }
}
