//! From the bytes of a push to numbers.

use kafka_wire::ErrorCode;
use std::io::Read;
use telemetry::otlp::{self, OtlpError};
use telemetry::{Owner, SeriesSet};

/// Bytes that are decompressed between two looks at other work.
const PIECE_BYTES: usize = 16 << 10;

/// Decompresses and reads a push, which must not have more than `bytes_max` bytes then either.
///
/// # Errors
/// INVALID_RECORD if it cannot be read, TELEMETRY_TOO_LARGE if there is too much of it.
pub(super) async fn numbers(
    metrics: &[u8],
    codec: i8,
    bytes_max: usize,
    owner: &Owner<'_>,
) -> Result<SeriesSet, ErrorCode> {
    let bytes = decompressed(metrics, codec, bytes_max).await?;
    let mut set = SeriesSet::new(owner);
    let read = otlp::decode(&bytes, &mut |sample| set.add(sample));
    match read {
        Ok(dropped) => {
            set.count_dropped(dropped);
            Ok(set)
        }
        Err(error) => {
            log::debug!("the metrics of client {} cannot be read: {error}", owner.instance);
            Err(match error {
                OtlpError::Malformed => ErrorCode::InvalidRecord,
                OtlpError::TooMuch => ErrorCode::TelemetryTooLarge,
            })
        }
    }
}

async fn decompressed(metrics: &[u8], codec: i8, bytes_max: usize) -> Result<Vec<u8>, ErrorCode> {
    let invalid = |why: &dyn std::fmt::Display| {
        log::debug!("pushed metrics cannot be decompressed: {why}");
        ErrorCode::InvalidRecord
    };
    let codec = compression::codec(codec.into()).ok_or(ErrorCode::UnsupportedCompressionType)?;
    let mut reader = compression::reader(codec, metrics).map_err(|error| invalid(&error))?;
    let mut bytes = Vec::new();
    loop {
        let from = bytes.len();
        bytes.resize(from + PIECE_BYTES, 0);
        let count = reader.read(&mut bytes[from..]).map_err(|error| invalid(&error))?;
        bytes.truncate(from + count);
        if count == 0 {
            return Ok(bytes);
        }
        if bytes.len() > bytes_max {
            return Err(ErrorCode::TelemetryTooLarge);
        }
        executor::yield_now().await;
    }
}
