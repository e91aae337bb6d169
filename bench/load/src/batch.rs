//! Record batches (magic 2): built once, patched cheaply, checked when they come back.
//!
//! A batch is kept in two parts. The *head* is its 61-byte header and the first record up to
//! and including the first eight bytes of its value; the *tail* is all the rest and is shared by
//! every request of a run. What a request may change (producer id, sequence, a time stamp in the
//! first value) lies in the head, so the checksum of the whole follows from the head's own and
//! the tail's, which is known: no request touches the tail.
//!
//! Layout: <https://kafka.apache.org/documentation/#recordbatch>.

use crate::{
    error::Error,
    wire::{Get, Put},
};
use std::rc::Rc;

/// Bytes of a batch before its first record.
pub const HEADER: usize = 61;
/// Where the checksum lies; it covers everything behind it.
pub const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
/// The bit of a batch's attributes that says that it belongs to a transaction.
const TRANSACTIONAL: u16 = 0x10;
const PRODUCER_ID_AT: usize = 43;
const SEQUENCE_AT: usize = 53;
/// Bytes of the time stamp at the start of the first record's value.
pub const STAMP: usize = 8;
/// Bytes of the key of a keyed record.
pub const KEY: usize = 8;

/// What a batch holds.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub records: usize,
    /// Key and value together, in bytes.
    pub record_bytes: usize,
    pub keyed: bool,
}

/// A batch ready to be sent any number of times.
#[derive(Debug, Clone)]
pub struct Batch {
    head: Vec<u8>,
    stamp_at: usize,
    tail: Rc<[u8]>,
    tail_crc: u32,
    /// Column `i` is what bit `i` of the head's checksum becomes behind the tail.
    shift: [u32; 32],
    records: i32,
    /// Where in the whole batch each key lies; empty without keys.
    keys_at: Vec<usize>,
}

impl Batch {
    /// Builds a batch with create time `timestamp_ms`; keys and values are pseudo-random bytes
    /// from `seed`, which no codec can squeeze.
    pub fn new(shape: Shape, timestamp_ms: i64, seed: u64) -> Result<Batch, Error> {
        let key = if shape.keyed { KEY } else { 0 };
        if shape.records == 0 || shape.record_bytes < key + STAMP {
            let least = key + STAMP;
            return Err(Error::Usage(format!("a batch needs a record, and a record {least} bytes or more")));
        }
        let records = i32::try_from(shape.records).map_err(|_| Error::Usage("too many records".into()))?;
        let mut random = seed | 1;
        let mut body = Vec::with_capacity(shape.records * (shape.record_bytes + 16));
        let (mut first_value, mut keys_at) = (0, Vec::new());
        for i in 0..shape.records {
            let (key_at, value_at) = put_record(&mut body, i, shape, key, &mut random);
            if i == 0 {
                first_value = value_at;
            }
            if shape.keyed {
                keys_at.push(HEADER + key_at);
            }
        }
        let mut head = Vec::with_capacity(HEADER + first_value + STAMP);
        head.put_i64(0);
        head.put_i32((HEADER - 12 + body.len()) as i32);
        head.put_i32(-1);
        head.put_i8(2);
        head.put_i32(0);
        head.put_i16(0);
        head.put_i32(records - 1);
        head.put_i64(timestamp_ms);
        head.put_i64(timestamp_ms);
        head.put_i64(-1);
        head.put_i16(-1);
        head.put_i32(-1);
        head.put_i32(records);
        head.extend_from_slice(&body[..first_value + STAMP]);
        let tail: Rc<[u8]> = body[first_value + STAMP..].into();
        let tail_crc = crc32c::crc32c(&tail);
        let mut shift = [0; 32];
        for (bit, column) in shift.iter_mut().enumerate() {
            *column = crc32c::crc32c_combine(1 << bit, 0, tail.len());
        }
        let stamp_at = HEADER + first_value;
        let mut batch = Batch { head, stamp_at, tail, tail_crc, shift, records, keys_at };
        let mut head = std::mem::take(&mut batch.head);
        batch.seal(&mut head);
        batch.head = head;
        Ok(batch)
    }

    /// The same batch as a part of a transaction.
    pub fn into_transactional(mut self) -> Batch {
        let mut head = std::mem::take(&mut self.head);
        head[CRC_FROM..CRC_FROM + 2].copy_from_slice(&TRANSACTIONAL.to_be_bytes());
        self.seal(&mut head);
        self.head = head;
        self
    }

    /// The part that may be patched: copy it, patch the copy, [`seal`](Self::seal) it.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The part that is shared and sent as it is, behind the head.
    pub fn tail(&self) -> &Rc<[u8]> {
        &self.tail
    }

