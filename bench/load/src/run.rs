//! Sets runs up, and proves at their end that what was acknowledged is there.

use crate::{
    admin::{Admin, Layout, LogEnd},
    args::{AlterArgs, ConsumeArgs, CreateArgs, FetchArgs, From, ProduceArgs, ReadyArgs, Records, Topics},
    batch::{Batch, Shape},
    connection::{Connection, connect},
    consumer::{ConsumeOptions, Consumer, Consuming, Cursor},
    engine::{Engine, Outcome, Role, Until},
    error::Error,
    os,
    producer::{ProduceOptions, Producer, Producing},
    requests::FetchLimits,
    stats::Window,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Patience for partitions to get their leaders.
const LEADERS: Duration = Duration::from_secs(120);
/// Receive buffers to begin with: an answer to Produce is small, one to Fetch is not.
pub(crate) const PRODUCER_BUFFER: usize = 4 << 10;
const CONSUMER_BUFFER: usize = 1 << 20;
/// The longest catch-up.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the log end offsets say about what was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Exactly the acknowledged records are there.
    Exact,
    /// All are there, and more: possible only where requests failed or were not answered.
    AtLeast,
    /// Records are missing, or there are more than can be explained.
    Wrong,
}

impl Verdict {
    pub(crate) fn new(acknowledged: u64, arrived: u64, unsure: bool) -> Verdict {
        match arrived.cmp(&acknowledged) {
            std::cmp::Ordering::Equal => Verdict::Exact,
            std::cmp::Ordering::Greater if unsure => Verdict::AtLeast,
            _ => Verdict::Wrong,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Exact => "exact",
            Verdict::AtLeast => "at least",
            Verdict::Wrong => "WRONG",
        }
    }
}

/// All that a run found out.
#[derive(Debug)]
pub struct Finished {
    pub name: &'static str,
    pub outcome: Outcome,
    pub producing: Option<Producing>,
    pub consuming: Option<Consuming>,
    /// What the log end offsets grew by, where something was produced, and what that says.
    pub arrived: Option<(u64, Verdict)>,
    /// Records that left the logs at their starts meanwhile: retention deleted them.
    pub deleted: u64,
    /// Records that consumers had to read, where that is known, and whether they did.
    pub to_read: Option<(u64, Verdict)>,
    pub end_to_end: bool,
}

impl Finished {
    /// Whether all went as it must.
    pub fn good(&self) -> bool {
        let consumed = self.consuming.as_ref().is_none_or(|c| {
            c.gaps == 0 && c.corrupt == 0 && c.flow.errors.is_empty() && !self.outcome.unread
        });
        let produced = self.producing.as_ref().is_none_or(|p| p.flow.errors.is_empty() && !p.overloaded);
        let proven =
            [self.arrived, self.to_read].iter().flatten().all(|(_, verdict)| *verdict == Verdict::Exact);
        consumed && produced && proven && self.outcome.lost_connections == 0 && self.outcome.unanswered == 0
    }
}

/// Creates what is missing and waits for leaders.
pub(crate) fn prepare(admin: &mut Admin, topics: &Topics) -> Result<Layout, Error> {
    let names = topics.names();
    for name in &names {
        if topics.fresh {
            admin.delete_topic(name)?;
        }
        admin.create_topic(name, topics.partitions, 1, &topics.configs)?;
    }
    admin.layout(&names, topics.partitions, LEADERS)
}

