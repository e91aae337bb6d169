//! Topics and records through the blocking client.

use client::admin::NewTopic;
use client::{
    Client, ClientError, ClientOptions, ConsumedRecord, Consumer, FetchOptions, OffsetAt, ProduceOptions,
    Producer,
};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long others may be slow beside something, if they are not in the end.
const HURT_LIMIT: Duration = Duration::from_secs(30);

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its offset.
    pub offset: i64,
    /// Its value.
    pub value: Vec<u8>,
}

/// A client that goes on trying for this long.
pub fn client(address: SocketAddr, deadline: Duration) -> Client {
    let mut options = ClientOptions::new(address.to_string());
    options.client_id = "integration".to_owned();
    options.deadline = deadline;
    // What is asked again since its answer was slow is written twice.
    options.request_timeout = Duration::from_secs(60);
    Client::connect(options).expect("the broker answers")
}

/// A client for a healthy broker.
pub fn patient(address: SocketAddr) -> Client {
    client(address, Duration::from_secs(20))
}

/// Creates a topic.
pub fn create(client: &mut Client, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let topic =
        NewTopic { name: name.to_owned(), partitions: Some(partitions), replication_factor: None, configs };
    client.create_topic(&topic, false).expect("a topic");
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Writes one record and waits for its acknowledgement by all replicas.
pub fn write(
    client: &mut Client,
    producer: &mut Producer,
    partition: i32,
    value: &[u8],
) -> Result<(), ClientError> {
    producer.send(client, Some(partition), now_ms(), None, Some(value), &[])?;
    producer.flush(client)
}

/// A producer with acks=all that is not idempotent.
pub fn plain_producer(client: &mut Client, topic: &str) -> Producer {
    let options = ProduceOptions { idempotent: false, in_flight_max: 1, ..ProduceOptions::default() };
    Producer::open(client, topic, options).expect("a producer")
}

/// How long a record takes from sending to its acknowledgement: the median and the slowest of `count`.
pub fn latency(
    client: &mut Client,
    topic: &str,
    partitions: i32,
    count: u32,
) -> Result<(Duration, Duration), ClientError> {
    let mut producer = plain_producer(client, topic);
    let mut times = Vec::new();
    for number in 0..count {
        let began = Instant::now();
        write(client, &mut producer, number as i32 % partitions, b"how long does this take?")?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[times.len() / 2], times[times.len() - 1]))
}

/// Whether a record that takes so long beside something else takes little more than one that has nothing beside it.
pub fn is_unhurt(beside: Duration, quiet: Duration) -> bool {
    beside < quiet * 5 + Duration::from_millis(20)
}

/// Others do not feel what goes on beside them; returns what a record takes, as [`latency`] does. A disk or a machine
/// that is slow for a while is given time: what hurts them goes on meanwhile, and so does the harm.
///
/// # Panics
/// If a record takes much more than `quiet` for half a minute.
pub fn assert_unhurt(
    client: &mut Client,
    topic: &str,
    partitions: i32,
    count: u32,
    quiet: Duration,
) -> (Duration, Duration) {
    let began = Instant::now();
    loop {
        let (median, slowest) = latency(client, topic, partitions, count).expect("others are served");
        if is_unhurt(median, quiet) {
            return (median, slowest);
        }
        println!("a record takes {median:?}, and {quiet:?} when it is quiet");
        assert!(began.elapsed() < HURT_LIMIT, "a record takes {median:?}, and {quiet:?} when it is quiet");
    }
}

/// The first offset after a partition's last record.
pub fn end(client: &mut Client, topic: &str, partition: i32) -> Result<i64, ClientError> {
    Ok(client.offsets(topic, &[partition], OffsetAt::End)?[0].offset)
}

/// Reads a partition from an offset up to its end as of now.
///
/// # Errors
/// The first that a broker gives; what was read before it is in `into`.
pub fn read_into(
    client: &mut Client,
    topic: &str,
    partition: i32,
    from: i64,
    into: &mut Vec<Read>,
) -> Result<(), ClientError> {
    let end = end(client, topic, partition)?;
    let options = FetchOptions { max_wait: Duration::from_millis(200), ..FetchOptions::default() };
    let mut consumer = Consumer::new(topic, [(partition, from)], options);
    let began = Instant::now();
    while consumer.positions()[0].offset < end {
        assert!(began.elapsed() < Duration::from_secs(60), "reading {topic}-{partition} does not end");
        consumer.poll(client, |record: &ConsumedRecord<'_>| {
            into.push(Read { offset: record.offset, value: record.value.unwrap_or_default().to_vec() });
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}

/// Everything in a partition.
pub fn read_all(client: &mut Client, topic: &str, partition: i32) -> Vec<Read> {
    let mut records = Vec::new();
    read_into(client, topic, partition, 0, &mut records).expect("a partition that can be read");
    records
}
