//! Metrics that clients push (KIP-714): which core keeps a client, and what is shown of it.
//!
//! - this module: [`Telemetry`], a core's clients; [`ask()`], from a handler to the core that keeps a client.
//! - [`unpack`]: from the bytes of a push to numbers.
//! - [`shown`]: [`Shown`], the numbers as the HTTP thread reads them.
//!
//! A client is kept by one core, which follows from its instance id: its connections, of which it may have one today
//! and another tomorrow, are on any. Nothing of it is shared between cores, and no request of another kind comes by
//! here. The rules are in the crate `telemetry`.

mod question;
mod shown;
mod unpack;

pub use question::{TelemetryAnswer, TelemetryQuestion};
pub(crate) use question::Wish;
pub(crate) use shown::Shown;

use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use controller::{Image, ResourceKind};
use kafka_wire::{ErrorCode, Uuid};
use model::ShardId;
use model::config::Settings;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use telemetry::instance::INSTANCES_MAX;
use telemetry::{Instances, Owner, SeriesSet, Subscriptions};

/// Numbers that all cores together show of clients.
const SERIES_MAX: usize = 50_000;
/// The longest pause between two looks for clients that are silent, or for what could not be shown yet.
const LOOK_PAUSE: Duration = Duration::from_secs(5);
/// The pause when the HTTP thread was reading: it takes a copy and is gone.
const SHOW_PAUSE: Duration = Duration::from_millis(20);

/// A core's clients.
#[derive(Debug)]
pub(crate) struct Telemetry {
    instances: RefCell<Instances>,
    subscriptions: RefCell<Subscriptions>,
    /// What they were compiled from, and the image that had it last.
    settings: RefCell<BTreeMap<String, Settings>>,
    image: Cell<i64>,
    /// What each client pushed last.
    sets: RefCell<BTreeMap<Uuid, Arc<SeriesSet>>>,
    /// How many numbers that is, and how many there may be.
    series: Cell<usize>,
    series_max: usize,
    /// What is to be shown, or not any more, once the HTTP thread does not read.
    unshown: RefCell<VecDeque<(Uuid, Option<Arc<SeriesSet>>)>>,
    /// There is a task that looks after all of that.
    looking: Cell<bool>,
    stopped: Cell<bool>,
}

impl Telemetry {
    /// One of so many cores.
    pub(crate) fn new(cores: usize) -> Telemetry {
        let cores = cores.max(1);
        Telemetry {
            instances: RefCell::new(Instances::new(INSTANCES_MAX.div_ceil(cores))),
            subscriptions: RefCell::default(),
            settings: RefCell::default(),
            image: Cell::new(i64::MIN),
            sets: RefCell::default(),
            series: Cell::new(0),
            series_max: SERIES_MAX.div_ceil(cores),
            unshown: RefCell::default(),
            looking: Cell::new(false),
            stopped: Cell::new(false),
        }
    }

    /// The broker stops: nothing is looked after any more.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
    }

    /// Goes by the subscriptions of an image.
    fn see(&self, image: &Image) {
        if self.image.replace(image.offset()) == image.offset() {
            return;
        }
        let all = image.configured_resources();
        let found: Vec<(&str, &Settings)> = all
            .filter(|(resource, _)| resource.kind == ResourceKind::ClientMetrics)
            .map(|(resource, settings)| (resource.name.as_str(), settings))
            .collect();
        let known = self.settings.borrow();
        let is_same = known.iter().map(|(name, one)| (name.as_str(), one)).eq(found.iter().copied());
        drop(known);
        if is_same {
            return;
        }
        let version = self.subscriptions.borrow().version() + 1;
        self.subscriptions.replace(Subscriptions::compile(found.iter().map(|(_, one)| *one), version));
        let found = found.into_iter().map(|(name, one)| (name.to_owned(), one.clone()));
        self.settings.replace(found.collect());
    }

    /// Keeps what a client has pushed, as far as there is room for it. A client that was forgotten meanwhile has
    /// nothing kept.
    fn keep(&self, id: Uuid, mut set: SeriesSet) -> u64 {
        let mut sets = self.sets.borrow_mut();
        let before = sets.get(&id);
        if let Some(before) = before {
            set.follow(before);
        }
        let others = self.series.get() - before.map_or(0, |before| before.len());
        set.limit(self.series_max.saturating_sub(others));
        self.series.set(others + set.len());
        let dropped = set.dropped();
        let set = Arc::new(set);
        self.unshown.borrow_mut().push_back((id, Some(set.clone())));
        sets.insert(id, set);
        dropped
    }

    /// Takes away what clients pushed that are not known any more.
    fn clear_gone(&self) {
        let gone = self.instances.borrow_mut().take_gone();
        let mut sets = self.sets.borrow_mut();
        for id in gone {
            // It may have come back.
            if self.instances.borrow().knows(id) {
                continue;
            }
            if let Some(set) = sets.remove(&id) {
                self.series.set(self.series.get() - set.len());
                self.unshown.borrow_mut().push_back((id, None));
            }
        }
    }

    /// Shows what is to be shown; false if the HTTP thread is reading.
    fn show(&self, shown: &Shown) -> bool {
        let mut unshown = self.unshown.borrow_mut();
        while let Some((id, set)) = unshown.front() {
            if !shown.try_put(*id, set.as_ref()) {
                return false;
            }
            unshown.pop_front();
        }
        true
    }
}