/// The batch that a run sends again and again.
pub(crate) fn build_batch(records: &Records) -> Result<Batch, Error> {
    let shape = Shape {
        records: records.records_per_batch,
        record_bytes: records.record_bytes,
        keyed: records.keyed,
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Batch::new(shape, now.as_millis() as i64, now.as_nanos() as u64)
}

fn consume_options(fetch: &FetchArgs) -> ConsumeOptions {
    ConsumeOptions {
        limits: FetchLimits {
            max_wait_ms: fetch.max_wait_ms,
            min_bytes: fetch.min_bytes,
            max_bytes: fetch.max_bytes,
            partition_max_bytes: fetch.partition_max_bytes,
        },
        sessions: !fetch.no_session,
        check: fetch.check,
    }
}

/// Opens producing connections, in turn to each node, each with the partitions that node leads.
fn add_producers(
    engine: &mut Engine,
    layout: &Layout,
    connections: usize,
    identities: Vec<(i64, i16)>,
) -> Result<(), Error> {
    let targets_of: Vec<Vec<u32>> = (0..layout.nodes.len())
        .map(|node| (0..).zip(&layout.targets).filter(|(_, t)| t.node == node).map(|(i, _)| i).collect())
        .collect();
    for i in 0..connections {
        let node = i % layout.nodes.len();
        // Begin apart from each other, so that connections do not walk the partitions in step.
        let first = i * targets_of[node].len().div_ceil(connections).max(1);
        let producer = Producer::new(&targets_of[node], first, identities.get(i).copied());
        let connection = Connection::new(connect(&layout.nodes[node])?, PRODUCER_BUFFER)?;
        engine.add(connection, Role::Producer(producer))?;
    }
    Ok(())
}

/// Opens consuming connections: `consumers` to each node, with all its partitions or a share.
fn add_consumers(
    engine: &mut Engine,
    layout: &Layout,
    consumers: usize,
    fan_out: bool,
    sessions: bool,
    bounds: &[(i64, i64)],
) -> Result<(), Error> {
    for i in 0..consumers {
        for (node, address) in layout.nodes.iter().enumerate() {
            let cursors: Vec<Cursor> = layout
                .targets
                .iter()
                .enumerate()
                .filter(|(n, t)| t.node == node && (fan_out || n % consumers == i))
                .map(|(n, t)| Cursor::new(n, t.topic, t.partition, bounds[n].0, bounds[n].1))
                .collect();
            if cursors.is_empty() {
                continue;
            }
            let connection = Connection::new(connect(address)?, CONSUMER_BUFFER)?;
            engine.add(connection, Role::Consumer(Consumer::new(cursors, sessions)))?;
        }
    }
    Ok(())
}

/// The `produce` and `end-to-end` workloads.
pub fn produce(args: &ProduceArgs, end_to_end: bool) -> Result<Finished, Error> {
    if args.rate <= 0.0 && args.inflight == 0 {
        return Err(Error::Usage("a closed loop needs --inflight 1 or more".into()));
    }
    if args.keys > 0 && !args.records.keyed {
        return Err(Error::Usage("--keys needs --keyed".into()));
    }
    if end_to_end && args.acks == 0 {
        return Err(Error::Usage("end-to-end needs --acks 1 or all, or its end is not known".into()));
    }
    let consumers = if end_to_end { args.tail.consumers.max(1) } else { args.tail.consumers };
    let mut admin = Admin::new(&args.load.common.bootstrap);
    let layout = prepare(&mut admin, &args.load.topics)?;
    let before = admin.settled_offsets(&layout, LogEnd::Latest, LEADERS)?;
    let first = admin.offsets(&layout, LogEnd::Earliest)?;
    let window = Window::new(args.load.span.warmup, args.load.span.seconds);
    let options = ProduceOptions {
        acks: args.acks,
        inflight: args.inflight,
        interval: if args.rate > 0.0 { 1e9 / args.rate } else { 0.0 },
        stamped: end_to_end,
        limit: if args.requests == 0 { u64::MAX } else { args.requests },
    };
    let batch = build_batch(&args.records)?;
    let mut producing = Producing::new(batch, &layout.topics, &layout.targets, options, window)?;
    if args.keys > 0 {
        producing.vary_keys(args.keys);
    }
    let consume = consume_options(&args.tail.fetch);
    let consuming = match consumers {
        0 => None,
        _ => Some(Consuming::new(&layout.topics, consume, end_to_end, window)?),
    };
    let ids = if args.idempotent { args.connections } else { 0 };
    let identities = (0..ids).map(|_| admin.producer_id()).collect::<Result<_, _>>()?;
    let mut engine = Engine::new(Some(producing), consuming, Until::TimeIsOver, args.load.span.broker_pid)?;
    let bounds: Vec<(i64, i64)> = before.iter().map(|&offset| (offset, i64::MAX)).collect();
    add_consumers(&mut engine, &layout, consumers, args.tail.fetch.fan_out, consume.sessions, &bounds)?;
    add_producers(&mut engine, &layout, args.connections, identities)?;
    let outcome = engine.run()?;
    let name = if end_to_end { "end-to-end" } else { "produce" };
    let readers = if args.tail.fetch.fan_out { consumers as u64 } else { consumers.min(1) as u64 };
    let mut finished = prove(name, engine, outcome, &mut admin, &layout, &before, readers)?;
    finished.deleted = grown_by(&mut admin, &layout, &first, LogEnd::Earliest)?;
    clean_up(&mut admin, &args.load.topics)?;
    Ok(finished)
}

/// Compares what was acknowledged and consumed with what the log end offsets grew by.
fn prove(
    name: &'static str,
    engine: Engine,
    outcome: Outcome,
    admin: &mut Admin,
    layout: &Layout,
    before: &[i64],
    readers: u64,
) -> Result<Finished, Error> {
    let producing = engine.producing;
    let mut arrived = None;
    let mut to_read = None;
    if let Some(p) = &producing {
        let acknowledged = p.flow.total.records;
        let unsure = outcome.unanswered > 0 || !p.flow.errors.is_empty();
        let mut grown = grown_by(admin, layout, before, LogEnd::Latest)?;
        // Without acknowledgements the last requests may still be on their way; and who acknowledges what the device
        // does not have yet may show it later.
        let mut patience = 50;
        while grown < acknowledged && patience > 0 {
            std::thread::sleep(Duration::from_millis(100));
            grown = grown_by(admin, layout, before, LogEnd::Latest)?;
            patience -= 1;
        }
        arrived = Some((grown, Verdict::new(acknowledged, grown, unsure)));
        if let Some(c) = &engine.consuming
            && p.options.acks != 0
        {
            let due = acknowledged * readers;
            to_read = Some((due, Verdict::new(due, c.flow.total.records, unsure)));
        }
    }
    let end_to_end = name == "end-to-end";
    let consuming = engine.consuming;
    Ok(Finished { name, outcome, producing, consuming, arrived, deleted: 0, to_read, end_to_end })
}

/// By how many offsets one end of the logs moved.
fn grown_by(admin: &mut Admin, layout: &Layout, before: &[i64], end: LogEnd) -> Result<u64, Error> {
    let after = admin.offsets(layout, end)?;
    Ok(after.iter().zip(before).map(|(a, b)| a - b).sum::<i64>().max(0) as u64)
}

/// The `consume` workload.
pub fn consume(args: &ConsumeArgs) -> Result<Finished, Error> {
    if args.consumers == 0 {
        return Err(Error::Usage("--consumers must be 1 or more".into()));
    }
    let mut admin = Admin::new(&args.load.common.bootstrap);
    let layout = admin.layout(&args.load.topics.names(), args.load.topics.partitions, LEADERS)?;
    let latest = admin.settled_offsets(&layout, LogEnd::Latest, LEADERS)?;
    let (until, window, bounds): (_, _, Vec<(i64, i64)>) = match args.from {
        From::Start => {
            let earliest = admin.offsets(&layout, LogEnd::Earliest)?;
            let window = Window::new(Duration::ZERO, LONGEST);
            (Until::AllIsRead, window, earliest.into_iter().zip(latest.iter().copied()).collect())
        }
        From::End => {
            let window = Window::new(args.load.span.warmup, args.load.span.seconds);
            (Until::TimeIsOver, window, latest.iter().map(|&o| (o, i64::MAX)).collect())
        }
    };
    let options = consume_options(&args.fetch);
    let consuming = Consuming::new(&layout.topics, options, false, window)?;
    let live = args.live_topic.as_ref().map(|topic| live_layout(&mut admin, args, topic)).transpose()?;
    let live_before = live.as_ref().map(|l| admin.settled_offsets(l, LogEnd::Latest, LEADERS)).transpose()?;
    let producing = live.as_ref().map(|l| live_producing(args, l, window)).transpose()?;
    let mut engine = Engine::new(producing, Some(consuming), until, args.load.span.broker_pid)?;
    add_consumers(&mut engine, &layout, args.consumers, args.fetch.fan_out, options.sessions, &bounds)?;
    if let Some(live) = &live {
        add_producers(&mut engine, live, args.live_connections, Vec::new())?;
    }
    let outcome = engine.run()?;
    let readers = if args.fetch.fan_out { args.consumers as u64 } else { 1 };
    let due = (until == Until::AllIsRead)
        .then(|| bounds.iter().map(|(from, to)| (to - from) as u64).sum::<u64>() * readers);
    let read = engine.consuming.as_ref().map_or(0, |c| c.flow.total.records);
    let live = live.unwrap_or_default();
    let mut finished =
        prove("consume", engine, outcome, &mut admin, &live, &live_before.unwrap_or_default(), 0)?;
    finished.to_read = due.map(|due| (due, Verdict::new(read, due, false)));
    clean_up(&mut admin, &args.load.topics)?;
    Ok(finished)
}

fn live_layout(admin: &mut Admin, args: &ConsumeArgs, topic: &str) -> Result<Layout, Error> {
    admin.create_topic(topic, args.load.topics.partitions, 1, &args.load.topics.configs)?;
    admin.layout(&[topic.to_owned()], args.load.topics.partitions, LEADERS)
}

fn live_producing(args: &ConsumeArgs, live: &Layout, window: Window) -> Result<Producing, Error> {
    if args.live_rate <= 0.0 || args.live_connections == 0 {
        return Err(Error::Usage("a live producer needs a rate and connections".into()));
    }
    let interval = 1e9 / args.live_rate;
    let options = ProduceOptions { acks: -1, inflight: 0, interval, stamped: false, limit: u64::MAX };
    Producing::new(build_batch(&args.live_records)?, &live.topics, &live.targets, options, window)
}

/// Deletes the topics, where that is asked for.
pub(crate) fn clean_up(admin: &mut Admin, topics: &Topics) -> Result<(), Error> {
    if topics.delete_after {
        for name in topics.names() {
            admin.delete_topic(&name)?;
        }
    }
    Ok(())
}

/// The `create` command. Returns the partitions there are.
pub fn create(args: &CreateArgs) -> Result<usize, Error> {
    let mut admin = Admin::new(&args.common.bootstrap);
    let layout = prepare(&mut admin, &args.topics)?;
    Ok(admin.settled_offsets(&layout, LogEnd::Latest, LEADERS)?.len())
}

/// The `alter` command. Returns whether there is such a topic.
pub fn alter(args: &AlterArgs) -> Result<bool, Error> {
    let set = args.configs.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    let configs: Vec<_> = set.chain(args.unset.iter().map(|name| (name.clone(), None))).collect();
    if configs.is_empty() {
        return Err(Error::Usage("nothing is to be changed: --config or --unset".into()));
    }
    let exists = Admin::new(&args.common.bootstrap).alter_topic(&args.topic, &configs)?;
    if !exists && !args.if_exists {
        let subject = args.topic.clone();
        return Err(Error::Broker { request: "IncrementalAlterConfigs", subject, code: 3 });
    }
    Ok(exists)
}

/// The `ready` command: returns when every partition answers for the end of its log, as
/// nanoseconds since 1970, and the sum of the log end offsets.
pub fn ready(args: &ReadyArgs) -> Result<(u128, u64), Error> {
    let until = std::time::Instant::now() + args.patience;
    let mut admin = Admin::new(&args.common.bootstrap);
    let names = args.topics.names();
    loop {
        let served = admin
            .layout(&names, args.topics.partitions, Duration::ZERO)
            .and_then(|layout| admin.offsets(&layout, LogEnd::Latest));
        match served {
            Ok(ends) => {
                let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                return Ok((at, ends.iter().sum::<i64>().max(0) as u64));
            }
            Err(e) if std::time::Instant::now() >= until => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Pins and raises limits, before any of the above.
pub fn settle(core: Option<usize>) -> Result<(), Error> {
    os::raise_open_files();
    core.map_or(Ok(()), os::pin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_forgives_more_only_where_answers_are_missing() {
        assert_eq!(Verdict::new(10, 10, false), Verdict::Exact);
        assert_eq!(Verdict::new(10, 9, true), Verdict::Wrong);
        assert_eq!(Verdict::new(10, 11, false), Verdict::Wrong);
        assert_eq!(Verdict::new(10, 11, true), Verdict::AtLeast);
    }
}
