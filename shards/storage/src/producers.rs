//! What idempotent producers have written to a partition: the last five batches of each (KIP-98), so that a
//! batch sent twice is appended once; and which of them have a transaction open.

use crate::batch::BatchHeader;
use crate::cleaner::LastBatch;
use crate::error::AppendError;
use crate::transactions::{AbortedTransaction, KnownProducer, OpenTransactions, marker};
use model::{Offset, ProducerEpoch, ProducerId};
use std::collections::{BTreeMap, BTreeSet};

/// Batches that are remembered of each producer: what Kafka's clients may have in flight.
const BATCHES: usize = 5;
/// Producers are looked through for silent ones after so many new ones.
const EXPIRE_EVERY: u32 = 256;
const MAGIC: u32 = u32::from_le_bytes(*b"FLMP");
/// Version 1 had no transactions.
const VERSION: u32 = 2;
const HEADER_BYTES: usize = 24;
const PRODUCER_BYTES: usize = 36;

/// What is known of a producer: the answer to DescribeProducers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its incarnation.
    pub producer_epoch: ProducerEpoch,
    /// The sequence number of its last record.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch.
    pub last_timestamp: i64,
    /// The epoch of the coordinator that ended its last transaction, -1: none.
    pub coordinator_epoch: i32,
    /// Where its open transaction began; `None`: it has none.
    pub current_transaction_start: Option<Offset>,
}

/// A batch that is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base_offset: i64,
    last_offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    /// Of the coordinator that wrote its last marker; -1: none did.
    coordinator_epoch: i32,
    /// Where that marker is; -1: none is known of since the start.
    marker_offset: i64,
    count: u8,
    /// The first `count`, oldest first.
    batches: [Remembered; BATCHES],
    /// The largest timestamp of the last batch.
    last_timestamp: i64,
    /// When it last wrote.
    seen_ms: i64,
}

impl Producer {
    fn last(&self) -> Option<&Remembered> {
        self.batches[..self.count as usize].last()
    }
}

/// What is to be done with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    Append,
    /// It is here already, at these offsets.
    Duplicate { base_offset: i64, last_offset: i64 },
}

/// The producers of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    producers: BTreeMap<i64, Producer>,
    open: OpenTransactions,
    since_expired: u32,
}

/// More are not remembered.
const REFUSED_MAX: usize = 1024;

/// Producers whose first batch was refused for want of room, or given up where it waited for some, and will come
/// again: those behind it must not come before it, or it would be out of order for ever.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    ids: BTreeSet<i64>,
}

impl Refused {
    /// A batch was refused or given up.
    pub fn note(&mut self, header: &BatchHeader) {
        if header.has_producer() && header.base_sequence == 0 {
            if self.ids.len() == REFUSED_MAX {
                self.ids.clear();
            }
            self.ids.insert(header.producer_id);
        }
    }

    /// Whether a batch comes before one that was refused; `known`: what the log knows of producers.
    pub fn is_overtaking(&self, header: &BatchHeader, known: &Producers) -> bool {
        header.base_sequence > 0
            && self.ids.contains(&header.producer_id)
            && !known.producers.contains_key(&header.producer_id)
    }

    /// A batch was appended.
    pub fn appended(&mut self, header: &BatchHeader) {
        if !self.ids.is_empty() {
            self.ids.remove(&header.producer_id);
        }
    }
}

/// Producers with batches on their way to their coordinator, which says whether they may open a transaction. Those
/// that come meanwhile go the same way: or one would find the transaction open and come before who went for it.
#[derive(Debug, Default)]
pub(crate) struct Verifying {
    /// The epoch and the last sequence number of the last such batch.
    last: BTreeMap<i64, (i16, i32)>,
}

impl Verifying {
    /// A batch is to be verified.
    pub fn note(&mut self, header: &BatchHeader) {
        if header.has_producer() && header.base_sequence >= 0 {
            if self.last.len() == REFUSED_MAX {
                self.last.clear();
            }
            self.last.insert(header.producer_id, (header.producer_epoch, last_sequence(header)));
        }
    }