/// Random bits for a client that has no instance id yet.
pub(crate) fn fresh_id() -> Uuid {
    let bits = u128::from(executor::random()) << 64 | u128::from(executor::random());
    // Zero and one are no ids.
    Uuid(bits.max(2).to_be_bytes())
}

/// The core that keeps a client.
fn keeper(id: Uuid, cores: usize) -> ShardId {
    let bits = u128::from_be_bytes(id.0);
    let mixed = base::Random::new((bits >> 64) as u64 ^ (bits as u64).rotate_left(31)).next_u64();
    ShardId(((mixed >> 32) % cores.max(1) as u64) as u16)
}

/// Asks the core that keeps a client.
///
/// # Errors
/// Those of the two requests; THROTTLING_QUOTA_EXCEEDED while the broker stops, so that the client asks later.
pub(crate) async fn ask(
    broker: &Rc<Broker>,
    question: TelemetryQuestion,
) -> Result<TelemetryAnswer, ErrorCode> {
    let keeper = keeper(question.id, broker.cores.shards());
    if keeper == broker.shard() {
        return answer(broker.clone(), question).await;
    }
    match broker.cores.call(keeper, CoreQuestion::Telemetry(question)).await {
        Some(CoreAnswer::Telemetry(told)) => told,
        _ => Err(ErrorCode::ThrottlingQuotaExceeded),
    }
}

/// Answers on the core that keeps the client.
///
/// # Errors
/// Those of the two requests.
pub(crate) async fn answer(
    broker: Rc<Broker>,
    question: TelemetryQuestion,
) -> Result<TelemetryAnswer, ErrorCode> {
    let telemetry = &broker.telemetry;
    telemetry.see(&broker.image());
    let answer = match &question.wish {
        Wish::Ask => begin_ask(&broker, &question),
        Wish::Push { .. } => push(&broker, &question).await.map(|()| TelemetryAnswer::default()),
    };
    look_after(&broker);
    answer
}

fn begin_ask(broker: &Broker, question: &TelemetryQuestion) -> Result<TelemetryAnswer, ErrorCode> {
    let telemetry = &broker.telemetry;
    let (mut instances, subscriptions) =
        (telemetry.instances.borrow_mut(), telemetry.subscriptions.borrow());
    let instance = question.id.to_string();
    let asked = instances.ask(now_ms(), question.id, &question.client(&instance), &subscriptions);
    let (subscription_id, subscribed) = asked?;
    let metrics = subscribed.metrics.iter().map(|name| name.to_string()).collect();
    Ok(TelemetryAnswer { subscription_id, interval_ms: subscribed.interval_ms, metrics })
}

async fn push(broker: &Rc<Broker>, question: &TelemetryQuestion) -> Result<(), ErrorCode> {
    let Wish::Push { push, metrics } = &question.wish else { return Err(ErrorCode::InvalidRequest) };
    let bytes_max = usize::try_from(broker.config().telemetry_max_bytes).unwrap_or(0);
    let (telemetry, instance) = (&broker.telemetry, question.id.to_string());
    telemetry.instances.borrow_mut().push(
        now_ms(),
        question.id,
        &question.client(&instance),
        &telemetry.subscriptions.borrow(),
        push,
        bytes_max,
    )?;
    if metrics.is_empty() {
        return Ok(());
    }
    let owner = Owner {
        instance: &instance,
        client_id: question.client_id.as_deref().unwrap_or_default(),
    };
    match unpack::numbers(metrics, push.compression, bytes_max, &owner).await {
        Ok(set) if telemetry.instances.borrow().knows(question.id) => {
            let dropped = telemetry.keep(question.id, set);
            broker.metrics.client_series_dropped.add(dropped);
            Ok(())
        }
        Ok(_) => Ok(()),
        Err(code) => {
            telemetry.instances.borrow_mut().note_error(question.id, code);
            Err(code)
        }
    }
}

/// Shows what is to be shown, and sees to it that what has still to be done is done.
fn look_after(broker: &Rc<Broker>) {
    look(broker);
    let telemetry = &broker.telemetry;
    if !telemetry.stopped.get() && !telemetry.looking.replace(true) {
        drop(executor::spawn("client telemetry", keep_looking(broker.clone())));
    }
}

