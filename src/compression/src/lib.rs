//! The codecs of record batches.
//!
//! - [`decompress()`], [`compress()`]: the records of a batch as a whole.
//! - [`reader()`], [`Encoder`]: the same piece by piece, for who must not hold them all, or not hold the core.
//! - [`codec()`], [`name()`]: by number and by name.
//!
//! What a batch decompresses to is bounded by [`RECORDS_BYTES_MAX`], so that a few bytes from the network cannot
//! fill the memory.
//!
//! # Dependencies
//! The four codecs that Kafka knows, all in Rust, so that no C compiler is asked for more than the rest asks:
//!
//! | crate | for | kept by | taken | pulls in |
//! |---|---|---|---|---|
//! | `flate2`, with `miniz_oxide` | gzip | the rust-lang organisation | 1.1.11 | crc32fast, cfg-if, miniz_oxide, adler2, simd-adler32 |
//! | `snap` | Snappy | BurntSushi | 1.1.2 | nothing |
//! | `lz4_flex`, its safe code only | LZ4 frames | PSeitz | 0.14.0, July 2026 | twox-hash |
//! | `ruzstd` | zstd | KillingSpark | 0.9.1; 0.9.0 is of July 2026 | the same twox-hash |

mod encoder;
mod zstd;

pub use encoder::{Encoder, Target};
use flate2::read::GzDecoder;
pub use kafka_wire::record_batch::Compression;
use ruzstd::decoding::StreamingDecoder;
use std::fmt;
use std::io::{self, Read};

/// The most bytes that the records of one batch may have when decompressed.
pub const RECORDS_BYTES_MAX: usize = 128 << 20;

/// Java's Snappy streams begin with this, then two versions of four bytes, then blocks, each with its length
/// before it. Other clients send one bare block.
const SNAPPY_STREAM_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const SNAPPY_STREAM_HEADER_BYTES: usize = 16;

/// Why records could not be compressed or decompressed.
#[derive(Debug)]
pub struct CompressionError {
    codec: Compression,
    what: String,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", name(self.codec), self.what)
    }
}

impl std::error::Error for CompressionError {}

/// The codec's name, as in `compression.type`.
pub fn name(codec: Compression) -> &'static str {
    match codec {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

/// The codec with a number, as in a batch's attributes.
pub fn codec(number: i16) -> Option<Compression> {
    Some(match number {
        0 => Compression::None,
        1 => Compression::Gzip,
        2 => Compression::Snappy,
        3 => Compression::Lz4,
        4 => Compression::Zstd,
        _ => return None,
    })
}

/// The records of a batch as they are decompressed. Reading fails where the bytes are not what the codec writes,
/// and behind [`RECORDS_BYTES_MAX`].
pub fn reader(codec: Compression, payload: &[u8]) -> Result<impl Read + '_, CompressionError> {
    let source: Box<dyn Read + '_> = match codec {
        Compression::None => Box::new(payload),
        Compression::Gzip => Box::new(GzDecoder::new(payload)),
        Compression::Snappy => {
            Box::new(SnappyReader::new(payload).map_err(|what| CompressionError { codec, what })?)
        }
        Compression::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(payload)),
        Compression::Zstd => {
            let decoder = StreamingDecoder::new(payload);
            Box::new(decoder.map_err(|error| CompressionError { codec, what: error.to_string() })?)
        }
    };
    Ok(Bounded { source, left: RECORDS_BYTES_MAX })
}

/// Ends with an error where the limit is passed.
struct Bounded<'a> {
    source: Box<dyn Read + 'a>,
    left: usize,
}

impl Read for Bounded<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.left = self.left.checked_sub(count).ok_or_else(|| io::Error::other(too_large()))?;
        Ok(count)
    }
}

/// Decompresses Snappy, in either of its two forms, a block at a time.
struct SnappyReader<'a> {
    /// Blocks that are still to be decompressed.
    rest: &'a [u8],
    /// There is one block, without its length before it.
    bare: bool,
    block: Vec<u8>,
    /// How much of the block was read.
    at: usize,
}

