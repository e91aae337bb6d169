//! The control batch that ends a transaction in one partition.
//!
//! Its one record has a key of version (2 bytes, 0) and type (2 bytes: 0 abort, 1 commit), and a value of version
//! (2 bytes, 0) and coordinator epoch (4 bytes), all big-endian. The batch is transactional, has the producer's id
//! and epoch, and no sequence number.

use crate::batch::{self, BatchHeader, HEADER_BYTES, OVERHEAD_BYTES, varint};

/// The record: its length, attributes, two deltas, key, value, and no headers.
const RECORD_BYTES: usize = 17;
/// The whole batch.
pub const MARKER_BYTES: usize = HEADER_BYTES + RECORD_BYTES;

const ATTRIBUTES: i16 = 0x30;
const MAGIC: u8 = 2;
const TYPE_ABORT: i16 = 0;
const TYPE_COMMIT: i16 = 1;

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMarker {
    /// Whose transaction.
    pub producer_id: i64,
    /// The producer's epoch, or, of V2 and of a fence, the one after (KIP-890).
    pub producer_epoch: i16,
    /// Committed, or aborted.
    pub commit: bool,
    /// The epoch of the coordinator that decided: a marker of an older one is refused.
    pub coordinator_epoch: i32,
}

/// A control batch that is no marker though it should be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMarker;

impl std::fmt::Display for BadMarker {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a control batch that does not hold what its header says")
    }
}

impl std::error::Error for BadMarker {}

/// The batch of a marker, with base offset 0 and no leader epoch, as an append takes it.
pub fn build(marker: &EndMarker, timestamp_ms: i64) -> [u8; MARKER_BYTES] {
    let mut out = [0; MARKER_BYTES];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&0i64.to_be_bytes());
    put(&((MARKER_BYTES - OVERHEAD_BYTES) as i32).to_be_bytes());
    put(&(-1i32).to_be_bytes());
    put(&[MAGIC]);
    put(&0u32.to_be_bytes());
    put(&ATTRIBUTES.to_be_bytes());
    put(&0i32.to_be_bytes());
    put(&timestamp_ms.to_be_bytes());
    put(&timestamp_ms.to_be_bytes());
    put(&marker.producer_id.to_be_bytes());
    put(&marker.producer_epoch.to_be_bytes());
    put(&(-1i32).to_be_bytes());
    put(&1i32.to_be_bytes());
    // Lengths are zigzag numbers: twice what they say.
    put(&[2 * (RECORD_BYTES as u8 - 1), 0, 0, 0, 2 * 4]);
    put(&0i16.to_be_bytes());
    put(&(if marker.commit { TYPE_COMMIT } else { TYPE_ABORT }).to_be_bytes());
    put(&[2 * 6]);
    put(&0i16.to_be_bytes());
    put(&marker.coordinator_epoch.to_be_bytes());
    put(&[0]);
    batch::seal(&mut out);
    out
}

/// The marker in a control batch; `None` if it is of another kind, or was emptied by compaction.
///
/// # Errors
/// Bytes that are no whole control batch with a record of a control type. The CRC is not looked at.
pub fn read(batch: &[u8]) -> Result<Option<EndMarker>, BadMarker> {
    let header = BatchHeader::parse(batch).map_err(|_| BadMarker)?;
    let mut rest = batch.get(HEADER_BYTES..header.bytes).ok_or(BadMarker)?;
    if !header.is_control() || header.compression() != 0 {
        return Err(BadMarker);
    }
    if header.count == 0 {
        return Ok(None);
    }
    let mut record = sized(&mut rest).flatten().ok_or(BadMarker)?.get(1..).ok_or(BadMarker)?;
    let deltas = varint(&mut record).and_then(|_| varint(&mut record));
    deltas.ok_or(BadMarker)?;
    let mut key = sized(&mut record).flatten().ok_or(BadMarker)?;
    let (version, kind) =
        (number(&mut key).map(i16::from_be_bytes), number(&mut key).map(i16::from_be_bytes));
    let (Some(0..), Some(kind)) = (version, kind) else { return Err(BadMarker) };
    let commit = match kind {
        TYPE_ABORT => false,
        TYPE_COMMIT => true,
        _ => return Ok(None),
    };
    let mut value = sized(&mut record).flatten().ok_or(BadMarker)?;
    // A newer version has more behind these two.
    let Some(0..) = number(&mut value).map(i16::from_be_bytes) else { return Err(BadMarker) };
    let coordinator_epoch = number(&mut value).map(i32::from_be_bytes).ok_or(BadMarker)?;
    let (producer_id, producer_epoch) = (header.producer_id, header.producer_epoch);
    Ok(Some(EndMarker { producer_id, producer_epoch, commit, coordinator_epoch }))
}