/// True if everything is shown.
fn look(broker: &Broker) -> bool {
    let telemetry = &broker.telemetry;
    telemetry.instances.borrow_mut().expire(now_ms());
    telemetry.clear_gone();
    let is_shown = telemetry.show(&broker.metrics.client_series);
    broker.metrics.clients.set(telemetry.instances.borrow().len() as u64);
    broker.metrics.client_series_count.set(telemetry.series.get() as u64);
    is_shown
}

/// Looks after the clients for as long as there are any.
async fn keep_looking(broker: Rc<Broker>) {
    let telemetry = &broker.telemetry;
    while !telemetry.stopped.get() {
        let is_shown = look(&broker);
        if is_shown && telemetry.instances.borrow().is_empty() {
            break;
        }
        executor::sleep(if is_shown { LOOK_PAUSE } else { SHOW_PAUSE }).await;
    }
    telemetry.looking.set(false);
}

/// Milliseconds of a clock that is never set.
fn now_ms() -> i64 {
    i64::try_from(executor::now().as_nanos() / 1_000_000).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller::{Record, Resource};
    use telemetry::otlp::{Sample, SampleKind};
    use telemetry::Client;

    fn set(names: &[&str]) -> SeriesSet {
        let mut set = SeriesSet::new(&Owner { instance: "i", client_id: "c" });
        for name in names {
            set.add(&Sample { name, kind: SampleKind::Gauge, resource: &[], attributes: &[], value: 1.0 });
        }
        set
    }

    fn id(n: u8) -> Uuid {
        Uuid([n; 16])
    }

    fn records(interval: Option<&str>) -> Vec<Record> {
        let set = |kind, name: &str, key: &str, value: Option<&str>| Record::Config {
            resource: Resource::new(kind, name),
            key: key.to_owned(),
            value: value.map(str::to_owned),
        };
        vec![
            set(ResourceKind::Group, "g", "consumer.session.timeout.ms", Some("50000")),
            set(ResourceKind::ClientMetrics, "m", "interval.ms", interval),
        ]
    }

    #[test]
    fn subscriptions_are_compiled_when_they_change() {
        let telemetry = Telemetry::new(1);
        let mut image = Image::default();
        let mut told = |interval| {
            image = image.with(&records(interval), 1).expect("the records fit");
            telemetry.see(&image);
            let subscriptions = telemetry.subscriptions.borrow();
            (subscriptions.version(), subscriptions.of(&Client::default()).interval_ms)
        };
        assert_eq!(told(Some("1000")), (1, 1_000));
        assert_eq!(told(Some("1000")), (1, 1_000), "something else has changed");
        assert_eq!(told(Some("2000")), (2, 2_000));
        assert_eq!(told(None), (3, 300_000), "the subscription is gone");
    }

    #[test]
    fn what_is_kept_is_bounded_over_all_clients() {
        let telemetry = Telemetry { series_max: 3, ..Telemetry::new(1) };
        assert_eq!(telemetry.keep(id(1), set(&["a", "b"])), 0);
        assert_eq!(telemetry.keep(id(2), set(&["a", "b"])), 1);
        assert_eq!(telemetry.series.get(), 3);
        assert_eq!(telemetry.keep(id(1), set(&["a"])), 0, "in place of what it had");
        assert_eq!(telemetry.keep(id(2), set(&["a", "b"])), 0);
        assert_eq!(telemetry.series.get(), 3);
        let shown = Shown::default();
        assert!(telemetry.show(&shown));
        assert_eq!(shown.all().iter().map(|set| set.len()).sum::<usize>(), 3);
    }

    #[test]
    fn who_is_forgotten_is_shown_no_longer() {
        let telemetry = Telemetry::new(1);
        let subscriptions = Subscriptions::default();
        let asked = telemetry.instances.borrow_mut().ask(0, id(1), &Client::default(), &subscriptions);
        assert!(asked.is_ok());
        telemetry.keep(id(1), set(&["a"]));
        let shown = Shown::default();
        assert!(telemetry.show(&shown));
        assert_eq!(shown.all().len(), 1);
        telemetry.instances.borrow_mut().expire(i64::MAX);
        telemetry.clear_gone();
        assert!(telemetry.show(&shown));
        assert!(shown.all().is_empty() && telemetry.sets.borrow().is_empty());
        assert_eq!(telemetry.series.get(), 0);
    }

    #[test]
    fn clients_are_spread_over_the_cores() {
        let mut counts = [0; 4];
        for n in 0..=255 {
            counts[usize::from(keeper(id(n), 4).0)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 32), "{counts:?}");
        assert_eq!(keeper(id(9), 4), keeper(id(9), 4));
    }
}
