//! What a connection and its requests have to do with quotas.
//!
//! A request is charged where its use is known: a Produce for its bytes before anything of it is appended, a Fetch for
//! the bytes it is about to give, all for the time that they took when their answer is encoded; what is created and
//! deleted is charged by the controller ([`Allowance`]). What is too much makes the connection mute: the answer leaves
//! at once with the wait in it, and nothing more is begun until the wait is over (KIP-219).

use super::meters::MeterKey;
use super::mutations::{Allowance, strict_since};
use super::rate::{Meter, units_per_second};
use super::{OF_REQUESTS, Quotas, precedence};
use crate::broker::Broker;
use crate::request::Request;
use base::Instant;
use controller::QuotaKey;
use controller::changes::Budget;
use executor::now;
use kafka_wire::ApiKey;
use network::{Answer, Handling};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Who clients are while nobody proves to be somebody.
pub(super) const USER: &str = "ANONYMOUS";
/// What the kernel's network takes of a core for 1024 bytes, about: its work is done for all connections together and
/// cannot be measured for one.
const NETWORK_NANOS_PER_KIB: u64 = 500;

/// A quota that holds for a connection: where it is counted, and how much a second there may be.
#[derive(Clone, Debug)]
struct Metered {
    meter: Arc<Meter>,
    per_second: f64,
}

/// By place in [`OF_REQUESTS`].
type Holding = Rc<[Option<Metered>; OF_REQUESTS.len()]>;

/// What was found for the client id that a connection's last request had.
struct Found {
    generation: u64,
    client_id: Box<str>,
    holding: Holding,
}

/// A connection as quotas see it.
#[derive(Default)]
pub(crate) struct Toll {
    /// Until when it is mute, and by the quotas of which generation.
    muted: Cell<(Instant, u64)>,
    found: RefCell<Option<Found>>,
}

impl Toll {
    /// Until when nothing of the connection is begun; [`Instant::ZERO`] for no wait. A change of quotas ends all waits.
    pub(crate) fn muted_until(&self, quotas: &Quotas) -> Instant {
        match self.muted.get() {
            (until, generation) if generation == quotas.generation.get() => until,
            _ => Instant::ZERO,
        }
    }

    fn mute(&self, until: Instant, quotas: &Quotas) {
        let until = until.max(self.muted_until(quotas));
        self.muted.set((until, quotas.generation.get()));
    }

    /// The quotas that hold for a client id on this connection.
    fn holding(&self, quotas: &Quotas, client_id: &str, now: Instant) -> Option<Holding> {
        let generation = quotas.generation.get();
        let mut found = self.found.borrow_mut();
        if let Some(found) = &*found
            && found.generation == generation
            && *found.client_id == *client_id
            && !found.holding.iter().flatten().any(|metered| metered.meter.is_retired())
        {
            return Some(found.holding.clone());
        }
        let (meters, at) = quotas.at(now)?;
        let current = quotas.current.borrow();
        let holding = Rc::new(OF_REQUESTS.map(|key| {
            let held = precedence::find(&current, key, USER, client_id)?;
            let meter = meters.meter(MeterKey::new(key, held.user, held.client), at);
            Some(Metered { meter, per_second: units_per_second(key, held.limit) })
        }));
        *found = Some(Found { generation, client_id: client_id.into(), holding: holding.clone() });
        Some(holding)
    }
}

/// What one request of a client with quotas uses.
pub(crate) struct Charge {
    broker: Rc<Broker>,
    toll: Rc<Toll>,
    holding: Holding,
    /// What it may create and delete, if that is limited.
    allowance: Option<Arc<Allowance>>,
    /// Nothing is said against the time that it takes.
    time_exempt: bool,
    request_bytes: usize,
    /// Time of this core that it took, up to when it began to run last.
    spent: Cell<Duration>,
    running_since: Cell<Option<Instant>>,
    /// The wait that its answer tells of, in milliseconds.
    told: Cell<i32>,
    /// Its time was charged.
    settled: Cell<bool>,
}

impl Charge {
    /// For a request that is about to begin; `None` if no quota holds for its client.
    pub(crate) fn of(broker: &Rc<Broker>, toll: &Rc<Toll>, request: &Request) -> Option<Rc<Charge>> {
        let client_id = request.client_id().unwrap_or_default();
        let at = now();
        let holding = toll.holding(&broker.quotas, &client_id, at)?;
        let allowance = strict_since(request.api)
            .and_then(|strict| broker.quotas.allowance(&client_id, request.version >= strict, at))
            .map(Arc::new);
        if holding.iter().all(Option::is_none) && allowance.is_none() {
            return None;
        }
        Some(Rc::new(Charge {
            broker: broker.clone(),
            toll: toll.clone(),
            holding,
            allowance,
            // Kafka lets pass what brokers say to each other.
            time_exempt: request.api == ApiKey::WriteTxnMarkers,
            request_bytes: request.frame.len(),
            spent: Cell::default(),
            running_since: Cell::default(),
            told: Cell::new(0),
            settled: Cell::new(false),
        }))
    }

