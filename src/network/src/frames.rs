//! From a stream of bytes to frames.
//!
//! A frame that lies whole in what one receive brought is a slice of it: no copy. A larger one is gathered in
//! one block, which grows with what has really arrived: a claim of 90 MB and ten bytes cost ten bytes.

use crate::gathering::{Gathering, Share};
use crate::limits::Limits;
use base::Instant;
use driver::{Errno, Handle};
use executor::{Either, io, now, race, recently, sleep, sleep_until};
use memory::{Block, Slice};
use std::cell::Cell;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of the length before each frame.
const PREFIX_BYTES: usize = 4;
/// The first block for a frame of which little has arrived.
const FIRST_BLOCK_BYTES: usize = 64 * 1024;
/// The first block for a frame of which this much has arrived: the peer means it.
const EARNEST_BYTES: usize = 8 * 1024;
const EARNEST_BLOCK_BYTES: usize = 2 << 20;
/// Left-overs up to this size are copied out of a lent block rather than hold it.
const KEPT_BYTES_MAX: usize = 4 * 1024;
/// How long to wait before looking for memory again.
const MEMORY_RETRY: Duration = Duration::from_millis(2);

/// Why there is no next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The peer closed between two frames.
    Closed,
    /// The peer closed in the middle of a frame.
    Cut,
    /// The socket failed.
    Socket(Errno),
    /// A frame's length is negative.
    NegativeLength(i32),
    /// A frame is longer than the limit; the first bytes tell what the peer may really speak.
    TooLong { bytes: u32, limit: usize },
    /// There was no memory for the frame for too long.
    NoMemory,
    /// Nothing came of the frame for too long, while others waited for the memory that it held.
    Stalled,
}

impl fmt::Display for FrameError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Closed => out.write_str("closed"),
            FrameError::Cut => out.write_str("closed in the middle of a request"),
            FrameError::Socket(errno) => write!(out, "{errno}"),
            FrameError::NegativeLength(length) => write!(out, "a request of {length} bytes"),
            FrameError::TooLong { bytes, limit } => match guess(*bytes) {
                Some(protocol) => {
                    write!(out, "this looks like {protocol}, but this port speaks Kafka's protocol")
                }
                None => write!(out, "a request of {bytes} bytes; socket.request.max.bytes allows {limit}"),
            },
            FrameError::NoMemory => {
                out.write_str("no memory for a request within the time; raise flumen.pool.bytes")
            }
            FrameError::Stalled => {
                out.write_str("a request that did not go on, while others waited for the memory it held")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// What else begins like this length.
fn guess(length: u32) -> Option<&'static str> {
    match &length.to_be_bytes() {
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"DELE" | b"OPTI" | b"PRI " => Some("HTTP"),
        [0x16, 0x03, ..] => Some("TLS"),
        b"SSH-" => Some("SSH"),
        _ => None,
    }
}

/// Reads frames from one socket.
pub struct FrameReader {
    socket: Handle,
    gathering: Gathering,
    /// Received, and not yet part of a frame that was given out.
    rest: Slice,
    /// No bytes, and no memory of a lent block.
    none: Slice,
    /// Bytes received so far.
    received: u64,
    /// When the last of them came.
    active: Rc<Cell<Instant>>,
}

impl FrameReader {
    /// A reader at the beginning of a stream. Memory for what arrives in parts comes from `gathering`; `active` is
    /// set whenever bytes arrive.
    pub fn new(socket: Handle, gathering: Gathering, active: Rc<Cell<Instant>>) -> FrameReader {
        let none = Slice::from(Vec::new());
        FrameReader { socket, gathering, rest: none.clone(), none, received: 0, active }
    }

    /// Bytes received so far.
    pub fn received_bytes(&self) -> u64 {
        self.received
    }

    fn note(&mut self, bytes: usize) {
        self.received += bytes as u64;
        self.active.set(recently());
    }

    /// Whether a whole frame is at hand, so that [`next`](FrameReader::next) will not wait.
    pub fn has_frame(&self, limits: &Limits) -> bool {
        matches!(self.announced(limits), Ok(Some(length)) if self.rest.len() >= PREFIX_BYTES + length)
    }

    /// The length that the next frame announces, if its prefix has arrived.
    fn announced(&self, limits: &Limits) -> Result<Option<usize>, FrameError> {
        let Some(prefix) = self.rest.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = i32::from_be_bytes(*prefix);
        if length as u32 as usize > limits.frame_bytes_max {
            // What is not ours often reads as a negative length too.
            let bytes = length as u32;
            if length < 0 && guess(bytes).is_none() {
                return Err(FrameError::NegativeLength(length));
            }
            return Err(FrameError::TooLong { bytes, limit: limits.frame_bytes_max });
        }
        Ok(Some(length as usize))
    }

    /// Lets go of the lent block that holds a few bytes of what comes next, before a wait that may be long.
    pub fn settle(&mut self) {
        if self.rest.len() <= KEPT_BYTES_MAX {
            self.copy_rest();
        }
    }

    /// What is left lies in no lent block from now on.
    fn copy_rest(&mut self) {
        self.rest = if self.rest.is_empty() { self.none.clone() } else { Slice::from(self.rest.to_vec()) };
    }

