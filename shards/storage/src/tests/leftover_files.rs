//! Index files that an earlier process left, which the next one goes on with.

use super::more::timed;
use super::*;
use std::time::Duration;

/// Record `number` in the tests below stands at offset `number`, with this time.
fn time_of(number: i64) -> i64 {
    NOW + 10 * number
}

async fn fill(store: &Store, partition: &Partition, numbers: std::ops::Range<i64>) {
    for number in numbers {
        append(store, partition, &timed(&[time_of(number)])).await.expect("appends");
    }
}

/// A stop finishes the last segment a second time, with more in it, and is cut short by a kill after `cut`.
fn finished_twice(cut: Duration) -> bool {
    let mut rig = Rig::new(512);
    let config = LogConfig { index_interval_bytes: 200, ..LogConfig::default() };
    let run = rig.begin();
    let (options, ours) = (rig.options(&run), config.clone());
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, ours)).await.expect("opens");
        fill(&store, &partition, 0..40).await;
        store.stop().await.expect("stops");
    });
    rig.kill(run);
    let run = rig.begin();
    let (options, ours) = (rig.options(&run), config.clone());
    let stopped = Rc::new(std::cell::Cell::new(false));
    let done = stopped.clone();
    let store = rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, ours)).await.expect("opens");
        fill(&store, &partition, 40..80).await;
        let ours = store.clone();
        drop(executor::spawn("stop", async move {
            ours.stop().await.expect("stops");
            done.set(true);
        }));
        store
    });
    let until = rig.world.now() + cut;
    rig.world.run_to(std::slice::from_ref(&run.executor), until, || false).expect("runs");
    drop(store);
    rig.kill(run);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.open_partition(spec_with(0, config)).await.expect("opens");
        for number in 0..80 {
            let at = partition.offset_for_timestamp(time_of(number)).await.expect("looks").expect("one");
            assert_eq!((at.offset.0, at.timestamp), (number, time_of(number)), "cut after {cut:?}");
        }
    });
    stopped.get()
}

#[test]
fn index_files_of_two_makes_are_never_read_together() {
    let mut cut = Duration::ZERO;
    while !finished_twice(cut) {
        cut += Duration::from_micros(20);
        assert!(cut < Duration::from_secs(1), "the stop came to no end");
    }
    assert!(cut > Duration::from_micros(200), "nothing was cut short");
}
