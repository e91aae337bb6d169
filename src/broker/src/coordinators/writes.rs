//! What a coordinator wants written, in order, and what waits for it.

use kafka_wire::{BatchBuilder, WireError};
use model::Offset;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;

/// A key and its value; without a value it is a tombstone.
pub(crate) type Pair = (Vec<u8>, Option<Vec<u8>>);

/// The producer, and its epoch, whose transaction records belong to.
pub(crate) type Transaction = (i64, i16);

/// What records are a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Within {
    pub(crate) transaction: Transaction,
    /// Where the partition ended before the transaction's coordinator was asked whether the partition is in it, if that
    /// was all that it was asked.
    pub(crate) since: Option<Offset>,
}

/// Records of several calls go into one batch up to this size.
const BATCH_BYTES: usize = 64 << 10;
/// What a record takes in a batch besides its key and value, at most: lengths, attributes, time, offset, no headers.
const RECORD_BYTES: usize = 32;

struct Write<T> {
    records: Vec<Pair>,
    bytes: usize,
    within: Option<Within>,
    /// Its own come first, then those that came behind it without records.
    then: Vec<T>,
    own: usize,
}

impl<T> Write<T> {
    fn empty() -> Write<T> {
        Write { records: Vec::new(), bytes: 0, within: None, then: Vec::new(), own: 0 }
    }
}

/// Writes in the order of calls. One batch is under way at a time: so it fails or is there before the next begins,
/// and what comes meanwhile goes together.
pub(crate) struct Writes<T> {
    queue: RefCell<VecDeque<Write<T>>>,
    /// How many at the front are in the batch that is under way.
    under_way: Cell<usize>,
    /// Every record says all of a thing of its own.
    stand_alone: bool,
}

impl<T> Default for Writes<T> {
    fn default() -> Writes<T> {
        Writes { queue: RefCell::default(), under_way: Cell::new(0), stand_alone: false }
    }
}

impl<T> Writes<T> {
    /// Those of a coordinator whose every record says all of a thing of its own: after a crash any of them may be the
    /// last.
    pub(crate) fn of_stand_alone() -> Writes<T> {
        Writes { stand_alone: true, ..Writes::default() }
    }

    /// Puts records at the end, and what is to follow when they and all before them are durable. Gives back what
    /// need not wait because nothing is to be written.
    ///
    /// Records of one call are in the log all or none. Where they stand alone or only delete that is needless, and would
    /// bound how many there may be: so many of these are several writes.
    pub(crate) fn put(&self, records: Vec<Pair>, within: Option<Within>, then: Vec<T>) -> Vec<T> {
        let mut queue = self.queue.borrow_mut();
        if records.is_empty() {
            let Some(last) = queue.back_mut() else { return then };
            last.then.extend(then);
            return Vec::new();
        }
        let bytes: usize = records.iter().map(size).sum();
        let own = then.len();
        let is_one = bytes <= BATCH_BYTES || within.is_some() || !self.may_part(&records);
        if is_one {
            queue.push_back(Write { records, bytes, within, then, own });
            return Vec::new();
        }
        let mut part = Write::empty();
        for record in records {
            let bytes = size(&record);
            if part.bytes > 0 && part.bytes + bytes > BATCH_BYTES {
                queue.push_back(mem::replace(&mut part, Write::empty()));
            }
            part.bytes += bytes;
            part.records.push(record);
        }
        queue.push_back(Write { then, own, ..part });
        Vec::new()
    }

    /// Records of one call may come into the log one after the other.
    fn may_part(&self, records: &[Pair]) -> bool {
        self.stand_alone || records.iter().all(|(_, value)| value.is_none())
    }

