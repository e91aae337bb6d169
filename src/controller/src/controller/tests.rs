//! The controller on a simulated disk: group commit, crashes, full and failing disks, snapshots.

use super::Controller;
use crate::changes::{Budget, Change, NewTopic, Outcome, TopicReference};
use crate::error::{ControlError, ErrorKind, MetadataError};
use crate::image::Image;
use crate::testing::{create, created, open, options, pool, some_change};
use base::Random;
use executor::{Executor, IdlePolicy, join_all, spawn};
use sim_driver::{DiskFault, NodeId as SimNode, World, WorldOptions};
use std::cell::RefCell;
use std::future::Future;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn world(seed: u64) -> (World, SimNode) {
    let world = World::new(seed, WorldOptions::default());
    let node = world.add_node();
    world.make_directory(node, Path::new("data"));
    (world, node)
}

fn core(world: &World, node: SimNode) -> Executor {
    let seed = Some(world.random());
    Executor::new(world.driver(node, pool()), executor::Options { idle: IdlePolicy::Park, seed })
}

fn run<T: 'static>(world: &World, node: SimNode, body: impl Future<Output = T> + 'static) -> T {
    match world.run(&[core(world, node)], body) {
        Ok(result) => result,
        Err(error) => panic!("{error}"),
    }
}

/// What is on the disk, as a fresh start reads it, without the start's own commit.
fn image_without_start(image: &Image) -> (Vec<String>, usize, i64, String) {
    let topics = image.topics().map(|topic| format!("{topic:?}")).collect();
    (topics, image.partition_count(), image.next_producer_id(), image.cluster_id().to_owned())
}

async fn make(controller: &Controller, name: &str, partitions: i32) -> bool {
    let topic = NewTopic { partitions, ..NewTopic::named(name) };
    created(controller.submit(create(vec![topic])).await).is_ok()
}

#[test]
fn a_cluster_comes_back_as_it_was() {
    let (world, node) = world(1);
    let first = run(&world, node, async {
        let controller = open(options(pool())).await;
        assert!(make(&controller, "orders", 5).await);
        let block = controller.allocate_producer_ids().await.expect("a block");
        assert_eq!((block.first, block.length), (0, 1000));
        let image = controller.image();
        assert_eq!(image.feature("metadata.version"), 29);
        assert_eq!(image.cluster_id().len(), 22);
        controller.close().await;
        assert!(!make(&controller, "late", 1).await, "a closed controller refuses");
        image
    });
    run(&world, node, async move {
        let controller = open(options(pool())).await;
        let image = controller.image();
        assert_eq!(image_without_start(&first), image_without_start(&image));
        assert_eq!(image.epoch(), first.epoch() + 1, "every start is an epoch");
        assert!(controller.node_epoch() > 0, "the node has registered anew");
        assert_eq!(controller.allocate_producer_ids().await.expect("a block").first, 1000);
        controller.close().await;
        let other = super::Options { cluster_id: Some("another".into()), ..options(pool()) };
        assert!(matches!(Controller::open(other).await, Err(MetadataError::OtherCluster { .. })));
        let bumped = super::Options { bump_leader_epochs: true, ..options(pool()) };
        let controller = open(bumped).await;
        let image = controller.image();
        let topic = image.topic("orders").expect("there");
        assert!(topic.partitions.iter().all(|part| (part.leader_epoch, part.partition_epoch) == (1, 1)));
        controller.close().await;
    });
}

#[test]
fn concurrent_changes_share_a_commit_and_are_published_before_they_are_answered() {
    let (world, node) = world(2);
    run(&world, node, async {
        let controller = open(options(pool())).await;
        let published = Rc::new(RefCell::new(Vec::new()));
        let seen = published.clone();
        controller.subscribe(move |image| seen.borrow_mut().push(image.offset()));
        let tasks = (0..100).map(|number| {
            let controller = controller.clone();
            spawn("creator", async move {
                // Half of them want the same name: one of those wins.
                let name = if number % 2 == 0 { format!("t{number}") } else { "same".into() };
                let made = make(&controller, &name, 2).await;
                assert!(controller.image().topic(&name).is_some(), "answered, hence visible");
                made
            })
        });
        let made = join_all(tasks.collect()).await.into_iter().filter(|made| *made).count();
        assert_eq!(made, 51);
        assert!(published.borrow().len() <= 10, "{} commits for 100 changes", published.borrow().len());
        assert!(published.borrow().is_sorted());
        controller.close().await;
    });
}

