//! Instruments: what a core counts while it works, and any thread may read.
//!
//! Each instrument has one writer, the core that owns it; so a count is a load and a store, without a locked
//! instruction. Readers see each number whole, but a histogram's buckets and sum may be of slightly different
//! moments. Nothing here allocates after it was made.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the counter's one writer may. Wraps around at 2^64.
    pub fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it; only the gauge's one writer may.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Buckets with an upper bound: two for each power of two from 0.5 µs on, the last one up to 67 s.
pub const BUCKETS: usize = 54;

/// The step of the finest buckets.
const UNIT_NANOS: u64 = 500;

/// How often durations of each size were seen: a fixed number of buckets whose bounds grow by a half and by a third
/// in turns, so that a quantile read from them is at most that far off, whatever its size.
#[derive(Debug)]
pub struct Histogram {
    /// The last is for what is longer than every bound.
    buckets: [Counter; BUCKETS + 1],
    sum_nanos: Counter,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| Counter::default()), sum_nanos: Counter::default() }
    }
}

impl Histogram {
    /// Counts a duration; only the histogram's one writer may.
    pub fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)].increment();
        self.sum_nanos.add(nanos);
    }

    /// Adds what it holds to `totals`.
    pub fn add_to(&self, totals: &mut Totals) {
        for (total, bucket) in totals.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.get();
        }
        totals.sum_nanos = totals.sum_nanos.wrapping_add(self.sum_nanos.get());
    }
}

/// Which bucket a duration belongs to: the first whose bound is not below it.
fn bucket_of(nanos: u64) -> usize {
    // The bounds belong to their buckets.
    let units = nanos.saturating_sub(1) / UNIT_NANOS;
    if units < 2 {
        return units as usize;
    }
    let power = units.ilog2() as usize;
    let upper_half = (units >> (power - 1)) & 1;
    (2 * power + upper_half as usize).min(BUCKETS)
}

/// The longest duration that a bucket holds, in nanoseconds.
///
/// # Panics
/// If `bucket` is not below [`BUCKETS`].
pub fn bound_nanos(bucket: usize) -> u64 {
    assert!(bucket < BUCKETS, "bucket {bucket} has no bound");
    if bucket < 2 {
        return UNIT_NANOS * (bucket as u64 + 1);
    }
    UNIT_NANOS * ((3 + (bucket as u64 & 1)) << (bucket / 2 - 1))
}

/// Histograms of several cores, added up.
#[derive(Clone, Debug)]
pub struct Totals {
    /// Counts by bucket, not cumulative; the last is for what is longer than every bound.
    pub buckets: [u64; BUCKETS + 1],
    /// The sum of all durations.
    pub sum_nanos: u64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { buckets: [0; BUCKETS + 1], sum_nanos: 0 }
    }
}

impl Totals {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_grow_and_belong_to_their_buckets() {
        assert_eq!([0, 1, 2, 3, 4, 5].map(bound_nanos), [500, 1000, 1500, 2000, 3000, 4000]);
        for bucket in 0..BUCKETS {
            let bound = bound_nanos(bucket);
            assert_eq!(bucket_of(bound), bucket, "the bound {bound} itself");
            assert_eq!(bucket_of(bound + 1), bucket + 1, "just above {bound}");
        }
        assert!(bound_nanos(BUCKETS - 1) > 60_000_000_000, "a minute is still told apart");
        assert_eq!((bucket_of(0), bucket_of(u64::MAX)), (0, BUCKETS));
    }

    #[test]
    fn a_quantile_is_at_most_half_too_long() {
        for bucket in 2..BUCKETS {
            let (below, bound) = (bound_nanos(bucket - 1), bound_nanos(bucket));
            assert!(bound * 2 <= below * 3, "{below} to {bound}");
        }
    }

    #[test]
    fn totals_add_cores_up() {
        let cores = [Histogram::default(), Histogram::default()];
        cores[0].record(Duration::from_micros(1));
        cores[1].record(Duration::from_micros(1));
        cores[1].record(Duration::from_secs(1000));
        let mut totals = Totals::default();
        cores.iter().for_each(|core| core.add_to(&mut totals));
        assert_eq!((totals.count(), totals.buckets[1], totals.buckets[BUCKETS]), (3, 2, 1));
        assert_eq!(totals.sum_nanos, 1_000_000_002_000);
    }
}
