//! What a crash leaves.

mod common;

use common::{executor, run, world};
use driver::OpenOptions;
use executor::io;
use memory::Slice;
use sim_driver::{DirectoryLoss, DiskFault, WorldOptions};
use std::path::Path;

fn bytes(byte: u8, count: usize) -> Slice {
    Slice::from(vec![byte; count])
}

/// How the bytes of a file that was all ones and then written with twos look.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Found {
    Old,
    New,
    Torn,
}

fn classify(contents: &[u8]) -> Found {
    for sector in contents.chunks(512) {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
        assert!(matches!(sector[0], 1 | 2), "neither old nor new: {}", sector[0]);
    }
    match (contents.contains(&1), contents.contains(&2)) {
        (true, false) => Found::Old,
        (false, true) => Found::New,
        _ => Found::Torn,
    }
}

/// One durable file of ones, over which `durable` writes twos; then the power goes.
fn overwrite_and_crash(seed: u64, durable: bool, synced: bool) -> Found {
    let (world, node) = world(seed, WorldOptions::default());
    run(&world, node, async move {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        io::write(file, 0, bytes(1, 8192), true).await.0.expect("writes");
        io::sync_directory("/d").await.expect("syncs");
        io::write(file, 0, bytes(2, 8192), durable).await.0.expect("writes");
        if synced {
            io::sync(file).await.expect("syncs");
        }
    });
    let certain = world.files(node).durable(Path::new("/d/f")).expect("its name is durable");
    world.crash(node);
    let found = world.files(node).visible(Path::new("/d/f")).expect("still there");
    assert_eq!(found.len(), 8192);
    if durable || synced {
        assert_eq!(certain, found, "nothing was left to chance");
    }
    classify(&found)
}

#[test]
fn what_is_durable_survives_always() {
    for seed in 0..100 {
        assert_eq!(overwrite_and_crash(seed, true, false), Found::New, "durable write, seed {seed}");
        assert_eq!(overwrite_and_crash(seed, false, true), Found::New, "sync, seed {seed}");
    }
}

#[test]
fn what_is_not_is_kept_or_lost_or_torn() {
    let mut found: Vec<Found> = (0..100).map(|seed| overwrite_and_crash(seed, false, false)).collect();
    found.sort();
    found.dedup();
    assert_eq!(found, [Found::Old, Found::New, Found::Torn], "each of them occurs");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let outcome = |seed| {
        let (world, node) = world(seed, WorldOptions::default());
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 1024), true).await.0.expect("writes");
            io::sync_directory("/d").await.expect("syncs");
            io::write(file, 0, bytes(2, 512), false).await.0.expect("writes");
            io::write(file, 512, bytes(2, 512), false).await.0.expect("writes");
        });
        world.crash(node);
        let found = world.files(node).visible(Path::new("/d/f")).expect("still there");
        (found[0], found[512])
    };
    let mut outcomes: Vec<_> = (0..100).map(outcome).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    assert_eq!(outcomes, [(1, 1), (1, 2), (2, 1), (2, 2)]);
}

#[test]
fn a_sync_covers_only_what_had_completed_when_it_began() {
    let mut lost = 0;
    for seed in 0..200 {
        let (world, node) = world(seed, WorldOptions::default());
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 512), true).await.0.expect("writes");
            io::sync_directory("/d").await.expect("syncs");
            // The write is under way when the sync begins, and both succeed.
            let write = io::write(file, 0, bytes(2, 512), false);
            let (written, synced) = (write, io::sync(file));
            synced.await.expect("syncs");
            written.await.0.expect("writes");
        });
        world.crash(node);
        let found = world.files(node).visible(Path::new("/d/f")).expect("still there");
        lost += u32::from(found[0] == 1);
    }
    assert!((40..160).contains(&lost), "lost {lost} times of 200");
}

#[test]
fn a_durable_write_takes_its_size_along_and_a_lost_size_cuts() {
    let mut sizes = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let (world, node) = world(seed, WorldOptions::default());
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::sync_directory("/d").await.expect("syncs");
            io::allocate(file, 0, 4096).await.expect("grows");
            io::write(file, 1024, bytes(2, 512), true).await.0.expect("writes");
            io::write(file, 4096, bytes(3, 512), false).await.0.expect("writes");
        });
        world.crash(node);
        let found = world.files(node).visible(Path::new("/d/f")).expect("still there");
        assert_eq!(found[..1024], [0; 1024]);
        assert_eq!(found[1024..1536], [2; 512]);
        sizes.insert(found.len());
    }
    assert_eq!(sizes.into_iter().collect::<Vec<_>>(), [4096, 4608]);
}

#[test]
fn what_a_truncation_cut_off_does_not_come_back_below_a_durable_write() {
    for seed in 0..100 {
        let (world, node) = world(seed, WorldOptions::default());
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::sync_directory("/d").await.expect("syncs");
            io::write(file, 0, bytes(7, 4096), false).await.0.expect("writes");
            io::truncate(file, 100).await.expect("cuts");
            io::write(file, 2048, bytes(8, 512), true).await.0.expect("writes");
        });
        world.crash(node);
        let found = world.files(node).visible(Path::new("/d/f")).expect("still there");
        assert!(found[100..2048].iter().all(|byte| *byte == 0), "seed {seed}");
        assert_eq!(found[2048..], [8; 512]);
    }
}

