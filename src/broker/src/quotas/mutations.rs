//! Partitions that clients create and delete (KIP-599): a bucket of tokens for each user or client with a quota.
//!
//! Kafka's arithmetic: as many tokens a second as the quota says come into the bucket, until it holds those of
//! `controller.quota.window.num` windows of `controller.quota.window.size.seconds`. A partition costs one. While
//! there is no debt an item may cost more than there is, and leaves a debt; the wait is the time that pays it back.
//! Clients that know the error for it are refused while there is a debt, item by item, and spend nothing then;
//! older ones have their way, and a longer wait.

use super::rate::{IDLE_MAX, Moment};
use controller::changes::Budget;
use controller::{ControlError, ErrorKind};
use kafka_wire::{ApiKey, ErrorCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// For the requests that this is about: the first version whose clients know THROTTLING_QUOTA_EXCEEDED.
pub(super) fn strict_since(api: ApiKey) -> Option<i16> {
    match api {
        ApiKey::CreateTopics => Some(6),
        ApiKey::DeleteTopics => Some(5),
        ApiKey::CreatePartitions => Some(3),
        _ => None,
    }
}

/// The time whose tokens a full bucket holds: so many windows of so many seconds, at least one each.
pub(crate) fn bucket_time(windows: i32, seconds: i32) -> Duration {
    let at_least_one = |value: i32| u64::from(value.max(1).unsigned_abs());
    Duration::from_secs(at_least_one(windows) * at_least_one(seconds))
}

/// The tokens of those who share a quota.
#[derive(Debug)]
pub(super) struct Bucket(Mutex<Level>);

#[derive(Debug)]
struct Level {
    /// Less than none for a debt.
    tokens: f64,
    /// When it was looked at last.
    at: Moment,
}

impl Bucket {
    /// One that nobody has taken from: it holds as much as it can, whatever that is.
    pub(super) fn full(at: Moment) -> Bucket {
        Bucket(Mutex::new(Level { tokens: f64::INFINITY, at }))
    }

    /// Whether nobody has used it for as long as that a client may be forgotten; its debt too, as in Kafka.
    pub(super) fn is_idle(&self, at: Moment) -> bool {
        let level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.since(level.at) >= IDLE_MAX
    }

    /// Takes tokens. Gives the time until the debt is paid back, in whole milliseconds: strictly of the one that there
    /// was, and then nothing was taken; else of the one that there is now.
    fn take(&self, rules: &Rules, at: Moment, tokens: f64) -> Option<Duration> {
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = rules.per_second * rules.bucket_time.as_secs_f64();
        let since = at.since(level.at).as_secs_f64();
        level.tokens = (level.tokens + rules.per_second * since).min(full);
        level.at = level.at.max(at);
        if rules.strict && level.tokens >= 0.0 {
            level.tokens -= tokens;
            return None;
        }
        if !rules.strict {
            level.tokens -= tokens;
        }
        (level.tokens < 0.0).then(|| {
            let milliseconds = (-level.tokens / rules.per_second * 1000.0).round();
            // The answer has 32 bits for it.
            Duration::from_millis(milliseconds.min(f64::from(i32::MAX)) as u64)
        })
    }
}

/// What holds for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// The quota.
    pub(super) per_second: f64,
    /// The time whose tokens a full bucket holds.
    pub(super) bucket_time: Duration,
    /// Items are refused while there is a debt.
    pub(super) strict: bool,
}

/// What a request may create and delete. The controller spends from it, on its own core.
#[derive(Debug)]
pub(crate) struct Allowance {
    bucket: Arc<Bucket>,
    rules: Rules,
    /// When the request began: by the clock that all cores share.
    at: Moment,
    /// The wait that followed from the last item that was too much, in milliseconds.
    wait: AtomicU64,
}

impl Allowance {
    pub(super) fn new(bucket: Arc<Bucket>, rules: Rules, at: Moment) -> Allowance {
        Allowance { bucket, rules, at, wait: AtomicU64::new(0) }
    }

    /// How long the client has to wait from this moment on.
    pub(super) fn wait(&self, at: Moment) -> Duration {
        Duration::from_millis(self.wait.load(Ordering::Relaxed)).saturating_sub(at.since(self.at))
    }
}

