//! The two requests of the hot path: Produce version 9 (12 within transactions) and Fetch version 12,
//! flexible and by topic name, which every broker from Kafka 2.8 (4.0) to 4.x accepts.

use crate::{
    batch::Batch,
    error::Error,
    wire::{Get, Put},
};
use std::rc::Rc;

/// What this tool calls itself to the broker.
pub const CLIENT_ID: &str = "flumen-load";
/// Where the correlation id lies in a request, its length prefix included.
pub const CORRELATION_AT: usize = 8;
/// Bytes behind the records of a Produce request: no tagged fields in partition, topic, request.
const PRODUCE_END: [u8; 3] = [0; 3];
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// Length prefix (to be filled by [`finish`]) and request header.
pub fn begin(out: &mut Vec<u8>, api: i16, version: i16, correlation: i32, flexible: bool) {
    out.clear();
    out.put_i32(0);
    out.put_i16(api);
    out.put_i16(version);
    out.put_i32(correlation);
    out.put_string(CLIENT_ID);
    if flexible {
        out.put_uvarint(0);
    }
}

/// Fills in the length prefix; `more` bytes follow that are not in `out`.
pub fn finish(out: &mut [u8], more: usize) {
    let length = (out.len() - 4 + more) as i32;
    out[..4].copy_from_slice(&length.to_be_bytes());
}

/// A Produce request of one batch for one partition, up to and including the batch's head.
#[derive(Debug, Clone)]
pub struct ProduceTemplate {
    head: Vec<u8>,
    correlation_at: usize,
    batch_at: usize,
}

impl ProduceTemplate {
    pub fn new(topic: &str, partition: i32, acks: i16, batch: &Batch) -> ProduceTemplate {
        ProduceTemplate::build(9, None, topic, partition, acks, batch)
    }

    /// The same as a part of a transaction. From version 12 on the broker itself adds the partition to the
    /// transaction (KIP-890); else nothing differs from version 9.
    pub fn transactional(id: &str, topic: &str, partition: i32, batch: &Batch) -> ProduceTemplate {
        ProduceTemplate::build(12, Some(id), topic, partition, -1, batch)
    }

    fn build(
        version: i16,
        id: Option<&str>,
        topic: &str,
        partition: i32,
        acks: i16,
        batch: &Batch,
    ) -> ProduceTemplate {
        let mut head = Vec::new();
        begin(&mut head, 0, version, 0, true);
        match id {
            Some(id) => head.put_compact_string(id),
            None => head.put_uvarint(0),
        }
        head.put_i16(acks);
        head.put_i32(PRODUCE_TIMEOUT_MS);
        head.put_uvarint(2); // one topic
        head.put_compact_string(topic);
        head.put_uvarint(2); // one partition
        head.put_i32(partition);
        head.put_uvarint(batch.bytes() as u64 + 1);
        let batch_at = head.len();
        head.extend_from_slice(batch.head());
        finish(&mut head, batch.tail().len() + PRODUCE_END.len());
        ProduceTemplate { head, correlation_at: CORRELATION_AT, batch_at }
    }

    /// For an end that sends back what comes: the answer to a Produce request, from which [`parse_produce`] reads that
    /// all went well, and behind what that reads the batch, as in a request of it. The broker knows no such frame.
    pub fn echoed(batch: &Batch) -> ProduceTemplate {
        let mut head = Vec::new();
        head.put_i32(0); // the length, filled in below
        let correlation_at = head.len();
        head.put_i32(0);
        head.put_uvarint(0); // no tagged fields
        head.put_uvarint(2); // one topic
        head.put_compact_string("echo");
        head.put_uvarint(2); // one partition
        head.put_i32(0);
        head.put_i16(0); // no error
        head.put_i64(0); // base offset
        let batch_at = head.len();
        head.extend_from_slice(batch.head());
        finish(&mut head, batch.tail().len() + PRODUCE_END.len());
        ProduceTemplate { head, correlation_at, batch_at }
    }

    /// Bytes of a whole request of this batch, its length prefix included.
    pub fn bytes(&self, batch: &Batch) -> usize {
        self.head.len() + batch.tail().len() + PRODUCE_END.len()
    }

    /// What follows every head: the shared rest of the batch and the end of the request.
    pub fn tail(batch: &Batch) -> Rc<[u8]> {
        [&batch.tail()[..], &PRODUCE_END].concat().into()
    }