#[test]
fn ten_thousand_partitions_in_one_request() {
    let (world, node) = world(3);
    run(&world, node, async {
        let controller = open(options(pool())).await;
        assert!(make(&controller, "one-large", 10_000).await);
        let many =
            (0..10_000).map(|n| NewTopic { partitions: 1, ..NewTopic::named(format!("small-{n:05}")) });
        let outcome = controller.submit(create(many.collect())).await.expect("planned");
        let Outcome::CreateTopics(results) = outcome else { panic!("{outcome:?}") };
        assert!(results.len() == 10_000 && results.iter().all(|(_, result)| result.is_ok()));
        let image = controller.image();
        assert_eq!((image.topic_count(), image.partition_count()), (10_001, 20_000));
        assert!(image.topics().map(|topic| &topic.name).is_sorted());
        // More than a change may ask for, and by far too much to allocate.
        for partitions in [100_001, i32::MAX] {
            let topic = NewTopic { partitions, ..NewTopic::named("huge") };
            let error = created(controller.submit(create(vec![topic])).await).expect_err("too many");
            assert_eq!(error.kind, ErrorKind::PolicyViolation);
        }
        controller.close().await;
    });
    run(&world, node, async {
        let controller = open(options(pool())).await;
        assert_eq!(controller.image().partition_count(), 20_000, "after a start too");
        controller.close().await;
    });
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let (world, node) = world(4);
    let other = world.clone();
    run(&world, node, async move {
        let controller = open(options(pool())).await;
        other.set_capacity(node, 0);
        let topic = NewTopic { partitions: 50_000, ..NewTopic::named("refused") };
        let error = created(controller.submit(create(vec![topic])).await).expect_err("full");
        assert_eq!(error.kind, ErrorKind::KafkaStorageError);
        assert!(controller.image().topic("refused").is_none());
        other.set_capacity(node, 1 << 30);
        assert!(make(&controller, "accepted", 1).await, "goes on by itself");
        controller.close().await;
    });
    run(&world, node, async {
        let controller = open(options(pool())).await;
        let image = controller.image();
        assert!(image.topic("accepted").is_some() && image.topic("refused").is_none());
        controller.close().await;
    });
}

/// Deletes a topic, and says whether that went well.
async fn delete(controller: &Controller, name: String) -> bool {
    let topics = vec![TopicReference { name: Some(name), ..Default::default() }];
    let change = Change::DeleteTopics(crate::changes::DeleteTopics { topics, budget: None });
    controller.submit(change).await.is_ok()
}

#[test]
fn on_a_full_disk_changes_go_on_for_a_while_and_deletions_longer() {
    let (world, node) = world(9);
    let other = world.clone();
    let left = run(&world, node, async move {
        let controller = open(options(pool())).await;
        other.set_capacity(node, 0);
        let mut made = 0;
        while made < 10_000 && make(&controller, &format!("t{made}"), 10).await {
            made += 1;
        }
        assert!((200..10_000).contains(&made), "{made} topics in the space that is kept");
        let error = created(
            controller.submit(create(vec![NewTopic { partitions: 10, ..NewTopic::named("refused") }])).await,
        );
        assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::KafkaStorageError));
        for number in 10..made {
            assert!(delete(&controller, format!("t{number}")).await, "topic {number} of {made}");
        }
        assert!(controller.image().topic("refused").is_none());
        controller.close().await;
        controller.image().topic_count()
    });
    assert_eq!(left, 10);
    let other = world.clone();
    run(&world, node, async move {
        // A start needs no room of the device either.
        let controller = open(options(pool())).await;
        assert_eq!(controller.image().topic_count(), 10);
        assert!(delete(&controller, "t0".to_owned()).await);
        assert!(!make(&controller, "refused", 1).await);
        other.set_capacity(node, 1 << 30);
        assert!(make(&controller, "accepted", 1).await, "goes on by itself");
        controller.close().await;
    });
}

/// Carries out a change, and says whether that went well.
async fn done(controller: &Controller, change: Change) -> bool {
    controller.submit(change).await.is_ok()
}

/// Enough for a single topic.
#[derive(Debug, Default)]
struct ForOne {
    spent: AtomicBool,
}

