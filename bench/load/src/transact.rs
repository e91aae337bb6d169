//! Transactional producers, as the current Java client works with transactions of version 2 (KIP-890): partitions are
//! added by the batches themselves, and the end of a transaction, EndTxn 5, gives the producer its next epoch, with
//! sequences from 0 again.
//!
//! A producer sends for a while, or a number of batches, waits for all answers, ends the transaction, and begins the
//! next when that is answered. The proof at the end is the last stable offset of every partition: all that was
//! acknowledged, one marker for each partition of each transaction, and nothing undecided before it.

use crate::{
    actors::{Actor, NEVER, Stage},
    admin::{Admin, Layout, LogEnd, Target, is_passing},
    args::TransactArgs,
    batch::Batch,
    connection::{Connection, connect},
    coordinators::Coordinated,
    engine::Outcome,
    error::Error,
    report,
    requests::{self, ProduceTemplate, parse_produce},
    run::{self, Verdict},
    stats::{Flow, Window},
    wire::{Get, Put},
};
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

/// What a producer waits before it sends something again that the broker was not ready for: `retry.backoff.ms` of
/// the Java client.
const RETRY: u64 = 100_000_000;
/// The transaction before is not wholly ended yet.
const CONCURRENT_TRANSACTIONS: i16 = 51;
/// Patience for leaders.
const PATIENCE: Duration = Duration::from_secs(60);
/// Patience for the markers of the last transactions, when all load is over.
const MARKERS: Duration = Duration::from_secs(5);
const BUFFER: usize = 4 << 10;

/// What all producers share.
#[derive(Debug)]
pub struct Shared {
    batch: Batch,
    tail: Rc<[u8]>,
    options: Options,
    /// Batches.
    pub produced: Flow,
    /// Transactions, each from its first batch to the answer to its end; records and bytes are those of its batches.
    pub transactions: Flow,
    /// Partitions of all transactions that were ended: so many markers there must be.
    pub markers: u64,
    /// Requests that were sent again, for the broker was not ready.
    pub retries: u64,
}

/// How a producer works.
#[derive(Debug, Clone, Copy)]
struct Options {
    inflight: usize,
    /// Nanoseconds in which a transaction is given batches.
    length: u64,
    /// Batches that a transaction is given at most.
    batches: u64,
}

/// A partition, as one producer sees it.
#[derive(Debug)]
struct Lane {
    template: ProduceTemplate,
    sequence: i32,
    /// A batch is on its way, or waits to be sent again: the next one would be out of order.
    taken: bool,
    /// It is part of the transaction.
    touched: bool,
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    Batch { lane: usize, at: u64 },
    End,
}

/// One producer.
#[derive(Debug)]
pub struct Producer {
    id: String,
    identity: (i64, i16),
    lanes: Vec<Lane>,
    next_lane: usize,
    inflight: VecDeque<(i32, Sent)>,
    /// What is to be sent again, and when.
    again: VecDeque<(u64, Sent)>,
    /// When the first batch of the transaction was sent, and how many there were.
    began: u64,
    given: u64,
    correlation: i32,
    stopped: bool,
}

impl Producer {
    fn new(id: String, identity: (i64, i16), lanes: Vec<Lane>, first: usize) -> Producer {
        Producer {
            id,
            identity,
            next_lane: first % lanes.len().max(1),
            lanes,
            inflight: VecDeque::new(),
            again: VecDeque::new(),
            began: 0,
            given: 0,
            correlation: 0,
            stopped: false,
        }
    }

    /// Sends what the transaction still takes; ends it when it has all and all is answered.
    fn go_on(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        let options = shared.options;
        loop {
            let open = self.given == 0 || now < self.began.saturating_add(options.length);
            if self.stopped || !open || self.given >= options.batches {
                break;
            }
            if self.inflight.len() >= options.inflight {
                return;
            }
            // Lanes take turns; those that wait for an answer are passed over.
            let count = self.lanes.len();
            let free = (0..count).map(|i| (self.next_lane + i) % count).find(|i| !self.lanes[*i].taken);
            let Some(lane) = free else { return };
            self.next_lane = (lane + 1) % count;
            if self.given == 0 {
                self.began = now;
            }
            self.given += 1;
            self.send_batch(shared, connection, lane, now);
        }
        if self.given > 0 && self.inflight.is_empty() && self.again.is_empty() {
            self.send_end(connection);
        }
    }

    fn next_correlation(&mut self) -> i32 {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        self.correlation
    }

    /// `at` is when it was sent first.
    fn send_batch(&mut self, shared: &Shared, connection: &mut Connection, lane: usize, at: u64) {
        let correlation = self.next_correlation();
        let to = &mut self.lanes[lane];
        (to.taken, to.touched) = (true, true);
        let mut head = connection.spare_head();
        let batch_at = to.template.write(&mut head, correlation);
        shared.batch.set_sequence(&mut head[batch_at..], self.identity, to.sequence);
        shared.batch.seal(&mut head[batch_at..]);
        connection.push(head, Some(shared.tail.clone()));
        self.inflight.push_back((correlation, Sent::Batch { lane, at }));
    }

