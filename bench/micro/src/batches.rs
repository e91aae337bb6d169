//! Record batches as producers send them.

use kafka_wire::{BatchBuilder, WireError};

/// The timestamp of every record, in milliseconds since 1970.
pub const TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// A batch of so many records with values of `value_bytes` each and no keys.
///
/// # Errors
/// [`WireError::TooLong`] over 2 GiB.
pub fn batch(records: usize, value_bytes: usize) -> Result<Vec<u8>, WireError> {
    let value: Vec<u8> = (0..value_bytes).map(|i| (i * 31 % 251) as u8).collect();
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(TIMESTAMP_MS, None, Some(&value), &[])?;
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::RecordBatch;

    #[test]
    fn a_batch_is_whole() {
        let bytes = batch(3, 100).expect("builds");
        let (batch, rest) = RecordBatch::split_first(&bytes).expect("a batch");
        assert!(rest.is_empty() && batch.record_count() == 3 && batch.compute_crc() == batch.crc());
    }
}
