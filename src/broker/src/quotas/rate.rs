//! What was used in the last windows, and the wait that brings its rate down to the limit.
//!
//! Kafka's arithmetic: `quota.window.num` windows of `quota.window.size.seconds`; the rate is what was used in them,
//! by the time that the full ones and the part of the current one that has passed make; the wait is
//! `(rate - limit) / limit * time`. Only that windows begin when all cores' clock says so, and not with the first use.

use controller::{QuotaKey, QuotaLimit};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The most windows that are kept.
const WINDOWS_MAX: u64 = 128;
/// A meter that was not used for that long is given up, as in Kafka.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(3600);
/// The most that a window counts: 16 TiB, or the nanoseconds of a core in more than four hours.
const AMOUNT_MAX: u64 = (1 << 44) - 1;
/// Numbers of windows as they stand beside the amounts.
const TAG_MAX: u64 = (1 << 20) - 1;

/// A moment of the clock that all cores share, in nanoseconds since the first core listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// The clock's beginning.
    pub(crate) const ZERO: Moment = Moment(0);

    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(nanos(time)))
    }

    /// How much later it is than another; nothing if it is earlier.
    pub(super) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Windows {
    count: u64,
    length_nanos: u64,
}

impl Windows {
    /// So many windows of so many seconds; at least one each.
    pub(crate) fn new(count: i32, seconds: i32) -> Windows {
        let at_least_one = |value: i32| u64::try_from(value).unwrap_or(0).max(1);
        Windows {
            count: at_least_one(count).min(WINDOWS_MAX),
            length_nanos: at_least_one(seconds) * 1_000_000_000,
        }
    }

    /// The length of one.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_nanos(self.length_nanos)
    }

    /// The window that a moment is in.
    fn number(&self, at: Moment) -> u64 {
        at.0 / self.length_nanos
    }

    /// The time that a rate is taken over: all windows but the current one, and what has passed of that.
    fn seconds(&self, at: Moment) -> f64 {
        // A millisecond at the very least, as in Kafka: there is no rate over no time.
        (self.full_seconds() + (at.0 % self.length_nanos) as f64 / 1e9).max(0.001)
    }

    /// What can be used at a time by who used nothing before, without having to wait.
    pub(crate) fn most_at_once(&self, per_second: f64) -> f64 {
        per_second * self.full_seconds()
    }

    /// The length of all windows but one.
    fn full_seconds(&self) -> f64 {
        (self.count - 1) as f64 * self.length_nanos as f64 / 1e9
    }
}

/// A limit in what meters count a second: bytes, connections, nanoseconds of a core.
pub(crate) fn units_per_second(key: QuotaKey, limit: QuotaLimit) -> f64 {
    match key {
        QuotaKey::RequestPercentage => limit.value() / 100.0 * 1e9,
        _ => limit.value(),
    }
}

/// What was used of a quota, by window. All cores count in it, without locks.
#[derive(Debug)]
pub(crate) struct Meter {
    /// For each window the lower bits of its number, then what was used in it.
    slots: Box<[AtomicU64]>,
    last_used: AtomicU64,
    /// Nobody finds it any more; who still has it must ask for another.
    retired: AtomicBool,
}

impl Meter {
    pub(crate) fn new(windows: &Windows, at: Moment) -> Meter {
        Meter {
            slots: (0..windows.count).map(|_| AtomicU64::new(0)).collect(),
            last_used: AtomicU64::new(at.0),
            retired: AtomicBool::new(false),
        }
    }

    /// Counts what was used.
    pub(crate) fn add(&self, windows: &Windows, at: Moment, amount: u64) {
        let number = windows.number(at);
        let slot = &self.slots[(number % windows.count) as usize];
        let tag = number & TAG_MAX;
        let added = |old: u64| {
            let (old_tag, had) = (old >> 44, old & AMOUNT_MAX);
            // Another core's clock may be a little ahead: with a single window this is its slot already.
            let ahead = old_tag.wrapping_sub(tag) & TAG_MAX;
            let (tag, had) = if ahead <= 1 { (old_tag, had) } else { (tag, 0) };
            Some(tag << 44 | had.saturating_add(amount).min(AMOUNT_MAX))
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added);
        self.last_used.store(at.0, Ordering::Relaxed);
    }

