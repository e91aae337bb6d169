//! Record batches, as producers send them and segments hold them.

use kafka_wire::RecordBatch;
use kafka_wire::record_batch::{set_base_offset, set_leader_epoch};

/// Batches, one after the other.
///
/// They must cover the input without gaps, and what a broker writes into a batch must leave its checksum alone.
pub fn run(data: &[u8]) {
    let mut rest = data;
    while let Ok((batch, after)) = RecordBatch::split_first(rest) {
        assert_eq!(batch.bytes().len() + after.len(), rest.len());
        assert!(batch.payload().len() < batch.bytes().len());
        look(&batch);
        let mut own = batch.bytes().to_vec();
        set_base_offset(&mut own, 1 << 40).expect("a whole batch");
        set_leader_epoch(&mut own, 7).expect("a whole batch");
        let (changed, nothing) = RecordBatch::split_first(&own).expect("still a batch");
        assert!(nothing.is_empty());
        assert_eq!((changed.base_offset(), changed.leader_epoch()), (1 << 40, 7));
        assert_eq!(changed.compute_crc(), batch.compute_crc());
        rest = after;
    }
}

fn look(batch: &RecordBatch<'_>) {
    let _ = (batch.compression(), batch.timestamp_type(), batch.is_control(), batch.has_delete_horizon());
    let _ = (batch.last_offset(), batch.max_timestamp(), batch.producer_id(), batch.base_sequence());
    let Ok(records) = batch.records() else { return };
    let mut bytes = 0;
    for record in records.flatten() {
        bytes += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        bytes += record
            .headers
            .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len))
            .sum::<usize>();
    }
    assert!(bytes <= batch.payload().len(), "records lie in their batch");
}
