//! Client quotas: which one holds for a client, how much was used of it, how long the client must wait.
//! `docs/quotas.md` has the design.
//!
//! - [`precedence`]: from the quotas of the image to the one that holds for a client.
//! - [`rate`]: [`Meter`](rate::Meter): what was used in the last windows, and the wait that follows from it.
//! - [`mutations`]: the tokens for partitions that are created and deleted (KIP-599).
//! - [`meters`]: [`Meters`], the meters and buckets of all cores together.
//! - [`toll`]: [`Toll`], what a connection has to do with quotas, and [`Charge`], what one of its requests has.
//!
//! Invariant: while nobody has a quota, a request costs a look at two flags of its core.

mod meters;
mod mutations;
mod precedence;
mod rate;
mod toll;

pub use meters::Meters;
pub(crate) use mutations::bucket_time;
pub use rate::Moment;
pub(crate) use rate::Windows;
pub(crate) use toll::{Charge, Timed, Toll};

use base::Instant;
use controller::changes::Budget;
use controller::{ClientQuotas, QuotaEntity, QuotaKey};
use kafka_wire::ApiKey;
use meters::MeterKey;
use mutations::{Allowance, Rules, strict_since};
use rate::units_per_second;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use toll::USER;

/// The quotas that hold for requests.
const OF_REQUESTS: [QuotaKey; 3] =
    [QuotaKey::ProducerByteRate, QuotaKey::ConsumerByteRate, QuotaKey::RequestPercentage];

/// How long a core that takes no connections waits at most before it asks whether it may.
const PACE_WAIT_MAX: Duration = Duration::from_secs(1);

/// A core's clock beside the one that all cores count windows by. Their drivers begin their time when they please.
#[derive(Clone, Copy, Debug)]
struct Clock {
    here: Instant,
    there: Moment,
}

/// What a core knows of quotas.
pub(crate) struct Quotas {
    current: RefCell<Arc<ClientQuotas>>,
    /// Goes up with every change of quotas: what was concluded from those before it holds no more.
    generation: Cell<u64>,
    of_requests: Cell<bool>,
    of_mutations: Cell<bool>,
    of_connections: Cell<bool>,
    /// Known before the core takes connections.
    shared: OnceCell<(Arc<Meters>, Clock)>,
}

impl Quotas {
    pub(crate) fn new(current: &Arc<ClientQuotas>) -> Quotas {
        let quotas = Quotas {
            current: RefCell::new(current.clone()),
            generation: Cell::new(0),
            of_requests: Cell::new(false),
            of_mutations: Cell::new(false),
            of_connections: Cell::new(false),
            shared: OnceCell::new(),
        };
        quotas.set(current);
        quotas
    }

    /// The meters of all cores; `there` is what their clock shows now. The first time counts.
    pub(crate) fn share(&self, meters: Arc<Meters>, there: Moment, here: Instant) {
        let _ = self.shared.set((meters, Clock { here, there }));
    }

    /// The quotas of a new image.
    pub(crate) fn see(&self, current: &Arc<ClientQuotas>) {
        if !Arc::ptr_eq(&self.current.borrow(), current) {
            self.generation.set(self.generation.get() + 1);
            self.set(current);
        }
    }

    fn set(&self, current: &Arc<ClientQuotas>) {
        let has = |key: QuotaKey| current.iter().any(|(_, limits)| limits.contains_key(&key));
        self.of_requests.set(OF_REQUESTS.into_iter().any(has));
        self.of_mutations.set(has(QuotaKey::ControllerMutationRate));
        self.of_connections.set(has(QuotaKey::ConnectionCreationRate));
        self.current.replace(current.clone());
    }

    /// Whether anybody's requests of this kind are limited.
    pub(crate) fn limit_requests(&self, api: ApiKey) -> bool {
        self.of_requests.get() || (self.of_mutations.get() && strict_since(api).is_some())
    }

    /// How much a client may create and delete from now on; `None`: as much as it likes.
    fn allowance(&self, client_id: &str, strict: bool, now: Instant) -> Option<Allowance> {
        if !self.of_mutations.get() {
            return None;
        }
        let key = QuotaKey::ControllerMutationRate;
        let (meters, at) = self.at(now)?;
        let current = self.current.borrow();
        let held = precedence::find(&current, key, USER, client_id)?;
        let (bucket, bucket_time) = meters.bucket(MeterKey::new(key, held.user, held.client), at);
        let rules = Rules { per_second: units_per_second(key, held.limit), bucket_time, strict };
        Some(Allowance::new(bucket, rules, at))
    }

