//! Compressing piece by piece.

use crate::zstd::ZstdEncoder;
use crate::{Compression, CompressionError, SNAPPY_STREAM_HEADER_BYTES, SNAPPY_STREAM_MAGIC};
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::Write;

const SNAPPY_STREAM_VERSION: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
/// What Java's stream puts into one block.
const SNAPPY_BLOCK_BYTES: usize = 32 << 10;

/// What records are to be compressed with.
///
/// Of the efforts that a codec can be told, only gzip's has an effect: the encoders of LZ4 and zstd have one each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The codec.
    pub codec: Compression,
    /// How hard gzip tries, 1 to 9; `None`: as the library likes. Other codecs do not look at it.
    pub gzip_level: Option<u32>,
}

/// Records on their way through a codec. It holds what came out, and of what went in at most 128 KiB.
///
/// A call of [`write`](Encoder::write) works on all that it is given: who must not hold the core gives little.
pub struct Encoder {
    codec: Compression,
    sink: Sink,
}

enum Sink {
    Plain(Vec<u8>),
    Gzip(GzEncoder<Vec<u8>>),
    Snappy(Box<SnappyEncoder>),
    // Boxed: it is many times as large as the others.
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(Box<ZstdEncoder>),
}

impl Encoder {
    /// An encoder that was given nothing yet.
    pub fn new(target: Target) -> Encoder {
        let sink = match target.codec {
            Compression::None => Sink::Plain(Vec::new()),
            Compression::Gzip => {
                let level = target.gzip_level.map_or_else(flate2::Compression::default, |level| {
                    // Another number would be a panic of the library's.
                    flate2::Compression::new(level.clamp(1, 9))
                });
                Sink::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Compression::Snappy => Sink::Snappy(Box::new(SnappyEncoder::new())),
            Compression::Lz4 => {
                // Kafka's own reader knows independent blocks only.
                let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
                Sink::Lz4(Box::new(FrameEncoder::with_frame_info(info, Vec::new())))
            }
            Compression::Zstd => Sink::Zstd(Box::new(ZstdEncoder::new())),
        };
        Encoder { codec: target.codec, sink }
    }

    /// Takes more of the records.
    ///
    /// # Errors
    /// None but those that the codecs' interfaces have.
    pub fn write(&mut self, records: &[u8]) -> Result<(), CompressionError> {
        let result = match &mut self.sink {
            Sink::Plain(out) => {
                out.extend_from_slice(records);
                Ok(())
            }
            Sink::Gzip(encoder) => encoder.write_all(records).map_err(|error| error.to_string()),
            Sink::Snappy(encoder) => encoder.write(records).map_err(|error| error.to_string()),
            Sink::Lz4(encoder) => encoder.write_all(records).map_err(|error| error.to_string()),
            Sink::Zstd(encoder) => encoder.write(records),
        };
        result.map_err(|what| CompressionError { codec: self.codec, what })
    }

    /// Bytes that have come out so far; some may still be under way.
    pub fn written(&self) -> usize {
        match &self.sink {
            Sink::Plain(out) => out.len(),
            Sink::Gzip(encoder) => encoder.get_ref().len(),
            Sink::Snappy(encoder) => encoder.out.len(),
            Sink::Lz4(encoder) => encoder.get_ref().len(),
            Sink::Zstd(encoder) => encoder.written(),
        }
    }

    /// The compressed records, whole.
    ///
    /// # Errors
    /// As [`write`](Encoder::write).
    pub fn finish(self) -> Result<Vec<u8>, CompressionError> {
        let codec = self.codec;
        let result = match self.sink {
            Sink::Plain(out) => Ok(out),
            Sink::Gzip(encoder) => encoder.finish().map_err(|error| error.to_string()),
            Sink::Snappy(encoder) => encoder.finish().map_err(|error| error.to_string()),
            Sink::Lz4(encoder) => encoder.finish().map_err(|error| error.to_string()),
            Sink::Zstd(encoder) => encoder.finish(),
        };
        result.map_err(|what| CompressionError { codec, what })
    }
}

/// Java's stream of Snappy blocks.
struct SnappyEncoder {
    out: Vec<u8>,
    /// What is no whole block yet.
    pending: Vec<u8>,
    encoder: snap::raw::Encoder,
    /// Room for a block that is compressed.
    packed: Vec<u8>,
}

impl SnappyEncoder {
    fn new() -> SnappyEncoder {
        let mut out = Vec::with_capacity(SNAPPY_STREAM_HEADER_BYTES);
        out.extend_from_slice(&SNAPPY_STREAM_MAGIC);
        out.extend_from_slice(&SNAPPY_STREAM_VERSION);
        let packed = vec![0; snap::raw::max_compress_len(SNAPPY_BLOCK_BYTES)];
        SnappyEncoder { out, pending: Vec::new(), encoder: snap::raw::Encoder::new(), packed }
    }

    fn write(&mut self, mut records: &[u8]) -> Result<(), snap::Error> {
        while !records.is_empty() {
            let room = SNAPPY_BLOCK_BYTES - self.pending.len();
            let (now, later) = records.split_at(room.min(records.len()));
            self.pending.extend_from_slice(now);
            records = later;
            if self.pending.len() == SNAPPY_BLOCK_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    fn end_block(&mut self) -> Result<(), snap::Error> {
        let length = self.encoder.compress(&self.pending, &mut self.packed)?;
        self.out.extend_from_slice(&(length as u32).to_be_bytes());
        self.out.extend_from_slice(&self.packed[..length]);
        self.pending.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>, snap::Error> {
        if !self.pending.is_empty() {
            self.end_block()?;
        }
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decompress;

    fn mixed(bytes: usize) -> Vec<u8> {
        // Runs, text, and noise: blocks of every kind.
        let mut random = 1u64;
        let mut noise = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 56) as u8
        };
        let byte = |at: usize, noise: u8| match at / 100_000 % 3 {
            0 => b'a',
            1 => b"the quick brown fox "[at % 20],
            _ => noise,
        };
        (0..bytes).map(|at| byte(at, noise())).collect()
    }

    #[test]
    fn pieces_of_any_size_come_back_as_one() {
        let mut back = Vec::new();
        for codec in
            [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd]
        {
            // Around the sizes of the codecs' own blocks: 32, 64 and 128 KiB.
            for bytes in [0, 1, 32 << 10, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 700_000] {
                let input = mixed(bytes);
                for piece in [1000, 65_536, 1 << 20] {
                    let mut encoder = Encoder::new(Target { codec, gzip_level: None });
                    for piece in input.chunks(piece) {
                        encoder.write(piece).unwrap();
                    }
                    let before = encoder.written();
                    let packed = encoder.finish().unwrap();
                    assert!(before <= packed.len(), "{codec:?}");
                    decompress(codec, &packed, &mut back).unwrap();
                    assert!(back == input, "{codec:?} of {bytes} bytes in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn gzip_tries_as_hard_as_it_is_told() {
        let input: Vec<u8> =
            (0..20_000).flat_map(|n| format!("line {n} of {}\n", n * 7919 % 1000).into_bytes()).collect();
        let packed = |gzip_level| {
            let mut encoder = Encoder::new(Target { codec: Compression::Gzip, gzip_level });
            encoder.write(&input).unwrap();
            encoder.finish().unwrap().len()
        };
        assert!(packed(Some(9)) < packed(Some(1)), "{} {}", packed(Some(9)), packed(Some(1)));
        assert_eq!(packed(Some(6)), packed(None), "the library's own choice");
        assert_eq!(packed(Some(70)), packed(Some(9)), "no number is a panic");
    }
}
