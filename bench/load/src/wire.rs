//! The primitives of the Kafka protocol: big-endian integers, strings, arrays, variable-length
//! integers. Reading checks every bound; a count read from the wire never sizes an allocation.

use crate::error::Error;

/// Writing, onto the end of a byte vector.
pub trait Put {
    fn put_i8(&mut self, v: i8);
    fn put_i16(&mut self, v: i16);
    fn put_i32(&mut self, v: i32);
    fn put_i64(&mut self, v: i64);
    /// Unsigned variable-length integer, seven bits a byte.
    fn put_uvarint(&mut self, v: u64);
    /// Zigzag variable-length integer, as records use it.
    fn put_varint(&mut self, v: i64);
    /// A string with a 16-bit length (versions that are not flexible).
    fn put_string(&mut self, s: &str);
    /// A string with a variable length plus one (flexible versions).
    fn put_compact_string(&mut self, s: &str);
}

impl Put for Vec<u8> {
    fn put_i8(&mut self, v: i8) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_i16(&mut self, v: i16) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_i32(&mut self, v: i32) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_i64(&mut self, v: i64) {
        self.extend_from_slice(&v.to_be_bytes());
    }
    fn put_uvarint(&mut self, mut v: u64) {
        while v >= 0x80 {
            self.push(v as u8 | 0x80);
            v >>= 7;
        }
        self.push(v as u8);
    }
    fn put_varint(&mut self, v: i64) {
        self.put_uvarint(((v << 1) ^ (v >> 63)) as u64);
    }
    fn put_string(&mut self, s: &str) {
        self.put_i16(s.len() as i16);
        self.extend_from_slice(s.as_bytes());
    }
    fn put_compact_string(&mut self, s: &str) {
        self.put_uvarint(s.len() as u64 + 1);
        self.extend_from_slice(s.as_bytes());
    }
}

/// Reading, from the front of a slice.
#[derive(Debug, Clone)]
pub struct Get<'a> {
    rest: &'a [u8],
}

const SHORT: Error = Error::Protocol("a response ends in the middle of a field");

impl<'a> Get<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Get { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(SHORT)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn i8(&mut self) -> Result<i8, Error> {
        Ok(i8::from_be_bytes(self.array()?))
    }
    pub fn i16(&mut self) -> Result<i16, Error> {
        Ok(i16::from_be_bytes(self.array()?))
    }
    pub fn i32(&mut self) -> Result<i32, Error> {
        Ok(i32::from_be_bytes(self.array()?))
    }
    pub fn i64(&mut self) -> Result<i64, Error> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn uvarint(&mut self) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [b] = self.array()?;
            value |= u64::from(b & 0x7f) << shift;
            if b & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Protocol("a variable-length integer without an end"))
    }

    pub fn varint(&mut self) -> Result<i64, Error> {
        let raw = self.uvarint()?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A string with a 16-bit length, null as empty.
    pub fn string(&mut self) -> Result<&'a str, Error> {
        let n = self.i16()?;
        self.utf8(n.max(0) as usize)
    }

    /// A string of a flexible version, null as empty.
    pub fn compact_string(&mut self) -> Result<&'a str, Error> {
        Ok(self.compact_bytes()?.map_or(Ok(""), std::str::from_utf8).unwrap_or(""))
    }

    /// Bytes (or records) of a flexible version; `None` for null.
    pub fn compact_bytes(&mut self) -> Result<Option<&'a [u8]>, Error> {
        match self.uvarint()? {
            0 => Ok(None),
            n => Ok(Some(self.take(usize::try_from(n - 1).map_err(|_| SHORT)?)?)),
        }
    }

    /// The count of an array of a flexible version, null as 0.
    pub fn compact_count(&mut self) -> Result<u64, Error> {
        Ok(self.uvarint()?.saturating_sub(1))
    }

    /// The count of an array with a 32-bit length, null as 0.
    pub fn count(&mut self) -> Result<i32, Error> {
        Ok(self.i32()?.max(0))
    }

    /// Passes over the tagged fields that end every structure of a flexible version.
    pub fn skip_tags(&mut self) -> Result<(), Error> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            let n = self.uvarint()?;
            self.take(usize::try_from(n).map_err(|_| SHORT)?)?;
        }
        Ok(())
    }

    fn utf8(&mut self, n: usize) -> Result<&'a str, Error> {
        std::str::from_utf8(self.take(n)?).map_err(|_| Error::Protocol("a string that is not UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn variable_integers_come_back(v in any::<i64>(), u in any::<u64>()) {
            let mut out = Vec::new();
            out.put_varint(v);
            out.put_uvarint(u);
            let mut get = Get::new(&out);
            prop_assert_eq!(get.varint().unwrap(), v);
            prop_assert_eq!(get.uvarint().unwrap(), u);
            prop_assert!(get.rest().is_empty());
        }

        #[test]
        fn garbage_is_an_error_or_a_value_but_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut get = Get::new(&bytes);
            let _ = get.compact_bytes();
            let _ = get.string();
            let _ = get.skip_tags();
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        let mut out = Vec::new();
        out.put_uvarint(1 << 40);
        assert!(Get::new(&out).compact_bytes().is_err());
        assert!(Get::new(&[0x7f, 0xff, b'a']).string().is_err());
    }
}
