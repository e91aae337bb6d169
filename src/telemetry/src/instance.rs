//! Clients that are known, by their instance ids: what each was told to push, and when it may speak again.
//!
//! The rules are Kafka's. They differ in two points. A client whose last push was refused with
//! UNKNOWN_SUBSCRIPTION_ID or UNSUPPORTED_COMPRESSION_TYPE asks again at once, as KIP-714 has it, and may then push
//! at once as well. And when subscriptions have changed, a client is matched by what its request says of it, not
//! by what its first one said.

use crate::subscription::{Client, Subscribed, Subscriptions};
use kafka_wire::{ErrorCode, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Clients that a broker knows; the one that was silent the longest gives its place to a new one.
pub const INSTANCES_MAX: usize = 16_384;
/// Milliseconds of silence after which a client is forgotten, at least; and how many of its intervals.
const LIFE_MS_MIN: i64 = 60_000;
const LIFE_INTERVALS: i64 = 3;

/// Codecs that pushes may have, in the order in which clients shall prefer them: zstd, LZ4, gzip, Snappy.
pub const COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];
/// The number of no compression, which is taken as well.
const UNCOMPRESSED: i8 = 0;

/// What a PushTelemetry request says, but for the metrics themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push {
    /// The subscription that the client goes by.
    pub subscription_id: i32,
    /// It is the client's last.
    pub terminating: bool,
    /// The number of the codec.
    pub compression: i8,
    /// Bytes of the metrics, as they came.
    pub bytes: usize,
}

/// A client.
#[derive(Debug)]
struct Instance {
    subscribed: Rc<Subscribed>,
    subscription_id: i32,
    /// Of the subscriptions that it was matched with.
    version: u64,
    /// When it last asked what to push, and was told.
    asked_ms: Option<i64>,
    /// When it last pushed, and was in time.
    pushed_ms: Option<i64>,
    /// It has asked since.
    may_push: bool,
    terminating: bool,
    last_error: ErrorCode,
    /// Its places in the two queues.
    used: u64,
    expires_ms: i64,
}

impl Instance {
    fn new(id: Uuid, subscribed: Subscribed, version: u64) -> Instance {
        Instance {
            subscription_id: subscribed.id(id.0),
            subscribed: Rc::new(subscribed),
            version,
            asked_ms: None,
            pushed_ms: None,
            may_push: false,
            terminating: false,
            last_error: ErrorCode::None,
            used: 0,
            expires_ms: 0,
        }
    }

    fn is_early(&self, now_ms: i64, last_ms: Option<i64>) -> bool {
        let interval = i64::from(self.subscribed.interval_ms);
        last_ms.is_some_and(|last| now_ms.saturating_sub(last) < interval)
    }

