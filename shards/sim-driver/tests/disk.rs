//! Faults of the disk, and what it refuses.

mod common;

use common::{pool, run, world};
use driver::{Errno, OpenOptions};
use executor::{io, now};
use memory::Slice;
use sim_driver::{DiskFault, DiskFaults, WorldOptions};
use std::path::Path;
use std::time::Duration;

fn bytes(byte: u8, count: usize) -> Slice {
    Slice::from(vec![byte; count])
}

#[test]
fn direct_files_must_be_aligned() {
    for alignment in [512usize, 4096] {
        let mut options = WorldOptions::default();
        options.disk.direct_alignment = alignment;
        let (world, node) = world(1, options);
        run(&world, node, async move {
            let pool = pool();
            let block = || pool.take(8192).expect("free");
            let file = io::open("/d/f", OpenOptions::CREATE.direct()).await.expect("opens");
            let whole = block().freeze(8192);
            let results = [
                io::write(file, 0, whole.slice(0..alignment), false).await.0,
                io::write(file, 0, whole.slice(alignment..2 * alignment), true).await.0,
                io::write(file, 1, whole.slice(0..alignment), false).await.0,
                io::write(file, 0, whole.slice(0..alignment - 1), false).await.0,
                io::write(file, 0, whole.slice(1..alignment + 1), false).await.0,
                io::read(file, 0, block(), alignment).await.0.map(drop),
                io::read(file, 7, block(), alignment).await.0.map(drop),
                io::read(file, 0, block(), alignment / 2).await.0.map(drop),
            ];
            let bad = Err(Errno::INVAL);
            assert_eq!(results, [Ok(()), Ok(()), bad, bad, bad, Ok(()), bad, bad]);
        });
    }
}

#[test]
fn a_full_disk_refuses_growth_and_takes_it_again_after_a_removal() {
    let (world, node) = world(2, WorldOptions::default());
    world.set_capacity(node, 10_000);
    let outer = world.clone();
    run(&world, node, async move {
        let first = io::open("/d/a", OpenOptions::CREATE).await.expect("opens");
        io::write(first, 0, bytes(1, 5_000), true).await.0.expect("two units of 4 KiB fit");
        let second = io::open("/d/b", OpenOptions::CREATE).await.expect("opens");
        assert_eq!(io::write(second, 0, bytes(1, 1), true).await.0, Err(Errno::NOSPC));
        assert_eq!(io::allocate(second, 0, 1).await, Err(Errno::NOSPC));
        assert_eq!(io::truncate(second, 1).await, Err(Errno::NOSPC));
        io::write(first, 0, bytes(2, 8192), true).await.0.expect("writing over takes no space");
        io::remove("/d/a").await.expect("removes");
        assert_eq!(io::allocate(second, 0, 1).await, Err(Errno::NOSPC), "it is still open");
        io::close(first).await.expect("closes");
        io::allocate(second, 0, 8192).await.expect("fits now");
        outer.set_capacity(node, 100_000);
        io::allocate(second, 8192, 8192).await.expect("fits now");
        assert_eq!(outer.used_bytes(node), 16_384);
    });
}

#[test]
fn ordered_faults_happen_once_each() {
    let (world, node) = world(3, WorldOptions::default());
    let outer = world.clone();
    run(&world, node, async move {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        let block = pool().take(4096).expect("free");
        for fault in [DiskFault::Read, DiskFault::Write, DiskFault::Sync] {
            outer.fail_next(node, fault, 1);
        }
        let (read, block) = io::read(file, 0, block, 10).await;
        assert_eq!(read, Err(Errno::IO));
        assert_eq!(io::read(file, 0, block, 10).await.0, Ok(0), "an empty file");
        assert_eq!(io::write(file, 0, bytes(1, 10), true).await.0, Err(Errno::IO));
        io::write(file, 0, bytes(1, 10), true).await.0.expect("writes");
        assert_eq!(io::sync(file).await, Err(Errno::IO));
        io::sync(file).await.expect("syncs");
    });
}

#[test]
fn rates_can_be_changed_while_the_world_runs() {
    let (world, node) = world(4, WorldOptions::default());
    let outer = world.clone();
    run(&world, node, async move {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        outer.set_disk_faults(node, DiskFaults { write_error_one_in: 2, ..DiskFaults::default() });
        let mut failed = 0;
        for _ in 0..100 {
            failed += u32::from(io::write(file, 0, bytes(1, 10), false).await.0.is_err());
        }
        assert!((20..80).contains(&failed), "{failed} of 100");
        outer.set_disk_faults(node, DiskFaults::default());
        for _ in 0..100 {
            io::write(file, 0, bytes(1, 10), false).await.0.expect("writes");
        }
    });
}

#[test]
fn a_misdirected_write_reports_success_and_lands_elsewhere() {
    let (world, node) = world(5, WorldOptions::default());
    let outer = world.clone();
    run(&world, node, async move {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        io::write(file, 0, bytes(1, 1 << 20), true).await.0.expect("writes");
        io::sync_directory("/d").await.expect("syncs");
        outer.fail_next(node, DiskFault::Misdirected, 1);
        io::write(file, 512 << 10, bytes(2, 4096), true).await.0.expect("says that it wrote");
    });
    let found = world.files(node).durable(Path::new("/d/f")).expect("durable");
    assert_eq!(found.iter().filter(|byte| **byte == 2).count(), 4096);
    assert_eq!(found[512 << 10], 1, "with this seed it is elsewhere");
}

#[test]
fn rot_changes_one_bit_and_says_where() {
    let (world, node) = world(6, WorldOptions::default());
    run(&world, node, async {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        io::write(file, 0, bytes(1, 10_000), true).await.0.expect("writes");
    });
    let path = Path::new("/d/f");
    let rot = world.rot(node, path, None).expect("there is such a file");
    let found = world.files(node).visible(path).expect("there");
    let changed: Vec<usize> = (0..found.len()).filter(|at| found[*at] != 1).collect();
    assert_eq!(changed, [rot.offset as usize]);
    assert_eq!(found[changed[0]] ^ 1, rot.mask);
    assert_eq!(rot.mask.count_ones(), 1);
    assert_eq!(world.rot(node, path, Some(10_000)), None);
    assert_eq!(world.rot(node, Path::new("/d/none"), None), None);
}

#[test]
fn a_slow_disk_is_slow_for_its_time() {
    let (world, node) = world(7, WorldOptions::default());
    let outer = world.clone();
    run(&world, node, async move {
        let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
        let mut taken = [Duration::ZERO; 2];
        for time in &mut taken {
            let began = now();
            for _ in 0..50 {
                io::write(file, 0, bytes(1, 10), true).await.0.expect("writes");
            }
            *time = now().since(began);
            outer.slow_disk(node, Duration::from_secs(60));
        }
        assert!(taken[1] > 8 * taken[0], "{taken:?}");
    });
}

#[test]
fn a_files_own_sync_keeps_its_name_if_the_world_is_so() {
    for seed in 0..20 {
        let mut options = WorldOptions::default();
        options.disk.sync_keeps_name = true;
        let (world, node) = world(seed, options);
        run(&world, node, async {
            let file = io::open("/d/f", OpenOptions::CREATE).await.expect("opens");
            io::write(file, 0, bytes(1, 10), false).await.0.expect("writes");
            io::sync(file).await.expect("syncs");
        });
        world.crash(node);
        assert_eq!(world.files(node).visible(Path::new("/d/f")), Some(vec![1; 10]));
    }
}