    /// Whether one before this batch is being verified. One that was refused is taken for that until it comes again
    /// or its producer has another epoch: it costs questions.
    pub fn is_behind(&self, header: &BatchHeader) -> bool {
        self.last.get(&header.producer_id).is_some_and(|(epoch, _)| *epoch == header.producer_epoch)
    }

    /// A batch was appended, of data or a marker.
    pub fn appended(&mut self, header: &BatchHeader) {
        if let Some(&(epoch, last)) = self.last.get(&header.producer_id)
            && (header.producer_epoch > epoch || !header.is_control() && last_sequence(header) == last)
        {
            self.last.remove(&header.producer_id);
        }
    }
}

/// Sequence numbers go on from 2^31 - 1 to 0.
fn follows(last: i32, first: i32) -> bool {
    first == last.checked_add(1).unwrap_or(0)
}

/// The sequence number of a batch's last record.
fn last_sequence(header: &BatchHeader) -> i32 {
    let last = i64::from(header.base_sequence) + i64::from(header.last_offset_delta);
    (last & i64::from(i32::MAX)) as i32
}

impl Producer {
    fn new(epoch: i16, last_timestamp: i64, seen_ms: i64) -> Producer {
        let batches = [Remembered::default(); BATCHES];
        let (coordinator_epoch, marker_offset) = (-1, -1);
        Producer { epoch, coordinator_epoch, marker_offset, count: 0, batches, last_timestamp, seen_ms }
    }

    /// It writes in this epoch: of an older one nothing counts any more but who ended its transactions.
    fn enter(&mut self, epoch: i16) {
        if self.epoch != epoch {
            let Producer { coordinator_epoch, marker_offset, last_timestamp, seen_ms, .. } = *self;
            let fresh = Producer::new(epoch, last_timestamp, seen_ms);
            *self = Producer { coordinator_epoch, marker_offset, ..fresh };
        }
    }
}

impl Producers {
    /// What the rules of transactions want to know of a producer.
    pub fn known(&self, producer_id: i64) -> Option<KnownProducer> {
        let is_open = self.open.first_offset(producer_id).is_some();
        self.producers.get(&producer_id).map(|known| KnownProducer {
            epoch: known.epoch,
            coordinator_epoch: known.coordinator_epoch,
            is_open,
        })
    }

    /// Whether a transaction of a producer was ended at an offset or behind it.
    pub fn has_ended_since(&self, producer_id: i64, since: Offset) -> bool {
        self.producers.get(&producer_id).is_some_and(|known| known.marker_offset >= since.0)
    }

    /// The first offset that readers of committed data may not see.
    pub fn last_stable(&self, log_start: i64, high_watermark: i64) -> i64 {
        self.open.last_stable(log_start, high_watermark)
    }

    /// The high watermark has moved: markers below it count.
    pub fn durable(&mut self, high_watermark: i64) {
        self.open.durable(high_watermark);
    }

    /// Takes in a batch that was appended, of data or a marker; its header has the offsets it got. Tells which
    /// transaction it has aborted.
    pub fn take_in(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        seen_ms: i64,
    ) -> Option<AbortedTransaction> {
        if !header.is_control() {
            self.push(header, seen_ms);
            return None;
        }
        // What is no marker ends nothing.
        let marker = marker::read(batch).ok().flatten()?;
        let fresh = Producer::new(marker.producer_epoch, header.max_timestamp, seen_ms);
        let producer = self.producers.entry(marker.producer_id).or_insert(fresh);
        producer.enter(marker.producer_epoch);
        producer.coordinator_epoch = marker.coordinator_epoch;
        producer.marker_offset = header.base_offset;
        producer.last_timestamp = header.max_timestamp;
        producer.seen_ms = producer.seen_ms.max(seen_ms);
        let ended = self.open.end(marker.producer_id, header.base_offset)?;
        (!marker.commit).then(|| ended.aborted())
    }