    /// Writes a request's head into `out` and returns where in it the batch's head starts.
    pub fn write(&self, out: &mut Vec<u8>, correlation: i32) -> usize {
        out.clear();
        out.extend_from_slice(&self.head);
        out[self.correlation_at..self.correlation_at + 4].copy_from_slice(&correlation.to_be_bytes());
        self.batch_at
    }
}

/// The answer to a Produce request of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceAnswer {
    pub correlation: i32,
    pub code: i16,
    pub base_offset: i64,
}

/// Parses a Produce response, without its length prefix.
pub fn parse_produce(frame: &[u8]) -> Result<ProduceAnswer, Error> {
    let mut get = Get::new(frame);
    let correlation = get.i32()?;
    get.skip_tags()?;
    if get.compact_count()? != 1 {
        return Err(Error::Protocol("a Produce answer for another number of topics"));
    }
    get.compact_string()?;
    if get.compact_count()? != 1 {
        return Err(Error::Protocol("a Produce answer for another number of partitions"));
    }
    get.i32()?;
    Ok(ProduceAnswer { correlation, code: get.i16()?, base_offset: get.i64()? })
}

/// Limits of a fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
}

/// One partition that a fetch asks for.
#[derive(Debug, Clone, Copy)]
pub struct FetchFrom<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

/// Encodes a Fetch request. `asked` is sorted by topic. `session` is id and epoch: (0, 0) opens
/// a session, (id, n) continues it, (0, -1) is a fetch without one.
pub fn fetch_request(
    out: &mut Vec<u8>,
    correlation: i32,
    session: (i32, i32),
    limits: FetchLimits,
    asked: &[FetchFrom<'_>],
) {
    begin(out, 1, 12, correlation, true);
    out.put_i32(-1); // replica id: a consumer
    out.put_i32(limits.max_wait_ms);
    out.put_i32(limits.min_bytes);
    out.put_i32(limits.max_bytes);
    out.put_i8(0); // read uncommitted
    out.put_i32(session.0);
    out.put_i32(session.1);
    let topics = asked.chunk_by(|a, b| a.topic == b.topic);
    out.put_uvarint(topics.clone().count() as u64 + 1);
    for topic in topics {
        out.put_compact_string(topic[0].topic);
        out.put_uvarint(topic.len() as u64 + 1);
        for p in topic {
            out.put_i32(p.partition);
            out.put_i32(-1); // current leader epoch: unknown
            out.put_i64(p.offset);
            out.put_i32(-1); // last fetched epoch: none
            out.put_i64(-1); // log start offset: only followers tell it
            out.put_i32(limits.partition_max_bytes);
            out.put_uvarint(0);
        }
        out.put_uvarint(0);
    }
    out.put_uvarint(1); // nothing forgotten
    out.put_compact_string(""); // no rack
    out.put_uvarint(0);
    finish(out, 0);
}

/// The head of a Fetch response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchHead {
    pub correlation: i32,
    pub code: i16,
    pub session: i32,
}

/// One partition of a Fetch response.
#[derive(Debug)]
pub struct FetchedPartition<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub code: i16,
    pub high_watermark: i64,
    pub log_start: i64,
    pub records: &'a [u8],
}