impl Budget for Allowance {
    fn spend(&self, partitions: usize) -> Result<(), ControlError> {
        let Some(wait) = self.bucket.take(&self.rules, self.at, partitions as f64) else { return Ok(()) };
        let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.wait.store(milliseconds, Ordering::Relaxed);
        match self.rules.strict {
            true => {
                let message = ErrorCode::ThrottlingQuotaExceeded.message();
                Err(ControlError::new(ErrorKind::ThrottlingQuotaExceeded, message))
            }
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Moment {
        Moment::ZERO.after(Duration::from_millis(milliseconds))
    }

    fn rules(strict: bool, per_second: f64) -> Rules {
        Rules { per_second, bucket_time: Duration::from_secs(11), strict }
    }

    #[test]
    fn tokens_are_taken_and_debts_are_waited_for() {
        const STRICT: bool = true;
        // Whether strict; the quota; at which millisecond how many partitions are wanted, and the wait if that is too
        // much.
        type Case<'a> = (bool, f64, &'a [(u64, u32, Option<u64>)]);
        let cases: &[Case<'_>] = &[
            // Eleven seconds' worth at once, and the next one when there is no debt.
            (STRICT, 5.0, &[(0, 55, None), (0, 1, None), (0, 1, Some(200)), (100, 1, Some(100))]),
            (STRICT, 5.0, &[(0, 56, None), (100, 1, Some(100)), (200, 1, None), (200, 0, Some(200))]),
            // While there is no debt there may be any.
            (STRICT, 5.0, &[(0, 560, None), (0, 1, Some(101_000)), (101_000, 20, None)]),
            // What is refused costs nothing.
            (STRICT, 1.0, &[(0, 12, None), (0, 99, Some(1_000)), (0, 99, Some(1_000)), (1_000, 1, None)]),
            // It fills up to what it holds and no further.
            (STRICT, 1.0, &[(0, 11, None), (1_000_000, 12, None), (1_000_000, 1, Some(1_000))]),
            (!STRICT, 5.0, &[(0, 55, None), (0, 1, Some(200)), (0, 1, Some(400)), (200, 1, Some(400))]),
            (!STRICT, 5.0, &[(0, 60, Some(1_000)), (1_000, 0, None), (1_000, 1, Some(200))]),
            // A clock that is behind takes nothing away.
            (STRICT, 1.0, &[(5_000, 12, None), (4_000, 1, Some(1_000)), (6_000, 1, None)]),
            (STRICT, 0.5, &[(0, 6, None), (0, 1, Some(1_000)), (1_000, 0, None)]),
            // As long as an answer can say.
            (STRICT, 1e-7, &[(0, 1, None), (0, 1, Some(i32::MAX as u64))]),
            (STRICT, f64::INFINITY, &[(0, u32::MAX, None), (0, u32::MAX, None)]),
        ];
        for (strict, per_second, steps) in cases {
            let bucket = Bucket::full(Moment::ZERO);
            for (place, (at, tokens, wait)) in steps.iter().enumerate() {
                let found = bucket.take(&rules(*strict, *per_second), ms(*at), f64::from(*tokens));
                let wait = wait.map(Duration::from_millis);
                assert_eq!(found, wait, "strict: {strict}, {per_second} a second, {steps:?}, step {place}");
            }
        }
    }

    #[test]
    fn a_quota_that_changes_holds_for_the_bucket_there_is() {
        let bucket = Bucket::full(Moment::ZERO);
        assert_eq!(bucket.take(&rules(true, 1.0), ms(0), 21.0), None);
        assert_eq!(bucket.take(&rules(true, 1.0), ms(0), 1.0), Some(Duration::from_secs(10)));
        assert_eq!(bucket.take(&rules(true, 10.0), ms(0), 1.0), Some(Duration::from_secs(1)));
    }

    #[test]
    fn an_allowance_refuses_or_tells_only_the_wait() {
        for strict in [true, false] {
            let bucket = Arc::new(Bucket::full(Moment::ZERO));
            let allowance = Allowance::new(bucket, rules(strict, 2.0), ms(1_000));
            assert_eq!(allowance.spend(24), Ok(()));
            let told = if strict { Duration::ZERO } else { Duration::from_secs(1) };
            assert_eq!(allowance.wait(ms(1_000)), told, "strictly, only the next one waits");
            let second = allowance.spend(4);
            let refused = strict.then_some(ErrorKind::ThrottlingQuotaExceeded);
            assert_eq!(second.err().map(|error| error.kind), refused);
            let told = if strict { 1 } else { 3 };
            assert_eq!(allowance.wait(ms(1_000)), Duration::from_secs(told));
            assert_eq!(allowance.wait(ms(1_250)), Duration::from_millis(told * 1_000 - 250));
            assert_eq!(allowance.wait(ms(9_000)), Duration::ZERO);
        }
    }

    #[test]
    fn windows_make_the_time_of_a_bucket() {
        assert_eq!(bucket_time(11, 1), Duration::from_secs(11));
        assert_eq!(bucket_time(0, -5), Duration::from_secs(1));
        assert_eq!(bucket_time(i32::MAX, i32::MAX), Duration::from_secs((i32::MAX as u64).pow(2)));
    }
}