/// Bytes behind their length, `Some(None)` for null; `None`: there are fewer.
fn sized<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(rest)?;
    if length == -1 {
        return Some(None);
    }
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(Some(bytes))
}

fn number<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogConfig;
    use crate::validate::{self, Crc, Origin};

    fn marker(commit: bool) -> EndMarker {
        EndMarker { producer_id: 0x0102, producer_epoch: 5, commit, coordinator_epoch: 9 }
    }

    #[test]
    fn a_marker_to_the_byte() {
        let mut expected = vec![0; 8];
        expected.extend([0, 0, 0, 66]);
        expected.extend([0xff; 4]);
        expected.push(2);
        let crc_at = expected.len();
        expected.extend([0; 4]);
        expected.extend([0, 0x30, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 7]);
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 5]);
        expected.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1]);
        expected.extend([32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 9, 0]);
        let crc = crc32c::crc32c(&expected[crc_at + 4..]);
        expected[crc_at..crc_at + 4].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(build(&marker(true), 7).to_vec(), expected);
        assert_eq!(expected.len(), 78, "what Kafka writes");
    }

    #[test]
    fn markers_come_back() {
        for commit in [false, true] {
            let batch = build(&marker(commit), 7);
            let header = BatchHeader::verify(&batch).expect("a whole batch");
            assert!(header.is_control() && header.is_transactional());
            assert_eq!((header.base_sequence, header.count, header.max_timestamp), (-1, 1, 7));
            assert_eq!(read(&batch), Ok(Some(marker(commit))));
            let config = LogConfig::default();
            let check = |origin| validate::batch(&batch, &config, origin, 7, Crc::Unknown);
            assert!(check(Origin::Coordinator).is_ok());
            assert!(check(Origin::Client).is_err());
        }
    }

    #[test]
    fn other_control_batches_are_passed_over() {
        let mut leader_change = build(&marker(true), 7);
        // Of the record: length, attributes, deltas, length of the key, its version, its type.
        leader_change[HEADER_BYTES + 8] = 2;
        assert_eq!(read(&leader_change), Ok(None));
        let mut emptied = build(&marker(true), 7)[..HEADER_BYTES].to_vec();
        emptied[11] = (HEADER_BYTES - OVERHEAD_BYTES) as u8;
        emptied[60] = 0;
        assert_eq!(read(&emptied), Ok(None));
    }

    #[test]
    fn damaged_ones_are_errors_and_no_panic() {
        let batch = build(&marker(true), 7);
        for length in 0..batch.len() {
            assert_eq!(read(&batch[..length]), Err(BadMarker), "{length} bytes");
        }
        for at in 0..batch.len() {
            for bit in 0..8 {
                let mut changed = batch;
                changed[at] ^= 1 << bit;
                let _ = read(&changed);
            }
        }
        let mut no_value = batch;
        no_value[HEADER_BYTES + 9] = 1;
        assert_eq!(read(&no_value), Err(BadMarker));
        let mut data = batch;
        data[22] = 0x10;
        assert_eq!(read(&data), Err(BadMarker));
    }
}
