//! A disk that is full, and one that refuses a write.

use crate::setup;
use client::{Client, Producer};
use integration::records::{Read, client, create, patient, plain_producer, read_all, write};
use integration::{Flumen, Scratch, Setup, eventually, host};
use kafka_wire::ErrorCode;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

pub(crate) const MIB: usize = 1 << 20;

/// A broker whose data directory is a small file system of its own: ext4 on a loop device where this process may
/// mount one, else tmpfs. Both take direct writes, and both are really full.
pub(crate) fn on_small_disk(scratch: &Scratch, mib: usize) -> Setup {
    let data = scratch.join("data");
    fs::create_dir(&data).expect("made");
    // Each core has a journal: those of many cores would leave no room for anything else.
    let cores: Vec<String> = host::cores().iter().take(2).map(usize::to_string).collect();
    let small = setup(scratch).set("flumen.journal.file.bytes", MIB).set("flumen.journal.files", 2);
    let small = small.cores(cores.join(","));
    let image = scratch.join("disk.img");
    let (at, from) = (data.display(), image.display());
    if has_loop_devices() && make_ext4(&image, mib) {
        println!("the small disk is ext4 on a loop device");
        return small.own_mounts(false).before(&format!("mount -o loop '{from}' '{at}'"));
    }
    println!("the small disk is tmpfs");
    small.own_mounts(true).before(&format!("mount -t tmpfs -o size={mib}m tmpfs '{at}'"))
}

/// Whether this process may mount an ext4 on a loop device. Who is root in a container often may not.
fn has_loop_devices() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let scratch = Scratch::new("loop-device");
        let (image, at) = (scratch.join("disk.img"), scratch.join("at"));
        fs::create_dir(&at).expect("made");
        let mount = format!("mount -o loop '{}' '{}'", image.display(), at.display());
        // The mount ends with its namespace.
        let mounts = || Command::new("unshare").args(["-m", "sh", "-c", &mount]).output();
        host::is_root()
            && Path::new("/dev/loop-control").exists()
            && make_ext4(&image, 8)
            && mounts().is_ok_and(|done| done.status.success())
    })
}

fn make_ext4(image: &Path, mib: usize) -> bool {
    let file = fs::File::create(image).expect("made");
    file.set_len((mib * MIB) as u64).expect("sparse");
    // No blocks are kept back for root, who may be the one who writes.
    let made = Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(image).status();
    made.is_ok_and(|status| status.success())
}

/// Large and small ones in turns: straight to the segment, and through the journal.
fn numbered(number: usize) -> Vec<u8> {
    vec![number as u8; if number.is_multiple_of(2) { 200_000 } else { 30_000 }]
}

/// Writes until the broker refuses, and returns what it acknowledged and what it said.
pub(crate) fn fill(address: SocketAddr, topic: &str, limit: usize) -> (Vec<Vec<u8>>, Option<ErrorCode>) {
    // The error is one to try again after: not for long here.
    let mut client = client(address, Duration::from_millis(300));
    let mut producer = plain_producer(&mut client, topic);
    let mut acknowledged = Vec::new();
    for number in 0..limit {
        let value = numbered(number);
        match write(&mut client, &mut producer, 0, &value) {
            Ok(()) => acknowledged.push(value),
            Err(error) => return (acknowledged, error.code()),
        }
    }
    (acknowledged, None)
}

fn values(records: Vec<Read>) -> Vec<Vec<u8>> {
    records.into_iter().map(|record| record.value).collect()
}

/// Tries until a record is acknowledged. A refused batch may not be sent again by the same producer.
pub(crate) fn until_written(flumen: &Flumen, topic: &str) {
    eventually("it takes records again by itself", Duration::from_secs(30), || {
        let mut client: Client = client(flumen.address, Duration::from_millis(300));
        let mut producer: Producer = plain_producer(&mut client, topic);
        write(&mut client, &mut producer, 0, b"room").ok()
    });
}

/// Waits until its metrics say that the disk is full, or that it is not.
fn until_full(flumen: &Flumen, full: bool) {
    eventually("the metrics know how full the disk is", Duration::from_secs(30), || {
        ((flumen.metric("flumen_storage_full") > 0.0) == full).then_some(())
    });
}