    /// The same for topics that a client has created by the way, by asking for them: what is too much is not created,
    /// and the client does not have to wait.
    pub(crate) fn aside(&self, client_id: &str, now: Instant) -> Option<Arc<dyn Budget>> {
        let allowance: Arc<dyn Budget> = Arc::new(self.allowance(client_id, true, now)?);
        Some(allowance)
    }

    fn at(&self, now: Instant) -> Option<(&Meters, Moment)> {
        let (meters, clock) = self.shared.get()?;
        Some((meters.as_ref(), clock.there.after(now.since(clock.here))))
    }

    /// Counts a new connection in; or says how long to let it wait before it is closed (KIP-612).
    pub(crate) fn connect(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        if !self.of_connections.get() {
            return Ok(());
        }
        let Some((meters, at)) = self.at(now) else { return Ok(()) };
        let key = QuotaKey::ConnectionCreationRate;
        let address = peer.to_canonical().to_string();
        let quotas = self.current.borrow();
        let limit_of = |name: Option<String>| quotas.of(&QuotaEntity::Ip(name))?.get(&key).copied();
        let Some(limit) = limit_of(Some(address.clone())).or_else(|| limit_of(None)) else { return Ok(()) };
        let meter = meters.meter(MeterKey::new(key, None, Some(address.as_str())), at);
        let windows = meters.windows();
        let wait = meter.wait(windows, units_per_second(key, limit), at, 1).min(windows.length());
        if wait.is_zero() {
            meter.add(windows, at, 1);
            return Ok(());
        }
        Err(wait)
    }

