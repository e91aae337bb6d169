//! Producing connections: what to send next, what is in flight, what an answer means.

use crate::{
    admin::Target,
    batch::Batch,
    connection::Connection,
    error::Error,
    keys::Keys,
    requests::{ProduceTemplate, parse_produce},
    stats::{Flow, Latency, Window},
};
use std::{collections::VecDeque, rc::Rc};

/// Requests that may be due and unanswered before an open loop is given up as overloaded: it
/// bounds this process's memory.
const MOST_OUTSTANDING: usize = 1_000_000;

/// How to produce.
#[derive(Debug, Clone, Copy)]
pub struct ProduceOptions {
    pub acks: i16,
    /// Requests in flight on a connection; 0 is no limit (open loop only).
    pub inflight: usize,
    /// Nanoseconds between two requests of an open loop; 0 is a closed loop.
    pub interval: f64,
    /// Write the time a batch was due into its first record.
    pub stamped: bool,
    /// Requests after which no more are sent; `u64::MAX` is no limit.
    pub limit: u64,
}

/// What all producing connections of a run share.
#[derive(Debug)]
pub struct Producing {
    batch: Batch,
    templates: Vec<ProduceTemplate>,
    tail: Rc<[u8]>,
    pub options: ProduceOptions,
    pub flow: Flow,
    /// How late a request left this process, from when it was due: large figures say that this
    /// tool, or an in-flight limit, was the bottleneck.
    pub send_delay: Latency,
    /// Requests that are due and not answered.
    pub outstanding: usize,
    /// The open loop was given up, because more than a million requests were unanswered.
    pub overloaded: bool,
    /// Per target: the offset behind the last record that was acknowledged, -1 for none.
    pub acknowledged_end: Vec<i64>,
    /// Requests that were given to the open loop's schedule, or that a closed loop has sent.
    scheduled: u64,
    /// The keys that records are given one after the other, where a run writes a number of them.
    keys: Option<Keys>,
}

impl Producing {
    /// `names[i]` and `targets[i]` say where template `i` goes.
    pub fn new(
        batch: Batch,
        names: &[String],
        targets: &[Target],
        options: ProduceOptions,
        window: Window,
    ) -> Result<Producing, Error> {
        let templates = targets
            .iter()
            .map(|t| ProduceTemplate::new(&names[t.topic], t.partition, options.acks, &batch))
            .collect();
        Producing::with(templates, batch, options, window)
    }

    /// The same for templates that are there already, each a target of its own.
    pub fn with(
        templates: Vec<ProduceTemplate>,
        batch: Batch,
        options: ProduceOptions,
        window: Window,
    ) -> Result<Producing, Error> {
        Ok(Producing {
            acknowledged_end: vec![-1; templates.len()],
            tail: ProduceTemplate::tail(&batch),
            templates,
            batch,
            options,
            flow: Flow::new(window)?,
            send_delay: Latency::new()?,
            outstanding: 0,
            overloaded: false,
            scheduled: 0,
            keys: None,
        })
    }

    /// Gives every record one of so many keys from now on, those of a partition in turn.
    pub fn vary_keys(&mut self, keys: u64) {
        self.keys = Some(Keys::new(keys, self.templates.len()));
    }

    /// Whether all requests that there were to send are sent or scheduled.
    pub fn exhausted(&self) -> bool {
        self.scheduled >= self.options.limit
    }

    /// Whether requests leave by the clock.
    pub fn open_loop(&self) -> bool {
        self.options.interval > 0.0
    }

    /// The number and due time of the schedule's next request, if it is due by `now`.
    pub fn next_due(&mut self, now: u64) -> Option<(u64, u64)> {
        if self.overloaded || self.exhausted() {
            return None;
        }
        let due = (self.scheduled as f64 * self.options.interval) as u64;
        if due > now {
            return None;
        }
        if self.outstanding >= MOST_OUTSTANDING {
            self.overloaded = true;
            return None;
        }
        self.scheduled += 1;
        Some((self.scheduled - 1, due))
    }
}

/// A request in flight.
#[derive(Debug, Clone, Copy)]
struct Sent {
    correlation: i32,
    due: u64,
    target: u32,
    crc: u32,
}

/// A partition that a connection produces to, and its next sequence.
#[derive(Debug, Clone, Copy)]
struct Lane {
    target: u32,
    sequence: i32,
}

/// The state of one producing connection.
#[derive(Debug)]
pub struct Producer {
    lanes: Vec<Lane>,
    next_lane: usize,
    inflight: VecDeque<Sent>,
    /// Due times of requests that the in-flight limit holds back.
    held: VecDeque<u64>,
    identity: Option<(i64, i16)>,
    correlation: i32,
}

impl Producer {
    /// Takes turns between `targets` (indices of templates), beginning with the `first`.
    pub fn new(targets: &[u32], first: usize, identity: Option<(i64, i16)>) -> Producer {
        Producer {
            next_lane: first % targets.len().max(1),
            lanes: targets.iter().map(|&target| Lane { target, sequence: 0 }).collect(),
            inflight: VecDeque::new(),
            held: VecDeque::new(),
            identity,
            correlation: 0,
        }
    }