    /// What was used in the windows that count.
    fn used(&self, windows: &Windows, at: Moment) -> u64 {
        let tag = windows.number(at) & TAG_MAX;
        let slots = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        // One ahead counts too, see above.
        let counts = |old: u64| (tag + 1).wrapping_sub(old >> 44) & TAG_MAX <= windows.count;
        slots.filter(|old| counts(*old)).map(|old| old & AMOUNT_MAX).sum()
    }

    /// How long to use nothing until the rate is within the limit, if `more` is used now; whole milliseconds.
    pub(crate) fn wait(&self, windows: &Windows, per_second: f64, at: Moment, more: u64) -> Duration {
        let (used, seconds) = ((self.used(windows, at) + more) as f64, windows.seconds(at));
        if used / seconds <= per_second {
            return Duration::ZERO;
        }
        // `(rate - limit) / limit * time`, with `rate = used / time`. The answer has 32 bits for it.
        let milliseconds = ((used / per_second - seconds) * 1000.0).round();
        Duration::from_millis(milliseconds.clamp(0.0, f64::from(i32::MAX)) as u64)
    }

    /// Gives it up if it was not used for long.
    pub(crate) fn retire_idle(&self, at: Moment) -> bool {
        let idle = Duration::from_nanos(at.0.saturating_sub(self.last_used.load(Ordering::Relaxed)));
        let retired = idle >= IDLE_MAX;
        if retired {
            self.retired.store(true, Ordering::Relaxed);
        }
        retired
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Moment {
        Moment::ZERO.after(Duration::from_millis(milliseconds))
    }

    #[test]
    fn waits_by_what_was_used_when() {
        // Windows and their seconds; what was used at which millisecond; the limit a second; when it is looked at;
        // the wait in milliseconds.
        type Case<'a> = ((i32, i32), &'a [(u64, u64)], f64, u64, u64);
        let cases: &[Case<'_>] = &[
            ((11, 1), &[], 1.0, 0, 0),
            // 10,000 bytes in the ten seconds that are looked at are 1,000 a second: not too many.
            ((11, 1), &[(0, 10_000)], 1000.0, 0, 0),
            ((11, 1), &[(0, 20_000)], 1000.0, 0, 10_000),
            ((11, 1), &[(0, 20_000)], 2000.0, 0, 0),
            // Half of the current window has passed too.
            ((11, 1), &[(500, 20_000)], 1000.0, 500, 9_500),
            ((11, 1), &[(0, 5_000), (1000, 5_000), (2000, 5_000)], 1000.0, 2000, 5_000),
            // The current window and the ten before it count, older ones do not.
            ((11, 1), &[(0, 20_000)], 1000.0, 10_999, 9_001),
            ((11, 1), &[(0, 20_000)], 1000.0, 11_000, 0),
            ((11, 1), &[(0, 20_000), (11_000, 11_000)], 1000.0, 11_000, 1_000),
            ((11, 1), &[(0, 20_000)], 1000.0, 1 << 40, 0),
            ((3, 10), &[(0, 3_000)], 100.0, 0, 10_000),
            ((3, 10), &[(0, 3_000)], 100.0, 29_000, 1_000),
            ((2, 1), &[(0, 11)], 10.0, 0, 100),
            // With one window there is next to no time at its beginning.
            ((1, 1), &[(0, 10)], 10.0, 0, 999),
            ((1, 1), &[(0, 5)], 10.0, 500, 0),
            ((1, 1), &[(0, 10)], 10.0, 500, 500),
            ((1, 1), &[(0, 10)], 10.0, 1000, 0),
            // As long as an answer can say.
            ((11, 1), &[(0, 1 << 43)], 1.0, 0, i32::MAX as u64),
            ((11, 1), &[(0, 1 << 43)], f64::INFINITY, 0, 0),
        ];
        for (cut, uses, limit, at, wait) in cases {
            let windows = Windows::new(cut.0, cut.1);
            let meter = Meter::new(&windows, ms(0));
            uses.iter().for_each(|(at, amount)| meter.add(&windows, ms(*at), *amount));
            let found = meter.wait(&windows, *limit, ms(*at), 0);
            assert_eq!(found, Duration::from_millis(*wait), "{cut:?} {uses:?} {limit} at {at}");
        }
    }

