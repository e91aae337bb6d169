//! The fields of a protobuf message, one after the other.

use crate::otlp::OtlpError;
use std::cell::Cell;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    /// A text, bytes, or a message.
    Bytes(&'a [u8]),
}

/// The fields of a message, each with its number. Every field takes one of `left`; when none is left, it is too much.
pub(crate) struct Fields<'a, 'b> {
    rest: &'a [u8],
    left: &'b Cell<usize>,
}

impl<'a, 'b> Fields<'a, 'b> {
    pub fn new(message: &'a [u8], left: &'b Cell<usize>) -> Fields<'a, 'b> {
        Fields { rest: message, left }
    }

    fn read(&mut self) -> Result<(u64, Field<'a>), OtlpError> {
        let left = self.left.get().checked_sub(1).ok_or(OtlpError::TooMuch)?;
        self.left.set(left);
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| OtlpError::Malformed)?;
                let (bytes, rest) = self.rest.split_at_checked(length).ok_or(OtlpError::Malformed)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            5 => Field::Fixed32(u32::from_le_bytes(self.array()?)),
            // Groups, which are no more, and what there never was.
            _ => return Err(OtlpError::Malformed),
        };
        match tag >> 3 {
            0 => Err(OtlpError::Malformed),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, OtlpError> {
        let mut value = 0;
        for place in 0..10 {
            let (&byte, rest) = self.rest.split_first().ok_or(OtlpError::Malformed)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(OtlpError::Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OtlpError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(OtlpError::Malformed)?;
        self.rest = rest;
        Ok(*bytes)
    }
}

impl<'a> Iterator for Fields<'a, '_> {
    type Item = Result<(u64, Field<'a>), OtlpError>;

    /// Whoever sees an error looks no further.
    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.read())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &[u8], left: usize) -> Result<Vec<(u64, Field<'_>)>, OtlpError> {
        let left = Cell::new(left);
        let fields: Result<Vec<_>, _> = Fields::new(message, &left).collect();
        fields
    }

    #[test]
    fn fields_of_every_kind() {
        let message = [
            0x08, 0x96, 0x01, // 1: 150
            0x11, 1, 0, 0, 0, 0, 0, 0, 0, // 2: fixed64 1
            0x1a, 2, b'h', b'i', // 3: hi
            0x25, 2, 0, 0, 0, // 4: fixed32 2
            0x82, 0x01, 0, // 16: nothing
        ];
        let fields = [
            (1, Field::Varint(150)),
            (2, Field::Fixed64(1)),
            (3, Field::Bytes(b"hi")),
            (4, Field::Fixed32(2)),
            (16, Field::Bytes(b"")),
        ];
        assert_eq!(read(&message, 5), Ok(fields.to_vec()));
        assert_eq!(read(&message, 4), Err(OtlpError::TooMuch));
        assert_eq!(read(&[], 0), Ok(Vec::new()));
        for end in [1, 2, 4, 11, 13, 15, 17, 20, 22, 23] {
            assert_eq!(read(&message[..end], 9), Err(OtlpError::Malformed), "cut at {end}");
        }
    }

    #[test]
    fn what_is_no_field() {
        let cases: [&[u8]; 5] = [
            &[0x00, 0x01],
            &[0x0b],
            &[0x0e],
            &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ];
        for message in cases {
            assert_eq!(read(message, 9), Err(OtlpError::Malformed), "{message:?}");
        }
    }
}