/// Everything acknowledged is there, in its order. The record that was refused last may have come after all, once:
/// its refusal says only that nobody may rely on it.
fn assert_kept(address: SocketAddr, topic: &str, acknowledged: &[Vec<u8>]) {
    let found = values(read_all(&mut patient(address), topic, 0));
    let kept: Vec<&Vec<u8>> = found.iter().filter(|value| *value != b"room").collect();
    assert!(kept.len() >= acknowledged.len(), "{} of {} records", kept.len(), acknowledged.len());
    for (number, (found, expected)) in kept.iter().zip(acknowledged).enumerate() {
        assert!(*found == expected, "record {number} is another than the one acknowledged");
    }
    let more = &kept[acknowledged.len()..];
    assert!(more.len() <= 1 && more.iter().all(|value| **value == numbered(acknowledged.len())));
}

#[test]
fn a_full_disk_refuses_records_and_goes_on_by_itself_when_there_is_room() {
    let scratch = Scratch::new("full");
    let disk = on_small_disk(&scratch, 48);
    let flumen = disk.start();
    let ballast = flumen.seen(&disk.data().join("ballast"));
    fs::write(&ballast, vec![0; 12 * MIB]).expect("there is room at first");
    let mut admin = patient(flumen.address);
    create(&mut admin, "full", 1, &[]);
    create(&mut admin, "bystander", 2, &[]);
    let (acknowledged, refusal) = fill(flumen.address, "full", 400);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError), "after {} records", acknowledged.len());
    assert!(acknowledged.len() > 20, "{} records fit", acknowledged.len());
    // Reads and metadata go on.
    assert_kept(flumen.address, "full", &acknowledged);
    assert!(admin.metadata(None).expect("metadata").topics.contains_key("bystander"));
    let lines = flumen.log_with("space").len();
    assert!((1..50).contains(&lines), "the log says so, but does not repeat itself: {lines} lines");
    until_full(&flumen, true);
    // Somebody makes room, and nobody restarts the broker.
    fs::remove_file(&ballast).expect("removed");
    until_written(&flumen, "full");
    until_full(&flumen, false);
    assert_kept(flumen.address, "full", &acknowledged);
    flumen.kill();
}

#[test]
fn deleting_a_topic_makes_room_on_a_full_disk() {
    let scratch = Scratch::new("delete");
    let flumen = on_small_disk(&scratch, 32).start();
    let mut admin = patient(flumen.address);
    create(&mut admin, "large", 1, &[("file.delete.delay.ms", "0")]);
    create(&mut admin, "small", 1, &[]);
    let (_, refusal) = fill(flumen.address, "large", 400);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError));
    admin.delete_topic("large").expect("deletes go on");
    until_written(&flumen, "small");
    flumen.kill();
}

#[test]
fn what_a_full_disk_acknowledged_survives_kill_9() {
    let scratch = Scratch::new("full-killed");
    let image = scratch.join("disk.img");
    if !has_loop_devices() {
        // A tmpfs ends with its mounts: without a disk that outlives the broker a file size limit has to do.
        return limited_by_file_size(&scratch);
    }
    let disk = on_small_disk(&scratch, 40);
    assert!(image.exists());
    let flumen = disk.start();
    let ballast = disk.data().join("ballast");
    fs::write(flumen.seen(&ballast), vec![0; 8 * MIB]).expect("there is room at first");
    create(&mut patient(flumen.address), "full", 1, &[]);
    let (acknowledged, refusal) = fill(flumen.address, "full", 400);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError));
    flumen.kill();
    // The loop device goes when the last process of the mount namespace has gone. A start with no room at all
    // may be refused, in plain words, and spoils nothing.
    let mut flumen = disk.spawn();
    thread::sleep(Duration::from_secs(2));
    if flumen.try_wait().is_some() {
        // Has ended: this waits for its last lines.
        flumen.wait(Duration::from_secs(1));
        let said = flumen.log_with("flumen: ");
        assert!(said.len() == 1 && said[0].contains("space") && said[0].contains("free"), "{said:#?}");
    }
    flumen.kill();
    let flumen = disk.before(&format!("rm '{}'", ballast.display())).start();
    assert_kept(flumen.address, "full", &acknowledged);
    until_written(&flumen, "full");
    flumen.kill();
}

