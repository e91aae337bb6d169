//! Consuming connections: fetch sessions, cursors, and the proof of what came.

use crate::{
    batch::next_batch,
    connection::Connection,
    error::Error,
    requests::{FetchFrom, FetchLimits, FetchedPartition, fetch_request, parse_fetch},
    stats::{Flow, Latency, Window},
};
use std::collections::HashMap;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const SESSION_NOT_FOUND: i16 = 70;
const INVALID_SESSION_EPOCH: i16 = 71;

/// How to consume.
#[derive(Debug, Clone, Copy)]
pub struct ConsumeOptions {
    pub limits: FetchLimits,
    pub sessions: bool,
    /// Compute every batch's checksum.
    pub check: bool,
}

/// What all consuming connections of a run share.
#[derive(Debug)]
pub struct Consuming {
    names: Vec<String>,
    numbers: HashMap<String, usize>,
    options: ConsumeOptions,
    /// Counted by batch; its latency is that of a whole fetch, waiting for data included.
    pub flow: Flow,
    pub fetches: u64,
    /// Time from when a batch was due to be sent until it was consumed, where batches tell it.
    pub end_to_end: Option<Latency>,
    /// Batches that did not begin at the offset that was due.
    pub gaps: u64,
    /// Batches whose checksum does not fit.
    pub corrupt: u64,
}

impl Consuming {
    pub fn new(
        names: &[String],
        options: ConsumeOptions,
        stamped: bool,
        window: Window,
    ) -> Result<Consuming, Error> {
        Ok(Consuming {
            names: names.to_vec(),
            numbers: names.iter().cloned().zip(0..).collect(),
            options,
            flow: Flow::new(window)?,
            fetches: 0,
            end_to_end: if stamped { Some(Latency::new()?) } else { None },
            gaps: 0,
            corrupt: 0,
        })
    }
}

/// Where a consumer is in one partition.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    /// Index into the layout's targets.
    pub target: usize,
    pub topic: usize,
    pub partition: i32,
    pub offset: i64,
    /// The consumer needs to read no further than this.
    pub until: i64,
    /// The broker's session does not know the offset yet.
    changed: bool,
}

impl Cursor {
    pub fn new(target: usize, topic: usize, partition: i32, offset: i64, until: i64) -> Cursor {
        Cursor { target, topic, partition, offset, until, changed: true }
    }

    pub fn finished(&self) -> bool {
        self.offset >= self.until
    }
}

/// The state of one consuming connection.
#[derive(Debug)]
pub struct Consumer {
    /// Sorted by topic, as requests want them.
    cursors: Vec<Cursor>,
    index: HashMap<(usize, i32), usize>,
    session: (i32, i32),
    correlation: i32,
    asked_at: u64,
}

impl Consumer {
    pub fn new(mut cursors: Vec<Cursor>, sessions: bool) -> Consumer {
        cursors.sort_by_key(|c| (c.topic, c.partition));
        let index = cursors.iter().enumerate().map(|(i, c)| ((c.topic, c.partition), i)).collect();
        Consumer { cursors, index, session: (0, if sessions { 0 } else { -1 }), correlation: 0, asked_at: 0 }
    }

    /// Sends the next fetch.
    pub fn fetch(&mut self, shared: &Consuming, connection: &mut Connection, now: u64) {
        let all = self.session.1 <= 0;
        let asked: Vec<FetchFrom<'_>> = self
            .cursors
            .iter()
            .filter(|c| all || c.changed)
            .map(|c| FetchFrom { topic: &shared.names[c.topic], partition: c.partition, offset: c.offset })
            .collect();
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        let mut request = connection.spare_head();
        fetch_request(&mut request, self.correlation, self.session, shared.options.limits, &asked);
        connection.push(request, None);
        self.cursors.iter_mut().for_each(|c| c.changed = false);
        self.asked_at = now;
    }

    /// Takes an answer; the next fetch is the caller's to send.
    pub fn answered(&mut self, shared: &mut Consuming, frame: &[u8], now: u64) -> Result<(), Error> {
        let head = parse_fetch(frame, |partition| self.fetched(shared, partition, now))?;
        if head.correlation != self.correlation {
            return Err(Error::Protocol("an answer to another fetch"));
        }
        shared.fetches += 1;
        shared.flow.latency(self.asked_at, now);
        match head.code {
            0 => self.continue_session(shared.options.sessions, head.session),
            SESSION_NOT_FOUND | INVALID_SESSION_EPOCH => {
                shared.flow.error(head.code);
                self.session = (0, 0);
            }
            code => {
                let subject = "a consumer's partitions".to_owned();
                return Err(Error::Broker { request: "Fetch", subject, code });
            }
        }
        Ok(())
    }

    fn continue_session(&mut self, sessions: bool, id: i32) {
        // Id 0 is a broker that keeps no session for us: then every fetch names all.
        self.session = match (sessions, id) {
            (false, _) => (0, -1),
            (true, 0) => (0, 0),
            (true, id) if self.session.0 == id => (id, self.session.1.checked_add(1).unwrap_or(1)),
            (true, id) => (id, 1),
        };
    }