#[test]
fn names_are_durable_only_after_their_directory_is_synced() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..100 {
        let (world, node) = world(seed, WorldOptions::default());
        run(&world, node, async {
            for name in ["/d/synced", "/d/not"] {
                let file = io::open(name, OpenOptions::CREATE).await.expect("opens");
                io::write(file, 0, bytes(1, 512), true).await.0.expect("writes");
                if name == "/d/synced" {
                    io::sync_directory("/d").await.expect("syncs");
                }
            }
        });
        assert_eq!(world.files(node).durable(Path::new("/d/not")), None);
        world.crash(node);
        let names: Vec<String> = world.files(node).list().into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&"/d/synced".to_owned()));
        match names.contains(&"/d/not".to_owned()) {
            true => kept += 1,
            false => lost += 1,
        }
    }
    assert!(lost > 10 && kept > 10, "lost {lost}, kept {kept}");
}

/// A new file replaces an old one by rename; which names are found after a crash, for all seeds.
fn rename_outcomes(loss: DirectoryLoss, synced: bool) -> Vec<(bool, Option<u8>)> {
    let outcome = |seed| {
        let mut options = WorldOptions::default();
        options.disk.directory_loss = loss;
        let (world, node) = world(seed, options);
        run(&world, node, async move {
            for (name, byte) in [("/d/f", 1), ("/d/f.new", 2)] {
                let file = io::open(name, OpenOptions::CREATE).await.expect("opens");
                io::write(file, 0, bytes(byte, 512), true).await.0.expect("writes");
                if byte == 1 {
                    io::sync_directory("/d").await.expect("syncs");
                }
            }
            io::rename("/d/f.new", "/d/f").await.expect("renames");
            if synced {
                io::sync_directory("/d").await.expect("syncs");
            }
        });
        world.crash(node);
        let files = world.files(node);
        let contents = files.visible(Path::new("/d/f")).map(|bytes| bytes[0]);
        (files.visible(Path::new("/d/f.new")).is_some(), contents)
    };
    let mut outcomes: Vec<_> = (0..100).map(outcome).collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    outcomes
}

#[test]
fn a_rename_is_whole_or_not_at_all() {
    let before = [(false, Some(1)), (false, Some(2)), (true, Some(1))];
    for loss in [DirectoryLoss::Any, DirectoryLoss::Prefix] {
        assert_eq!(rename_outcomes(loss, false), before, "{loss:?}");
        assert_eq!(rename_outcomes(loss, true), [(false, Some(2))], "{loss:?}");
    }
}

#[test]
fn a_removed_file_may_come_back_with_its_contents() {
    let came_back = (0..100).filter(|seed| {
        let (world, node) = world(*seed, WorldOptions::default());
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(5, 512), true).await.0.expect("writes");
            io::close(file).await.expect("closes");
            io::sync_directory("/d").await.expect("syncs");
            io::remove("/d/f").await.expect("removes");
        });
        assert_eq!(world.used_bytes(node), 0, "its space is free at once");
        world.crash(node);
        let found = world.files(node).visible(Path::new("/d/f"));
        assert!(found.as_ref().is_none_or(|bytes| *bytes == [5; 512]));
        assert_eq!(world.used_bytes(node), if found.is_some() { 4096 } else { 0 });
        found.is_some()
    });
    let count = came_back.count();
    assert!((20..80).contains(&count), "came back {count} times");
}

#[test]
fn what_was_under_way_is_anything_and_is_never_answered() {
    let mut found = Vec::new();
    for seed in 0..200 {
        let (world, node) = world(seed, WorldOptions::default());
        let executor = executor(&world, node);
        let done = executor.spawn("writer", async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 8192), true).await.0.expect("writes");
            io::sync_directory("/d").await.expect("syncs");
            io::write(file, 0, bytes(2, 8192), true).await.0.expect("writes");
        });
        // Until the last write is under way.
        let waiting = || world.pending().iter().any(|what| what.contains("write durably"));
        let mut writes = 0;
        let mut was = false;
        let begun = || {
            writes += u32::from(waiting() && !was);
            was = waiting();
            writes == 2
        };
        world.run_until(std::slice::from_ref(&executor), begun).expect("runs");
        world.crash(node);
        executor.drop_tasks();
        assert!(!done.is_finished());
        found.push(classify(&world.files(node).visible(Path::new("/d/f")).expect("still there")));
    }
    found.sort();
    found.dedup();
    assert_eq!(found, [Found::Old, Found::New, Found::Torn]);
}

#[test]
fn a_failed_sync_gives_up_what_it_does_not_write() {
    let mut lost = 0;
    for seed in 0..100 {
        let (world, node) = world(seed, WorldOptions::default());
        let faulty = world.clone();
        run(&world, node, async move {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 512), true).await.0.expect("writes");
            io::sync_directory("/d").await.expect("syncs");
            io::write(file, 0, bytes(2, 512), false).await.0.expect("writes");
            faulty.fail_next(node, DiskFault::Sync, 1);
            assert_eq!(io::sync(file).await, Err(driver::Errno::IO));
            assert_eq!(io::sync(file).await, Ok(()), "the next one knows nothing of it");
        });
        world.crash(node);
        lost += u32::from(world.files(node).visible(Path::new("/d/f")).expect("still there")[0] == 1);
    }
    assert!((20..80).contains(&lost), "lost {lost} times");
}

#[test]
fn a_killed_process_loses_nothing_that_was_written() {
    for seed in 0..20 {
        let (world, node) = world(seed, WorldOptions::default());
        let executor = executor(&world, node);
        let body = async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 8192), false).await.0.expect("writes");
        };
        world.run(std::slice::from_ref(&executor), body).expect("runs");
        world.kill(node);
        drop(executor);
        assert_eq!(world.files(node).visible(Path::new("/d/f")), Some(vec![1; 8192]));
    }
}
