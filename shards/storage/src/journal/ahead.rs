//! A journal's file from front to back: several reads are under way while what came before is looked at.

use crate::error::StorageError;
use crate::window::Window;
use driver::{Errno, Handle};
use executor::{JoinHandle, io};
use memory::{Block, Pool, Slice};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

const ALIGN: u64 = 4096;
/// How much one read fetches, where the pool is large; in a small one less.
const PIECE_BYTES_MAX: usize = 1 << 20;
const PIECE_BYTES_MIN: usize = 64 << 10;
/// Reads under way at once, where the pool is large.
const READS_MAX: usize = 8;

/// A read under way.
struct Reading {
    start: u64,
    length: usize,
    task: JoinHandle<(Result<usize, Errno>, Block)>,
}

/// Reads a file in pieces, ahead of who asks. Who asks goes forwards, or back by less than what was asked for last; all
/// else works too, but begins anew. The handle stays its owner's.
pub(crate) struct Ahead {
    handle: Handle,
    path: PathBuf,
    pool: Pool,
    /// Where the part of the file ends that is read.
    limit: u64,
    piece_bytes: usize,
    reads_max: usize,
    /// What was read, one after another.
    pieces: VecDeque<(u64, Slice)>,
    /// What comes behind that, one after another.
    reads: VecDeque<Reading>,
    /// Where the next read will begin.
    next: u64,
}

