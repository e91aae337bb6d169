//! Where partitions stood, so that a start needs to look at few files or none.
//!
//! `<data>/checkpoint` is written once at each start, when the journals are replayed: it begins an epoch, and
//! everything in journals of older epochs is in segments. `<data>/shard-<n>/checkpoint` is written by its
//! shard now and then, and at a clean stop. `docs/formats/checkpoint.md` has the bytes.

use crate::error::StorageError;
use crate::window::{put_file, read_file};
use executor::io;
use memory::Pool;
use model::{PartitionId, ShardId, TopicId, TopicPartition};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const MAGIC: u32 = u32::from_le_bytes(*b"FLMK");
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 48;
const ENTRY_BYTES: usize = 88;
/// 700,000 partitions: far more than a node has.
const FILE_BYTES_MAX: u64 = 64 << 20;
const FLAG_CLEAN: u16 = 1;
const FLAG_EXACT: u32 = 1;
const FLAG_EPOCHS: u32 = 2;

/// A place in a partition's log: a byte of a segment, and the offset of the record that begins there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPlace {
    /// The segment's first offset.
    pub segment: i64,
    /// The byte in its file.
    pub position: u32,
    /// The offset there.
    pub offset: i64,
}

/// Where a partition stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointEntry {
    /// The partition.
    pub id: TopicPartition,
    /// This is all there is: the log was stopped cleanly here.
    pub exact: bool,
    /// The epoch of its leader.
    pub leader_epoch: i32,
    /// There were others before, which its file of epochs tells.
    pub epoch_history: bool,
    /// The first offset that is not deleted.
    pub log_start: i64,
    /// Everything before this was durable and whole.
    pub verified: LogPlace,
    /// Everything before this was durable, as a journal says; at or behind `verified`.
    pub claimed: LogPlace,
    /// Bytes in the segments before the one of `verified`.
    pub older_bytes: u64,
}

/// The contents of a checkpoint file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The start of the broker that wrote it; counted from 1.
    pub epoch: u64,
    /// Counts the checkpoints of a shard within an epoch; 0 in the node's.
    pub generation: u64,
    /// Written at a clean stop.
    pub clean: bool,
    /// When, for people; milliseconds since 1970.
    pub wall_clock_ms: i64,
    /// The partitions that hold something, or held it.
    pub entries: Vec<CheckpointEntry>,
}

fn put(out: &mut Vec<u8>, place: &LogPlace) {
    out.extend_from_slice(&place.segment.to_le_bytes());
    out.extend_from_slice(&place.offset.to_le_bytes());
    out.extend_from_slice(&place.position.to_le_bytes());
}

/// Takes values off the front of bytes that are known to be enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let (head, rest) = self.0.split_at(N);
        array.copy_from_slice(head);
        self.0 = rest;
        array
    }

    fn i64(&mut self) -> i64 {
        i64::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn place(&mut self) -> LogPlace {
        let (segment, offset) = (self.i64(), self.i64());
        LogPlace { segment, offset, position: self.u32() }
    }
}

impl CheckpointEntry {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.topic.0);
        out.extend_from_slice(&self.id.partition.0.to_le_bytes());
        let exact = if self.exact { FLAG_EXACT } else { 0 };
        let flags = exact | if self.epoch_history { FLAG_EPOCHS } else { 0 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.leader_epoch.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.log_start.to_le_bytes());
        put(out, &self.verified);
        put(out, &self.claimed);
        out.extend_from_slice(&self.older_bytes.to_le_bytes());
    }

    fn decode(fields: &mut Fields<'_>) -> CheckpointEntry {
        let topic = TopicId(fields.take());
        let partition = PartitionId(i32::from_le_bytes(fields.take()));
        let flags = fields.u32();
        let leader_epoch = i32::from_le_bytes(fields.take());
        let _reserved: [u8; 4] = fields.take();
        CheckpointEntry {
            id: TopicPartition { topic, partition },
            exact: flags & FLAG_EXACT != 0,
            leader_epoch,
            epoch_history: flags & FLAG_EPOCHS != 0,
            log_start: fields.i64(),
            verified: fields.place(),
            claimed: fields.place(),
            older_bytes: fields.u64(),
        }
    }
}

impl Checkpoint {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(u16::from(self.clean) * FLAG_CLEAN).to_le_bytes());
        out.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.wall_clock_ms.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for entry in &self.entries {
            entry.encode(&mut out);
        }
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The checkpoint in a file's bytes, or what is wrong with them. Never panics.
    pub fn decode(bytes: &[u8]) -> Result<Checkpoint, &'static str> {
        if bytes.len() < HEADER_BYTES {
            return Err("shorter than a checkpoint's header");
        }
        let mut fields = Fields(bytes);
        if fields.u32() != MAGIC {
            return Err("not a checkpoint");
        }
        if fields.u32() != crc32c::crc32c(&bytes[8..]) {
            return Err("the checkpoint's checksum does not match");
        }
        if u16::from_le_bytes(fields.take()) != VERSION {
            return Err("a checkpoint of another version; use the broker that wrote it");
        }
        let clean = u16::from_le_bytes(fields.take()) & FLAG_CLEAN != 0;
        let count = fields.u32() as usize;
        let (epoch, generation, wall_clock_ms) = (fields.u64(), fields.u64(), fields.i64());
        let _reserved: [u8; 8] = fields.take();
        if fields.0.len() != count.saturating_mul(ENTRY_BYTES) {
            return Err("the checkpoint's size does not match its count");
        }
        let entries = (0..count).map(|_| CheckpointEntry::decode(&mut fields)).collect();
        Ok(Checkpoint { epoch, generation, clean, wall_clock_ms, entries })
    }

    /// Reads a checkpoint file; `None` if there is none.
    pub(crate) async fn read(path: &Path, pool: &Pool) -> Result<Option<Checkpoint>, StorageError> {
        let Some(bytes) = read_file(path, pool, FILE_BYTES_MAX).await? else { return Ok(None) };
        let decoded = Checkpoint::decode(&bytes);
        decoded.map(Some).map_err(|what| StorageError::Format { path: path.to_path_buf(), what })
    }

    /// Writes the file in one step.
    pub(crate) async fn write(&self, path: &Path) -> Result<(), StorageError> {
        put_file(path, self.encode()).await?;
        let directory = path.parent().unwrap_or(Path::new("."));
        // Nothing else has its name there: without room it is written once more, later.
        io::sync_directory(directory).await.map_err(StorageError::io("sync", directory))
    }
}