    fn ask(&mut self, now_ms: i64) -> Result<(), ErrorCode> {
        let must_ask = matches!(
            self.last_error,
            ErrorCode::UnknownSubscriptionId | ErrorCode::UnsupportedCompressionType
        );
        if self.is_early(now_ms, self.asked_ms.max(self.pushed_ms)) && !must_ask {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        self.asked_ms = Some(now_ms);
        self.may_push = true;
        Ok(())
    }

    fn check(&mut self, now_ms: i64, push: &Push, bytes_max: usize) -> Result<(), ErrorCode> {
        if self.terminating {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first push after the question comes at any time: clients spread theirs over the interval.
        if self.may_push || !self.is_early(now_ms, self.pushed_ms) {
            self.pushed_ms = Some(now_ms);
            self.may_push = false;
        } else if !push.terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        if push.subscription_id != self.subscription_id {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        if push.compression != UNCOMPRESSED && !COMPRESSION_TYPES.contains(&push.compression) {
            return Err(ErrorCode::UnsupportedCompressionType);
        }
        if push.bytes > bytes_max {
            return Err(ErrorCode::TelemetryTooLarge);
        }
        Ok(())
    }
}

/// The clients that are known.
#[derive(Debug)]
pub struct Instances {
    max: usize,
    known: BTreeMap<Uuid, Instance>,
    by_use: BTreeMap<u64, Uuid>,
    by_expiry: BTreeSet<(i64, Uuid)>,
    last_use: u64,
    gone: Vec<Uuid>,
}

impl Instances {
    /// Room for so many, and for one at least.
    pub fn new(max: usize) -> Instances {
        Instances {
            max: max.max(1),
            known: BTreeMap::new(),
            by_use: BTreeMap::new(),
            by_expiry: BTreeSet::new(),
            last_use: 0,
            gone: Vec::new(),
        }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a client is known.
    pub fn knows(&self, id: Uuid) -> bool {
        self.known.contains_key(&id)
    }

    /// What a client pushed cannot be taken for what is in it.
    pub fn note_error(&mut self, id: Uuid, code: ErrorCode) {
        if let Some(instance) = self.known.get_mut(&id) {
            instance.last_error = code;
        }
    }

    /// A client asks what to push: the subscription's id, and the subscription.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED before its interval is over.
    pub fn ask(
        &mut self,
        now_ms: i64,
        id: Uuid,
        client: &Client<'_>,
        subscriptions: &Subscriptions,
    ) -> Result<(i32, Rc<Subscribed>), ErrorCode> {
        let instance = self.touch(now_ms, id, client, subscriptions);
        instance.ask(now_ms)?;
        instance.last_error = ErrorCode::None;
        Ok((instance.subscription_id, instance.subscribed.clone()))
    }

    /// A client pushes; its metrics have not been looked at. `bytes_max` is `telemetry.max.bytes`.
    ///
    /// # Errors
    /// INVALID_REQUEST for an id that no client has, and after a last push; THROTTLING_QUOTA_EXCEEDED before its
    /// interval is over; UNKNOWN_SUBSCRIPTION_ID, UNSUPPORTED_COMPRESSION_TYPE, TELEMETRY_TOO_LARGE.
    pub fn push(
        &mut self,
        now_ms: i64,
        id: Uuid,
        client: &Client<'_>,
        subscriptions: &Subscriptions,
        push: &Push,
        bytes_max: usize,
    ) -> Result<(), ErrorCode> {
        if is_reserved(id) {
            return Err(ErrorCode::InvalidRequest);
        }
        let instance = self.touch(now_ms, id, client, subscriptions);
        let checked = instance.check(now_ms, push, bytes_max);
        instance.last_error = checked.err().unwrap_or(ErrorCode::None);
        instance.terminating = push.terminating;
        checked
    }

    /// Forgets clients that were silent for too long.
    pub fn expire(&mut self, now_ms: i64) {
        while let Some(&(at, id)) = self.by_expiry.first() {
            if at > now_ms {
                return;
            }
            self.remove(id);
            self.gone.push(id);
        }
    }

    /// When the next is to be forgotten, if it stays silent.
    pub fn next_expiry_ms(&self) -> Option<i64> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    /// Those that were forgotten since this was asked last.
    pub fn take_gone(&mut self) -> Vec<Uuid> {
        std::mem::take(&mut self.gone)
    }

    /// The client, made or matched anew if need be, as the one that spoke last.
    fn touch(
        &mut self,
        now_ms: i64,
        id: Uuid,
        client: &Client<'_>,
        subscriptions: &Subscriptions,
    ) -> &mut Instance {
        let known = self.remove(id).filter(|known| known.version == subscriptions.version());
        let mut instance =
            known.unwrap_or_else(|| Instance::new(id, subscriptions.of(client), subscriptions.version()));
        while self.known.len() >= self.max {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(oldest);
            self.gone.push(oldest);
        }
        let life_ms = LIFE_INTERVALS * i64::from(instance.subscribed.interval_ms);
        self.last_use += 1;
        instance.used = self.last_use;
        instance.expires_ms = now_ms.saturating_add(life_ms.max(LIFE_MS_MIN));
        self.by_use.insert(instance.used, id);
        self.by_expiry.insert((instance.expires_ms, id));
        self.known.entry(id).or_insert(instance)
    }

    fn remove(&mut self, id: Uuid) -> Option<Instance> {
        let instance = self.known.remove(&id)?;
        self.by_use.remove(&instance.used);
        self.by_expiry.remove(&(instance.expires_ms, id));
        Some(instance)
    }
}

/// Ids that Kafka keeps for itself: zero and one.
fn is_reserved(id: Uuid) -> bool {
    u128::from_be_bytes(id.0) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::config::Settings;

    const ID: Uuid = Uuid([7; 16]);
    const CLIENT: Client<'static> = Client {
        client_id: Some("c"),
        instance: "",
        software_name: "",
        software_version: "",
        address: "",
        port: "",
    };

    fn every(ms: &str, version: u64) -> Subscriptions {
        let pairs = [("metrics", "*"), ("interval.ms", ms)];
        let settings: Settings = pairs.iter().map(|(key, text)| ((*key).into(), (*text).into())).collect();
        Subscriptions::compile([settings].iter(), version)
    }

    struct Scene {
        instances: Instances,
        subscriptions: Subscriptions,
        now: i64,
    }

    impl Scene {
        fn new() -> Scene {
            Scene { instances: Instances::new(3), subscriptions: every("1000", 1), now: 5_000 }
        }

        fn ask(&mut self) -> Result<i32, ErrorCode> {
            let asked = self.instances.ask(self.now, ID, &CLIENT, &self.subscriptions);
            asked.map(|(id, _)| id)
        }

        fn push(&mut self, change: impl Fn(&mut Push)) -> Result<(), ErrorCode> {
            let subscription_id = self.subscriptions.of(&CLIENT).id(ID.0);
            let mut push = Push { subscription_id, terminating: false, compression: 4, bytes: 10 };
            change(&mut push);
            self.instances.push(self.now, ID, &CLIENT, &self.subscriptions, &push, 100)
        }
    }

    #[test]
    fn questions_and_pushes_keep_to_the_interval() {
        let mut scene = Scene::new();
        let early = Err(ErrorCode::ThrottlingQuotaExceeded);
        let id = scene.ask().expect("the first question");
        assert_eq!(id, scene.subscriptions.of(&CLIENT).id(ID.0));
        assert_eq!(scene.ask(), Err(ErrorCode::ThrottlingQuotaExceeded));
        assert_eq!(scene.push(|_| ()), Ok(()), "the first push may come at once");
        scene.now += 999;
        assert_eq!(scene.push(|_| ()), early);
        scene.now += 1;
        assert_eq!(scene.push(|_| ()), Ok(()));
        scene.now += 999;
        assert_eq!(scene.ask(), Err(ErrorCode::ThrottlingQuotaExceeded), "a push counts for questions too");
        scene.now += 1;
        assert_eq!(scene.ask(), Ok(id));
    }

    #[test]
    fn what_is_wrong_with_a_push() {
        type Change = fn(&mut Push);
        let cases: [(Change, ErrorCode); 6] = [
            (|push| push.subscription_id += 1, ErrorCode::UnknownSubscriptionId),
            (|push| push.compression = 5, ErrorCode::UnsupportedCompressionType),
            (|push| push.compression = -1, ErrorCode::UnsupportedCompressionType),
            (|push| push.bytes = 101, ErrorCode::TelemetryTooLarge),
            (|push| push.compression = 0, ErrorCode::None),
            (|push| push.bytes = 100, ErrorCode::None),
        ];
        for (change, code) in cases {
            let told = Scene::new().push(change);
            assert_eq!(told.err().unwrap_or(ErrorCode::None), code);
        }
        let mut scene = Scene::new();
        for reserved in [0u128, 1] {
            let push = Push { subscription_id: 0, terminating: false, compression: 0, bytes: 0 };
            let id = Uuid(reserved.to_be_bytes());
            let told = scene.instances.push(1, id, &CLIENT, &scene.subscriptions, &push, 100);
            assert_eq!(told, Err(ErrorCode::InvalidRequest));
        }
        assert!(scene.instances.is_empty());
    }

    #[test]
    fn who_must_ask_again_may_do_so_at_once() {
        let mut scene = Scene::new();
        scene.ask().expect("the first question");
        assert_eq!(scene.push(|_| ()), Ok(()));
        scene.subscriptions = every("2000", 2);
        let old = |push: &mut Push| push.subscription_id += 1;
        assert_eq!(scene.push(old), Err(ErrorCode::UnknownSubscriptionId), "matched anew, it may push");
        let id = scene.ask().expect("it has to ask");
        assert_eq!(id, scene.subscriptions.of(&CLIENT).id(ID.0));
        assert_eq!(scene.push(|_| ()), Ok(()));
        assert_eq!(scene.ask(), Err(ErrorCode::ThrottlingQuotaExceeded));
    }

    #[test]
    fn a_last_push_may_come_early_and_none_after_it() {
        let mut scene = Scene::new();
        scene.ask().expect("the first question");
        assert_eq!(scene.push(|_| ()), Ok(()));
        assert_eq!(scene.push(|push| push.terminating = true), Ok(()));
        scene.now += 1_000;
        assert_eq!(scene.push(|push| push.terminating = true), Err(ErrorCode::InvalidRequest));
    }

    #[test]
    fn the_silent_are_forgotten_and_so_is_the_oldest_where_room_is_short() {
        let mut scene = Scene::new();
        let client = |n: u8| Uuid([n; 16]);
        for n in 1..=4 {
            let asked = scene.instances.ask(i64::from(n), client(n), &CLIENT, &scene.subscriptions);
            assert!(asked.is_ok());
        }
        assert_eq!((scene.instances.len(), scene.instances.take_gone()), (3, vec![client(1)]));
        scene.instances.expire(60_001);
        assert_eq!(scene.instances.len(), 3);
        assert_eq!(scene.instances.next_expiry_ms(), Some(60_002));
        scene.instances.expire(60_003);
        assert_eq!(scene.instances.take_gone(), [client(2), client(3)]);
        scene.subscriptions = every("3600000", 2);
        let asked = scene.instances.ask(60_003, client(4), &CLIENT, &scene.subscriptions);
        assert!(asked.is_ok(), "matched anew");
        // No subscription makes it push less often than every five minutes.
        assert_eq!(scene.instances.next_expiry_ms(), Some(60_003 + 3 * 300_000));
        assert_eq!(scene.instances.len(), 1);
    }
}
