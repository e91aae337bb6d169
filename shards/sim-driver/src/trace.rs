//! What happened, as a hash and, if wanted, as text.

use base::Instant;
use std::collections::VecDeque;
use std::fmt::{self, Write};

/// The trace of a world: every line goes into the hash, the last ones are kept.
pub(crate) struct Trace {
    hash: u64,
    lines: u64,
    kept: VecDeque<String>,
    keep: usize,
}

/// Feeds text into the hash without storing it (FNV-1a, 64 bits).
struct Hasher<'a>(&'a mut u64);

impl Write for Hasher<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.0 = (*self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}

impl Trace {
    pub(crate) fn new(keep: usize) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, lines: 0, kept: VecDeque::new(), keep }
    }

    /// Adds an event.
    pub(crate) fn note(&mut self, now: Instant, event: fmt::Arguments<'_>) {
        self.lines += 1;
        // Writing to the hasher cannot fail.
        let _ = writeln!(Hasher(&mut self.hash), "{now:?} {event}");
        if self.keep > 0 {
            if self.kept.len() == self.keep {
                self.kept.pop_front();
            }
            self.kept.push_back(format!("{now:?} {event}"));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &String> {
        self.kept.iter()
    }
}

/// A short name for bytes, so that the trace tells different data apart.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut hash = 0x9e37_79b9_7f4a_7c15u64;
    for part in parts {
        for chunk in part.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            hash ^= hash >> 32;
        }
    }
    hash as u32
}