    /// The content of the next frame.
    pub async fn next(&mut self, limits: &Limits) -> Result<Slice, FrameError> {
        loop {
            let Some(length) = self.announced(limits)? else {
                self.receive_more().await?;
                continue;
            };
            return match self.cut(length) {
                Some(frame) => Ok(frame),
                None => self.gather(length, limits).await,
            };
        }
    }

    /// The frame of this length, if it has arrived whole.
    fn cut(&mut self, length: usize) -> Option<Slice> {
        let end = PREFIX_BYTES + length;
        if self.rest.len() < end {
            return None;
        }
        let behind =
            if end == self.rest.len() { self.none.clone() } else { self.rest.slice(end..self.rest.len()) };
        Some(std::mem::replace(&mut self.rest, behind).into_part(PREFIX_BYTES..end))
    }

    /// Receives once and appends to the few bytes that are there.
    async fn receive_more(&mut self) -> Result<(), FrameError> {
        debug_assert!(self.rest.len() < PREFIX_BYTES);
        // The last of a lent block must not be held while waiting.
        self.copy_rest();
        let (block, length) = self.receive().await?;
        if self.rest.is_empty() {
            self.rest = block.freeze(length);
        } else {
            let mut joined = self.rest.to_vec();
            joined.extend_from_slice(&block[..length]);
            self.rest = Slice::from(joined);
        }
        if self.rest.len() < PREFIX_BYTES {
            self.copy_rest();
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<(Block, usize), FrameError> {
        loop {
            match io::receive(self.socket).await {
                Ok(Some((block, length))) => {
                    self.note(length);
                    return Ok((block, length));
                }
                Ok(None) if self.rest.is_empty() => return Err(FrameError::Closed),
                Ok(None) => return Err(FrameError::Cut),
                // Nothing is lost: the bytes wait in the socket until there is memory for them.
                Err(Errno::NOBUFS) => sleep(MEMORY_RETRY).await,
                Err(errno) => return Err(FrameError::Socket(errno)),
            }
        }
    }

    /// Gathers a frame that has not arrived whole.
    async fn gather(&mut self, length: usize, limits: &Limits) -> Result<Slice, FrameError> {
        let mut have = self.rest.len() - PREFIX_BYTES;
        if have < KEPT_BYTES_MAX {
            self.copy_rest();
            if have < 64 && length > EARNEST_BLOCK_BYTES {
                // A large claim with next to nothing behind it: wait for more before taking any block.
                let (block, count) = self.receive().await?;
                let mut joined = self.rest.to_vec();
                joined.extend_from_slice(&block[..count]);
                self.rest = Slice::from(joined);
                if let Some(frame) = self.cut(length) {
                    return Ok(frame);
                }
                have = self.rest.len() - PREFIX_BYTES;
            }
        }
        let first = if have >= EARNEST_BYTES { EARNEST_BLOCK_BYTES } else { FIRST_BLOCK_BYTES };
        let (mut block, mut share) =
            self.take(length.min(first.max(2 * have)), limits, &Share::default()).await?;
        block[..have].copy_from_slice(&self.rest[PREFIX_BYTES..]);
        self.rest = self.none.clone();
        while have < length {
            if have == block.len() {
                let (mut larger, larger_share) = self.take(length.min(2 * have), limits, &share).await?;
                larger[..have].copy_from_slice(&block[..have]);
                (block, share) = (larger, larger_share);
            }
            let end = length.min(block.len());
            let (result, back) = self.receive_into(block, have, end, limits).await?;
            let count = result.map_err(FrameError::Socket)?;
            block = back.ok_or(FrameError::Socket(Errno::IO))?;
            if count == 0 {
                return Err(FrameError::Cut);
            }
            have += count;
            self.note(count);
        }
        Ok(block.freeze(length))
    }

    /// Receives the next part of a frame; gives the frame up if nothing comes while others wait for memory.
    async fn receive_into(
        &self,
        block: Block,
        start: usize,
        end: usize,
        limits: &Limits,
    ) -> Result<(Result<usize, Errno>, Option<Block>), FrameError> {
        let mut receiving = pin!(io::receive_into(self.socket, block, start, end));
        loop {
            match race(receiving.as_mut(), sleep_until(now() + limits.memory_wait_max)).await {
                Either::Left(received) => return Ok(received),
                Either::Right(()) if self.gathering.is_short() => return Err(FrameError::Stalled),
                Either::Right(()) => {}
            }
        }
    }

    async fn take(&self, bytes: usize, limits: &Limits, own: &Share) -> Result<(Block, Share), FrameError> {
        if let Some(taken) = self.gathering.take(bytes, own) {
            return Ok(taken);
        }
        let until = now() + limits.memory_wait_max;
        let _waiting = self.gathering.wait();
        while now() < until {
            sleep(MEMORY_RETRY).await;
            if let Some(taken) = self.gathering.take(bytes, own) {
                return Ok(taken);
            }
        }
        Err(FrameError::NoMemory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_protocols_are_named() {
        for (first, name) in [(*b"GET ", "HTTP"), ([0x16, 3, 1, 2], "TLS"), (*b"SSH-", "SSH")] {
            let bytes = u32::from_be_bytes(first);
            let text = FrameError::TooLong { bytes, limit: 1 }.to_string();
            assert!(text.contains(name), "{text}");
        }
        let text = FrameError::TooLong { bytes: 0x7fff_ffff, limit: 100 }.to_string();
        assert!(text.contains("socket.request.max.bytes"), "{text}");
    }
}