    /// Whether a batch of a producer is the next one of it.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, AppendError> {
        // Of a producer that is not known any sequence number will do: it may have been silent for long.
        let Some(known) = self.producers.get(&header.producer_id) else { return Ok(Verdict::Append) };
        if header.producer_epoch < known.epoch {
            return Err(AppendError::InvalidProducerEpoch);
        }
        if header.base_sequence < 0 {
            return Ok(Verdict::Append);
        }
        if header.producer_epoch > known.epoch {
            return match header.base_sequence {
                0 => Ok(Verdict::Append),
                _ => Err(AppendError::OutOfOrderSequence),
            };
        }
        let wanted = (header.base_sequence, last_sequence(header));
        let same = known.batches[..known.count as usize]
            .iter()
            .find(|batch| (batch.first_sequence, batch.last_sequence) == wanted);
        if let Some(batch) = same {
            return Ok(Verdict::Duplicate { base_offset: batch.base_offset, last_offset: batch.last_offset });
        }
        match known.last() {
            Some(last) if !follows(last.last_sequence, header.base_sequence) => {
                Err(AppendError::OutOfOrderSequence)
            }
            // A marker has begun the epoch.
            None if header.base_sequence != 0 => Err(AppendError::OutOfOrderSequence),
            _ => Ok(Verdict::Append),
        }
    }

    /// Remembers a batch that was appended; its header has the offsets it got.
    pub fn push(&mut self, header: &BatchHeader, seen_ms: i64) {
        if !header.has_producer() {
            return;
        }
        if header.is_transactional() {
            self.open.begin(header.producer_id, header.base_offset);
        }
        // Hardly ever made: it is larger than all that is written of one that is there.
        let fresh = || Producer::new(header.producer_epoch, header.max_timestamp, seen_ms);
        let producer = self.producers.entry(header.producer_id).or_insert_with(fresh);
        producer.enter(header.producer_epoch);
        producer.last_timestamp = header.max_timestamp;
        producer.seen_ms = producer.seen_ms.max(seen_ms);
        if header.base_sequence < 0 {
            return;
        }
        if producer.count as usize == BATCHES {
            producer.batches.copy_within(1.., 0);
            producer.count -= 1;
        }
        producer.batches[producer.count as usize] = Remembered {
            first_sequence: header.base_sequence,
            last_sequence: last_sequence(header),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        };
        producer.count += 1;
        self.since_expired += u32::from(producer.count == 1);
    }

    /// Forgets those that are silent for longer than `after_ms` and have no transaction open; looks only now and
    /// then.
    pub fn expire(&mut self, now_ms: i64, after_ms: i64) {
        if self.since_expired >= EXPIRE_EVERY {
            self.since_expired = 0;
            let open = &self.open;
            self.producers.retain(|id, producer| {
                now_ms.saturating_sub(producer.seen_ms) <= after_ms || open.first_offset(*id).is_some()
            });
        }
    }

    /// No producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// What each of them wrote last, by producer id.
    pub fn last_batches(&self) -> BTreeMap<i64, LastBatch> {
        let last = |producer: &Producer| LastBatch {
            data_offset: producer.last().map(|last| last.last_offset),
            epoch: producer.epoch,
        };
        self.producers.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    /// All of them, in the order of their ids.
    pub fn describe(&self) -> Vec<ProducerDescription> {
        let describe = |(id, producer): (&i64, &Producer)| ProducerDescription {
            producer_id: ProducerId(*id),
            producer_epoch: ProducerEpoch(producer.epoch),
            last_sequence: producer.last().map_or(-1, |last| last.last_sequence),
            last_timestamp: producer.last_timestamp,
            coordinator_epoch: producer.coordinator_epoch,
            current_transaction_start: self.open.first_offset(*id).map(Offset),
        };
        self.producers.iter().map(describe).collect()
    }

    /// A snapshot's bytes: what all batches before `next_offset` have come to.
    pub fn encode(&self, next_offset: i64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.producers.len() * (PRODUCER_BYTES + 120));
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.producers.len() as u32).to_le_bytes());
        out.extend_from_slice(&next_offset.to_le_bytes());
        for (id, producer) in &self.producers {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&producer.epoch.to_le_bytes());
            out.extend_from_slice(&u16::from(producer.count).to_le_bytes());
            out.extend_from_slice(&((producer.seen_ms / 1000) as u32).to_le_bytes());
            out.extend_from_slice(&producer.last_timestamp.to_le_bytes());
            out.extend_from_slice(&producer.coordinator_epoch.to_le_bytes());
            out.extend_from_slice(&self.open.first_offset(*id).unwrap_or(-1).to_le_bytes());
            for batch in &producer.batches[..producer.count as usize] {
                out.extend_from_slice(&batch.first_sequence.to_le_bytes());
                out.extend_from_slice(&batch.last_sequence.to_le_bytes());
                out.extend_from_slice(&batch.base_offset.to_le_bytes());
                out.extend_from_slice(&batch.last_offset.to_le_bytes());
            }
        }
        let crc = crc32c::crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The producers in a snapshot's bytes, and the offset up to which it holds; `None` if they are none.
    pub fn decode(bytes: &[u8]) -> Option<(Producers, i64)> {
        let mut fields = Fields(bytes);
        let (magic, crc) = (fields.u32()?, fields.u32()?);
        if magic != MAGIC || crc != crc32c::crc32c(bytes.get(8..)?) {
            return None;
        }
        let version = fields.u32()?;
        if !(1..=VERSION).contains(&version) {
            return None;
        }
        let (count, next_offset) = (fields.u32()?, fields.i64()?);
        let mut producers = Producers::default();
        for _ in 0..count {
            let id = fields.i64()?;
            let epoch = i16::from_le_bytes(fields.take()?);
            let count = u16::from_le_bytes(fields.take()?);
            let seen_ms = i64::from(fields.u32()?) * 1000;
            let last_timestamp = fields.i64()?;
            let mut coordinator_epoch = -1;
            if version >= 2 {
                coordinator_epoch = fields.u32()? as i32;
                let first_offset = fields.i64()?;
                if first_offset >= 0 {
                    producers.open.begin(id, first_offset);
                }
            }
            let mut batches = [Remembered::default(); BATCHES];
            for batch in batches.get_mut(..usize::from(count))? {
                *batch = Remembered {
                    first_sequence: fields.u32()? as i32,
                    last_sequence: fields.u32()? as i32,
                    base_offset: fields.i64()?,
                    last_offset: fields.i64()?,
                };
            }
            let count = count as u8;
            let fresh = Producer::new(epoch, last_timestamp, seen_ms);
            let producer = Producer { coordinator_epoch, count, batches, ..fresh };
            producers.producers.insert(id, producer);
        }
        fields.0.is_empty().then_some((producers, next_offset))
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(id: i64, epoch: i16, base_sequence: i32, base_offset: i64) -> BatchHeader {
        BatchHeader {
            base_offset,
            bytes: 100,
            leader_epoch: 0,
            crc: 0,
            attributes: 0,
            last_offset_delta: 1,
            base_timestamp: 5,
            max_timestamp: 6,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence,
            count: 2,
        }
    }

    #[test]
    fn nothing_overtakes_a_first_batch_that_was_refused() {
        let (mut refused, mut producers) = (Refused::default(), Producers::default());
        refused.note(&header(1, 0, 0, 0));
        assert!(refused.is_overtaking(&header(1, 0, 2, 0), &producers));
        assert!(!refused.is_overtaking(&header(2, 0, 2, 0), &producers), "of others nothing is known");
        assert!(!refused.is_overtaking(&header(1, 0, 0, 0), &producers));
        producers.push(&header(1, 0, 0, 0), 0);
        assert!(!refused.is_overtaking(&header(1, 0, 2, 0), &producers), "it is known");
        refused.appended(&header(1, 0, 0, 0));
        assert!(!refused.is_overtaking(&header(1, 0, 2, 0), &Producers::default()));
    }

    #[test]
    fn what_comes_while_one_is_verified_waits_behind_it() {
        let mut verifying = Verifying::default();
        assert!(!verifying.is_behind(&header(1, 0, 2, 0)));
        verifying.note(&header(1, 0, 0, 0));
        verifying.note(&header(1, 0, 2, 0));
        verifying.appended(&header(1, 0, 0, 0));
        assert!(verifying.is_behind(&header(1, 0, 4, 0)), "the second is on its way");
        assert!(!verifying.is_behind(&header(1, 1, 0, 0)) && !verifying.is_behind(&header(2, 0, 4, 0)));
        verifying.appended(&header(1, 0, 2, 0));
        assert!(!verifying.is_behind(&header(1, 0, 4, 0)));
        verifying.note(&header(1, 0, 4, 0));
        verifying.appended(&header(1, 1, 0, 0));
        assert!(!verifying.is_behind(&header(1, 0, 6, 0)), "of an older epoch none will come");
    }

    #[test]
    fn sequences_go_on_and_duplicates_are_known() {
        let mut producers = Producers::default();
        assert_eq!(producers.check(&header(1, 0, 70, 0)), Ok(Verdict::Append), "any beginning will do");
        for number in 0..7 {
            let next = header(1, 0, 2 * number, 100 + 2 * i64::from(number));
            assert_eq!(producers.check(&next), Ok(Verdict::Append));
            producers.push(&next, 0);
        }
        for number in 2..7 {
            let base_offset = 100 + 2 * i64::from(number);
            let verdict = Verdict::Duplicate { base_offset, last_offset: base_offset + 1 };
            assert_eq!(producers.check(&header(1, 0, 2 * number, 0)), Ok(verdict));
        }
        let check = |epoch, sequence| producers.check(&header(1, epoch, sequence, 0));
        assert_eq!(check(0, 2), Err(AppendError::OutOfOrderSequence), "the sixth is forgotten");
        assert_eq!(check(0, 16), Err(AppendError::OutOfOrderSequence));
        assert_eq!(check(0, 13), Err(AppendError::OutOfOrderSequence));
        assert_eq!(check(1, 14), Err(AppendError::OutOfOrderSequence));
        assert_eq!(check(1, 0), Ok(Verdict::Append));
        producers.push(&header(1, 1, 0, 200), 0);
        assert_eq!(producers.check(&header(1, 0, 14, 0)), Err(AppendError::InvalidProducerEpoch));
        let seen = producers.describe();
        assert_eq!((seen.len(), seen[0].last_sequence, seen[0].producer_epoch.0), (1, 1, 1));
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.push(&header(1, 0, i32::MAX, 0), 0);
        assert_eq!(producers.describe()[0].last_sequence, 0);
        assert_eq!(producers.check(&header(1, 0, 1, 2)), Ok(Verdict::Append));
        producers.push(&header(2, 0, i32::MAX - 1, 0), 0);
        assert_eq!(producers.check(&header(2, 0, 0, 2)), Ok(Verdict::Append));
    }

    #[test]
    fn snapshots_come_back_and_damaged_ones_do_not() {
        let mut producers = Producers::default();
        for number in 0..20 {
            producers.push(&header(number % 3, 4, 2 * number as i32, number), 7000);
        }
        producers.since_expired = 0;
        let bytes = producers.encode(40);
        assert_eq!(Producers::decode(&bytes), Some((producers, 40)));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Producers::decode(&changed), None);
        }
        assert!((0..bytes.len()).all(|length| Producers::decode(&bytes[..length]).is_none()));
    }

    #[test]
    fn the_silent_are_forgotten() {
        let mut producers = Producers::default();
        for id in 0..EXPIRE_EVERY {
            producers.push(&header(i64::from(id), 0, 0, 0), i64::from(id));
        }
        producers.expire(1100, 1000);
        assert_eq!(producers.describe().len(), EXPIRE_EVERY as usize - 100);
        assert!(!producers.is_empty());
    }
}
