//! A segment's file.

use super::Flaw;
use crate::batch::{BatchError, BatchHeader, HEADER_BYTES};
use crate::partition::describe;

/// A record batch in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The byte in the file at which it begins.
    pub position: u64,
    /// Its first offset.
    pub base_offset: i64,
    /// Its last offset.
    pub last_offset: i64,
    /// The leader epoch it was appended in.
    pub leader_epoch: i32,
    /// Kafka's attribute bits.
    pub attributes: i16,
    /// The largest timestamp in it.
    pub max_timestamp: i64,
    /// How many records it says it has.
    pub records: i32,
    /// The whole of it.
    pub bytes: &'a [u8],
}

/// The batches in the bytes of a segment's file whose first offset is `base`. Zeros behind the last one are
/// reserved space, and end it.
pub fn segment(bytes: &[u8], base: i64) -> Batches<'_> {
    Batches { bytes, position: 0, next_offset: base }
}

/// See [`segment()`].
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    next_offset: i64,
}

impl<'a> Batches<'a> {
    fn batch_at(&self, position: usize) -> Result<Batch<'a>, &'static str> {
        let rest = self.bytes.get(position..).unwrap_or(&[]);
        let header = BatchHeader::verify(rest).map_err(describe)?;
        if header.base_offset < self.next_offset || header.last_offset() == i64::MAX {
            return Err("a batch with an offset that was before");
        }
        if header.last_offset() < header.base_offset {
            return Err("a batch that ends before it begins");
        }
        Ok(Batch {
            position: position as u64,
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
            leader_epoch: header.leader_epoch,
            attributes: header.attributes,
            max_timestamp: header.max_timestamp,
            records: header.count,
            bytes: rest.get(..header.bytes).ok_or(describe(BatchError::Short))?,
        })
    }

    /// The next place where a whole batch begins.
    fn resume(&self) -> Option<usize> {
        let last = self.bytes.len().checked_sub(HEADER_BYTES)?;
        (self.position + 1..=last).find(|&at| self.batch_at(at).is_ok())
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, Flaw>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.position..).unwrap_or(&[]);
        if rest.iter().all(|&byte| byte == 0) {
            return None;
        }
        match self.batch_at(self.position) {
            Ok(batch) => {
                self.position += batch.bytes.len();
                self.next_offset = batch.last_offset + 1;
                Some(Ok(batch))
            }
            Err(what) => {
                let flaw = Flaw { position: self.position as u64, what, resumes_at: None };
                let next = self.resume();
                self.position = next.unwrap_or(self.bytes.len());
                Some(Err(Flaw { resumes_at: next.map(|at| at as u64), ..flaw }))
            }
        }
    }
}