impl Ahead {
    /// Of the first `limit` bytes of a file. Nothing is read before somebody asks.
    pub fn new(handle: Handle, path: &Path, pool: Pool, limit: u64) -> Ahead {
        let budget = pool.budget_bytes();
        let piece_bytes = 1 << (budget / 64).clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX).ilog2();
        let reads_max = (budget / 16 / piece_bytes).clamp(2, READS_MAX);
        let (pieces, reads) = (VecDeque::new(), VecDeque::new());
        let path = path.to_path_buf();
        Ahead { handle, path, pool, limit, piece_bytes, reads_max, pieces, reads, next: 0 }
    }

    /// `bytes` at `position`, or as many as there are before the limit and the file's end.
    pub async fn at(&mut self, position: u64, bytes: usize) -> Result<Slice, StorageError> {
        let wanted = (bytes as u64).min(self.limit.saturating_sub(position)) as usize;
        if wanted == 0 {
            return Ok(Slice::from(Vec::new()));
        }
        if wanted > self.piece_bytes * self.reads_max {
            return self.alone(position, wanted).await;
        }
        if position < self.first() || position >= self.next {
            self.begin_at(position);
        }
        loop {
            self.drop_before(position);
            self.read_on();
            if self.there(position) >= wanted {
                return self.part(position, wanted);
            }
            if self.reads.is_empty() {
                // The file ends here, or memory is too short for pieces.
                let rest = self.limit.saturating_sub(position).min(wanted as u64) as usize;
                return if self.there(position) >= rest {
                    self.part(position, rest)
                } else {
                    self.alone(position, rest).await
                };
            }
            self.take_next().await?;
        }
    }

    /// Where what is in memory, or on its way there, begins.
    fn first(&self) -> u64 {
        let piece = self.pieces.front().map(|(start, _)| *start);
        piece.or(self.reads.front().map(|read| read.start)).unwrap_or(self.next)
    }

    fn begin_at(&mut self, position: u64) {
        self.pieces.clear();
        // Those end by themselves, and give their memory back.
        self.reads.clear();
        self.next = position / ALIGN * ALIGN;
    }

    fn drop_before(&mut self, position: u64) {
        while self.pieces.front().is_some_and(|(start, piece)| start + piece.len() as u64 <= position) {
            self.pieces.pop_front();
        }
    }

    /// Begins the reads that there is room for.
    fn read_on(&mut self) {
        while self.reads.len() < self.reads_max && self.next < self.limit {
            let left = self.limit.next_multiple_of(ALIGN) - self.next;
            let length = (self.piece_bytes as u64).min(left) as usize;
            // Those under way will do.
            let Some(block) = self.pool.take(length) else { return };
            let read = io::read(self.handle, self.next, block, length);
            let task = executor::spawn("journal read", read);
            self.reads.push_back(Reading { start: self.next, length, task });
            self.next += length as u64;
        }
    }

    /// Waits for the read that comes next.
    async fn take_next(&mut self) -> Result<(), StorageError> {
        // So that those just begun are on their way while what is there already is looked at.
        executor::yield_now().await;
        let Some(Reading { start, length, task }) = self.reads.pop_front() else { return Ok(()) };
        let (result, block) = task.await;
        let count = result.map_err(StorageError::io("read", &self.path))?;
        let expected = (length as u64).min(self.limit - start) as usize;
        let count = count.min(expected);
        self.pieces.push_back((start, block.freeze(count)));
        if count < expected {
            // The file ends here.
            self.limit = start + count as u64;
            self.reads.clear();
            self.next = self.limit;
        }
        Ok(())
    }

    /// Bytes from `position` on that are in memory.
    fn there(&self, position: u64) -> usize {
        match (self.pieces.front(), self.pieces.back()) {
            (Some((first, _)), Some((last, piece))) if *first <= position => {
                (last + piece.len() as u64).saturating_sub(position) as usize
            }
            _ => 0,
        }
    }

    /// What is in memory, in one: copied if it lies in several pieces.
    fn part(&self, position: u64, bytes: usize) -> Result<Slice, StorageError> {
        let Some((start, piece)) = self.pieces.front().filter(|_| bytes > 0) else {
            return Ok(Slice::from(Vec::new()));
        };
        let from = (position - start) as usize;
        if from + bytes <= piece.len() {
            return Ok(piece.slice(from..from + bytes));
        }
        let mut whole = self.pool.take(bytes).ok_or(StorageError::OutOfMemory { bytes })?;
        let (mut filled, mut from) = (0, from);
        for (_, piece) in &self.pieces {
            let count = (piece.len() - from).min(bytes - filled);
            whole[filled..filled + count].copy_from_slice(&piece[from..from + count]);
            (filled, from) = (filled + count, 0);
        }
        Ok(whole.freeze(filled))
    }

    /// What is larger than what is read ahead.
    async fn alone(&self, position: u64, bytes: usize) -> Result<Slice, StorageError> {
        let mut window = Window::new(self.handle, &self.path, self.pool.clone(), self.limit);
        window.at(position, bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Rig;
    use base::Random;
    use driver::OpenOptions;

    const BYTES: usize = 1_300_000;

    /// Where to look next, and how much.
    fn step(random: &mut Random, at: usize, length: usize) -> (usize, usize) {
        let at = match random.below(8) {
            0 => random.below(BYTES as u64 + 5000) as usize,
            // As behind what turned out to be no commit.
            1..=3 => at + 4096,
            _ => at + length,
        };
        let most = [10_000, 10_000, 200_000, 1_000_000][random.below(4) as usize];
        (if at > BYTES + 5000 { 0 } else { at }, random.below(most) as usize)
    }

    #[test]
    fn finds_what_is_in_the_file_wherever_it_is_asked() {
        let mut rig = Rig::new(550);
        let run = rig.begin();
        let pool = run.pool.clone();
        rig.run(&run, async move {
            let path = Path::new("/data/f");
            let bytes: Vec<u8> =
                (0..BYTES as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let file = io::open(path, OpenOptions::CREATE).await.expect("creates");
            io::write(file, 0, Slice::from(bytes.clone()), false).await.0.expect("writes");
            // All of it, a part, and more than there is.
            for limit in [BYTES, 1_000_000, 2_000_000] {
                let end = limit.min(BYTES);
                let mut ahead = Ahead::new(file, path, pool.clone(), limit as u64);
                let mut random = Random::new(limit as u64);
                let (mut at, mut length) = (0usize, 5000usize);
                for _ in 0..400 {
                    let found = ahead.at(at as u64, length).await.expect("reads");
                    let expected = &bytes[at.min(end)..(at + length).min(end)];
                    assert!(found[..] == *expected, "{length} bytes at {at} of {limit}");
                    (at, length) = step(&mut random, at, length);
                }
            }
            io::close(file).await.expect("closes");
        });
    }
}
