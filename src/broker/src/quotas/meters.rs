//! The meters and buckets of all cores together: a quota holds for a client on the whole broker, wherever its
//! connections are.

use super::mutations::Bucket;
use super::rate::{Meter, Moment, Windows};
use controller::QuotaKey;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most meters; those who come then share one for each kind of quota.
const METERS_MAX: usize = 10_000;
/// How much of a name tells meters apart, in characters.
const NAME_LENGTH_MAX: usize = 256;
/// How often it is looked for meters that nobody has used for long, if a new one is asked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What a meter is found by: the quota, and whose use it adds up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MeterKey {
    quota: QuotaKey,
    /// `None`: of all users together.
    user: Option<Box<str>>,
    /// What the client calls itself, or its address. `None`: of all clients together.
    client: Option<Box<str>>,
}

impl MeterKey {
    /// Names that are longer than any that is meant are cut, so that what meters take is bounded.
    pub(super) fn new(quota: QuotaKey, user: Option<&str>, client: Option<&str>) -> MeterKey {
        let cut = |name: &str| name.chars().take(NAME_LENGTH_MAX).collect::<String>().into_boxed_str();
        MeterKey { quota, user: user.map(cut), client: client.map(cut) }
    }
}

/// Meters, or buckets, by key.
#[derive(Debug)]
struct Known<T> {
    by_key: BTreeMap<MeterKey, Arc<T>>,
    swept: Moment,
}

impl<T> Known<T> {
    fn none() -> Mutex<Known<T>> {
        Mutex::new(Known { by_key: BTreeMap::new(), swept: Moment::ZERO })
    }

    /// The one of a key, the same for everybody.
    fn find(
        &mut self,
        key: MeterKey,
        at: Moment,
        retire_idle: impl Fn(&T) -> bool,
        new: impl FnOnce() -> T,
    ) -> Arc<T> {
        if let Some(known) = self.by_key.get(&key) {
            return known.clone();
        }
        if at >= self.swept.after(SWEEP_EVERY) {
            self.swept = at;
            self.by_key.retain(|_, known| !retire_idle(known));
        }
        let key = match self.by_key.len() < METERS_MAX {
            true => key,
            false => MeterKey { user: None, client: None, ..key },
        };
        self.by_key.entry(key).or_insert_with(|| Arc::new(new())).clone()
    }
}

/// The meters and buckets of all cores. A lock is taken when a connection first shows a client id, after quotas were
/// changed, for a connection from an address with a quota, and for a request that creates or deletes topics; other
/// requests have their meters at hand.
#[derive(Debug)]
pub struct Meters {
    windows: Windows,
    /// Of connections of whatever address: apart from those of addresses, which may be too many.
    connections: Meter,
    known: Mutex<Known<Meter>>,
    bucket_time: Duration,
    buckets: Mutex<Known<Bucket>>,
}

impl Meters {
    /// No meters yet. A full bucket holds what comes into it in `bucket_time`.
    pub(crate) fn new(windows: Windows, bucket_time: Duration) -> Meters {
        let connections = Meter::new(&windows, Moment::ZERO);
        Meters { windows, connections, known: Known::none(), bucket_time, buckets: Known::none() }
    }

    /// How time is cut.
    pub(super) fn windows(&self) -> &Windows {
        &self.windows
    }

    /// The meter of all connections that are taken.
    pub(super) fn connections(&self) -> &Meter {
        &self.connections
    }

    /// The meter of a key, the same one for everybody.
    pub(super) fn meter(&self, key: MeterKey, at: Moment) -> Arc<Meter> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.find(key, at, |meter| meter.retire_idle(at), || Meter::new(&self.windows, at))
    }

    /// The bucket of a key, the same one for everybody, and the time whose tokens it holds.
    pub(super) fn bucket(&self, key: MeterKey, at: Moment) -> (Arc<Bucket>, Duration) {
        let mut known = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = known.find(key, at, |bucket| bucket.is_idle(at), || Bucket::full(at));
        (bucket, self.bucket_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: QuotaKey = QuotaKey::ProducerByteRate;

    fn meters() -> Meters {
        Meters::new(Windows::new(11, 1), Duration::from_secs(11))
    }

    fn count(meters: &Meters) -> usize {
        meters.known.lock().expect("not poisoned").by_key.len()
    }

    #[test]
    fn a_key_has_one_meter() {
        let meters = meters();
        let [long, longer] = ["1", "2"].map(|last| format!("{}{last}", "n".repeat(NAME_LENGTH_MAX)));
        let of = |quota, user, client| meters.meter(MeterKey::new(quota, user, client), Moment::ZERO);
        let first = of(RATE, Some("u"), Some("c"));
        assert!(Arc::ptr_eq(&first, &of(RATE, Some("u"), Some("c"))));
        let others = [
            of(QuotaKey::ConsumerByteRate, Some("u"), Some("c")),
            of(RATE, Some("u"), None),
            of(RATE, None, Some("c")),
            of(RATE, Some("c"), Some("u")),
        ];
        assert!(others.iter().all(|other| !Arc::ptr_eq(other, &first)));
        let one = of(RATE, None, Some(long.as_str()));
        assert!(Arc::ptr_eq(&one, &of(RATE, None, Some(longer.as_str()))), "cut to what is kept");
        assert_eq!(count(&meters), 6);
    }

    #[test]
    fn buckets_are_kept_as_meters_are() {
        let meters = meters();
        let of = |name: &str, at| {
            meters.bucket(MeterKey::new(QuotaKey::ControllerMutationRate, None, Some(name)), at).0
        };
        let hours = |count: u64| Moment::ZERO.after(Duration::from_secs(3600 * count));
        let (one, other) = (of("one", hours(0)), of("other", hours(0)));
        assert!(Arc::ptr_eq(&one, &of("one", hours(0))) && !Arc::ptr_eq(&one, &other));
        // Looked for when a new one is asked for.
        drop(of("new", hours(2)));
        assert!(!Arc::ptr_eq(&one, &of("one", hours(2))), "what nobody uses for an hour goes");
        (0..METERS_MAX).for_each(|number| drop(of(&number.to_string(), hours(2))));
        assert!(Arc::ptr_eq(&of("late", hours(2)), &of("later", hours(2))), "latecomers share one");
    }

    #[test]
    fn there_are_no_more_than_the_most() {
        let meters = meters();
        let of = |number: usize, at| meters.meter(MeterKey::new(RATE, None, Some(&number.to_string())), at);
        (0..METERS_MAX).for_each(|number| drop(of(number, Moment::ZERO)));
        let late = of(METERS_MAX, Moment::ZERO);
        assert!(Arc::ptr_eq(&late, &of(METERS_MAX + 1, Moment::ZERO)), "latecomers share one");
        assert!(!Arc::ptr_eq(&late, &of(0, Moment::ZERO)), "the others keep theirs");
        assert_eq!(count(&meters), METERS_MAX + 1);
    }

    #[test]
    fn what_nobody_uses_for_an_hour_goes() {
        let meters = meters();
        let of = |name, at| meters.meter(MeterKey::new(RATE, None, Some(name)), at);
        let minutes = |count: u64| Moment::ZERO.after(Duration::from_secs(60 * count));
        let (old, used) = (of("old", minutes(0)), of("used", minutes(0)));
        used.add(meters.windows(), minutes(30), 1);
        drop(of("new", minutes(61)));
        assert_eq!((old.is_retired(), used.is_retired()), (true, false));
        assert_eq!(count(&meters), 2);
        assert!(!Arc::ptr_eq(&old, &of("old", minutes(61))), "who comes back begins anew");
    }
}