    fn metered(&self, key: QuotaKey) -> Option<&Metered> {
        let place = OF_REQUESTS.iter().position(|one| *one == key)?;
        self.holding[place].as_ref()
    }

    /// The wait for `amount` more, which is counted if `add` says so.
    fn wait(&self, key: QuotaKey, amount: u64, add: bool) -> Duration {
        let (Some(metered), Some((meters, at))) = (self.metered(key), self.broker.quotas.at(now())) else {
            return Duration::ZERO;
        };
        let windows = meters.windows();
        if add {
            metered.meter.add(windows, at, amount);
        }
        let more = if add { 0 } else { amount };
        let wait = metered.meter.wait(windows, metered.per_second, at, more);
        // Of all quotas on requests only this one has a longest wait, as in Kafka.
        if key == QuotaKey::RequestPercentage { wait.min(windows.length()) } else { wait }
    }

    /// Makes the connection wait, if it does not have to already for as long because of this request.
    fn impose(&self, key: QuotaKey, wait: Duration) {
        let milliseconds = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let before = self.told.get();
        if milliseconds > before {
            let longer = Duration::from_millis((milliseconds - before) as u64);
            self.broker.metrics.throttled(key, longer);
            self.told.set(milliseconds);
            self.toll.mute(now() + wait, &self.broker.quotas);
        }
    }

    /// Charges a Produce for its bytes. Without waiting for the answer's time: the requests behind it are on their
    /// way already.
    pub(crate) fn produce(&self) {
        let wait = self.wait(QuotaKey::ProducerByteRate, self.request_bytes as u64, true);
        self.impose(QuotaKey::ProducerByteRate, wait);
    }

    /// The most bytes that a Fetch can give without a wait, however long nothing was fetched.
    pub(crate) fn fetch_bytes_max(&self) -> usize {
        let (Some(metered), Some((meters, _))) =
            (self.metered(QuotaKey::ConsumerByteRate), self.broker.quotas.at(now()))
        else {
            return usize::MAX;
        };
        meters.windows().most_at_once(metered.per_second) as usize
    }

    /// Charges a Fetch that has its records. False: it gives none this time, and they are not counted.
    pub(crate) fn fetch(&self, bytes: usize) -> bool {
        self.settle(bytes);
        let wait = self.wait(QuotaKey::ConsumerByteRate, bytes as u64, false);
        self.impose(QuotaKey::ConsumerByteRate, wait);
        if self.told.get() > 0 {
            return false;
        }
        self.wait(QuotaKey::ConsumerByteRate, bytes as u64, true);
        true
    }

    /// What it may create and delete, for the controller, which charges it; `None`: as much as it likes.
    pub(crate) fn budget(&self) -> Option<Arc<dyn Budget>> {
        self.allowance.clone().map(|allowance| -> Arc<dyn Budget> { allowance })
    }

    /// Charges the time that it took so far, once, for an answer of so many bytes. Gives the wait in milliseconds that
    /// the answer tells of, also for what was created and deleted.
    pub(crate) fn settle(&self, answer_bytes: usize) -> i32 {
        if self.settled.replace(true) {
            return self.told.get();
        }
        if let (Some(allowance), Some((_, at))) = (&self.allowance, self.broker.quotas.at(now())) {
            self.impose(QuotaKey::ControllerMutationRate, allowance.wait(at));
        }
        if !self.time_exempt {
            let network = (self.request_bytes + answer_bytes) as u64 * NETWORK_NANOS_PER_KIB / 1024;
            let running = self.running_since.get().map_or(Duration::ZERO, |since| now().since(since));
            let spent = self.spent.get() + running + Duration::from_nanos(network);
            let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
            let wait = self.wait(QuotaKey::RequestPercentage, nanos, true);
            self.impose(QuotaKey::RequestPercentage, wait);
        }
        self.told.get()
    }
}

/// A request's work whose time on this core is taken.
pub(crate) struct Timed {
    charge: Rc<Charge>,
    handling: Handling,
}

impl Timed {
    pub(crate) fn new(charge: Rc<Charge>, handling: Handling) -> Timed {
        Timed { charge, handling }
    }
}