#[test]
fn a_start_on_a_full_disk_goes_on_in_the_space_that_was_kept() {
    let scratch = Scratch::new("full-start");
    if !has_loop_devices() {
        // Without a disk that outlives the broker one that is called full has to do.
        return given_up_on_a_disk_that_is_called_full(&scratch);
    }
    let disk = on_small_disk(&scratch, 80).set("flumen.reserve.bytes", 10 * MIB);
    let flumen = disk.start();
    let reserve = flumen.seen(&disk.data().join("reserve"));
    eventually("space is kept", Duration::from_secs(30), || fs::metadata(&reserve).ok());
    let mut admin = patient(flumen.address);
    create(&mut admin, "full", 1, &[]);
    create(&mut admin, "large", 1, &[("file.delete.delay.ms", "0")]);
    let (acknowledged, _) = fill(flumen.address, "full", 40);
    let (_, refusal) = fill(flumen.address, "large", 800);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError));
    // The file system keeps a little for itself: the rest of it goes as well.
    let rest = flumen.seen(&disk.data().join("rest"));
    let _ = fs::write(&rest, vec![0; 80 * MIB]);
    flumen.kill();
    let flumen = disk.start();
    assert!(!flumen.log_with("nearly full").is_empty(), "it says that it runs on what was kept");
    assert_kept(flumen.address, "full", &acknowledged);
    // Nobody but the broker's own clients makes room.
    patient(flumen.address).delete_topic("large").expect("deletes go on");
    until_written(&flumen, "full");
    flumen.kill();
}

fn given_up_on_a_disk_that_is_called_full(scratch: &Scratch) {
    let flumen = setup(scratch).set("flumen.reserve.bytes", MIB).start();
    let reserve = setup(scratch).data().join("reserve");
    eventually("space is kept", Duration::from_secs(30), || fs::metadata(&reserve).ok());
    flumen.kill();
    let flumen = setup(scratch).set("flumen.reserve.bytes", i64::MAX).start();
    assert!(!flumen.log_with("nearly full").is_empty());
    assert!(!reserve.exists());
    flumen.stop();
}

fn limited_by_file_size(scratch: &Scratch) {
    let flumen = refusing_writes(scratch).start();
    create(&mut patient(flumen.address), "full", 1, &[]);
    let (acknowledged, _) = fill(flumen.address, "full", 400);
    flumen.kill();
    let flumen = setup(scratch).start();
    assert_kept(flumen.address, "full", &acknowledged);
    flumen.stop();
}

/// A broker whose files the kernel does not let grow beyond 4 MiB: a write there fails with EFBIG, which is an
/// error like EIO to whoever expects none. `ulimit -f` counts blocks of 512 bytes; the signal that comes with the
/// error is ignored, as it is for any process that is asked to be robust.
fn refusing_writes(scratch: &Scratch) -> Setup {
    setup(scratch).set("flumen.journal.file.bytes", MIB).before("trap '' XFSZ && ulimit -f 8192")
}

#[test]
fn a_failed_write_takes_the_log_offline_and_a_restart_brings_back_what_was_acknowledged() {
    let scratch = Scratch::new("failed");
    let cores = host::cores();
    let flumen = refusing_writes(&scratch).start();
    let mut admin = patient(flumen.address);
    create(&mut admin, "refused", 1, &[]);
    create(&mut admin, "others", 8, &[]);
    let (acknowledged, refusal) = fill(flumen.address, "refused", 400);
    assert_eq!(refusal, Some(ErrorCode::KafkaStorageError), "after {} records", acknowledged.len());
    let line = flumen.until_logged("is offline for appends");
    assert!(line.contains("check the device and restart the broker"), "{line}");
    let offline = flumen.samples("flumen_storage_offline");
    assert_eq!(offline.iter().filter(|value| **value > 0.0).count(), 1, "one shard: {offline:?}");
    assert!(flumen.page("/readyz").starts_with("HTTP/1.1 503 "), "a shard that is offline is told");
    // The shard's log takes nothing more, and others go on.
    let mut taken = 0;
    for partition in 0..8 {
        let mut client = client(flumen.address, Duration::from_millis(200));
        let mut producer = plain_producer(&mut client, "others");
        match write(&mut client, &mut producer, partition, b"small") {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error.code(), Some(ErrorCode::KafkaStorageError), "{error}"),
        }
    }
    assert!(taken < 8, "the shard that failed does not go on as if nothing had been");
    assert!(cores.len() < 2 || taken > 0, "the other shard goes on");
    assert_kept(flumen.address, "refused", &acknowledged);
    assert_eq!(flumen.log_with("is offline for appends").len(), 1, "one line");
    flumen.kill();
    let flumen = setup(&scratch).start();
    assert_kept(flumen.address, "refused", &acknowledged);
    until_written(&flumen, "refused");
    flumen.stop();
}
