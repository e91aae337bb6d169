//! A broker of one log in memory, which also coordinates groups and one transactional producer, and can be told to
//! misbehave: enough of the protocol for the load tool, so that what the tool reports about a bad broker can be tested.

mod groups;

use groups::Groups;
use load::{
    batch::next_batch,
    wire::{Get, Put},
};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What goes wrong, at the Produce request of that number (counted from 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Everything waits that long.
    Stall(usize, Duration),
    /// Answered as stored, but not stored.
    Forget(usize),
    /// Refused with a code.
    Refuse(usize, i16),
    /// A byte of the stored batch is changed.
    Damage(usize),
    /// The connection is closed instead of an answer, the batch is stored.
    HangUp(usize),
    /// Stored twice.
    Duplicate(usize),
    /// At the end of a transaction of that number: answered, but there is no marker.
    NoMarker(usize),
    /// From the commit of that number on: answered, but not stored.
    ForgetCommits(usize),
    /// At the heartbeat of that number the group does not know the member.
    ForgetMember(usize),
}

/// The last epoch of a producer id that a producer is given.
const EPOCH_MAX: i16 = i16::MAX - 1;

#[derive(Default)]
struct Log {
    /// Base offset and bytes of each batch.
    batches: Vec<(i64, Vec<u8>)>,
    end: i64,
    produced: usize,
    partitions: i32,
    /// Id, epoch and next sequence of the one transactional producer, where its transaction begins, and how many ended.
    producer: i64,
    epoch: i16,
    sequence: i32,
    open: Option<i64>,
    ended: usize,
}

impl Log {
    /// The producer begins anew, with the next epoch; with another id when there is none, which a fast machine sees in a
    /// second.
    fn next_epoch(&mut self) {
        self.sequence = 0;
        (self.producer, self.epoch) = match self.epoch {
            ..EPOCH_MAX => (self.producer, self.epoch + 1),
            EPOCH_MAX.. => (self.producer + 1, 0),
        };
    }
}

/// Starts the broker; it ends with the test's process.
pub fn start(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let port = i32::from(address.port());
    let log = Arc::new(Mutex::new(Log { producer: 1000, epoch: -1, ..Log::default() }));
    let groups = Arc::new(Groups::new(fault));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            stream.set_nodelay(true).unwrap();
            let (log, groups) = (log.clone(), groups.clone());
            thread::spawn(move || serve(stream, &log, &groups, port, fault));
        }
    });
    address.to_string()
}

