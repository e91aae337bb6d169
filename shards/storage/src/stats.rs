//! Counters of a store, readable on any core.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Adds to a counter that only this core writes.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    // One writer: no read-modify-write instruction is needed.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// Counts durations by powers of two: bucket `n` holds those below 2^n µs, the last one all that are longer.
#[derive(Debug, Default)]
pub struct Latency {
    /// How many there were in each bucket.
    pub buckets: [AtomicU64; 24],
    /// The sum of all, in nanoseconds.
    pub sum_nanos: AtomicU64,
}

impl Latency {
    pub(crate) fn record(&self, took: Duration) {
        let micros = took.as_micros() as u64;
        let bucket = (64 - micros.leading_zeros() as usize).min(self.buckets.len() - 1);
        add(&self.buckets[bucket], 1);
        add(&self.sum_nanos, took.as_nanos() as u64);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

/// What a store has done and where it stands. Counters grow; the rest is as of the last change.
#[derive(Debug, Default)]
pub struct StoreStats {
    /// Appends accepted.
    pub appends: AtomicU64,
    /// Bytes of batches accepted.
    pub appended_bytes: AtomicU64,
    /// Commits written to the journal.
    pub commits: AtomicU64,
    /// Their bytes, headers and padding included.
    pub commit_bytes: AtomicU64,
    /// Bytes written to segments from the journal's memory, padding included.
    pub drained_bytes: AtomicU64,
    /// Bytes written to segments past the journal, padding included.
    pub direct_bytes: AtomicU64,
    /// Direct writes.
    pub direct_writes: AtomicU64,
    /// Bytes of batches that are in the journal and not yet in segments: the drain's lag.
    pub undrained_bytes: AtomicU64,
    /// Bytes of memory that hold recent data.
    pub tail_bytes: AtomicU64,
    /// Bytes of memory that hold what was read from the device.
    pub cache_bytes: AtomicU64,
    /// Bytes read from segments.
    pub read_bytes: AtomicU64,
    /// Of these, what was read before a reader came to it.
    pub read_ahead_bytes: AtomicU64,
    /// Chunks of segments that readers found in memory, or on their way there.
    pub cache_hits: AtomicU64,
    /// Those that they did not find.
    pub cache_misses: AtomicU64,
    /// Appends that had to wait for room.
    pub busy: AtomicU64,
    /// Times from a commit's way out to its acknowledgement by the device.
    pub flush_latency: Latency,
    /// Segments that retention or a deletion of records has deleted.
    pub segments_deleted: AtomicU64,
    /// Bytes of batches in them.
    pub deleted_bytes: AtomicU64,
    /// Runs of the cleaner over a log.
    pub cleaner_runs: AtomicU64,
    /// Bytes that it has read.
    pub cleaner_read_bytes: AtomicU64,
    /// Bytes that it has written, padding included.
    pub cleaner_written_bytes: AtomicU64,
    /// When its last run ended, in milliseconds since 1970; 0: there was none.
    pub cleaner_last_run_ms: AtomicU64,
    /// The largest dirty share of all compacted logs when it looked last, in thousandths.
    pub max_dirty_permille: AtomicU64,
    /// Compacted logs that it cannot clean.
    pub uncleanable_partitions: AtomicU64,
    /// Writers that have found the device full and wait for room: the drain, and direct writes.
    pub waiting_for_room: AtomicU64,
    /// The log takes no appends any more, since a write failed.
    pub offline: AtomicBool,
}

impl StoreStats {
    /// Whether the device is full, as far as is known.
    pub fn is_full(&self) -> bool {
        self.waiting_for_room.load(Ordering::Relaxed) > 0
    }
}