impl Future for Timed {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let began = now();
        self.charge.running_since.set(Some(began));
        let polled = self.handling.as_mut().poll(context);
        self.charge.running_since.set(None);
        self.charge.spent.set(self.charge.spent.get() + now().since(began));
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Meters, Moment, Windows};
    use super::*;
    use controller::{Image, QuotaEntity, QuotaLimit, Record};

    const SECOND: Duration = Duration::from_secs(1);

    fn image(entity: QuotaEntity, key: QuotaKey, limit: f64) -> Image {
        let record = Record::ClientQuota { entity, key, limit: QuotaLimit::new(limit) };
        Image::default().with([&record], 1).expect("fits")
    }

    /// Two cores of one broker whose clocks differ.
    fn cores(image: &Image) -> [Quotas; 2] {
        let meters = Arc::new(Meters::new(Windows::new(11, 1), Duration::from_secs(11)));
        [0, 500_000_000_000].map(|here| {
            let quotas = Quotas::new(image.quotas());
            quotas.share(meters.clone(), Moment::ZERO, Instant::from_nanos(here));
            quotas
        })
    }

    fn metered(toll: &Toll, quotas: &Quotas, client_id: &str, now: Instant) -> Option<Metered> {
        toll.holding(quotas, client_id, now).expect("shared")[0].clone()
    }

    #[test]
    fn connections_on_all_cores_share_what_their_client_may() {
        let image = image(QuotaEntity::ClientId(None), QuotaKey::ProducerByteRate, 1000.0);
        let cores = cores(&image);
        let now = [0, 500_000_000_000].map(Instant::from_nanos);
        let [one, other] = [0, 1]
            .map(|core| metered(&Toll::default(), &cores[core], "c", now[core]).expect("the default holds"));
        assert!(Arc::ptr_eq(&one.meter, &other.meter));
        let windows = Windows::new(11, 1);
        let (meters, at) = cores[0].at(now[0] + SECOND).expect("shared");
        assert_eq!(meters.windows(), &windows);
        one.meter.add(&windows, at, 15_000);
        let (_, at) = cores[1].at(now[1] + SECOND).expect("shared");
        assert_eq!(other.meter.wait(&windows, other.per_second, at, 0), Duration::from_secs(5));
        let stranger = metered(&Toll::default(), &cores[0], "d", now[0]).expect("the default holds");
        assert!(!Arc::ptr_eq(&stranger.meter, &one.meter), "another client has a meter of its own");
    }

    #[test]
    fn what_was_found_is_kept_until_quotas_change() {
        let first = image(QuotaEntity::ClientId(Some("c".into())), QuotaKey::ProducerByteRate, 1000.0);
        let [quotas, _] = cores(&first);
        let (toll, now) = (Toll::default(), Instant::from_nanos(0));
        let limit = |client_id| metered(&toll, &quotas, client_id, now).map(|metered| metered.per_second);
        assert_eq!((limit("c"), limit("c"), limit("d"), limit("")), (Some(1000.0), Some(1000.0), None, None));
        let second = image(QuotaEntity::User(Some(USER.into())), QuotaKey::ProducerByteRate, 7.0);
        quotas.see(second.quotas());
        assert_eq!((limit("c"), limit("")), (Some(7.0), Some(7.0)), "everybody is that user");
    }

    #[test]
    fn a_meter_that_was_given_up_is_asked_for_again() {
        let image = image(QuotaEntity::ClientId(None), QuotaKey::ProducerByteRate, 1000.0);
        let [quotas, _] = cores(&image);
        let (toll, now) = (Toll::default(), Instant::from_nanos(0));
        let first = metered(&toll, &quotas, "c", now).expect("it holds");
        let later = now + 3601 * SECOND;
        drop(metered(&Toll::default(), &quotas, "d", later));
        assert!(first.meter.is_retired());
        let second = metered(&toll, &quotas, "c", later).expect("it holds");
        assert!(!second.meter.is_retired());
    }

    #[test]
    fn a_change_of_quotas_ends_a_wait() {
        let first = image(QuotaEntity::User(None), QuotaKey::ProducerByteRate, 1.0);
        let [quotas, _] = cores(&first);
        let (toll, until) = (Toll::default(), Instant::from_nanos(9_000));
        assert_eq!(toll.muted_until(&quotas), Instant::ZERO);
        toll.mute(until, &quotas);
        toll.mute(Instant::from_nanos(5_000), &quotas);
        assert_eq!(toll.muted_until(&quotas), until, "the later end counts");
        quotas.see(image(QuotaEntity::User(None), QuotaKey::ProducerByteRate, 2.0).quotas());
        assert_eq!(toll.muted_until(&quotas), Instant::ZERO);
        toll.mute(Instant::from_nanos(5_000), &quotas);
        assert_eq!(toll.muted_until(&quotas), Instant::from_nanos(5_000));
    }
}