/// Parses a Fetch response, without its length prefix, calling `each` for every partition.
pub fn parse_fetch<'a>(
    frame: &'a [u8],
    mut each: impl FnMut(FetchedPartition<'a>) -> Result<(), Error>,
) -> Result<FetchHead, Error> {
    let mut get = Get::new(frame);
    let correlation = get.i32()?;
    get.skip_tags()?;
    get.i32()?; // throttle time
    let head = FetchHead { correlation, code: get.i16()?, session: get.i32()? };
    for _ in 0..get.compact_count()? {
        let topic = get.compact_string()?;
        for _ in 0..get.compact_count()? {
            let (partition, code) = (get.i32()?, get.i16()?);
            let (high_watermark, _, log_start) = (get.i64()?, get.i64()?, get.i64()?);
            for _ in 0..get.compact_count()? {
                get.take(16)?; // an aborted transaction: producer id and first offset
                get.skip_tags()?;
            }
            get.i32()?; // preferred read replica
            let records = get.compact_bytes()?.unwrap_or(&[]);
            get.skip_tags()?;
            each(FetchedPartition { topic, partition, code, high_watermark, log_start, records })?;
        }
        get.skip_tags()?;
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Shape, next_batch};

    #[test]
    fn a_produce_request_announces_its_own_length_and_holds_its_batch() {
        let batch = Batch::new(Shape { records: 5, record_bytes: 100, keyed: false }, 1, 1).unwrap();
        let template = ProduceTemplate::new("topic", 3, -1, &batch);
        let mut head = Vec::new();
        let at = template.write(&mut head, 77);
        let request = [&head[..], &ProduceTemplate::tail(&batch)].concat();
        assert_eq!(i32::from_be_bytes(request[..4].try_into().unwrap()) as usize, request.len() - 4);
        assert_eq!(request[CORRELATION_AT..CORRELATION_AT + 4], 77i32.to_be_bytes());
        let mut records = &request[at..request.len() - PRODUCE_END.len()];
        let seen = next_batch(&mut records, true).unwrap().unwrap();
        assert_eq!((seen.valid, seen.records, records.len()), (Some(true), 5, 0));
    }

    #[test]
    fn what_is_to_be_echoed_is_an_answer_and_holds_its_batch() {
        let batch = Batch::new(Shape { records: 1, record_bytes: 1000, keyed: false }, 1, 1).unwrap();
        let template = ProduceTemplate::echoed(&batch);
        let mut head = Vec::new();
        let at = template.write(&mut head, 77);
        let frame = [&head[..], &ProduceTemplate::tail(&batch)].concat();
        assert_eq!(frame.len(), template.bytes(&batch));
        assert_eq!(i32::from_be_bytes(frame[..4].try_into().unwrap()) as usize, frame.len() - 4);
        let answer = ProduceAnswer { correlation: 77, code: 0, base_offset: 0 };
        assert_eq!(parse_produce(&frame[4..]).unwrap(), answer);
        let mut records = &frame[at..frame.len() - PRODUCE_END.len()];
        let seen = next_batch(&mut records, true).unwrap().unwrap();
        assert_eq!((seen.valid, seen.records, records.len()), (Some(true), 1, 0));
        // About as long as a request that a broker is sent.
        let request = ProduceTemplate::new("p1-flumen-relaxed", 0, -1, &batch);
        assert!(request.bytes(&batch).abs_diff(frame.len()) < 40);
    }

    #[test]
    fn a_produce_request_of_a_transaction_names_it() {
        let batch = Batch::new(Shape { records: 1, record_bytes: 100, keyed: false }, 1, 1).unwrap();
        let batch = batch.into_transactional();
        let mut head = Vec::new();
        ProduceTemplate::transactional("an id", "topic", 3, &batch).write(&mut head, 5);
        let mut get = Get::new(&head[4..]);
        assert_eq!((get.i16().unwrap(), get.i16().unwrap(), get.i32().unwrap()), (0, 12, 5));
        assert_eq!(get.string().unwrap(), CLIENT_ID);
        get.skip_tags().unwrap();
        assert_eq!(get.compact_string().unwrap(), "an id");
        assert_eq!(get.i16().unwrap(), -1);
    }

    #[test]
    fn a_fetch_answer_is_taken_apart() {
        let mut frame = Vec::new();
        frame.put_i32(9);
        frame.put_uvarint(0);
        frame.put_i32(0);
        frame.put_i16(0);
        frame.put_i32(55);
        frame.put_uvarint(2);
        frame.put_compact_string("t");
        frame.put_uvarint(2);
        frame.put_i32(4);
        frame.put_i16(1);
        for v in [100, 100, 20] {
            frame.put_i64(v);
        }
        frame.put_uvarint(2);
        frame.extend_from_slice(&[0; 17]);
        frame.put_i32(-1);
        frame.put_uvarint(4);
        frame.extend_from_slice(b"abc");
        frame.extend_from_slice(&[0, 0, 0]);
        let mut seen = Vec::new();
        let head = parse_fetch(&frame, |p| {
            seen.push((
                p.topic.to_owned(),
                p.partition,
                p.code,
                p.high_watermark,
                p.log_start,
                p.records.to_vec(),
            ));
            Ok(())
        });
        assert_eq!(head.unwrap(), FetchHead { correlation: 9, code: 0, session: 55 });
        assert_eq!(seen, [("t".to_owned(), 4, 1, 100, 20, b"abc".to_vec())]);
        for cut in 0..frame.len() - 1 {
            assert!(parse_fetch(&frame[..cut], |_| Ok(())).is_err(), "cut at {cut}");
        }
    }
}
