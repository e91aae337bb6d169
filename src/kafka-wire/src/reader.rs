//! Reading protocol values from a frame, never beyond it and never allocating by a claimed size.

use std::borrow::Cow;
use std::mem::size_of;

use crate::{Bytes, Decode, Records, Str, Uuid, WireError};

/// Array elements that one frame may hold unless the caller says otherwise.
///
/// Far above any request of a real client; it bounds what a hostile frame of tiny elements can blow up to
/// in memory.
pub const DEFAULT_ELEMENT_LIMIT: usize = 1 << 22;

/// The most that is reserved for an array before its elements have shown up.
const RESERVE_BYTES: usize = 64 << 10;

/// How many elements to reserve for an array that claims to have `count`.
pub(crate) fn first_capacity<T>(count: usize) -> usize {
    count.min(RESERVE_BYTES / size_of::<T>().max(1))
}

/// A cursor over one frame.
///
/// All integers are big-endian. `flexible` chooses between the two encodings of lengths: a fixed-size
/// integer, or a variable-length one that is greater by one, 0 meaning null.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Where reading must stop: the end of the frame, or of the tagged field that is being read.
    end: usize,
    element_limit: usize,
    elements_left: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`, with [`DEFAULT_ELEMENT_LIMIT`].
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader::with_element_limit(bytes, DEFAULT_ELEMENT_LIMIT)
    }

    /// A reader that gives up when all arrays together have more than `limit` elements.
    pub fn with_element_limit(bytes: &'a [u8], limit: usize) -> Reader<'a> {
        Reader { bytes, position: 0, end: bytes.len(), element_limit: limit, elements_left: limit }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.end - self.position
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes.
    #[inline]
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        if length > self.remaining() {
            return Err(WireError::UnexpectedEnd { needed: length, remaining: self.remaining() });
        }
        let taken = &self.bytes[self.position..self.position + length];
        self.position += length;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// `int8`.
    #[inline]
    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.take_array()?))
    }

    /// `int16`.
    #[inline]
    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.take_array()?))
    }

    /// `uint16`.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.take_array()?))
    }

    /// `int32`.
    #[inline]
    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.take_array()?))
    }

    /// `int64`.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.take_array()?))
    }

    /// `float64`.
    #[inline]
    pub fn f64(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_be_bytes(self.take_array()?))
    }

    /// `bool`: every byte but 0 is true, as in Kafka.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    /// `uuid`.
    #[inline]
    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        Ok(Uuid(self.take_array()?))
    }

    /// An unsigned variable-length integer of at most 32 bits, seven bits a byte, lowest first.
    #[inline]
    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take_array()?;
            if shift == 28 && byte > 0x0f {
                return Err(WireError::InvalidVarint);
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::InvalidVarint)
    }

    /// A signed variable-length integer of at most 32 bits, zigzag-coded.
    #[inline]
    pub fn varint(&mut self) -> Result<i32, WireError> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1) as i32 ^ -((value & 1) as i32))
    }

    /// A signed variable-length integer of at most 64 bits, zigzag-coded.
    #[inline]
    pub fn varlong(&mut self) -> Result<i64, WireError> {
        let mut value = 0u64;
        for shift in (0..=63).step_by(7) {
            let [byte] = self.take_array()?;
            if shift == 63 && byte > 1 {
                return Err(WireError::InvalidVarint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(WireError::InvalidVarint)
    }

    /// A length of `bytes`, `records` or an array; `None` is null.
    fn length32(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| WireError::InvalidLength(length.into()))?;
                Ok(Some(length))
            }
        }
    }

    /// A length of `string`, which is 16 bits when it is not flexible.
    fn length16(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        match self.i16()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| WireError::InvalidLength(length.into()))?;
                Ok(Some(length))
            }
        }
    }

    /// A nullable `string`, in the frame. Kafka's limit of 32,767 bytes holds for the flexible form too.
    pub fn nullable_str(&mut self, flexible: bool) -> Result<Option<&'a str>, WireError> {
        let Some(length) = self.length16(flexible)? else { return Ok(None) };
        if length > i16::MAX as usize {
            return Err(WireError::InvalidLength(length as i64));
        }
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| WireError::InvalidUtf8)?;
        Ok(Some(text))
    }

    /// A `string` that must not be null, in the frame.
    pub fn str(&mut self, flexible: bool) -> Result<&'a str, WireError> {
        self.nullable_str(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// [`Reader::nullable_str`] as messages hold it.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<Str<'a>>, WireError> {
        Ok(self.nullable_str(flexible)?.map(Cow::Borrowed))
    }

    /// [`Reader::str`] as messages hold it.
    pub fn string(&mut self, flexible: bool) -> Result<Str<'a>, WireError> {
        Ok(Cow::Borrowed(self.str(flexible)?))
    }

    /// Nullable `bytes`.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes<'a>>, WireError> {
        match self.length32(flexible)? {
            Some(length) => Ok(Some(Cow::Borrowed(self.take(length)?))),
            None => Ok(None),
        }
    }

    /// `bytes` that must not be null.
    pub fn bytes(&mut self, flexible: bool) -> Result<Bytes<'a>, WireError> {
        self.nullable_bytes(flexible)?.ok_or(WireError::UnexpectedNull)
    }

    /// Nullable `records`.
    pub fn nullable_records(&mut self, flexible: bool) -> Result<Records<'a>, WireError> {
        match self.length32(flexible)? {
            Some(length) => Ok(Records::Bytes(self.take(length)?)),
            None => Ok(Records::Null),
        }
    }

    /// `records` that must not be null.
    pub fn records(&mut self, flexible: bool) -> Result<Records<'a>, WireError> {
        match self.nullable_records(flexible)? {
            Records::Null => Err(WireError::UnexpectedNull),
            records => Ok(records),
        }
    }

    /// True if a nullable struct follows, false if it is null.
    pub fn presence(&mut self) -> Result<bool, WireError> {
        match self.i8()? {
            -1 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::InvalidPresence(other)),
        }
    }

    /// The same in a tagged field, where Kafka has a number in its place: none is null.
    pub fn tagged_presence(&mut self) -> Result<bool, WireError> {
        Ok(self.unsigned_varint()? != 0)
    }

    /// The number of elements of an array; `None` is null.
    ///
    /// `min_size` is the least number of bytes that an element takes: a count that the rest of the frame
    /// cannot hold is refused here, before anything is done with it.
    pub fn array_count(&mut self, flexible: bool, min_size: usize) -> Result<Option<usize>, WireError> {
        let Some(count) = self.length32(flexible)? else { return Ok(None) };
        let remaining = self.remaining();
        if count > remaining / min_size.max(1) {
            return Err(WireError::CountExceedsFrame { count, remaining });
        }
        let Some(left) = self.elements_left.checked_sub(count) else {
            return Err(WireError::TooManyElements { limit: self.element_limit });
        };
        self.elements_left = left;
        Ok(Some(count))
    }

    /// A nullable array whose elements `decode` reads. For `min_size` see [`Reader::array_count`].
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        min_size: usize,
        mut decode: impl FnMut(&mut Reader<'a>) -> Result<T, WireError>,
    ) -> Result<Option<Vec<T>>, WireError> {
        let Some(count) = self.array_count(flexible, min_size)? else { return Ok(None) };
        let mut elements = Vec::with_capacity(first_capacity::<T>(count));
        for _ in 0..count {
            elements.push(decode(self)?);
        }
        Ok(Some(elements))
    }

    /// An array that must not be null.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        min_size: usize,
        decode: impl FnMut(&mut Reader<'a>) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_array(flexible, min_size, decode)?.ok_or(WireError::UnexpectedNull)
    }

    /// A nullable array of structs.
    pub fn nullable_structs<T: Decode<'a>>(
        &mut self,
        flexible: bool,
        min_size: usize,
        version: i16,
    ) -> Result<Option<Vec<T>>, WireError> {
        self.nullable_array(flexible, min_size, |reader| T::decode(reader, version))
    }

    /// An array of structs that must not be null.
    pub fn structs<T: Decode<'a>>(
        &mut self,
        flexible: bool,
        min_size: usize,
        version: i16,
    ) -> Result<Vec<T>, WireError> {
        self.nullable_structs(flexible, min_size, version)?.ok_or(WireError::UnexpectedNull)
    }

    /// The tagged fields at the end of a flexible struct.
    ///
    /// `decode` gets each tag with the reader confined to its content, and says whether it knows the tag;
    /// the content of unknown ones is skipped.
    pub fn tagged_fields(
        &mut self,
        mut decode: impl FnMut(&mut Reader<'a>, u32) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            if size > self.remaining() {
                return Err(WireError::UnexpectedEnd { needed: size, remaining: self.remaining() });
            }
            let outer_end = self.end;
            self.end = self.position + size;
            if !decode(self, tag)? {
                self.position = self.end;
            }
            if self.position != self.end {
                return Err(WireError::TagSizeMismatch { tag });
            }
            self.end = outer_end;
        }
        Ok(())
    }

    /// Skips the tagged fields at the end of a flexible struct that knows none.
    pub fn skip_tagged_fields(&mut self) -> Result<(), WireError> {
        let count = self.unsigned_varint()?;
        for _ in 0..count {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }
}