    fn send_end(&mut self, connection: &mut Connection) {
        let correlation = self.next_correlation();
        let mut request = connection.spare_head();
        end_request(&mut request, correlation, &self.id, self.identity);
        connection.push(request, None);
        self.inflight.push_back((correlation, Sent::End));
    }

    fn try_again(&mut self, shared: &mut Shared, what: Sent, now: u64) {
        shared.retries += 1;
        self.again.push_back((now + RETRY, what));
    }

    /// The transaction is ended: counts it, and is ready for the next.
    fn ended(&mut self, shared: &mut Shared, identity: (i64, i16), now: u64) {
        let (records, bytes) = (shared.batch.records() as u64, shared.batch.bytes() as u64);
        shared.transactions.latency(self.began, now);
        shared.transactions.complete(now, self.given * records, self.given * bytes);
        shared.markers += self.lanes.iter().filter(|lane| lane.touched).count() as u64;
        let renewed = identity != self.identity;
        self.identity = identity;
        self.given = 0;
        for lane in &mut self.lanes {
            lane.touched = false;
            if renewed {
                lane.sequence = 0;
            }
        }
    }
}

impl Actor for Producer {
    type Shared = Shared;

    fn start(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        self.go_on(shared, connection, now);
    }

    fn answered(
        &mut self,
        shared: &mut Shared,
        connection: &mut Connection,
        answer: &[u8],
        now: u64,
    ) -> Result<(), Error> {
        let (correlation, sent) =
            self.inflight.pop_front().ok_or(Error::Protocol("an answer that nothing asked for"))?;
        if Get::new(answer).i32()? != correlation {
            return Err(Error::Protocol("answers of one connection out of order"));
        }
        match sent {
            Sent::Batch { lane, at } => match parse_produce(answer)?.code {
                0 => {
                    let records = shared.batch.records();
                    shared.produced.latency(at, now);
                    shared.produced.complete(now, records as u64, shared.batch.bytes() as u64);
                    let lane = &mut self.lanes[lane];
                    lane.sequence = lane.sequence.wrapping_add(records) & i32::MAX;
                    lane.taken = false;
                }
                CONCURRENT_TRANSACTIONS => self.try_again(shared, sent, now),
                code if is_passing(code) => self.try_again(shared, sent, now),
                code => return Err(refused("Produce", &self.id, code)),
            },
            Sent::End => match parse_end(answer)? {
                (0, identity) => self.ended(shared, identity, now),
                (CONCURRENT_TRANSACTIONS, _) => self.try_again(shared, sent, now),
                (code, _) if is_passing(code) => self.try_again(shared, sent, now),
                (code, _) => return Err(refused("EndTxn", &self.id, code)),
            },
        }
        self.go_on(shared, connection, now);
        Ok(())
    }

    fn wake(&self) -> u64 {
        self.again.front().map_or(NEVER, |(at, _)| *at)
    }

    fn due(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) -> Result<(), Error> {
        while let Some((at, what)) = self.again.front().copied()
            && at <= now
        {
            self.again.pop_front();
            match what {
                Sent::Batch { lane, at } => self.send_batch(shared, connection, lane, at),
                Sent::End => self.send_end(connection),
            }
        }
        Ok(())
    }

    fn stop(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        self.stopped = true;
        self.go_on(shared, connection, now);
    }

    fn finished(&self) -> bool {
        self.given == 0 && self.inflight.is_empty() && self.again.is_empty()
    }
}

fn refused(request: &'static str, id: &str, code: i16) -> Error {
    Error::Broker { request, subject: id.to_owned(), code }
}

/// A whole EndTxn request, version 5, that commits.
fn end_request(out: &mut Vec<u8>, correlation: i32, id: &str, identity: (i64, i16)) {
    requests::begin(out, 26, 5, correlation, true);
    out.put_compact_string(id);
    out.put_i64(identity.0);
    out.put_i16(identity.1);
    out.put_i8(1); // commit
    out.put_uvarint(0);
    requests::finish(out, 0);
}

/// The error of an answer to EndTxn 5, and the identity of the next transaction.
fn parse_end(answer: &[u8]) -> Result<(i16, (i64, i16)), Error> {
    let mut get = Get::new(answer);
    get.i32()?;
    get.skip_tags()?;
    get.i32()?; // throttle time
    Ok((get.i16()?, (get.i64()?, get.i16()?)))
}

fn check(args: &TransactArgs) -> Result<(), Error> {
    let lanes = args.load.topics.topics * args.load.topics.partitions.max(0) as usize;
    if args.connections == 0 || args.inflight == 0 || args.inflight > lanes {
        let most = format!("--inflight from 1 to the number of partitions, {lanes}");
        return Err(Error::Usage(format!("--connections must be above 0, {most}")));
    }
    if args.transaction_ms.is_zero() && args.transaction_batches == 0 {
        return Err(Error::Usage("a transaction needs --transaction-ms or --transaction-batches".into()));
    }
    Ok(())
}