    /// Bytes of the whole batch, as it is stored.
    pub fn bytes(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Records in the batch.
    pub fn records(&self) -> i32 {
        self.records
    }

    /// Writes producer id, epoch and base sequence into a copy of the head.
    pub fn set_sequence(&self, head: &mut [u8], producer: (i64, i16), sequence: i32) {
        head[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].copy_from_slice(&producer.0.to_be_bytes());
        head[PRODUCER_ID_AT + 8..SEQUENCE_AT].copy_from_slice(&producer.1.to_be_bytes());
        head[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
    }

    /// Writes a time stamp into the first record's value in a copy of the head.
    pub fn set_stamp(&self, head: &mut [u8], stamp: u64) {
        head[self.stamp_at..self.stamp_at + STAMP].copy_from_slice(&stamp.to_be_bytes());
    }

    /// Gives every record of a copy of the whole batch its key, makes the checksum right, and returns it. Does not
    /// change the keys of a batch without any.
    pub fn set_keys(&self, whole: &mut [u8], mut next: impl FnMut() -> u64) -> u32 {
        for at in &self.keys_at {
            whole[*at..*at + KEY].copy_from_slice(&next().to_be_bytes());
        }
        let crc = crc32c::crc32c(&whole[CRC_FROM..]);
        whole[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        crc
    }

    /// Makes the checksum in a patched copy of the head right, and returns it.
    pub fn seal(&self, head: &mut [u8]) -> u32 {
        let mut of_head = crc32c::crc32c(&head[CRC_FROM..]);
        let mut crc = self.tail_crc;
        while of_head != 0 {
            crc ^= self.shift[of_head.trailing_zeros() as usize];
            of_head &= of_head - 1;
        }
        head[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        crc
    }
}

/// Appends record `i` and returns where its key and its value start.
fn put_record(out: &mut Vec<u8>, i: usize, shape: Shape, key: usize, random: &mut u64) -> (usize, usize) {
    let value = shape.record_bytes - key;
    let mut record = Vec::with_capacity(shape.record_bytes + 16);
    record.put_i8(0);
    record.put_varint(0);
    record.put_varint(i as i64);
    let mut key_in_record = record.len();
    if shape.keyed {
        record.put_varint(key as i64);
        key_in_record = record.len();
        put_random(&mut record, key, random);
    } else {
        record.put_varint(-1);
    }
    record.put_varint(value as i64);
    let value_in_record = record.len();
    put_random(&mut record, value, random);
    record.put_varint(0);
    out.put_varint(record.len() as i64);
    let at = out.len();
    out.extend_from_slice(&record);
    (at + key_in_record, at + value_in_record)
}

fn put_random(out: &mut Vec<u8>, n: usize, state: &mut u64) {
    let end = out.len() + n;
    while out.len() < end {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        let word = state.to_le_bytes();
        out.extend_from_slice(&word[..word.len().min(end - out.len())]);
    }
}

/// A batch as it came back from a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub base_offset: i64,
    /// Offset behind the last record.
    pub next_offset: i64,
    pub crc: u32,
    /// Whether the checksum fits the bytes; `None` when it was not asked for.
    pub valid: Option<bool>,
    /// First eight bytes of the first value, if it has that many.
    pub stamp: Option<u64>,
    pub records: i32,
    /// Bytes of the whole batch.
    pub bytes: usize,
}

/// Takes the first batch off `records`. `None` when what is left is no whole batch: a fetch may
/// cut its last one. With `check`, the checksum is computed.
pub fn next_batch(records: &mut &[u8], check: bool) -> Result<Option<Seen>, Error> {
    let mut get = Get::new(records);
    if records.len() < HEADER {
        return Ok(None);
    }
    let base_offset = get.i64()?;
    let length = get.i32()?;
    let bytes = usize::try_from(length).map_err(|_| Error::Protocol("a batch of negative length"))? + 12;
    if bytes < HEADER {
        return Err(Error::Protocol("a batch shorter than its header"));
    }
    let Some((batch, rest)) = records.split_at_checked(bytes) else { return Ok(None) };
    get = Get::new(&batch[16..]);
    if get.i8()? != 2 {
        return Err(Error::Protocol("a batch whose magic is not 2"));
    }
    let crc = get.i32()? as u32;
    get.take(2)?;
    let last_delta = get.i32()?;
    get.take(30)?;
    let seen = Seen {
        base_offset,
        next_offset: base_offset + i64::from(last_delta) + 1,
        crc,
        valid: check.then(|| crc32c::crc32c(&batch[CRC_FROM..]) == crc),
        records: get.i32()?,
        stamp: first_stamp(get).ok().flatten(),
        bytes,
    };
    *records = rest;
    Ok(Some(seen))
}

fn first_stamp(mut get: Get<'_>) -> Result<Option<u64>, Error> {
    get.varint()?;
    get.i8()?;
    get.varint()?;
    get.varint()?;
    let key = get.varint()?;
    get.take(key.max(0) as usize)?;
    if get.varint()? < STAMP as i64 {
        return Ok(None);
    }
    Ok(get.take(STAMP)?.first_chunk().map(|b| u64::from_be_bytes(*b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(batch: &Batch, head: &[u8]) -> Vec<u8> {
        [head, batch.tail()].concat()
    }

    proptest! {
        #[test]
        fn a_patched_batch_is_valid_without_touching_its_tail(
            records in 1usize..40, size in 16usize..300, keyed: bool,
            pid in 0i64..1 << 40, sequence: i32, stamp: u64,
        ) {
            let batch = Batch::new(Shape { records, record_bytes: size, keyed }, 7, 99).unwrap();
            let mut head = batch.head().to_vec();
            batch.set_sequence(&mut head, (pid, 3), sequence);
            batch.set_stamp(&mut head, stamp);
            let crc = batch.seal(&mut head);
            let bytes = whole(&batch, &head);
            let mut rest = &bytes[..];
            let seen = next_batch(&mut rest, true).unwrap().unwrap();
            prop_assert_eq!(seen.valid, Some(true));
            prop_assert_eq!((seen.crc, seen.stamp, seen.records as usize), (crc, Some(stamp), records));
            prop_assert_eq!((seen.next_offset, seen.bytes), (records as i64, bytes.len()));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_flipped_bit_behind_the_checksum_is_seen(at in 0usize..2000, bit in 0u32..8) {
            let batch = Batch::new(Shape { records: 4, record_bytes: 100, keyed: true }, 7, 5).unwrap();
            let mut bytes = whole(&batch, batch.head());
            let at = CRC_FROM + at % (bytes.len() - CRC_FROM);
            bytes[at] ^= 1 << bit;
            let seen = next_batch(&mut &bytes[..], true).unwrap().unwrap();
            prop_assert_eq!(seen.valid, Some(false));
        }

        #[test]
        fn garbage_does_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = next_batch(&mut rest, true) {}
        }
    }

    #[test]
    fn every_record_decodes_to_its_own_offset() {
        let shape = Shape { records: 3, record_bytes: 200, keyed: true };
        let batch = Batch::new(shape, 7, 5).unwrap();
        let bytes = whole(&batch, batch.head());
        let mut get = Get::new(&bytes[HEADER..]);
        for i in 0..3 {
            let length = get.varint().unwrap();
            let mut record = Get::new(get.take(length as usize).unwrap());
            assert_eq!((record.i8().unwrap(), record.varint().unwrap()), (0, 0));
            assert_eq!(record.varint().unwrap(), i);
            let key = record.varint().unwrap();
            record.take(key as usize).unwrap();
            let value = record.varint().unwrap();
            record.take(value as usize).unwrap();
            assert_eq!(key + value, 200);
            assert_eq!(record.varint().unwrap(), 0);
            assert!(record.rest().is_empty());
        }
        assert!(get.rest().is_empty());
    }

    #[test]
    fn keys_are_written_into_every_record_and_the_checksum_follows() {
        let batch = Batch::new(Shape { records: 3, record_bytes: 50, keyed: true }, 7, 5).unwrap();
        let mut bytes = whole(&batch, batch.head());
        let mut key = 40;
        let crc = batch.set_keys(&mut bytes, || {
            key += 1;
            key
        });
        let seen = next_batch(&mut &bytes[..], true).unwrap().unwrap();
        assert_eq!((seen.valid, seen.crc), (Some(true), crc));
        let mut get = Get::new(&bytes[HEADER..]);
        for i in 0..3 {
            let length = get.varint().unwrap();
            let mut record = Get::new(get.take(length as usize).unwrap());
            record.i8().unwrap();
            record.varint().unwrap();
            record.varint().unwrap();
            assert_eq!((record.varint().unwrap(), record.i64().unwrap()), (8, 41 + i));
        }
    }

    #[test]
    fn a_batch_of_a_transaction_is_marked_and_valid() {
        let batch = Batch::new(Shape { records: 1, record_bytes: 50, keyed: false }, 7, 5).unwrap();
        let batch = batch.into_transactional();
        let bytes = whole(&batch, batch.head());
        assert_eq!(bytes[CRC_FROM..CRC_FROM + 2], [0, 0x10]);
        assert_eq!(next_batch(&mut &bytes[..], true).unwrap().unwrap().valid, Some(true));
    }

    #[test]
    fn a_cut_batch_is_not_a_batch() {
        let batch = Batch::new(Shape { records: 2, record_bytes: 50, keyed: false }, 7, 5).unwrap();
        let bytes = whole(&batch, batch.head());
        assert_eq!(next_batch(&mut &bytes[..bytes.len() - 1], true).unwrap(), None);
    }
}
