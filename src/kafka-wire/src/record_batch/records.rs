//! The records inside a batch.

use crate::{Reader, WireError};

/// The least a record takes: length, attributes, two deltas, key length, value length, header count.
const MIN_RECORD_LENGTH: usize = 7;

/// Iterates over records that are not, or no longer, compressed. Nothing is copied.
///
/// Each record is checked as it comes; after an error the iteration ends. Bytes behind the last record are an
/// error, too.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    reader: Reader<'a>,
    left: usize,
    done: bool,
}

impl<'a> RecordIter<'a> {
    /// The `count` records in `payload`.
    ///
    /// # Errors
    /// [`WireError::InvalidLength`] for a negative count, [`WireError::CountExceedsFrame`] for one that
    /// `payload` cannot hold.
    pub fn new(payload: &'a [u8], count: i32) -> Result<RecordIter<'a>, WireError> {
        let left = usize::try_from(count).map_err(|_| WireError::InvalidLength(count.into()))?;
        if left > payload.len() / MIN_RECORD_LENGTH {
            return Err(WireError::CountExceedsFrame { count: left, remaining: payload.len() });
        }
        Ok(RecordIter { reader: Reader::new(payload), left, done: false })
    }

    fn read(&mut self) -> Result<Option<Record<'a>>, WireError> {
        if self.left == 0 {
            return match self.reader.remaining() {
                0 => Ok(None),
                _ => Err(WireError::InvalidBatch("bytes behind the last record")),
            };
        }
        self.left -= 1;
        Record::read(&mut self.reader).map(Some)
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// One record, in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// No bit has a meaning yet.
    pub attributes: i8,
    /// Timestamp less the batch's base timestamp, milliseconds.
    pub timestamp_delta: i64,
    /// Offset less the batch's base offset.
    pub offset_delta: i32,
    /// What records are partitioned and compacted by.
    pub key: Option<&'a [u8]>,
    /// Null is a tombstone where the topic is compacted.
    pub value: Option<&'a [u8]>,
    /// Pairs in the order they were given; keys may repeat.
    pub headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// Reads a record with the length before it, headers included, so that iterating them cannot fail.
    fn read(reader: &mut Reader<'a>) -> Result<Record<'a>, WireError> {
        let length = reader.varint()?;
        let length = usize::try_from(length).map_err(|_| WireError::InvalidLength(length.into()))?;
        let mut body = Reader::new(reader.take(length)?);
        let attributes = body.i8()?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = nullable_bytes(&mut body)?;
        let value = nullable_bytes(&mut body)?;
        let count = body.varint()?;
        let count = usize::try_from(count).map_err(|_| WireError::InvalidLength(count.into()))?;
        let headers = body.clone();
        for _ in 0..count {
            read_header(&mut body)?;
        }
        if body.remaining() > 0 {
            return Err(WireError::InvalidBatch("bytes behind the last header of a record"));
        }
        let mut rest = headers;
        let bytes = rest.take(rest.remaining())?;
        Ok(Record {
            attributes,
            timestamp_delta,
            offset_delta,
            key,
            value,
            headers: Headers { bytes, left: count },
        })
    }
}

fn nullable_bytes<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, WireError> {
    match reader.varint()? {
        -1 => Ok(None),
        length => {
            let length = usize::try_from(length).map_err(|_| WireError::InvalidLength(length.into()))?;
            reader.take(length).map(Some)
        }
    }
}

/// A header of a record. Keys are UTF-8 by agreement, which nobody enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Never null.
    pub key: &'a [u8],
    /// May be null.
    pub value: Option<&'a [u8]>,
}

fn read_header<'a>(reader: &mut Reader<'a>) -> Result<Header<'a>, WireError> {
    let key = nullable_bytes(reader)?.ok_or(WireError::UnexpectedNull)?;
    Ok(Header { key, value: nullable_bytes(reader)? })
}

/// Iterates over the headers of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut reader = Reader::new(self.bytes);
        // The record has been read to its end before, so this does not fail.
        let header = read_header(&mut reader).ok()?;
        self.bytes = &self.bytes[reader.position()..];
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}
