//! Batches in what was read from a log, by their headers alone, and the part of it that is sent.

use kafka_wire::record_batch::layout;
use memory::Slice;
use model::Offset;
use share::{Acquired, Found};
use std::collections::BTreeSet;

/// A batch in slices: where it lies, and what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lying {
    /// Its first byte, counted over all slices.
    from: usize,
    /// The first byte behind it.
    to: usize,
    first: i64,
    last: i64,
    attributes: i16,
    producer: i64,
}

impl Lying {
    fn is(&self, mask: i16) -> bool {
        self.attributes & mask != 0
    }
}

/// The batches in slices, in order: whole ones, up to the first that cannot be told.
pub(super) fn lying(slices: &[Slice], bytes: usize) -> Vec<Lying> {
    let mut found = Vec::new();
    let mut reader = Across { slices, slice: 0, at: 0 };
    let mut from = 0;
    let mut header = [0; layout::HEADER_LENGTH];
    while bytes - from >= layout::HEADER_LENGTH && reader.copy(from, &mut header) {
        let length = i64::from(i32_at(&header, layout::BATCH_LENGTH)) + layout::LENGTH_OVERHEAD as i64;
        let Ok(length) = usize::try_from(length) else { break };
        if length < layout::HEADER_LENGTH || length > bytes - from {
            break;
        }
        let first = i64_at(&header, layout::BASE_OFFSET);
        let last = first.saturating_add(i64::from(i32_at(&header, layout::LAST_OFFSET_DELTA)));
        let attributes = i16::from_be_bytes([header[layout::ATTRIBUTES], header[layout::ATTRIBUTES + 1]]);
        let producer = i64_at(&header, layout::PRODUCER_ID);
        found.push(Lying { from, to: from + length, first, last, attributes, producer });
        from += length;
    }
    found
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | i32::from(*byte))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    bytes[at..at + 8].iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Reads forward over the ends of slices.
struct Across<'a> {
    slices: &'a [Slice],
    slice: usize,
    /// Where the slice begins, counted over all.
    at: usize,
}

impl Across<'_> {
    /// Copies the bytes from a place on, which must not be before the last one; false if there are not so many.
    fn copy(&mut self, from: usize, into: &mut [u8]) -> bool {
        while self.slices.get(self.slice).is_some_and(|slice| self.at + slice.len() <= from) {
            self.at += self.slices[self.slice].len();
            self.slice += 1;
        }
        let (mut skip, mut filled) = (from - self.at, 0);
        for slice in &self.slices[self.slice..] {
            let part = slice[skip.min(slice.len())..].iter().zip(&mut into[filled..]);
            filled += part.map(|(byte, into)| *into = *byte).count();
            skip = 0;
            if filled == into.len() {
                return true;
            }
        }
        false
    }
}

/// Which of the batches members see. `aborted` are the transactions that were aborted, by producer and first offset,
/// where only committed records are wanted.
pub(super) fn visible(lying: &[Lying], aborted: &[(i64, Offset)]) -> Vec<Found> {
    let mut coming: Vec<(i64, Offset)> = aborted.to_vec();
    coming.sort_by_key(|(_, first)| std::cmp::Reverse(*first));
    let mut open: BTreeSet<i64> = BTreeSet::new();
    let one = |batch: &Lying| {
        while coming.last().is_some_and(|(_, first)| first.0 <= batch.last) {
            open.extend(coming.pop().map(|(producer, _)| producer));
        }
        let mut is_visible = true;
        if batch.is(layout::CONTROL_MASK) {
            open.remove(&batch.producer);
            is_visible = false;
        } else if batch.is(layout::TRANSACTIONAL_MASK) && open.contains(&batch.producer) {
            is_visible = false;
        }
        Found { first: batch.first, last: batch.last, is_visible }
    };
    lying.iter().map(one).collect()
}

/// The batches from the first to the last that have something acquired, as parts of the slices that they lie in.
pub(super) fn cut(slices: &[Slice], lying: &[Lying], acquired: &[Acquired]) -> (Vec<Slice>, usize) {
    let (Some(first), Some(last)) = (acquired.first(), acquired.last()) else { return (Vec::new(), 0) };
    let from = lying.iter().find(|batch| batch.last >= first.first).map_or(0, |batch| batch.from);
    let to = lying.iter().rev().find(|batch| batch.first <= last.last).map_or(0, |batch| batch.to);
    let (mut parts, mut at) = (Vec::with_capacity(slices.len()), 0);
    for slice in slices {
        let (begin, end) = (at, at + slice.len());
        at = end;
        let (one, other) = (from.max(begin), to.min(end));
        if one < other {
            parts.push(slice.slice(one - begin..other - begin));
        }
    }
    (parts, to.saturating_sub(from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::BatchBuilder;

    fn batch(base: i64, records: i32, producer: Option<(i64, bool)>) -> Vec<u8> {
        let mut builder = BatchBuilder::new().base_offset(base);
        if let Some((producer, is_control)) = producer {
            builder = builder.producer(producer, 0, -1).transactional();
            builder = if is_control { builder.control() } else { builder };
        }
        for _ in 0..records {
            builder.append(1, Some(b"key"), Some(b"value"), &[]).expect("small");
        }
        builder.build().expect("small")
    }

    /// The bytes in slices of a size, so that headers are cut.
    fn slices(bytes: &[u8], size: usize) -> Vec<Slice> {
        bytes.chunks(size).map(|part| Slice::from(part.to_vec())).collect()
    }

    #[test]
    fn batches_are_found_wherever_slices_end() {
        let bytes = [batch(5, 3, None), batch(8, 1, None), batch(20, 2, None)].concat();
        for size in [1, 7, 61, 64, 1000] {
            let slices = slices(&bytes, size);
            let lying = lying(&slices, bytes.len());
            let offsets: Vec<(i64, i64)> = lying.iter().map(|one| (one.first, one.last)).collect();
            assert_eq!(offsets, [(5, 7), (8, 8), (20, 21)], "{size}");
            let acquired = [
                Acquired { first: 8, last: 8, deliveries: 1 },
                Acquired { first: 20, last: 20, deliveries: 1 },
            ];
            let (parts, length) = cut(&slices, &lying, &acquired);
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.to_vec()).collect();
            assert_eq!(joined, [batch(8, 1, None), batch(20, 2, None)].concat(), "{size}");
            assert_eq!(joined.len(), length);
            assert_eq!(cut(&slices, &lying, &[]).1, 0);
        }
        let whole = batch(5, 3, None);
        let half = whole.len() - 1;
        assert!(lying(&slices(&whole[..half], 16), half).is_empty(), "half a batch is none");
    }

    #[test]
    fn control_batches_and_aborted_ones_are_not_seen() {
        let bytes = [
            batch(0, 1, Some((7, false))),
            batch(1, 1, Some((8, false))),
            batch(2, 1, Some((7, true))),
            batch(3, 1, Some((7, false))),
            batch(4, 1, None),
            batch(5, 1, Some((8, true))),
        ]
        .concat();
        let lying = lying(&slices(&bytes, 100), bytes.len());
        let seen = |aborted: &[(i64, Offset)]| -> Vec<i64> {
            visible(&lying, aborted).iter().filter(|one| one.is_visible).map(|one| one.first).collect()
        };
        assert_eq!(seen(&[]), [0, 1, 3, 4]);
        assert_eq!(seen(&[(7, Offset(0))]), [1, 3, 4], "what comes after the end is another transaction");
        assert_eq!(seen(&[(8, Offset(1)), (7, Offset(0))]), [3, 4]);
    }
}
