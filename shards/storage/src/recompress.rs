//! Batches as `compression.type` wants them. One of another codec is decompressed and compressed anew, as Kafka's
//! `LogValidator` does it; one of the same codec stays as its producer made it, whatever its level.
//!
//! Records go through a window of a few KiB: neither all of them nor more than the compressed outcome is in memory,
//! and that is given up where it passes `max.message.bytes`. The core is given to others after every
//! [`PIECE_BYTES`], but for what a codec does at once: 128 KiB of zstd, and a bare Snappy block.

use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::cleaner::{Changes, other_batch};
use crate::config::LogConfig;
use crate::error::AppendError;
use crate::partition::{AppendContext, Partition};
use crate::validate::{self, Crc, Origin, UNPACKABLE, Unpacked};
use compression::{Encoder, Target};
use executor::yield_now;
use std::io::{self, Read};

/// After so many bytes of records the core is given to others: gzip needs a millisecond for them.
const PIECE_BYTES: usize = 32 << 10;

const NO_TIMESTAMP: i64 = -1;
const UNPACKED_ORDER: AppendError =
    AppendError::InvalidRecord("records whose offsets do not follow each other");
const UNPACKED_MORE: AppendError = AppendError::InvalidRecord("bytes behind the last record");

/// Whether batches, which nobody has checked yet, have another codec than the log keeps. What the coordinators write
/// stays as it is, and so do control batches. Of bytes that are no batches the append tells what is wrong.
pub(crate) fn is_needed(batches: &[u8], target: Target, origin: Origin) -> bool {
    let mut rest = batches;
    while let Ok(header) = BatchHeader::parse(rest) {
        if is_other(&header, target, origin) {
            return true;
        }
        rest = rest.get(header.bytes..).unwrap_or_default();
    }
    false
}

fn is_other(header: &BatchHeader, target: Target, origin: Origin) -> bool {
    origin != Origin::Coordinator && !header.is_control() && header.compression() != target.codec as i16
}

impl Partition {
    /// Batches as the log keeps them: what [`append`](Partition::append) refused with [`AppendError::OtherCodec`].
    /// Offsets, sequence numbers, producer and transaction are the same; codec, length, largest timestamp and
    /// CRC are new. Nothing is appended, and whoever wants an order of appends keeps it.
    ///
    /// # Errors
    /// Those of an append for batches that may not be appended, whose records cannot be decompressed or contradict
    /// their header, and for what is larger than `max.message.bytes`, before or after.
    pub async fn recompress(&self, batches: &[u8], context: &AppendContext) -> Result<Vec<u8>, AppendError> {
        // Keys are looked at by the append.
        let config = LogConfig { compact: false, ..(*self.config()).clone() };
        let Some(target) = config.compression else { return Ok(batches.to_vec()) };
        let mut made = Vec::new();
        let mut rest = batches;
        while !rest.is_empty() {
            let header = validate::batch(rest, &config, context.origin, context.now_ms, Crc::Unknown)?;
            let (batch, behind) = rest.split_at(header.bytes);
            rest = behind;
            match is_other(&header, target, context.origin) {
                true => {
                    let limit = config.max_message_bytes;
                    made.extend_from_slice(&compress_anew(batch, &header, target, limit).await?);
                }
                false => made.extend_from_slice(batch),
            }
        }
        Ok(made)
    }
}

/// A batch whose header was checked, with another codec. No more than about `limit` bytes of it are made.
async fn compress_anew(
    batch: &[u8],
    header: &BatchHeader,
    target: Target,
    limit: usize,
) -> Result<Vec<u8>, AppendError> {
    let codec = compression::codec(header.compression()).ok_or(UNPACKABLE)?;
    let source = compression::reader(codec, &batch[HEADER_BYTES..]).map_err(|_| UNPACKABLE)?;
    let mut records = Unpacked::new(Tee { source, encoder: Encoder::new(target), since_yield: 0 });
    let mut max_timestamp = NO_TIMESTAMP;
    for number in 0..header.count {
        let head = records.head()?;
        if head.offset_delta != i64::from(number) {
            return Err(UNPACKED_ORDER);
        }
        max_timestamp = max_timestamp.max(header.base_timestamp.saturating_add(head.timestamp_delta));
        let mut left = head.left;
        loop {
            let now = left.min(PIECE_BYTES as u64);
            records.skip(now)?;
            left -= now;
            pause(records.source.get_mut(), limit).await?;
            if left == 0 {
                break;
            }
        }
    }
    if !records.is_at_end()? {
        return Err(UNPACKED_MORE);
    }
    let encoder = records.source.into_inner().encoder;
    let payload = encoder.finish().map_err(|_| UNPACKABLE)?;
    let changes = Changes {
        count: header.count,
        base_timestamp: header.base_timestamp,
        max_timestamp,
        has_horizon: false,
        codec: target.codec as i16,
    };
    Ok(other_batch(batch, &changes, &payload))
}

/// Lets others have the core, if it is time; an end to what becomes too large.
async fn pause<R>(tee: &mut Tee<R>, limit: usize) -> Result<(), AppendError> {
    let bytes = HEADER_BYTES + tee.encoder.written();
    if bytes > limit {
        return Err(AppendError::MessageTooLarge { bytes, limit });
    }
    if tee.since_yield >= PIECE_BYTES {
        tee.since_yield = 0;
        yield_now().await;
    }
    Ok(())
}

/// Hands what is read from it to an encoder, too.
struct Tee<R> {
    source: R,
    encoder: Encoder,
    /// Bytes read since the core was given to others.
    since_yield: usize,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.encoder.write(&into[..count]).map_err(io::Error::other)?;
        self.since_yield += count;
        Ok(count)
    }
}