    /// Nothing is to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Makes the next batch; `None` if nothing is to be written. What was begun before has ended. Where one would be
    /// larger than `limit` there are several, one behind the other, which the log takes all or none; but for a
    /// transaction's, and a record that is too large on its own: what is done about those comes before.
    pub(crate) fn begin(&self, now_ms: i64, limit: usize) -> Option<Result<Vec<u8>, WireError>> {
        let queue = self.queue.borrow();
        let within = queue.front()?.within;
        let mut bytes = 0;
        let together = queue.iter().take_while(|write| {
            // A transaction's records are in a batch of their own; the first goes whatever its size.
            let alone = within.is_some() || write.within.is_some();
            let fits = bytes == 0 || !alone && bytes + write.bytes <= BATCH_BYTES;
            bytes += write.bytes.max(1);
            fits
        });
        let together: Vec<&Write<T>> = together.collect();
        self.under_way.set(together.len());
        let transaction = within.map(|within| within.transaction);
        Some(batch(&together, transaction, limit, now_ms))
    }

    /// The batch that was under way is durable: gives what waited for it.
    pub(crate) fn end(&self) -> Vec<T> {
        let mut queue = self.queue.borrow_mut();
        let count = self.under_way.replace(0).min(queue.len());
        let waited: usize = queue.range(..count).map(|write| write.then.len()).sum();
        let mut all = Vec::with_capacity(waited);
        queue.drain(..count).for_each(|mut write| all.append(&mut write.then));
        all
    }

    /// What the batch that is under way is a part of, if it is one of a transaction.
    pub(crate) fn within(&self) -> Option<Within> {
        let queue = self.queue.borrow();
        queue.front().filter(|_| self.under_way.get() > 0)?.within
    }

    /// The batch that was under way, of a transaction, will not be written: gives what was to follow it, and what came
    /// behind it without records, for which all that it waited for is durable.
    pub(crate) fn refuse(&self) -> (Vec<T>, Vec<T>) {
        self.under_way.set(0);
        let Some(mut write) = self.queue.borrow_mut().pop_front() else { return Default::default() };
        let behind = write.then.split_off(write.own);
        (write.then, behind)
    }

    /// Likewise of the batch that was under way and of all that are written for transactions behind it. What came
    /// behind one of those without records goes on waiting for what was put before it.
    pub(crate) fn refuse_transactions(&self) -> (Vec<T>, Vec<T>) {
        self.under_way.set(0);
        let mut queue = self.queue.borrow_mut();
        let (mut own, mut free) = (Vec::new(), Vec::new());
        let mut kept: VecDeque<Write<T>> = VecDeque::new();
        for mut write in queue.drain(..) {
            if write.within.is_none() {
                kept.push_back(write);
                continue;
            }
            let behind = write.then.split_off(write.own);
            own.extend(write.then);
            match kept.back_mut() {
                Some(before) => before.then.extend(behind),
                None => free.extend(behind),
            }
        }
        *queue = kept;
        (own, free)
    }

    /// Nothing of it will be written.
    pub(crate) fn clear(&self) {
        self.queue.borrow_mut().clear();
        self.under_way.set(0);
    }
}

fn size((key, value): &Pair) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len)
}

