//! A disk that is full while groups and transactions commit.

use crate::disk::{MIB, on_small_disk};
use client::ClientError;
use integration::offsets::{commit, committed, find_coordinator, passes};
use integration::records::{client, create, patient, plain_producer, write};
use integration::transactional::{Seen, Transactional, accepted, seen_committed};
use integration::{Flumen, Scratch, eventually, host};
use kafka_wire::ErrorCode;
use std::fs;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);
const TOPIC: &str = "t";
/// Its commits are the smallest records here: when there is no room for one, there is for nothing else.
const GROUP: &str = "g";
const READERS: &str = "readers-in-a-transaction";

/// Fills what is left of the disk, and then the journal, with records of one topic.
fn fill(flumen: &Flumen) {
    eventually("the disk is full", LONG, || {
        // The error is one to try again after: not for long here. A busy broker may be as slow.
        let mut client = client(flumen.address, Duration::from_millis(300));
        let mut producer = plain_producer(&mut client, "full");
        let written: Result<(), ClientError> =
            (0..4_000).try_for_each(|_| write(&mut client, &mut producer, 0, &[7; 30_000]));
        assert!(written.is_err(), "all of it had room");
        (!flumen.log_with("no space left on the device").is_empty()).then_some(())
    });
}

/// Asks again and again until the broker refuses, and tells with what, and how many it took before. What a coordinator
/// that is being loaded says does not count.
fn refusal(what: &str, mut ask: impl FnMut(i64) -> ErrorCode) -> (ErrorCode, i64) {
    let mut taken = 0;
    let refused = eventually(what, LONG, || match ask(taken) {
        ErrorCode::None => {
            taken += 1;
            None
        }
        code => (!passes(code)).then_some(code),
    });
    (refused, taken)
}

/// Whether the data directory outlives the broker: a tmpfs ends with its mounts.
fn outlives(flumen: &Flumen) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{}/mounts", flumen.id())).expect("it runs");
    mounts.lines().any(|line| line.contains("ext4") && line.contains("flumen-integration-"))
}

fn assert_committed(flumen: &Flumen, offset: i64) {
    let address = flumen.address;
    eventually("the transaction is decided everywhere", LONG, || {
        let offsets = committed(address, READERS, TOPIC);
        let undecided = ErrorCode::UnstableOffsetCommit;
        assert!(offsets == (9, ErrorCode::None) || offsets.1 == undecided, "{offsets:?}");
        let seen = seen_committed(address, TOPIC, 1)[0];
        (offsets.1 == ErrorCode::None && seen.decided).then(|| assert_eq!(seen.records, 1))
    });
    assert_eq!(committed(address, GROUP, TOPIC), (offset, ErrorCode::None));
}

#[test]
fn commits_that_a_full_disk_refuses_leave_what_was_and_succeed_when_there_is_room() {
    let scratch = Scratch::new("full-commits");
    // One core has all partitions, and so one journal.
    let disk = on_small_disk(&scratch, 40)
        .cores(host::cores()[0].to_string())
        .set("offsets.topic.num.partitions", 1)
        .set("transaction.state.log.num.partitions", 1);
    let flumen = disk.start();
    let address = flumen.address;
    let ballast = flumen.seen(&disk.data().join("ballast"));
    fs::write(&ballast, vec![0; 16 * MIB]).expect("there is room at first");
    let mut admin = patient(address);
    create(&mut admin, TOPIC, 1, &[]);
    create(&mut admin, "full", 1, &[]);
    find_coordinator(address, 0, GROUP);
    accepted("an offset is committed", || commit(address, GROUP, TOPIC, 100));
    accepted("an offset is committed", || commit(address, READERS, TOPIC, 5));
    let producer = Transactional::init(address, "producer-on-a-full-disk");
    producer.add_partitions(TOPIC, 0..1);
    producer.add_offsets(READERS);
    producer.produce(TOPIC, 0..1);

    fill(&flumen);
    let (code, taken) = refusal("a commit is refused", |taken| commit(address, GROUP, TOPIC, 101 + taken));
    assert_eq!(code, ErrorCode::CoordinatorNotAvailable);
    assert_eq!(committed(address, GROUP, TOPIC), (100 + taken, ErrorCode::None), "after {taken} more");
    let in_transaction = || producer.commit_offset(READERS, TOPIC, 9);
    let refused = refusal("a commit in the transaction is refused", |_| in_transaction());
    assert_eq!(refused, (ErrorCode::CoordinatorNotAvailable, 0));
    assert_eq!(committed(address, READERS, TOPIC), (5, ErrorCode::None), "nothing of it is undecided");
    let refused = refusal("the end is refused", |_| producer.end(true));
    assert_eq!(refused, (ErrorCode::CoordinatorNotAvailable, 0));
    assert_eq!(seen_committed(address, TOPIC, 1), [Seen { records: 0, decided: false }]);

    // Somebody makes room, and nobody restarts the broker.
    fs::remove_file(&ballast).expect("removed");
    accepted("the commit of before", || commit(address, GROUP, TOPIC, 101 + taken));
    accepted("that in the transaction", in_transaction);
    assert_eq!(committed(address, READERS, TOPIC).1, ErrorCode::UnstableOffsetCommit);
    accepted("the end of before", || producer.end(true));
    assert_committed(&flumen, 101 + taken);
    let outlives = outlives(&flumen);
    flumen.kill();
    if !outlives {
        println!("nothing is left of a tmpfs when its broker is killed: not started again");
        return;
    }
    let flumen = disk.start();
    assert_committed(&flumen, 101 + taken);
    flumen.kill();
}