fn serve(mut stream: TcpStream, log: &Mutex<Log>, groups: &Groups, port: i32, fault: Fault) {
    loop {
        let mut prefix = [0; 4];
        if stream.read_exact(&mut prefix).is_err() {
            return;
        }
        let mut request = vec![0; i32::from_be_bytes(prefix) as usize];
        stream.read_exact(&mut request).unwrap();
        let mut get = Get::new(&request);
        let (api, version, correlation) = (get.i16().unwrap(), get.i16().unwrap(), get.i32().unwrap());
        get.string().unwrap();
        let mut answer = Vec::new();
        answer.put_i32(0);
        answer.put_i32(correlation);
        let go_on = match (api, version) {
            (0, 9) => produce(get, &mut answer, log, fault, false),
            (0, 12) => produce(get, &mut answer, log, fault, true),
            (1, 12) => fetch(get, &mut answer, log),
            (2, 2) => list_offsets(get, &mut answer, log),
            (3, 4) => metadata(get, &mut answer, log, port),
            (10, 1) => find_coordinator(&mut answer, port),
            (19, 3) => create_topics(get, &mut answer, log),
            (22, 1) => init_producer(&mut answer, log),
            (26, 5) => end_transaction(get, &mut answer, log, fault),
            (8, 7) | (9, 5) | (11, 5) | (12, 3) | (13, 2) | (14, 3) | (68, 1) => {
                groups.serve(api, get, &mut answer);
                true
            }
            other => panic!("the load tool asked for {other:?}"),
        };
        if !go_on {
            return;
        }
        let length = (answer.len() - 4) as i32;
        answer[..4].copy_from_slice(&length.to_be_bytes());
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn produce(
    mut get: Get<'_>,
    answer: &mut Vec<u8>,
    log: &Mutex<Log>,
    fault: Fault,
    transactional: bool,
) -> bool {
    get.skip_tags().unwrap();
    get.compact_string().unwrap();
    get.take(6).unwrap();
    assert_eq!(get.compact_count().unwrap(), 1);
    let topic = get.compact_string().unwrap();
    assert_eq!(get.compact_count().unwrap(), 1);
    let partition = get.i32().unwrap();
    let batch = get.compact_bytes().unwrap().unwrap();
    for _ in 0..3 {
        get.skip_tags().unwrap();
    }
    assert!(get.rest().is_empty());
    let seen = next_batch(&mut &batch[..], true).unwrap().unwrap();
    assert_eq!(seen.valid, Some(true));

    let mut log = log.lock().unwrap();
    let number = log.produced;
    log.produced += 1;
    let mut batch = batch.to_vec();
    let base = log.end;
    let (mut copies, mut code) = (1, 0);
    match fault {
        // The lock is held: everybody waits.
        Fault::Stall(n, time) if n == number => thread::sleep(time),
        Fault::Forget(n) if n == number => copies = 0,
        Fault::Refuse(n, with) if n == number => (copies, code) = (0, with),
        Fault::Duplicate(n) if n == number => copies = 2,
        Fault::Damage(n) if n == number => *batch.last_mut().unwrap() ^= 1,
        _ => {}
    }
    if transactional && code == 0 {
        // Producer id, epoch and base sequence: whatever is forgotten, the producer does not know of it.
        let mut named = Get::new(&batch[43..57]);
        let sent = (named.i64().unwrap(), named.i16().unwrap(), named.i32().unwrap());
        let expected = (log.producer, log.epoch, log.sequence);
        assert_eq!(sent, expected, "producer, epoch and sequence of a transaction's batch");
        log.sequence += seen.records;
        log.open = log.open.or(Some(base));
    }
    for _ in 0..copies {
        let base = log.end;
        batch[..8].copy_from_slice(&base.to_be_bytes());
        log.batches.push((base, batch.clone()));
        log.end += i64::from(seen.records);
    }
    answer.put_uvarint(0);
    answer.put_uvarint(2);
    answer.put_compact_string(topic);
    answer.put_uvarint(2);
    answer.put_i32(partition);
    answer.put_i16(code);
    answer.put_i64(base);
    answer.put_i64(-1);
    answer.put_i64(0);
    answer.extend_from_slice(&[1, 0, 0, 0]); // no record errors, no message, tags, tags
    answer.put_i32(0);
    answer.put_uvarint(0);
    !matches!(fault, Fault::HangUp(n) if n == number)
}

fn fetch(mut get: Get<'_>, answer: &mut Vec<u8>, log: &Mutex<Log>) -> bool {
    get.skip_tags().unwrap();
    get.take(17).unwrap();
    let session = get.i32().unwrap();
    assert_eq!((session, get.i32().unwrap()), (0, 0), "this broker keeps no session");
    assert_eq!(get.compact_count().unwrap(), 1);
    let topic = get.compact_string().unwrap();
    assert_eq!(get.compact_count().unwrap(), 1);
    let partition = get.i32().unwrap();
    get.i32().unwrap();
    let from = get.i64().unwrap();
    let mut records = Vec::new();
    for _ in 0..20 {
        let log = log.lock().unwrap();
        let first = log.batches.partition_point(|(base, _)| *base < from);
        records = log.batches[first..].iter().take(50).flat_map(|(_, b)| b.clone()).collect();
        if !records.is_empty() {
            break;
        }
        drop(log);
        thread::sleep(Duration::from_millis(1));
    }
    answer.put_uvarint(0);
    answer.put_i32(0);
    answer.put_i16(0);
    answer.put_i32(0);
    answer.put_uvarint(2);
    answer.put_compact_string(topic);
    answer.put_uvarint(2);
    answer.put_i32(partition);
    answer.put_i16(0);
    for v in [i64::MAX, i64::MAX, 0] {
        answer.put_i64(v);
    }
    answer.put_uvarint(0);
    answer.put_i32(-1);
    answer.put_uvarint(records.len() as u64 + 1);
    answer.extend_from_slice(&records);
    answer.extend_from_slice(&[0, 0, 0]);
    true
}

fn list_offsets(mut get: Get<'_>, answer: &mut Vec<u8>, log: &Mutex<Log>) -> bool {
    get.take(4).unwrap();
    let committed = get.i8().unwrap() == 1;
    assert_eq!(get.i32().unwrap(), 1);
    let topic = get.string().unwrap();
    assert_eq!(get.i32().unwrap(), 1);
    let (partition, timestamp) = (get.i32().unwrap(), get.i64().unwrap());
    answer.put_i32(0);
    answer.put_i32(1);
    answer.put_string(topic);
    answer.put_i32(1);
    answer.put_i32(partition);
    answer.put_i16(0);
    answer.put_i64(-1);
    let log = log.lock().unwrap();
    let end = log.open.filter(|_| committed).unwrap_or(log.end);
    answer.put_i64(if timestamp == -1 { end } else { 0 });
    true
}

fn find_coordinator(answer: &mut Vec<u8>, port: i32) -> bool {
    answer.put_i32(0);
    answer.put_i16(0);
    answer.put_i16(-1); // no message
    answer.put_i32(7);
    answer.put_string("127.0.0.1");
    answer.put_i32(port);
    true
}

fn init_producer(answer: &mut Vec<u8>, log: &Mutex<Log>) -> bool {
    let mut log = log.lock().unwrap();
    log.next_epoch();
    answer.put_i32(0);
    answer.put_i16(0);
    answer.put_i64(log.producer);
    answer.put_i16(log.epoch);
    true
}

fn end_transaction(mut get: Get<'_>, answer: &mut Vec<u8>, log: &Mutex<Log>, fault: Fault) -> bool {
    get.skip_tags().unwrap();
    get.compact_string().unwrap();
    let (producer, epoch, commit) = (get.i64().unwrap(), get.i16().unwrap(), get.i8().unwrap());
    let mut log = log.lock().unwrap();
    assert_eq!((producer, epoch, commit), (log.producer, log.epoch, 1));
    assert!(log.open.is_some(), "the end of a transaction without a batch");
    let number = log.ended;
    log.ended += 1;
    if fault != Fault::NoMarker(number) {
        log.open = None;
        log.end += 1;
    }
    log.next_epoch();
    answer.put_uvarint(0);
    answer.put_i32(0);
    answer.put_i16(0);
    answer.put_i64(log.producer);
    answer.put_i16(log.epoch);
    answer.put_uvarint(0);
    true
}

fn metadata(mut get: Get<'_>, answer: &mut Vec<u8>, log: &Mutex<Log>, port: i32) -> bool {
    assert_eq!(get.i32().unwrap(), 1);
    let topic = get.string().unwrap();
    answer.put_i32(0);
    answer.put_i32(1);
    answer.put_i32(7); // node
    answer.put_string("127.0.0.1");
    answer.put_i32(port);
    answer.put_i16(-1); // no rack
    answer.put_string("cluster");
    answer.put_i32(7);
    answer.put_i32(1);
    let partitions = log.lock().unwrap().partitions;
    answer.put_i16(if partitions > 0 { 0 } else { 3 });
    answer.put_string(topic);
    answer.put_i8(0);
    answer.put_i32(partitions);
    for partition in 0..partitions {
        answer.put_i16(0);
        answer.put_i32(partition);
        answer.put_i32(7);
        for _ in 0..2 {
            answer.put_i32(1);
            answer.put_i32(7);
        }
    }
    true
}

fn create_topics(mut get: Get<'_>, answer: &mut Vec<u8>, log: &Mutex<Log>) -> bool {
    assert_eq!(get.i32().unwrap(), 1);
    let topic = get.string().unwrap();
    log.lock().unwrap().partitions = get.i32().unwrap();
    answer.put_i32(0);
    answer.put_i32(1);
    answer.put_string(topic);
    answer.put_i16(0);
    answer.put_i16(-1);
    true
}
