//! The records within a batch, as far as the cleaner looks at them.

use crate::batch::varint;

/// A record where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub attributes: u8,
    /// Relative to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Relative to the batch's base offset.
    pub offset_delta: i64,
    pub key: Option<&'a [u8]>,
    pub has_value: bool,
    /// Everything from the key's length on: what does not change with the batch.
    pub contents: &'a [u8],
}

/// A field that may be missing, taken off the front.
fn nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = varint(bytes)?;
    if length < 0 {
        return Some(None);
    }
    let (field, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(field))
}

/// Takes the first record off the front; `None` if there is none.
pub(crate) fn take<'a>(bytes: &mut &'a [u8]) -> Option<Record<'a>> {
    let length = usize::try_from(varint(bytes)?).ok()?;
    let (mut body, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    let (&attributes, behind) = body.split_first()?;
    body = behind;
    let (timestamp_delta, offset_delta) = (varint(&mut body)?, varint(&mut body)?);
    let contents = body;
    let key = nullable(&mut body)?;
    let has_value = nullable(&mut body)?.is_some();
    Some(Record { attributes, timestamp_delta, offset_delta, key, has_value, contents })
}

/// Appends a number in the form that [`varint`] reads.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

impl Record<'_> {
    /// Appends the record with other deltas.
    pub fn put(&self, out: &mut Vec<u8>, timestamp_delta: i64) {
        let mut head = Vec::with_capacity(24);
        head.push(self.attributes);
        put_varint(&mut head, timestamp_delta);
        put_varint(&mut head, self.offset_delta);
        put_varint(out, (head.len() + self.contents.len()) as i64);
        out.extend_from_slice(&head);
        out.extend_from_slice(self.contents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_no_bytes_panic() {
        let contents = [4, b'k', b'y', 1, 0];
        let record = Record {
            attributes: 0,
            timestamp_delta: -70_000,
            offset_delta: 300,
            key: Some(b"ky"),
            has_value: false,
            contents: &contents,
        };
        let mut bytes = Vec::new();
        record.put(&mut bytes, -70_000);
        record.put(&mut bytes, i64::MIN);
        let mut rest = &bytes[..];
        assert_eq!(take(&mut rest), Some(record));
        assert_eq!(take(&mut rest), Some(Record { timestamp_delta: i64::MIN, ..record }));
        assert_eq!((rest.len(), take(&mut rest)), (0, None));
        for cut in 0..bytes.len() {
            let mut rest = &bytes[..cut];
            while take(&mut rest).is_some() {}
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[cut] = byte;
                let mut rest = &changed[..];
                while take(&mut rest).is_some() {}
            }
        }
    }
}