    /// Counts connections of whatever address, of which all cores together may take so many a second; says how long to
    /// take none until it is asked again (KIP-612). `i32::MAX`: as many as come.
    pub(crate) fn pace(&self, taken: u64, per_second: i32, now: Instant) -> Duration {
        if per_second == i32::MAX {
            return Duration::ZERO;
        }
        let Some((meters, at)) = self.at(now) else { return Duration::ZERO };
        let (meter, windows) = (meters.connections(), meters.windows());
        if taken > 0 {
            meter.add(windows, at, taken);
        }
        // Asked again soon, however long a window is, as another limit may hold by then.
        meter.wait(windows, f64::from(per_second), at, 0).min(PACE_WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{Image, QuotaLimit, Record};

    fn set(image: &Image, entity: QuotaEntity, key: QuotaKey, limit: Option<f64>) -> Image {
        let record = Record::ClientQuota { entity, key, limit: limit.and_then(QuotaLimit::new) };
        image.with([&record], 1).expect("fits")
    }

    fn shared(image: &Image) -> Quotas {
        let quotas = Quotas::new(image.quotas());
        let meters = Arc::new(Meters::new(Windows::new(11, 1), Duration::from_secs(11)));
        quotas.share(meters, Moment::ZERO, Instant::from_nanos(7));
        quotas
    }

    #[test]
    fn the_flags_follow_the_image() {
        let rate = QuotaKey::ProducerByteRate;
        let empty = Image::default();
        let quotas = Quotas::new(empty.quotas());
        assert!(!quotas.limit_requests(ApiKey::Produce));
        let one = set(&empty, QuotaEntity::User(None), rate, Some(5.0));
        quotas.see(one.quotas());
        assert!(quotas.limit_requests(ApiKey::Produce) && !quotas.of_connections.get());
        let topic = Record::Topic { id: model::TopicId([1; 16]), name: "t".to_owned() };
        quotas.see(one.with([&topic], 1).expect("fits").quotas());
        assert_eq!(quotas.generation.get(), 1, "other changes leave quotas as they are");
        quotas.see(set(&one, QuotaEntity::User(None), rate, None).quotas());
        assert!(!quotas.limit_requests(ApiKey::Produce));
        assert_eq!(quotas.generation.get(), 2);
    }

    #[test]
    fn what_is_created_and_deleted_is_limited_by_itself() {
        let key = QuotaKey::ControllerMutationRate;
        let image = set(&Image::default(), QuotaEntity::ClientId(Some("c".into())), key, Some(2.0));
        let quotas = shared(&image);
        let limited = |api| quotas.limit_requests(api);
        let mutations = [ApiKey::CreateTopics, ApiKey::DeleteTopics, ApiKey::CreatePartitions];
        assert!(mutations.into_iter().all(limited));
        assert!(![ApiKey::Produce, ApiKey::Metadata, ApiKey::AlterConfigs].into_iter().any(limited));
        let now = Instant::from_nanos(7);
        let spend = |client_id: &str, partitions, now| {
            let budget = quotas.aside(client_id, now)?;
            Some(budget.spend(partitions).is_ok())
        };
        assert_eq!(spend("other", 1_000, now), None, "it has no quota");
        // 22 tokens are in a full bucket; two seconds pay a debt of four.
        assert_eq!([26, 1].map(|partitions| spend("c", partitions, now)), [Some(true), Some(false)]);
        let later = now + Duration::from_secs(2);
        assert_eq!([1, 1].map(|partitions| spend("c", partitions, later)), [Some(true), Some(false)]);
        quotas.see(set(&image, QuotaEntity::ClientId(Some("c".into())), key, None).quotas());
        assert_eq!((spend("c", 1, later), limited(ApiKey::CreateTopics)), (None, false));
    }

    #[test]
    fn connections_of_an_address_are_counted_together() {
        let key = QuotaKey::ConnectionCreationRate;
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let image = set(&Image::default(), QuotaEntity::Ip(Some("10.0.0.1".into())), key, Some(2.0));
        let quotas = shared(&image);
        let now = Instant::from_nanos(7);
        let taken = (0..100).take_while(|_| quotas.connect(one, now).is_ok()).count();
        assert_eq!(taken, 20, "two a second in the ten seconds that are looked at");
        let wait = quotas.connect(one, now).expect_err("over its quota");
        assert!(!wait.is_zero() && wait <= Duration::from_secs(1), "{wait:?}");
        assert!((0..100).all(|_| quotas.connect(other, now).is_ok()), "others have none");
        assert!(quotas.connect(one, now + Duration::from_secs(30)).is_ok(), "later there is room again");
        let image = set(&image, QuotaEntity::Ip(None), key, Some(1.0));
        quotas.see(image.quotas());
        let taken = (0..100).take_while(|_| quotas.connect(other, now).is_ok()).count();
        assert_eq!(taken, 10, "the default holds for those that have none of their own");
    }

    #[test]
    fn connections_of_a_node_are_taken_at_a_pace() {
        let quotas = shared(&Image::default());
        let now = Instant::from_nanos(7);
        assert!((0..100).all(|_| quotas.pace(1, i32::MAX, now).is_zero()), "no pace, and nothing is counted");
        let at_once = (0..100).take_while(|_| quotas.pace(1, 2, now).is_zero()).count();
        assert_eq!(at_once, 20, "two a second in the ten seconds that are looked at");
        assert_eq!(quotas.pace(1, 2, now), PACE_WAIT_MAX, "asked again soon");
        let (mut taken, mut later) = (0, now + Duration::from_secs(60));
        while later < now + Duration::from_secs(120) {
            taken += 1;
            let mut pause = quotas.pace(1, 2, later);
            while !pause.is_zero() {
                later = later + pause;
                pause = quotas.pace(0, 2, later);
            }
        }
        assert!((110..=145).contains(&taken), "{taken} in a minute");
        assert!(!quotas.pace(1, 0, later).is_zero(), "of none a second");
    }

    #[test]
    fn the_pace_of_a_node_has_a_meter_of_its_own() {
        let key = QuotaKey::ConnectionCreationRate;
        let image = set(&Image::default(), QuotaEntity::Ip(None), key, Some(1e6));
        let quotas = shared(&image);
        let now = Instant::from_nanos(7);
        // More than there are meters, so that the last of them share one.
        let mut addresses = (0..11_000).map(|number: u32| IpAddr::from(number.to_be_bytes()));
        assert!(addresses.all(|address| quotas.connect(address, now).is_ok()));
        let at_once = (0..100).take_while(|_| quotas.pace(1, 2, now).is_zero()).count();
        assert_eq!(at_once, 20, "two a second in the ten seconds that are looked at");
    }

    #[test]
    fn a_pace_is_asked_for_soon_though_windows_are_long() {
        let quotas = Quotas::new(Image::default().quotas());
        let meters = Arc::new(Meters::new(Windows::new(2, 3600), Duration::from_secs(11)));
        let now = Instant::from_nanos(7);
        quotas.share(meters, Moment::ZERO, now);
        assert_eq!(quotas.pace(10_000, 1, now), PACE_WAIT_MAX);
        assert_eq!(quotas.pace(0, 10, now), Duration::ZERO, "another pace holds at once");
    }
}
