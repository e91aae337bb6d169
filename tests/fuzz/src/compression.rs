//! Compressed payloads, which the client commands unpack.

use client::compression::{RECORDS_BYTES_MAX, compress, decompress};
use kafka_wire::record_batch::Compression;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// One byte for the codec, and a payload.
///
/// The payload must not unpack to more than the limit; and taken as records, it must come back as it was.
pub fn run(data: &[u8]) {
    let Some((which, payload)) = data.split_first() else { return };
    let codec = CODECS[usize::from(*which) % CODECS.len()];
    let mut records = Vec::new();
    if decompress(codec, payload, &mut records).is_ok() {
        assert!(records.len() <= RECORDS_BYTES_MAX, "{} bytes", records.len());
    }
    if let Ok(packed) = compress(codec, payload) {
        let mut back = Vec::new();
        decompress(codec, &packed, &mut back).expect("what was packed can be unpacked");
        assert_eq!(back, payload);
    }
}