    fn fetched(
        &mut self,
        shared: &mut Consuming,
        partition: FetchedPartition<'_>,
        now: u64,
    ) -> Result<(), Error> {
        let topic = shared.numbers.get(partition.topic).copied().unwrap_or(usize::MAX);
        let Some(&i) = self.index.get(&(topic, partition.partition)) else {
            return Err(Error::Protocol("a fetch answer for a partition that was not asked for"));
        };
        let cursor = &mut self.cursors[i];
        if partition.code != 0 {
            shared.flow.error(partition.code);
            if partition.code == OFFSET_OUT_OF_RANGE {
                // Retention was faster than this consumer: nothing more can be proven here.
                cursor.until = cursor.offset;
            }
            cursor.changed = true;
            return Ok(());
        }
        let mut records = partition.records;
        while let Some(batch) = next_batch(&mut records, shared.options.check)? {
            if batch.next_offset <= cursor.offset {
                continue;
            }
            shared.gaps += u64::from(batch.base_offset != cursor.offset);
            shared.corrupt += u64::from(batch.valid == Some(false));
            cursor.offset = batch.next_offset;
            cursor.changed = true;
            shared.flow.digest = shared.flow.digest.wrapping_add(u64::from(batch.crc));
            shared.flow.complete(now, batch.records.max(0) as u64, batch.bytes as u64);
            if let (Some(latency), Some(due)) = (&mut shared.end_to_end, batch.stamp)
                && shared.flow.window.contains(due)
            {
                latency.record(now.saturating_sub(due));
            }
        }
        Ok(())
    }

    /// Whether every partition is read as far as it must be.
    pub fn finished(&self) -> bool {
        self.cursors.iter().all(Cursor::finished)
    }

    /// Whether every partition is read up to `ends`, given by target.
    pub fn reached(&self, ends: &[i64]) -> bool {
        self.cursors.iter().all(|c| c.offset >= ends[c.target] || c.finished())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::{Batch, Shape},
        stats::Window,
    };

    fn consuming() -> Consuming {
        let limits = FetchLimits { max_wait_ms: 1, min_bytes: 1, max_bytes: 1, partition_max_bytes: 1 };
        let options = ConsumeOptions { limits, sessions: true, check: true };
        Consuming::new(&["t".to_owned()], options, true, Window { from: 0, to: u64::MAX / 2 }).unwrap()
    }

    fn partition(records: &[u8]) -> FetchedPartition<'_> {
        FetchedPartition { topic: "t", partition: 0, code: 0, high_watermark: 0, log_start: 0, records }
    }

    fn batch_at(offset: i64, stamp: u64) -> Vec<u8> {
        let batch = Batch::new(Shape { records: 10, record_bytes: 20, keyed: false }, 1, 1).unwrap();
        let mut head = batch.head().to_vec();
        batch.set_stamp(&mut head, stamp);
        batch.seal(&mut head);
        head[..8].copy_from_slice(&offset.to_be_bytes());
        [&head[..], batch.tail()].concat()
    }

    #[test]
    fn gaps_damage_and_latency_are_seen() {
        let mut shared = consuming();
        let mut consumer = Consumer::new(vec![Cursor::new(0, 0, 0, 0, 40)], true);
        let good = [batch_at(0, 500), batch_at(10, 500)].concat();
        consumer.fetched(&mut shared, partition(&good), 1500).unwrap();
        assert_eq!((shared.gaps, shared.corrupt, shared.flow.total.records), (0, 0, 20));
        assert_eq!(shared.end_to_end.as_ref().unwrap().micros(1.0), 1.0);
        // The batch at 20 is missing, and the one at 30 is damaged.
        let mut bad = batch_at(30, 500);
        let last = bad.len() - 1;
        bad[last] ^= 1;
        assert!(!consumer.finished());
        consumer.fetched(&mut shared, partition(&bad), 1500).unwrap();
        assert_eq!((shared.gaps, shared.corrupt), (1, 1));
        assert!(consumer.finished() && consumer.reached(&[40]) && consumer.reached(&[41]));
    }

    #[test]
    fn a_batch_seen_again_counts_once_and_a_cut_one_not_at_all() {
        let mut shared = consuming();
        let mut consumer = Consumer::new(vec![Cursor::new(0, 0, 0, 0, i64::MAX)], true);
        let (first, second) = (batch_at(0, 1), batch_at(10, 1));
        let cut = [&first[..], &second[..second.len() - 3]].concat();
        consumer.fetched(&mut shared, partition(&cut), 9).unwrap();
        consumer.fetched(&mut shared, partition(&first), 9).unwrap();
        assert_eq!((shared.flow.total.records, shared.gaps), (10, 0));
        assert!(consumer.reached(&[10]) && !consumer.reached(&[11]));
    }

    #[test]
    fn sessions_open_continue_and_start_again() {
        let mut consumer = Consumer::new(Vec::new(), true);
        consumer.continue_session(true, 7);
        assert_eq!(consumer.session, (7, 1));
        consumer.continue_session(true, 7);
        assert_eq!(consumer.session, (7, 2));
        consumer.continue_session(true, 0);
        assert_eq!(consumer.session, (0, 0));
    }
}