/// What a damaged file holds, as far as it is there: for tools.
pub(crate) fn decode_unchecked(bytes: &[u8]) -> Option<Checkpoint> {
    let mut fields = Fields(bytes.get(..HEADER_BYTES)?);
    let (_magic, _crc) = (fields.u32(), fields.u32());
    let version = u16::from_le_bytes(fields.take());
    let clean = u16::from_le_bytes(fields.take()) & FLAG_CLEAN != 0;
    let count = fields.u32() as usize;
    let (epoch, generation, wall_clock_ms) = (fields.u64(), fields.u64(), fields.i64());
    let whole = bytes[HEADER_BYTES..].chunks_exact(ENTRY_BYTES).take(count);
    let entries = whole.map(|entry| CheckpointEntry::decode(&mut Fields(entry))).collect();
    (version == VERSION).then_some(Checkpoint { epoch, generation, clean, wall_clock_ms, entries })
}

/// `<data>/checkpoint`.
pub(crate) fn node_path(data: &Path) -> PathBuf {
    data.join("checkpoint")
}

/// `<data>/shard-<n>/checkpoint`.
pub(crate) fn shard_path(data: &Path, shard: ShardId) -> PathBuf {
    data.join(format!("shard-{shard}")).join("checkpoint")
}

/// The newest entry of each partition, of the node's checkpoint and those of shards. `exact` stays set only
/// where the entry is of a clean stop in the newest epoch.
pub(crate) fn merge(
    node: Option<Checkpoint>,
    shards: Vec<Checkpoint>,
) -> (u64, HashMap<TopicPartition, CheckpointEntry>) {
    let node = node.unwrap_or_default();
    let epoch = shards.iter().map(|shard| shard.epoch).max().unwrap_or(0).max(node.epoch);
    let mut newest: HashMap<TopicPartition, ((u64, u64), CheckpointEntry)> = HashMap::new();
    for file in std::iter::once(&node).chain(&shards) {
        for entry in &file.entries {
            let age = (file.epoch, file.generation);
            let exact = entry.exact && file.clean && file.epoch == epoch;
            let entry = CheckpointEntry { exact, ..*entry };
            match newest.get_mut(&entry.id) {
                Some(other) if other.0 >= age => {}
                Some(other) => *other = (age, entry),
                None => drop(newest.insert(entry.id, (age, entry))),
            }
        }
    }
    (epoch, newest.into_iter().map(|(id, (_, entry))| (id, entry)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(partition: i32, offset: i64) -> CheckpointEntry {
        let verified = LogPlace { segment: 5, position: 6, offset };
        CheckpointEntry {
            id: TopicPartition { topic: TopicId([1; 16]), partition: PartitionId(partition) },
            exact: true,
            leader_epoch: 3,
            epoch_history: true,
            log_start: 4,
            verified,
            claimed: LogPlace { position: 9, ..verified },
            older_bytes: 10,
        }
    }

    #[test]
    fn comes_back_and_every_changed_bit_is_noticed() {
        let entries = vec![entry(1, 2), entry(2, 3)];
        let checkpoint = Checkpoint { epoch: 7, generation: 8, clean: true, wall_clock_ms: 9, entries };
        let bytes = checkpoint.encode();
        assert_eq!(bytes.len(), HEADER_BYTES + 2 * ENTRY_BYTES);
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(Checkpoint::decode(&changed).is_err(), "bit {bit}");
        }
        assert!((0..bytes.len()).all(|length| Checkpoint::decode(&bytes[..length]).is_err()));
    }

    #[test]
    fn the_newest_entry_wins_and_only_a_clean_stop_is_exact() {
        let file = |epoch, generation, clean, entries| Checkpoint {
            epoch,
            generation,
            clean,
            wall_clock_ms: 0,
            entries,
        };
        let node = file(3, 0, false, vec![entry(1, 10), entry(2, 20), entry(3, 30)]);
        let shards = vec![
            file(3, 2, true, vec![entry(1, 11)]),
            file(3, 1, false, vec![entry(2, 21)]),
            file(2, 9, true, vec![entry(3, 29)]),
        ];
        let (epoch, merged) = merge(Some(node), shards);
        assert_eq!(epoch, 3);
        let seen = |partition| {
            let entry = &merged[&entry(partition, 0).id];
            (entry.verified.offset, entry.exact)
        };
        assert_eq!((seen(1), seen(2), seen(3)), ((11, true), (21, false), (30, false)));
    }
}