impl<'a> SnappyReader<'a> {
    fn new(payload: &'a [u8]) -> Result<SnappyReader<'a>, String> {
        let bare = !payload.starts_with(&SNAPPY_STREAM_MAGIC);
        let rest = match bare {
            true => payload,
            false => payload.get(SNAPPY_STREAM_HEADER_BYTES..).ok_or("ends within the header")?,
        };
        Ok(SnappyReader { rest, bare, block: Vec::new(), at: 0 })
    }

    fn next_block(&mut self) -> Result<(), String> {
        let block = match self.bare {
            true => std::mem::take(&mut self.rest),
            false => {
                let (block, behind) = first_block(self.rest)?;
                self.rest = behind;
                block
            }
        };
        self.block.clear();
        self.at = 0;
        unsnap_block(block, &mut self.block)
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if self.rest.is_empty() {
                return Ok(0);
            }
            self.next_block().map_err(io::Error::other)?;
        }
        let count = into.len().min(self.block.len() - self.at);
        into[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Decompresses the records of a batch into `into`, whose content is replaced.
///
/// # Errors
/// If the bytes are not what the codec writes, or more than [`RECORDS_BYTES_MAX`] come out.
pub fn decompress(codec: Compression, payload: &[u8], into: &mut Vec<u8>) -> Result<(), CompressionError> {
    into.clear();
    let result = match codec {
        Compression::None => bounded(payload, into),
        Compression::Gzip => bounded(GzDecoder::new(payload), into),
        Compression::Snappy => unsnap(payload, into),
        Compression::Lz4 => bounded(lz4_flex::frame::FrameDecoder::new(payload), into),
        Compression::Zstd => match StreamingDecoder::new(payload) {
            Ok(decoder) => bounded(decoder, into),
            Err(error) => Err(error.to_string()),
        },
    };
    result.map_err(|what| CompressionError { codec, what })
}

/// Reads all that `source` gives, up to the limit.
fn bounded(source: impl Read, into: &mut Vec<u8>) -> Result<(), String> {
    let limit = RECORDS_BYTES_MAX as u64 + 1;
    match source.take(limit).read_to_end(into) {
        Ok(count) if count as u64 == limit => Err(too_large()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn too_large() -> String {
    format!("more than {RECORDS_BYTES_MAX} bytes of records in one batch")
}

fn unsnap(payload: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    if !payload.starts_with(&SNAPPY_STREAM_MAGIC) {
        return unsnap_block(payload, into);
    }
    let mut rest = payload.get(SNAPPY_STREAM_HEADER_BYTES..).ok_or("ends within the header")?;
    while !rest.is_empty() {
        let (block, behind) = first_block(rest)?;
        unsnap_block(block, into)?;
        rest = behind;
    }
    Ok(())
}

/// The first block of a Snappy stream, and what is behind it.
fn first_block(rest: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (length, behind) = rest.split_first_chunk().ok_or("ends within a block's length")?;
    let length = u32::from_be_bytes(*length) as usize;
    Ok(behind.split_at_checked(length).ok_or("ends within a block")?)
}

fn unsnap_block(block: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    let length = snap::raw::decompress_len(block).map_err(|error| error.to_string())?;
    // Three bytes of Snappy stand for 64 at most: a claim beyond that is not believed.
    if length > block.len().saturating_mul(32) {
        return Err("claims more than it can hold".to_owned());
    }
    let begin = into.len();
    if begin + length > RECORDS_BYTES_MAX {
        return Err(too_large());
    }
    into.resize(begin + length, 0);
    let decoded = snap::raw::Decoder::new().decompress(block, &mut into[begin..]);
    decoded.map(drop).map_err(|error| error.to_string())
}

/// Compresses the records of a batch, in the form that Kafka's own clients write, each codec as it is by itself.
///
/// # Errors
/// None for any bytes up to 2 GiB; the codecs' interfaces have them all the same.
pub fn compress(codec: Compression, records: &[u8]) -> Result<Vec<u8>, CompressionError> {
    let mut encoder = Encoder::new(Target { codec, gzip_level: None });
    encoder.write(records)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODECS: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn lines(count: usize) -> Vec<u8> {
        (0..count).flat_map(|n| format!("line {n} of {}\n", n * 7919 % 1000).into_bytes()).collect()
    }

    #[test]
    fn every_codec_gives_back_what_it_got() {
        let mut back = Vec::new();
        for codec in CODECS {
            for input in [Vec::new(), b"x".to_vec(), lines(20_000)] {
                let packed = compress(codec, &input).unwrap();
                decompress(codec, &packed, &mut back).unwrap();
                assert!(back == input, "{codec:?} of {} bytes", input.len());
                if codec != Compression::None && input.len() > 1000 {
                    assert!(packed.len() < input.len() / 2, "{codec:?}: {}", packed.len());
                }
            }
        }
    }

    #[test]
    fn a_reader_gives_the_same_in_pieces_and_stops_at_the_limit() {
        let input = lines(20_000);
        for codec in CODECS {
            let packed = compress(codec, &input).unwrap();
            let (mut source, mut back, mut piece) = (reader(codec, &packed).unwrap(), Vec::new(), [0; 1000]);
            loop {
                let count = source.read(&mut piece).unwrap();
                back.extend_from_slice(&piece[..count]);
                if count == 0 {
                    break;
                }
            }
            assert!(back == input, "{codec:?}");
            assert_eq!(super::codec(codec as i16), Some(codec));
        }
        let block = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        let mut back = Vec::new();
        reader(Compression::Snappy, &block).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == input);
        let bomb = compress(Compression::Gzip, &vec![0; RECORDS_BYTES_MAX + 1]).unwrap();
        let copied = io::copy(&mut reader(Compression::Gzip, &bomb).unwrap(), &mut io::sink());
        assert!(copied.unwrap_err().to_string().contains("more than"));
    }

    #[test]
    fn a_bare_snappy_block_is_read() {
        let input = lines(5_000);
        let block = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        let mut back = Vec::new();
        decompress(Compression::Snappy, &block, &mut back).unwrap();
        assert!(back == input);
    }

    #[test]
    fn damage_is_refused_and_never_panics() {
        let input = lines(300);
        let mut back = Vec::new();
        for codec in &CODECS[1..] {
            let packed = compress(*codec, &input).unwrap();
            for cut in [0, 1, packed.len() / 2, packed.len() - 1] {
                // A stream may lack nothing but its end mark. Else something must be missing, too.
                let result = decompress(*codec, &packed[..cut], &mut back);
                let complete = back == input && cut < packed.len() - 1;
                assert!(result.is_err() || !complete && input.starts_with(&back), "{codec:?} cut at {cut}");
            }
            for position in 0..packed.len() {
                let mut damaged = packed.clone();
                damaged[position] ^= 0x5a;
                let _ = decompress(*codec, &damaged, &mut back);
            }
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        // 200 MiB of zeros in a few hundred KiB.
        let bomb = compress(Compression::Gzip, &vec![0; 200 << 20]).unwrap();
        let error = decompress(Compression::Gzip, &bomb, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
        // A Snappy block that claims 3 GiB and holds nothing.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0b, 0];
        assert!(decompress(Compression::Snappy, &claim, &mut Vec::new()).is_err());
    }
}
