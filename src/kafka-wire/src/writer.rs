//! Writing protocol values to a buffer, with gaps for bytes that are sent from where they lie.

use crate::{Records, Uuid, WireError};

/// A growing buffer of encoded values.
///
/// Bytes that [`Records::External`] stands for are not copied into it: the writer puts down their length,
/// notes the place, and the caller sends the slices between the places and the external bytes in turn.
///
/// `flexible` is as in [`Reader`](crate::Reader).
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    externals: Vec<(usize, u32, u32)>,
    errors: Vec<(i16, u32)>,
    throttle_time: Option<usize>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// An empty writer with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Writer {
        Writer { bytes: Vec::with_capacity(capacity), ..Writer::default() }
    }

    /// An empty writer that uses the memory of `bytes`, whose content is dropped.
    pub fn reuse(mut bytes: Vec<u8>) -> Writer {
        bytes.clear();
        Writer { bytes, ..Writer::default() }
    }

    /// Forgets what was written and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.externals.clear();
        self.errors.clear();
        self.throttle_time = None;
    }

    /// What was written, without the external bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where external bytes go, in order: offset in [`Writer::bytes`] before which they are sent, the
    /// caller's index, length in bytes.
    pub fn externals(&self) -> &[(usize, u32, u32)] {
        &self.externals
    }

    /// The error codes that were written, 0 apart: each once, and how often. For who counts what clients are told.
    pub fn errors(&self) -> &[(i16, u32)] {
        &self.errors
    }

    /// Where the throttle time was written, if the message has one in its version: an `int32` for
    /// [`Writer::patch_i32`], since how long a client is to wait is known only when its answer is made.
    pub fn throttle_time_position(&self) -> Option<usize> {
        self.throttle_time
    }

    /// [`Writer::bytes`] and [`Writer::externals`], owned.
    pub fn into_parts(self) -> (Vec<u8>, Vec<(usize, u32, u32)>) {
        (self.bytes, self.externals)
    }

    /// Bytes written so far, without the external ones.
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of the whole message, external ones included.
    pub fn total_len(&self) -> usize {
        self.bytes.len() + self.externals.iter().map(|&(_, _, len)| len as usize).sum::<usize>()
    }

    /// Overwrites four bytes written before, for a length that is known only at the end.
    ///
    /// # Panics
    /// If there are no four bytes at `position`, which must come from [`Writer::position`].
    pub fn patch_i32(&mut self, position: usize, value: i32) {
        self.bytes[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    /// Bytes as they are, with no length before them.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// `int8`.
    #[inline]
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// `int16`.
    #[inline]
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// `int16` that is an error code; see [`Writer::errors`].
    #[inline]
    pub fn error_code(&mut self, code: i16) {
        if code != 0 {
            self.note_error(code);
        }
        self.i16(code);
    }

    /// `int32` that is a throttle time in milliseconds; see [`Writer::throttle_time_position`].
    #[inline]
    pub fn throttle_time(&mut self, milliseconds: i32) {
        self.throttle_time = Some(self.position());
        self.i32(milliseconds);
    }

    /// A response has few codes, however many items: so they are looked for one by one.
    #[cold]
    fn note_error(&mut self, code: i16) {
        match self.errors.iter_mut().find(|(noted, _)| *noted == code) {
            Some((_, times)) => *times = times.saturating_add(1),
            None => self.errors.push((code, 1)),
        }
    }

    /// `uint16`.
    #[inline]
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// `int32`.
    #[inline]
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// `int64`.
    #[inline]
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// `float64`.
    #[inline]
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// `bool`.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// `uuid`.
    #[inline]
    pub fn uuid(&mut self, value: Uuid) {
        self.raw(&value.0);
    }

    /// An unsigned variable-length integer, seven bits a byte, lowest first.
    #[inline]
    pub fn unsigned_varint(&mut self, value: u32) {
        self.unsigned_varlong(u64::from(value));
    }

    fn unsigned_varlong(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed variable-length integer, zigzag-coded.
    #[inline]
    pub fn varint(&mut self, value: i32) {
        self.unsigned_varint((value << 1 ^ value >> 31) as u32);
    }

    /// A signed variable-length integer of 64 bits, zigzag-coded.
    #[inline]
    pub fn varlong(&mut self, value: i64) {
        self.unsigned_varlong((value << 1 ^ value >> 63) as u64);
    }

    /// A length of `bytes`, `records` or an array; `None` is null.
    fn length32(&mut self, flexible: bool, length: Option<usize>) -> Result<(), WireError> {
        let Some(length) = length else {
            if flexible {
                self.unsigned_varint(0);
            } else {
                self.i32(-1);
            }
            return Ok(());
        };
        let short = i32::try_from(length).map_err(|_| WireError::TooLong { length })?;
        if flexible {
            self.unsigned_varint(short as u32 + 1);
        } else {
            self.i32(short);
        }
        Ok(())
    }

    /// A nullable `string`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 32,767 bytes, the protocol's limit in both forms.
    pub fn nullable_string(&mut self, flexible: bool, text: Option<&str>) -> Result<(), WireError> {
        let Some(text) = text else {
            if flexible {
                self.unsigned_varint(0);
            } else {
                self.i16(-1);
            }
            return Ok(());
        };
        let short = i16::try_from(text.len()).map_err(|_| WireError::TooLong { length: text.len() })?;
        if flexible {
            self.unsigned_varint(short as u32 + 1);
        } else {
            self.i16(short);
        }
        self.raw(text.as_bytes());
        Ok(())
    }

    /// A `string`. Errors as in [`Writer::nullable_string`].
    pub fn string(&mut self, flexible: bool, text: &str) -> Result<(), WireError> {
        self.nullable_string(flexible, Some(text))
    }

    /// Nullable `bytes`.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 2 GiB.
    pub fn nullable_bytes(&mut self, flexible: bool, bytes: Option<&[u8]>) -> Result<(), WireError> {
        self.length32(flexible, bytes.map(<[u8]>::len))?;
        self.raw(bytes.unwrap_or_default());
        Ok(())
    }

    /// `bytes`. Errors as in [`Writer::nullable_bytes`].
    pub fn byte_array(&mut self, flexible: bool, bytes: &[u8]) -> Result<(), WireError> {
        self.nullable_bytes(flexible, Some(bytes))
    }

    /// `records`; external ones leave a length and a note. Errors as in [`Writer::nullable_bytes`].
    pub fn records(&mut self, flexible: bool, records: &Records<'_>) -> Result<(), WireError> {
        match *records {
            Records::Null => self.length32(flexible, None),
            Records::Bytes(bytes) => self.nullable_bytes(flexible, Some(bytes)),
            Records::External { index, len } => {
                self.length32(flexible, Some(len as usize))?;
                self.externals.push((self.bytes.len(), index, len));
                Ok(())
            }
        }
    }

    /// The byte that says whether a nullable struct follows.
    pub fn presence(&mut self, present: bool) {
        self.i8(if present { 1 } else { -1 });
    }

    /// The same in a tagged field, where Kafka has a number in its place.
    pub fn tagged_presence(&mut self, present: bool) {
        self.unsigned_varint(u32::from(present));
    }

    /// The number of elements of an array that follows; `None` is null.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 2^31 - 1 elements.
    pub fn array_count(&mut self, flexible: bool, count: Option<usize>) -> Result<(), WireError> {
        self.length32(flexible, count)
    }

    /// Starts a tagged field: what is written until [`Writer::end_tag`] is its content.
    pub fn begin_tag(&mut self, tag: u32) -> TagStart {
        self.unsigned_varint(tag);
        TagStart(self.bytes.len())
    }

    /// Ends a tagged field: puts the size, which is known only now, before its content.
    ///
    /// # Errors
    /// [`WireError::TooLong`] over 2 GiB.
    pub fn end_tag(&mut self, start: TagStart) -> Result<(), WireError> {
        let TagStart(start) = start;
        let end = self.bytes.len();
        let length = end - start;
        let size = i32::try_from(length).map_err(|_| WireError::TooLong { length })?;
        self.unsigned_varint(size as u32);
        let prefix = self.bytes.len() - end;
        self.bytes[start..].rotate_right(prefix);
        for external in self.externals.iter_mut().rev().take_while(|external| external.0 >= start) {
            external.0 += prefix;
        }
        Ok(())
    }
}

/// Where the content of an open tagged field starts.
#[derive(Debug)]
#[must_use = "a tagged field must be ended"]
pub struct TagStart(usize);
