//! Records of the internal topics, as coordinators read them back, and what the members of a group tell each other.

// The client's own file: nothing of it is for others.
#[allow(dead_code)]
#[path = "../../../src/client/src/member/range.rs"]
mod range;

use groups::{Topic, Topics};
use kafka_wire::Reader;
use model::{ProducerId, TopicId};
use share::StateCoordinator;

const NOW_MS: i64 = 1_700_000_000_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// No type of record has a version like this.
const VERSION_MAX: i16 = 9;
/// Types of records of groups whose values are looked at.
const GROUP_KINDS: [i16; 9] = [0, 1, 2, 3, 5, 6, 7, 8, 16];

/// A cluster without topics.
struct NoTopics;

impl Topics for NoTopics {
    fn version(&self) -> i64 {
        0
    }

    fn by_name(&self, _: &str) -> Option<Topic> {
        None
    }

    fn by_id(&self, _: TopicId) -> Option<Topic> {
        None
    }

    fn each_name(&self, _: &mut dyn FnMut(&str)) {}
}

/// A record of the log.
struct Record<'a> {
    producer: Option<ProducerId>,
    key: &'a [u8],
    value: Option<&'a [u8]>,
}

/// Records: a byte of which the lowest bit is whether there is a value and the next one whether it is of a
/// transaction; then the key and the value, each behind two bytes of length.
///
/// Versions that are not known must be refused; and what coordinators write after such a log must be read back.
pub fn run(data: &[u8]) {
    let mut rest = data;
    let records: Vec<Record<'_>> = std::iter::from_fn(|| record(&mut rest)).collect();
    groups(&records);
    shares(&records);
    transactions(&records);
    for record in &records {
        members(record.key);
        members(record.value.unwrap_or_default());
    }
}

fn record<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let (what, behind) = rest.split_first()?;
    *rest = behind;
    let producer = (what & 2 != 0).then_some(ProducerId(i64::from(what >> 2)));
    let key = sized(rest)?;
    let value = match what & 1 {
        0 => None,
        _ => Some(sized(rest)?),
    };
    Some(Record { producer, key, value })
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
    let (bytes, behind) = behind.split_at(length);
    *rest = behind;
    Some(bytes)
}

impl Record<'_> {
    fn kind(&self) -> Option<i16> {
        Reader::new(self.key).i16().ok()
    }

    /// Whether it has a value of a version that is none.
    fn is_of_another_time(&self) -> bool {
        let version = self.value.and_then(|value| Reader::new(value).i16().ok());
        version.is_some_and(|version| !(0..=VERSION_MAX).contains(&version))
    }
}

fn groups(records: &[Record<'_>]) {
    let new = || groups::Coordinator::new(groups::Settings::default());
    let mut coordinator = new();
    for record in records {
        let replayed = coordinator.replay(record.producer, record.key, record.value);
        if record.is_of_another_time() && record.kind().is_some_and(|kind| GROUP_KINDS.contains(&kind)) {
            assert!(replayed.is_err(), "{:?}", record.value);
        }
    }
    let loaded = coordinator.loaded(NOW_MS, &NoTopics);
    let ticked = coordinator.tick(NOW_MS + DAY_MS, &NoTopics);
    let _ = coordinator.usage();
    let mut again = new();
    for record in loaded.records.iter().chain(&ticked.records) {
        again.replay(None, &record.key, record.value.as_deref()).expect("its own records");
    }
}

fn shares(records: &[Record<'_>]) {
    let mut coordinator = StateCoordinator::new(500);
    for (at, record) in records.iter().enumerate() {
        let replayed = coordinator.replay(at as i64, record.key, record.value);
        if record.is_of_another_time() && matches!(record.kind(), Some(0 | 1)) {
            assert!(replayed.is_err(), "{:?}", record.value);
        }
    }
    let _ = (coordinator.batches(), coordinator.needed_from());
    let mut again = StateCoordinator::new(500);
    for (_, record) in coordinator.refresh_before(NOW_MS, i64::MAX, records.len()) {
        again.replay(0, &record.key, record.value.as_deref()).expect("its own records");
    }
}

fn transactions(records: &[Record<'_>]) {
    let new = || transactions::Coordinator::new(transactions::Config::default(), 1);
    let mut coordinator = new();
    for record in records {
        let replayed = coordinator.replay(record.key, record.value);
        if record.is_of_another_time() || record.kind().is_some_and(|kind| kind != 0) {
            assert!(replayed.is_err(), "{:?}", record.value);
        }
    }
    let loaded = coordinator.loaded(NOW_MS);
    let ticked = coordinator.tick(NOW_MS + DAY_MS);
    let mut again = new();
    for record in loaded.records.iter().chain(&ticked.records) {
        again.replay(&record.key, record.value.as_deref()).expect("its own records");
    }
}

/// What one member is told of another by its coordinator, and by the one who assigns.
fn members(bytes: &[u8]) {
    let topics = range::topics(bytes);
    assert!(topics.len() <= bytes.len());
    if let Ok(partitions) = range::partitions(bytes, "t") {
        assert!(partitions.windows(2).all(|pair| pair[0] < pair[1]), "{partitions:?}");
    }
}
