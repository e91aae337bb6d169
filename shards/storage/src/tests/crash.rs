//! Power loss at any moment: what was acknowledged is there, in order, once; nothing is there in part.

use super::*;
use base::Random;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// What producers sent and were told, by partition and offset.
#[derive(Default)]
pub(crate) struct Book {
    /// Every value that was ever offered, by partition.
    offered: BTreeMap<i32, Vec<Vec<u8>>>,
    /// Acknowledged values by base offset.
    acknowledged: BTreeMap<(i32, i64), Vec<u8>>,
}

pub(crate) const PARTITIONS: i32 = 5;

/// One producer: appends values of random sizes until it is dropped.
pub(crate) async fn produce(
    store: Store,
    partition: Partition,
    number: i32,
    seed: u64,
    sizes: u64,
    book: Rc<RefCell<Book>>,
) {
    let mut random = Random::new(seed);
    loop {
        let size = match random.one_in(8) {
            true => random.below(sizes * 20),
            false => random.below(sizes),
        };
        let mut value = vec![0; 16 + size as usize];
        random.fill(&mut value);
        book.borrow_mut().offered.entry(number).or_default().push(value.clone());
        match append(&store, &partition, &batch_of(1, &value)).await {
            Ok(offset) => {
                book.borrow_mut().acknowledged.insert((number, offset.0), value);
            }
            Err(error) => panic!("{error}"),
        }
        if random.one_in(4) {
            executor::sleep(Duration::from_micros(random.below(800))).await;
        }
    }
}

/// Checks a log against the book.
pub(crate) async fn check(partition: &Partition, number: i32, book: &Rc<RefCell<Book>>) {
    let start = partition.offsets().log_start;
    let bytes = read_all(partition, start, 100_000).await.expect("reads");
    let found = batches(&bytes);
    let mut next = start.0;
    let book = book.borrow();
    for (header, value) in &found {
        assert_eq!(header.base_offset, next, "partition {number}: offsets have no holes");
        next = header.last_offset() + 1;
        let offered = book.offered.get(&number).is_some_and(|all| all.contains(value));
        assert!(offered, "partition {number}: offset {} holds what nobody sent", header.base_offset);
    }
    assert_eq!(partition.offsets().log_end.0, next);
    for ((_, offset), value) in book.acknowledged.range((number, start.0)..(number + 1, 0)) {
        let there = found.iter().find(|(header, _)| header.base_offset == *offset);
        let there = there.map(|(_, value)| value);
        assert_eq!(there, Some(value), "partition {number}: acknowledged offset {offset} is lost");
    }
}

pub(crate) fn rounds(
    seed: u64,
    rounds: u64,
    sizes: u64,
    config: LogConfig,
    tune: fn(&mut StoreOptions),
) -> u64 {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    let mut random = Random::new(seed);
    let book: Rc<RefCell<Book>> = Rc::default();
    for round in 0..rounds {
        let run = rig.begin();
        let options = rig.options(&run);
        let (ours, config) = (book.clone(), config.clone());
        let producers = 2 * PARTITIONS as u64;
        let stop = random.one_in(4);
        let store = rig.run(&run, async move {
            let (store, recovered) = start(options).await;
            assert!(recovered.damage.is_empty(), "{:?}", recovered.damage);
            for number in 0..PARTITIONS {
                let spec = spec_with(number, config.clone());
                let partition = store.open_partition(spec).await.expect("opens");
                assert_eq!(partition.damage(), None);
                check(&partition, number, &ours).await;
            }
            for producer in 0..producers {
                let number = (producer % PARTITIONS as u64) as i32;
                let partition = store.partition(id(number)).expect("open");
                let seed = seed * 1_000_000 + round * 1000 + producer;
                let work = produce(store.clone(), partition, number, seed, sizes, ours.clone());
                drop(executor::spawn("producer", work));
            }
            store
        });
        let until = rig.world.now() + Duration::from_micros(random.below(60_000));
        let ran = rig.world.run_to(std::slice::from_ref(&run.executor), until, || false);
        if let Err(error) = ran {
            panic!("seed {seed}: {error}");
        }
        drop(store);
        if stop {
            rig.kill(run);
        } else {
            rig.crash(run);
        }
    }
    book.take().acknowledged.len() as u64
}

#[test]
fn what_was_acknowledged_survives_power_loss() {
    let mut acknowledged = 0;
    for seed in 0..30 {
        acknowledged += rounds(seed, 6, 600, LogConfig::default(), |_| {});
    }
    assert!(acknowledged > 5_000, "only {acknowledged} appends: the test has little to say");
}

#[test]
fn the_same_with_small_segments_and_long_values() {
    // All of them through the journal.
    let tune = |options: &mut StoreOptions| options.large_append_bytes = 64 << 10;
    let config = LogConfig { segment_bytes: 60_000, ..LogConfig::default() };
    let acknowledged: u64 = (100..120).map(|seed| rounds(seed, 5, 2500, config.clone(), tune)).sum();
    assert!(acknowledged > 1_500, "only {acknowledged} appends");
}

#[test]
fn the_same_with_large_appends_past_the_journal() {
    let tune = |options: &mut StoreOptions| options.large_append_bytes = 3000;
    let config = LogConfig { segment_bytes: 300_000, ..LogConfig::default() };
    let seeds = (200..230).chain(1060..1070);
    let acknowledged: u64 = seeds.map(|seed| rounds(seed, 5, 2500, config.clone(), tune)).sum();
    assert!(acknowledged > 2_000, "only {acknowledged} appends");
    let all = |options: &mut StoreOptions| options.large_append_bytes = 0;
    let acknowledged: u64 = (230..240).map(|seed| rounds(seed, 5, 2500, config.clone(), all)).sum();
    assert!(acknowledged > 500, "only {acknowledged} appends");
}