/// The `transact` workload. `Ok` has one object, and whether all went as it must.
pub fn run(args: &TransactArgs) -> Result<(Value, bool), Error> {
    check(args)?;
    let mut admin = Admin::new(&args.load.common.bootstrap);
    let layout = run::prepare(&mut admin, &args.load.topics)?;
    if layout.nodes.len() != 1 {
        return Err(Error::Usage("this workload is for a broker alone: it is its own coordinator".into()));
    }
    let before = admin.settled_offsets(&layout, LogEnd::Latest, PATIENCE)?;
    let window = Window::new(args.load.span.warmup, args.load.span.seconds);
    let batch = run::build_batch(&args.records)?.into_transactional();
    let length = args.transaction_ms.as_nanos() as u64;
    let options = Options {
        inflight: args.inflight,
        length: if length == 0 { NEVER } else { length },
        batches: if args.transaction_batches == 0 { u64::MAX } else { args.transaction_batches },
    };
    let shared = Shared {
        tail: ProduceTemplate::tail(&batch),
        options,
        produced: Flow::new(window)?,
        transactions: Flow::new(window)?,
        markers: 0,
        retries: 0,
        batch,
    };
    let mut stage: Stage<Producer> = Stage::new(shared, window)?;
    for i in 0..args.connections {
        let id = format!("{}-{i}", args.load.topics.topic);
        admin.coordinator(Coordinated::Transaction, &id)?;
        let identity = admin.init_producer(Some(&id))?;
        let lane = |t: &Target| Lane {
            template: ProduceTemplate::transactional(
                &id,
                &layout.topics[t.topic],
                t.partition,
                &stage.shared.batch,
            ),
            sequence: 0,
            taken: false,
            touched: false,
        };
        let lanes: Vec<Lane> = layout.targets.iter().map(lane).collect();
        let first = i * lanes.len().div_ceil(args.connections).max(1);
        let connection = Connection::new(connect(&layout.nodes[0])?, BUFFER)?;
        stage.add(connection, Producer::new(id, identity, lanes, first))?;
    }
    let outcome = stage.run(args.load.span.broker_pid)?;
    let due = stage.shared.produced.total.records + stage.shared.markers;
    let start: i64 = before.iter().sum();
    let arrived = stable_growth(&mut admin, &layout, start, due)?;
    run::clean_up(&mut admin, &args.load.topics)?;
    Ok(summary(&stage.shared, &outcome, due, arrived))
}

/// What the last stable offsets grew by, when that is `due`, or when the patience is over: the markers of the last
/// transactions may still be on their way.
fn stable_growth(admin: &mut Admin, layout: &Layout, start: i64, due: u64) -> Result<u64, Error> {
    let until = Instant::now() + MARKERS;
    loop {
        let end: i64 = admin.offsets(layout, LogEnd::Stable)?.iter().sum();
        let grown = (end - start).max(0) as u64;
        if grown >= due || Instant::now() >= until {
            return Ok(grown);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn summary(shared: &Shared, outcome: &Outcome, due: u64, arrived: u64) -> (Value, bool) {
    let seconds = outcome.seconds;
    let verdict = Verdict::new(due, arrived, false);
    let good = verdict == Verdict::Exact && outcome.unanswered == 0;
    let mut out = Map::new();
    out.insert("workload".into(), json!("transact"));
    out.insert("good".into(), json!(good));
    out.insert("produced".into(), shared.produced.to_json(seconds));
    out.insert("transactions".into(), shared.transactions.to_json(seconds));
    out.insert("markers".into(), json!(shared.markers));
    out.insert("retries".into(), json!(shared.retries));
    out.insert("arrived".into(), json!({"records": arrived, "verdict": verdict.name()}));
    report::put_outcome(&mut out, outcome);
    (Value::Object(out), good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_transaction_is_asked_for_and_understood() {
        let mut request = Vec::new();
        end_request(&mut request, 9, "an id", (5, 2));
        assert_eq!(i32::from_be_bytes(request[..4].try_into().unwrap()) as usize, request.len() - 4);
        let mut get = Get::new(&request[4..]);
        assert_eq!((get.i16().unwrap(), get.i16().unwrap(), get.i32().unwrap()), (26, 5, 9));
        get.string().unwrap();
        get.skip_tags().unwrap();
        assert_eq!(get.compact_string().unwrap(), "an id");
        assert_eq!((get.i64().unwrap(), get.i16().unwrap(), get.i8().unwrap()), (5, 2, 1));
        let mut answer = Vec::new();
        answer.put_i32(9);
        answer.put_uvarint(0);
        answer.put_i32(0);
        answer.put_i16(0);
        answer.put_i64(5);
        answer.put_i16(3);
        answer.put_uvarint(0);
        assert_eq!(parse_end(&answer).unwrap(), (0, (5, 3)));
        assert!(parse_end(&answer[..12]).is_err());
    }
}