impl Budget for ForOne {
    fn spend(&self, _partitions: usize) -> Result<(), ControlError> {
        match self.spent.swap(true, Ordering::Relaxed) {
            true => Err(ControlError::new(ErrorKind::ThrottlingQuotaExceeded, "no more")),
            false => Ok(()),
        }
    }
}

#[test]
fn a_deletion_is_not_refused_for_the_large_change_that_came_with_it() {
    let (world, node) = world(10);
    let other = world.clone();
    run(&world, node, async move {
        let controller = open(options(pool())).await;
        assert!(make(&controller, "old", 1).await);
        other.set_capacity(node, 0);
        // More than is left beside what is kept.
        let large = create(vec![NewTopic { partitions: 20_000, ..NewTopic::named("large") }]);
        let topics = vec![TopicReference { name: Some("old".to_owned()), ..Default::default() }];
        // It is planned twice, and paid for once.
        let budget: Option<Arc<dyn Budget>> = Some(Arc::new(ForOne::default()));
        let deletion = Change::DeleteTopics(crate::changes::DeleteTopics { topics, budget });
        // Both are in the queue before the writer runs.
        let went_well = join_all(vec![done(&controller, large), done(&controller, deletion)]).await;
        assert_eq!(went_well, [false, true]);
        let image = controller.image();
        assert!(image.topic("old").is_none() && image.topic("large").is_none());
        assert!(make(&controller, "small", 1).await, "small changes still find room");
        controller.close().await;
    });
}

#[test]
fn a_large_change_that_finds_no_room_does_not_keep_what_there_was() {
    let mut world_options = WorldOptions::default();
    world_options.disk.allocates_in_part = true;
    let world = World::new(11, world_options);
    let node = world.add_node();
    world.make_directory(node, Path::new("data"));
    let other = world.clone();
    run(&world, node, async move {
        let controller = open(options(pool())).await;
        let used = other.used_bytes(node);
        other.set_capacity(node, used + (2 << 20));
        // A commit of 3 MB.
        let topic = NewTopic { partitions: 60_000, ..NewTopic::named("large") };
        let error = created(controller.submit(create(vec![topic])).await).expect_err("full");
        assert_eq!(error.kind, ErrorKind::KafkaStorageError);
        let taken = other.used_bytes(node) - used;
        assert!(taken <= 3 << 19, "{taken} bytes of the last 2 MiB");
        assert!(make(&controller, "small", 1).await, "and the log is whole");
        controller.close().await;
    });
    run(&world, node, async {
        let controller = open(options(pool())).await;
        let image = controller.image();
        assert!(image.topic("small").is_some() && image.topic("large").is_none());
        controller.close().await;
    });
}

#[test]
fn a_failed_write_takes_the_log_offline_until_a_restart() {
    for (fault, seed) in [DiskFault::Write, DiskFault::Sync].into_iter().zip(5..) {
        let (world, node) = world(seed);
        let other = world.clone();
        run(&world, node, async move {
            let controller = open(options(pool())).await;
            assert!(make(&controller, "before", 1).await);
            other.fail_next(node, fault, 1);
            // Large enough for several pieces, so that there is a sync to fail.
            let topic = NewTopic { partitions: 20_000, ..NewTopic::named("lost") };
            let error = created(controller.submit(create(vec![topic])).await).expect_err("failed");
            assert_eq!(error.kind, ErrorKind::KafkaStorageError);
            let error = created(controller.submit(create(vec![NewTopic::named("later")])).await);
            assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::KafkaStorageError));
            assert!(controller.image().topic("before").is_some(), "what was read stays readable");
            controller.close().await;
        });
        run(&world, node, async {
            let controller = open(options(pool())).await;
            assert!(controller.image().topic("before").is_some());
            assert!(controller.image().topic("later").is_none());
            assert!(make(&controller, "again", 1).await);
            controller.close().await;
        });
    }
}