    #[test]
    fn who_waits_as_told_comes_near_the_limit() {
        // Windows and their seconds; what is used at a time.
        let cases = [(11, 1, 300), (11, 1, 1500), (11, 1, 20_000), (5, 3, 700), (2, 1, 2000)];
        for (count, seconds, amount) in cases {
            let windows = Windows::new(count, seconds);
            let meter = Meter::new(&windows, ms(0));
            let (mut at, mut total) = (Moment::ZERO, 0);
            while at < ms(400_000) {
                meter.add(&windows, at, amount);
                total += amount;
                at = at.after(meter.wait(&windows, 1000.0, at, 0));
            }
            let rate = total as f64 / (at.0 as f64 / 1e9);
            assert!((700.0..1500.0).contains(&rate), "{amount} at a time: {rate}");
        }
    }

    #[test]
    fn what_may_be_used_at_once_needs_no_wait() {
        let windows = Windows::new(11, 1);
        let most = windows.most_at_once(1000.0);
        assert_eq!(most, 10_000.0);
        let meter = Meter::new(&windows, ms(0));
        assert_eq!(meter.wait(&windows, 1000.0, ms(0), most as u64), Duration::ZERO);
        assert_ne!(meter.wait(&windows, 1000.0, ms(0), most as u64 + 10), Duration::ZERO);
        assert_eq!(Windows::new(1, 1).most_at_once(1000.0), 0.0);
    }

    #[test]
    fn numbers_out_of_range_are_brought_into_it() {
        assert_eq!(Windows::new(0, -1), Windows::new(1, 1));
        let windows = Windows::new(i32::MAX, i32::MAX);
        let meter = Meter::new(&windows, ms(0));
        assert_eq!(meter.slots.len() as u64, WINDOWS_MAX);
        meter.add(&windows, Moment(u64::MAX), u64::MAX);
        meter.add(&windows, Moment(u64::MAX), u64::MAX);
        assert_eq!(meter.used(&windows, Moment(u64::MAX)), AMOUNT_MAX);
    }

    #[test]
    fn percentages_are_of_one_core() {
        let limit = QuotaLimit::new(50.0).expect("a limit");
        assert_eq!(units_per_second(QuotaKey::RequestPercentage, limit), 5e8);
        assert_eq!(units_per_second(QuotaKey::ProducerByteRate, limit), 50.0);
    }

    #[test]
    fn a_core_that_is_a_little_ahead_takes_nothing_from_the_others() {
        for count in [1, 2, 11] {
            let windows = Windows::new(count, 1);
            let meter = Meter::new(&windows, ms(0));
            meter.add(&windows, ms(1000), 7);
            meter.add(&windows, ms(999), 5);
            assert_eq!(meter.used(&windows, ms(999)), 12, "{count} windows");
        }
    }

    #[test]
    fn nothing_is_lost_when_all_cores_count() {
        let windows = Windows::new(11, 1);
        let meter = Meter::new(&windows, ms(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|step| meter.add(&windows, ms(step % 3000), 1)));
            }
        });
        assert_eq!(meter.used(&windows, ms(3000)), 40_000);
    }

    #[test]
    fn an_hour_without_use_ends_it() {
        let windows = Windows::new(11, 1);
        let meter = Meter::new(&windows, ms(0));
        meter.add(&windows, ms(1000), 1);
        assert!(!meter.retire_idle(ms(3_600_999)) && !meter.is_retired());
        assert!(meter.retire_idle(ms(3_601_000)) && meter.is_retired());
    }
}