    /// A request of the open loop is due: it leaves now, or as soon as the limit lets it.
    pub fn due(&mut self, shared: &mut Producing, connection: &mut Connection, due: u64, now: u64) {
        shared.outstanding += 1;
        let limit = shared.options.inflight;
        if limit == 0 || self.inflight.len() < limit {
            self.send(shared, connection, due, now);
        } else {
            self.held.push_back(due);
        }
    }

    /// Closed loop: fills the connection up to its limit.
    pub fn refill(&mut self, shared: &mut Producing, connection: &mut Connection, now: u64) {
        let without_answer = shared.options.acks == 0;
        loop {
            let busy = if without_answer { connection.waiting() } else { self.inflight.len() };
            if busy >= shared.options.inflight || shared.exhausted() {
                return;
            }
            shared.scheduled += 1;
            shared.outstanding += 1;
            self.send(shared, connection, now, now);
        }
    }

    fn send(&mut self, shared: &mut Producing, connection: &mut Connection, due: u64, now: u64) {
        let turn = self.next_lane;
        self.next_lane = if turn + 1 == self.lanes.len() { 0 } else { turn + 1 };
        let lane = &mut self.lanes[turn];
        let batch = &shared.batch;
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let mut head = connection.spare_head();
        let at = shared.templates[lane.target as usize].write(&mut head, self.correlation);
        let patched = &mut head[at..];
        if let Some(identity) = self.identity {
            batch.set_sequence(patched, identity, lane.sequence);
            lane.sequence = lane.sequence.wrapping_add(batch.records()) & i32::MAX;
        }
        if shared.options.stamped {
            batch.set_stamp(patched, due);
        }
        let (crc, tail) = if let Some(keys) = &mut shared.keys {
            // Every record differs from request to request: nothing of the batch can be shared.
            head.extend_from_slice(&shared.tail);
            let whole = &mut head[at..at + batch.bytes()];
            (batch.set_keys(whole, || keys.next(lane.target as usize)), None)
        } else if self.identity.is_some() || shared.options.stamped {
            (batch.seal(patched), Some(shared.tail.clone()))
        } else {
            let crc = u32::from_be_bytes([patched[17], patched[18], patched[19], patched[20]]);
            (crc, Some(shared.tail.clone()))
        };
        connection.push(head, tail);
        if shared.flow.window.contains(due) {
            shared.send_delay.record(now.saturating_sub(due));
        }
        let sent = Sent { correlation: self.correlation, due, target: lane.target, crc };
        if shared.options.acks == 0 {
            self.acknowledge(shared, sent, now);
        } else {
            self.inflight.push_back(sent);
        }
    }

    fn acknowledge(&mut self, shared: &mut Producing, sent: Sent, now: u64) {
        shared.outstanding -= 1;
        shared.flow.digest = shared.flow.digest.wrapping_add(u64::from(sent.crc));
        shared.flow.complete(now, shared.batch.records() as u64, shared.batch.bytes() as u64);
    }

    /// Takes an answer, and sends what the limit held back.
    pub fn answered(
        &mut self,
        shared: &mut Producing,
        connection: &mut Connection,
        frame: Answered,
        now: u64,
    ) -> Result<(), Error> {
        let sent = self.inflight.pop_front().ok_or(Error::Protocol("an answer that nothing asked for"))?;
        if frame.0.correlation != sent.correlation {
            return Err(Error::Protocol("answers of one connection out of order"));
        }
        shared.flow.latency(sent.due, now);
        if frame.0.code == 0 {
            let end = &mut shared.acknowledged_end[sent.target as usize];
            *end = (*end).max(frame.0.base_offset + i64::from(shared.batch.records()));
            self.acknowledge(shared, sent, now);
        } else {
            shared.outstanding -= 1;
            shared.flow.error(frame.0.code);
        }
        if let Some(due) = self.held.pop_front() {
            self.send(shared, connection, due, now);
        }
        Ok(())
    }

    /// The connection is lost: what was in flight will not be answered. Its latency is what has
    /// passed until `now`, so that it is not missing from the histogram.
    pub fn lost(&mut self, shared: &mut Producing, now: u64) -> u64 {
        let dues = self.inflight.drain(..).map(|s| s.due).chain(self.held.drain(..));
        let mut unanswered = 0;
        for due in dues {
            shared.outstanding -= 1;
            shared.flow.latency(due, now);
            unanswered += 1;
        }
        unanswered
    }
}

/// A parsed Produce answer: parsed before the connection is borrowed to send the next.
#[derive(Debug, Clone, Copy)]
pub struct Answered(crate::requests::ProduceAnswer);

impl Answered {
    pub fn parse(frame: &[u8]) -> Result<Answered, Error> {
        parse_produce(frame).map(Answered)
    }
}