#[test]
fn snapshots_replace_the_log() {
    let (world, node) = world(7);
    let small = || super::Options { snapshot_records: 50, ..options(pool()) };
    let image = run(&world, node, async move {
        let controller = open(small()).await;
        for number in 0..60 {
            assert!(make(&controller, &format!("t{number}"), 4).await);
            if number % 3 == 0 {
                let topics = vec![TopicReference { name: Some(format!("t{number}")), ..Default::default() }];
                let change = Change::DeleteTopics(crate::changes::DeleteTopics { topics, budget: None });
                assert!(controller.submit(change).await.is_ok());
            }
        }
        let image = controller.image();
        controller.close().await;
        image
    });
    let files = world.files(node).list();
    let count = |end: &str| files.iter().filter(|(path, _)| path.ends_with(end)).count();
    assert_eq!((count(".log"), count(".snapshot"), count(".tmp")), (1, 1, 0), "{files:?}");
    let log = files.iter().find(|(path, _)| path.ends_with(".log")).expect("one").0.clone();
    assert!(!log.ends_with("/00000000000000000000.log"), "the first log is gone");
    run(&world, node, async move {
        let controller = open(small()).await;
        assert_eq!(image_without_start(&image), image_without_start(&controller.image()));
        controller.close().await;
        // Without the log that belongs to the snapshot, commits may be missing: that is said.
        executor::io::remove(&log).await.expect("removed");
        assert!(matches!(Controller::open(small()).await, Err(MetadataError::Missing { .. })));
    });
}

#[test]
fn damage_is_named_and_nothing_is_changed() {
    let (world, node) = world(8);
    run(&world, node, async {
        let controller = open(options(pool())).await;
        assert!(make(&controller, "a", 3).await && make(&controller, "b", 3).await);
        controller.close().await;
    });
    let path = Path::new("/data/metadata/00000000000000000000.log");
    let rot = world.rot(node, path, Some(60)).expect("there is such a byte");
    let before = world.files(node).visible(path);
    run(&world, node, async {
        let error = Controller::open(options(pool())).await.expect_err("damaged").to_string();
        assert!(error.contains("00000000000000000000.log is damaged at byte 32"), "{error}");
    });
    assert_eq!(before, world.files(node).visible(path), "as it was, with {rot:?}");
}

/// One life of a broker: random changes by several tasks until `events` have happened, then the power goes or the
/// process is killed. Answered changes are in `answered`.
fn one_life(world: &World, node: SimNode, random: &mut Random, answered: &Rc<RefCell<Option<Rc<Image>>>>) {
    let (seed, until) = (random.next_u64(), world.events() + 20 + random.below(1500));
    let answered = answered.clone();
    let core = core(world, node);
    let life = core.spawn("life", async move {
        let snapshots = super::Options { snapshot_records: 30, ..options(pool()) };
        let controller = open(snapshots).await;
        if let Some(image) = answered.borrow().as_ref() {
            check_contains(&controller.image(), image);
        }
        let workers = (0..3).map(|worker| {
            let (controller, answered) = (controller.clone(), answered.clone());
            let mut random = Random::new(seed ^ worker);
            spawn("worker", async move {
                loop {
                    let change = some_change(&mut random, &controller.image());
                    if controller.submit(change).await.is_ok() {
                        let image = controller.image();
                        let newer =
                            answered.borrow().as_ref().is_none_or(|old| old.offset() < image.offset());
                        if newer {
                            *answered.borrow_mut() = Some(Rc::new(Image::clone(&image)));
                        }
                    }
                }
            })
        });
        join_all(workers.collect()).await;
    });
    let outcome = world.run_until(std::slice::from_ref(&core), || world.events() >= until);
    assert!(outcome.is_ok(), "{outcome:?}");
    drop(life);
    if random.one_in(2) {
        world.crash(node);
    } else {
        world.kill(node);
    }
    core.drop_tasks();
}

/// Everything acknowledged in `old` is there: the recovered image is at the same offset or later, and at the same
/// offset it is the same but for the start's own commit.
fn check_contains(found: &Image, old: &Image) {
    // The start has added its own registration: one record.
    assert!(found.offset() > old.offset(), "{} after {} was acknowledged", found.offset(), old.offset());
    if found.offset() == old.offset() + 1 {
        assert_eq!(image_without_start(found), image_without_start(old));
    }
    assert!(found.next_producer_id() >= old.next_producer_id(), "a producer id would be given twice");
    assert_eq!(found.cluster_id(), old.cluster_id());
}

#[test]
fn nothing_acknowledged_is_lost_in_any_crash() {
    let mut progress = 0;
    for seed in 100..160 {
        let (world, node) = world(seed);
        let mut random = Random::new(seed);
        let answered = Rc::new(RefCell::new(None));
        for _ in 0..6 {
            one_life(&world, node, &mut random, &answered);
        }
        progress += answered.borrow().as_ref().map_or(0, |image: &Rc<Image>| image.offset());
    }
    assert!(progress > 60 * 100, "{progress} records in all");
}
