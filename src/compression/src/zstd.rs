//! A zstd frame, block by block.
//!
//! The library's encoder makes whole frames only, from all that there is: for a batch of megabytes the core would be
//! held for tens of milliseconds. Its blocks of 128 KiB know nothing of each other, though: it searches for matches
//! within a block, names no offset by an earlier one, and refers to tables of the block before in no first block of
//! a frame. So each block is made as a frame of its own, and the blocks are put into one frame, which is what
//! every reader takes; several frames behind each other are not.

use ruzstd::encoding::{CompressionLevel, FrameCompressor, MatchGeneratorDriver};
use std::io::Cursor;

/// The most that a block may stand for, and what the library puts into one.
const BLOCK_BYTES: usize = 128 << 10;
/// Magic number, a descriptor without checksum, length and dictionary, and a window of 128 KiB.
const FRAME_HEADER: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
/// A block of no bytes that is the last one.
const END: [u8; 3] = [1, 0, 0];
const BLOCK_HEADER_BYTES: usize = 3;
const RUN_LENGTH: u32 = 1;

/// Makes one frame. What is checked behind it is the batch's CRC, so the frame has none of its own.
pub(crate) struct ZstdEncoder {
    out: Vec<u8>,
    /// What is no whole block yet.
    pending: Vec<u8>,
    /// Made once there is something to compress: it takes its memory at once.
    compressor: Option<FrameCompressor<Cursor<Vec<u8>>, Vec<u8>, MatchGeneratorDriver>>,
}

impl ZstdEncoder {
    pub fn new() -> ZstdEncoder {
        ZstdEncoder { out: FRAME_HEADER.to_vec(), pending: Vec::new(), compressor: None }
    }

    pub fn write(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() {
            let room = BLOCK_BYTES - self.pending.len();
            let (now, later) = records.split_at(room.min(records.len()));
            self.pending.extend_from_slice(now);
            records = later;
            if self.pending.len() == BLOCK_BYTES {
                self.end_block()?;
            }
        }
        Ok(())
    }

    pub fn written(&self) -> usize {
        self.out.len()
    }

    pub fn finish(mut self) -> Result<Vec<u8>, String> {
        if !self.pending.is_empty() {
            self.end_block()?;
        }
        self.out.extend_from_slice(&END);
        Ok(self.out)
    }

    fn end_block(&mut self) -> Result<(), String> {
        let compressor =
            self.compressor.get_or_insert_with(|| FrameCompressor::new(CompressionLevel::Fastest));
        compressor.set_source(Cursor::new(std::mem::take(&mut self.pending)));
        compressor.set_drain(Vec::with_capacity(BLOCK_BYTES / 4));
        compressor.compress();
        let frame = compressor.take_drain().unwrap_or_default();
        if let Some(source) = compressor.take_source() {
            self.pending = source.into_inner();
            self.pending.clear();
        }
        put_blocks(&frame, &mut self.out)
    }
}

/// Appends the blocks of a frame as such that are not the last.
fn put_blocks(frame: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let strange = || "the encoder's frame is none that was expected".to_owned();
    // The same header, but for the bit that says that there is a checksum.
    let header = frame.get(..FRAME_HEADER.len()).ok_or_else(strange)?;
    if header[..4] != FRAME_HEADER[..4] || header[4] & !4 != FRAME_HEADER[4] || header[5] != FRAME_HEADER[5] {
        return Err(strange());
    }
    let mut rest = &frame[FRAME_HEADER.len()..];
    loop {
        let &[low, middle, high] = rest.first_chunk().ok_or_else(strange)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let (kind, bytes) = ((header >> 1) & 3, (header >> 3) as usize);
        let length = BLOCK_HEADER_BYTES + if kind == RUN_LENGTH { 1 } else { bytes };
        let (block, behind) = rest.split_at_checked(length).ok_or_else(strange)?;
        if bytes > 0 {
            out.push(low & !1);
            out.extend_from_slice(&block[1..]);
        }
        if low & 1 == 1 {
            return Ok(());
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_many_blocks_is_one_frame() {
        let input: Vec<u8> = (0..60_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let mut encoder = ZstdEncoder::new();
        encoder.write(&input).unwrap();
        let frame = encoder.finish().unwrap();
        // Up to the block that is marked as the last, and not beyond.
        let (mut at, mut blocks) = (FRAME_HEADER.len(), 0);
        loop {
            let header = u32::from_le_bytes([frame[at], frame[at + 1], frame[at + 2], 0]);
            let bytes = if (header >> 1) & 3 == RUN_LENGTH { 1 } else { header >> 3 };
            at += BLOCK_HEADER_BYTES + bytes as usize;
            blocks += 1;
            if header & 1 == 1 {
                break;
            }
        }
        assert_eq!((at, blocks), (frame.len(), input.len().div_ceil(BLOCK_BYTES) + 1));
    }

    #[test]
    fn frames_of_another_form_are_refused() {
        let mut out = Vec::new();
        for frame in [&b""[..], &[0; 20], &FRAME_HEADER, &[0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x38, 1, 0, 0]] {
            assert!(put_blocks(frame, &mut out).is_err(), "{frame:?}");
        }
        let cut = [&FRAME_HEADER[..], &[0x50, 0, 0, 1, 2]].concat();
        assert!(put_blocks(&cut, &mut out).is_err() && out.is_empty());
    }
}