fn batch<T>(
    writes: &[&Write<T>],
    transaction: Option<Transaction>,
    limit: usize,
    now_ms: i64,
) -> Result<Vec<u8>, WireError> {
    let bytes: usize = writes.iter().map(|write| write.bytes + RECORD_BYTES * write.records.len()).sum();
    let builder = BatchBuilder::with_capacity(bytes);
    let mut builder = match transaction {
        // Offsets in a transaction have no sequence numbers, as in Kafka.
        Some((producer, epoch)) => builder.producer(producer, epoch, -1).transactional(),
        None => builder,
    };
    let mut before = Vec::new();
    for pair in writes.iter().flat_map(|write| &write.records) {
        let is_full = builder.length() + size(pair) + RECORD_BYTES > limit;
        if is_full && builder.record_count() > 0 && transaction.is_none() {
            before.extend(mem::take(&mut builder).build()?);
        }
        let (key, value) = pair;
        builder.append(now_ms, Some(key), value.as_deref(), &[])?;
    }
    let last = builder.build()?;
    if before.is_empty() {
        return Ok(last);
    }
    before.extend(last);
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::RecordBatch;

    const LIMIT: usize = 1 << 20;

    fn pair(key: &str) -> Pair {
        (key.as_bytes().to_vec(), None)
    }

    fn keys(batch: &[u8]) -> Vec<Vec<u8>> {
        let (batch, rest) = RecordBatch::split_first(batch).expect("a batch");
        assert!(rest.is_empty());
        let records = batch.records().expect("records").map(|record| record.expect("a record"));
        records.map(|record| record.key.expect("a key").to_vec()).collect()
    }

    fn begun(writes: &Writes<u32>) -> Vec<u8> {
        writes.begin(5, LIMIT).expect("something to write").expect("a batch")
    }

    #[test]
    fn what_waits_follows_in_order_and_what_comes_meanwhile_goes_together() {
        let writes = Writes::default();
        assert_eq!(writes.put(Vec::new(), None, vec![1]), [1], "nothing is to be written before it");
        assert!(writes.put(vec![pair("a")], None, vec![2]).is_empty());
        assert_eq!(keys(&begun(&writes)), [b"a"]);
        assert!(writes.put(Vec::new(), None, vec![3]).is_empty(), "it shows what is under way");
        assert!(writes.put(vec![pair("b"), pair("c")], None, vec![4]).is_empty());
        assert!(writes.put(vec![pair("d")], None, vec![5]).is_empty());
        assert_eq!(writes.end(), [2, 3]);
        assert_eq!(keys(&begun(&writes)), [b"b", b"c", b"d"]);
        assert_eq!(writes.end(), [4, 5]);
        assert!(writes.is_empty() && writes.begin(5, LIMIT).is_none());
    }

    #[test]
    fn a_transactions_records_are_alone_and_batches_are_of_a_size() {
        let writes = Writes::<u32>::default();
        writes.put(vec![pair("a")], None, Vec::new());
        writes.put(vec![pair("b")], Some(Within { transaction: (7, 1), since: None }), Vec::new());
        writes.put(vec![pair("c")], None, Vec::new());
        writes.put(vec![(vec![b'd'; BATCH_BYTES], None)], None, Vec::new());
        assert_eq!(keys(&begun(&writes)), [b"a"]);
        writes.end();
        let bytes = begun(&writes);
        let (batch, _) = RecordBatch::split_first(&bytes).expect("a batch");
        assert!(batch.is_transactional());
        assert_eq!((batch.producer_id(), batch.producer_epoch(), batch.base_sequence()), (7, 1, -1));
        writes.end();
        assert_eq!(keys(&begun(&writes)), [b"c"]);
        writes.end();
        assert_eq!(keys(&begun(&writes)).len(), 1, "the first goes whatever its size");
        writes.clear();
        assert!(writes.is_empty() && writes.end().is_empty());
    }

    #[test]
    fn what_a_transaction_cannot_write_takes_nothing_else_along() {
        let within = Within { transaction: (7, 1), since: Some(Offset(3)) };
        let writes = Writes::default();
        writes.put(vec![pair("a")], None, vec![1]);
        writes.put(vec![pair("b")], Some(within), vec![2, 3]);
        writes.put(Vec::new(), None, vec![4]);
        writes.put(vec![pair("c")], None, vec![5]);
        assert_eq!(writes.within(), None, "nothing is under way");
        begun(&writes);
        assert_eq!(writes.within(), None);
        assert_eq!(writes.end(), [1]);
        assert_eq!((keys(&begun(&writes)), writes.within()), (vec![b"b".to_vec()], Some(within)));
        assert_eq!(writes.refuse(), (vec![2, 3], vec![4]));
        assert_eq!((keys(&begun(&writes)), writes.within()), (vec![b"c".to_vec()], None));
        assert_eq!(writes.end(), [5]);
        assert!(writes.is_empty());
    }

    /// Batches one behind the other: the keys of each, and its bytes.
    fn batches(mut bytes: &[u8]) -> Vec<(Vec<Vec<u8>>, usize)> {
        let mut all = Vec::new();
        while !bytes.is_empty() {
            let (_, rest) = RecordBatch::split_first(bytes).expect("a batch");
            let (one, behind) = bytes.split_at(bytes.len() - rest.len());
            all.push((keys(one), one.len()));
            bytes = behind;
        }
        all
    }

    #[test]
    fn what_is_larger_than_a_batch_may_be_goes_as_several_at_once() {
        let writes = Writes::default();
        let large = |name: u8| (vec![name; 300], Some(vec![0; 300]));
        writes.put(vec![large(b'a'), large(b'b'), pair("c"), large(b'd')], None, vec![1]);
        writes.put(vec![pair("e")], None, vec![2]);
        let bytes = writes.begin(5, 1_400).expect("something to write").expect("batches");
        let found = batches(&bytes);
        let counts: Vec<usize> = found.iter().map(|(keys, _)| keys.len()).collect();
        assert_eq!(counts, [3, 2], "{found:?}");
        assert!(found.iter().all(|(_, bytes)| *bytes <= 1_400), "{found:?}");
        let first: Vec<u8> = found.iter().flat_map(|(keys, _)| keys).map(|key| key[0]).collect();
        assert_eq!(first, b"abcde");
        assert_eq!(writes.end(), [1, 2], "they were one write");
        // One that is too large on its own is the log's to refuse, and takes no other along into its batch.
        writes.put(vec![pair("a"), large(b'b'), pair("c")], None, vec![3]);
        let bytes = writes.begin(5, 400).expect("something to write").expect("batches");
        assert_eq!(batches(&bytes).len(), 3);
        writes.clear();
        // A transaction's batch is one.
        let within = Within { transaction: (7, 1), since: None };
        writes.put(vec![large(b'a'), large(b'b')], Some(within), vec![4]);
        let bytes = writes.begin(5, 400).expect("something to write").expect("a batch");
        assert_eq!(batches(&bytes).len(), 1);
    }

    #[test]
    fn many_deletions_are_several_writes_and_what_waits_for_them_follows_the_last() {
        let many = |value: Option<Vec<u8>>| -> Vec<Pair> {
            (0..100).map(|number| (vec![number; BATCH_BYTES / 40], value.clone())).collect()
        };
        let written = |writes: &Writes<u32>| {
            let (mut count, mut order, mut told) = (0, Vec::new(), Vec::new());
            while let Some(batch) = writes.begin(5, LIMIT) {
                let found = keys(&batch.expect("a batch"));
                assert!(told.is_empty(), "told before all were written");
                order.extend(found.iter().map(|key| key[0]));
                count += 1;
                told = writes.end();
            }
            assert!(order.iter().copied().eq(0..100), "{order:?}");
            (count, told)
        };
        let writes = Writes::default();
        writes.put(many(None), None, vec![1, 2]);
        assert_eq!(written(&writes), (3, vec![1, 2]));
        // A decision is one write, whatever its size; records that stand alone are not.
        writes.put(many(Some(Vec::new())), None, vec![3]);
        assert_eq!(written(&writes), (1, vec![3]));
        let writes = Writes::of_stand_alone();
        writes.put(many(Some(Vec::new())), None, vec![4]);
        assert_eq!(written(&writes), (3, vec![4]));
    }

    #[test]
    fn where_there_is_no_room_no_transaction_behind_waits_for_its_turn() {
        let within = |producer| Some(Within { transaction: (producer, 1), since: None });
        let writes = Writes::default();
        writes.put(vec![pair("a")], within(7), vec![1, 2]);
        writes.put(Vec::new(), None, vec![3]);
        writes.put(vec![pair("b")], within(8), vec![4]);
        writes.put(Vec::new(), None, vec![5]);
        writes.put(vec![pair("c")], None, vec![6]);
        writes.put(vec![pair("d")], within(7), vec![7]);
        writes.put(Vec::new(), None, vec![8]);
        writes.put(vec![pair("e")], None, vec![9]);
        begun(&writes);
        assert_eq!(writes.refuse_transactions(), (vec![1, 2, 4, 7], vec![3, 5]));
        assert_eq!((keys(&begun(&writes)), writes.within()), (vec![b"c".to_vec(), b"e".to_vec()], None));
        assert_eq!(writes.end(), [6, 8, 9]);
        assert!(writes.is_empty());
        assert_eq!(writes.refuse_transactions(), (Vec::new(), Vec::new()));
    }
}
