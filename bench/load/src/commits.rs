//! Offset commits of many groups: what a broker does for programs that consume in small steps.
//!
//! Every group has one member of the classic protocol, which has joined, keeps its place by heartbeats, and commits
//! the next offset of all its partitions when its last commit is answered. The members share a number of connections,
//! each with a number of commits in flight. The proof at the end: every group has committed what was acknowledged
//! last.

use crate::{
    actors::{Actor, NEVER, Stage},
    admin::Admin,
    args::CommitArgs,
    connection::{Connection, connect},
    coordinators::Coordinated,
    engine::Outcome,
    error::Error,
    groups, report,
    requests::CORRELATION_AT,
    run,
    stats::{Flow, Window},
    wire::Get,
};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// Nanoseconds in which members that share a connection each send a heartbeat: the Java client's
/// `heartbeat.interval.ms`.
const HEARTBEAT: u64 = 3_000_000_000;
const BUFFER: usize = 4 << 10;

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    topic: String,
    partitions: i32,
    inflight: usize,
    pub commits: Flow,
    pub heartbeats: u64,
    /// Groups whose member is no longer one: somebody else has joined, or a heartbeat came too late.
    pub lost_members: u64,
}

/// A group's member.
#[derive(Debug)]
struct Committing {
    member: groups::Member,
    /// OffsetCommit but for its correlation id and offsets.
    request: Vec<u8>,
    offsets_at: Vec<usize>,
    /// The offset that was committed last, and whether the next one is on its way.
    acknowledged: i64,
    taken: bool,
}

#[derive(Debug, Clone, Copy)]
enum Sent {
    Commit { of: usize, at: u64 },
    Heartbeat,
}

/// The members that share a connection.
#[derive(Debug)]
pub struct Committer {
    members: Vec<Committing>,
    next: usize,
    inflight: VecDeque<(i32, Sent)>,
    commits_in_flight: usize,
    /// Whose heartbeat is next, and when.
    next_to_beat: usize,
    beat_at: u64,
    correlation: i32,
    stopped: bool,
}

impl Committer {
    fn new(members: Vec<groups::Member>, topic: &str, partitions: i32) -> Committer {
        let committing = |member: groups::Member| {
            let (request, offsets_at) = groups::commit(&member, topic, partitions);
            Committing { member, request, offsets_at, acknowledged: -1, taken: false }
        };
        Committer {
            members: members.into_iter().map(committing).collect(),
            next: 0,
            inflight: VecDeque::new(),
            commits_in_flight: 0,
            next_to_beat: 0,
            beat_at: NEVER,
            correlation: 0,
            stopped: false,
        }
    }

    /// Nanoseconds between two heartbeats on the connection.
    fn interval(&self) -> u64 {
        HEARTBEAT / self.members.len().max(1) as u64
    }

    fn next_correlation(&mut self) -> i32 {
        self.correlation = self.correlation.wrapping_add(1) & i32::MAX;
        self.correlation
    }

    /// Fills the connection up to its limit; the members take turns.
    fn fill(&mut self, limit: usize, connection: &mut Connection, now: u64) {
        while !self.stopped && self.commits_in_flight < limit {
            let count = self.members.len();
            let free = (0..count).map(|i| (self.next + i) % count).find(|i| !self.members[*i].taken);
            let Some(of) = free else { return };
            self.next = (of + 1) % count;
            let correlation = self.next_correlation();
            let member = &mut self.members[of];
            member.taken = true;
            let mut request = connection.spare_head();
            request.clear();
            request.extend_from_slice(&member.request);
            request[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation.to_be_bytes());
            let offset = (member.acknowledged + 1).to_be_bytes();
            for at in &member.offsets_at {
                request[*at..*at + offset.len()].copy_from_slice(&offset);
            }
            connection.push(request, None);
            self.commits_in_flight += 1;
            self.inflight.push_back((correlation, Sent::Commit { of, at: now }));
        }
    }
}

impl Actor for Committer {
    type Shared = Shared;

    fn start(&mut self, shared: &mut Shared, connection: &mut Connection, now: u64) {
        self.beat_at = now + self.interval();
        self.fill(shared.inflight, connection, now);
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
        let mut get = Get::new(answer);
        if get.i32()? != correlation {
            return Err(Error::Protocol("answers of one connection out of order"));
        }
        match sent {
            Sent::Commit { of, at } => {
                let (code, partitions) = groups::parse_commit(get.rest())?;
                self.commits_in_flight -= 1;
                let member = &mut self.members[of];
                member.taken = false;
                shared.commits.latency(at, now);
                if code != 0 {
                    shared.commits.error(code);
                } else if partitions != shared.partitions as usize {
                    return Err(Error::Protocol("an OffsetCommit answer for other partitions"));
                } else {
                    member.acknowledged += 1;
                    shared.commits.complete(now, partitions as u64, 0);
                }
            }
            Sent::Heartbeat => {
                shared.heartbeats += 1;
                shared.lost_members += u64::from(groups::simple_code(get.rest())? != 0);
            }
        }
        self.fill(shared.inflight, connection, now);
        Ok(())
    }

    fn wake(&self) -> u64 {
        self.beat_at
    }

    fn due(&mut self, _: &mut Shared, connection: &mut Connection, now: u64) -> Result<(), Error> {
        let correlation = self.next_correlation();
        let member = &self.members[self.next_to_beat].member;
        let mut request = connection.spare_head();
        groups::request(&mut request, groups::HEARTBEAT, correlation, &groups::same_start(member));
        connection.push(request, None);
        self.inflight.push_back((correlation, Sent::Heartbeat));
        self.next_to_beat = (self.next_to_beat + 1) % self.members.len();
        self.beat_at = now.max(self.beat_at) + self.interval();
        Ok(())
    }

    fn stop(&mut self, _: &mut Shared, _: &mut Connection, _: u64) {
        self.stopped = true;
        self.beat_at = NEVER;
    }

    fn finished(&self) -> bool {
        self.inflight.is_empty()
    }
}

fn check(args: &CommitArgs) -> Result<(), Error> {
    let each = args.groups / args.connections.max(1);
    if args.connections == 0 || args.inflight == 0 || args.inflight > each {
        return Err(Error::Usage(format!(
            "--connections must be above 0, --inflight from 1 to the groups of a connection, {each}"
        )));
    }
    if args.load.topics.topics != 1 {
        return Err(Error::Usage("this workload commits to one topic".into()));
    }
    Ok(())
}

/// The `commit-offsets` workload. `Ok` has one object, and whether all went as it must.
pub fn run(args: &CommitArgs) -> Result<(Value, bool), Error> {
    check(args)?;
    let mut admin = Admin::new(&args.load.common.bootstrap);
    run::prepare(&mut admin, &args.load.topics)?;
    let topic = args.load.topics.topic.clone();
    let partitions = args.load.topics.partitions;
    let window = Window::new(args.load.span.warmup, args.load.span.seconds);
    let shared = Shared {
        topic: topic.clone(),
        partitions,
        inflight: args.inflight,
        commits: Flow::new(window)?,
        heartbeats: 0,
        lost_members: 0,
    };
    let mut of_connection: Vec<Vec<groups::Member>> = vec![Vec::new(); args.connections];
    for i in 0..args.groups {
        let group = format!("{topic}-{i}");
        if i == 0 {
            // The others' coordinators are there when the first one's is, or soon: joining waits for them.
            admin.coordinator(Coordinated::Group, &group)?;
        }
        let member = admin.join_alone(&group, &topic, partitions)?;
        of_connection[i % args.connections].push(member);
    }
    let mut stage: Stage<Committer> = Stage::new(shared, window)?;
    for members in of_connection {
        let connection = Connection::new(connect(&args.load.common.bootstrap)?, BUFFER)?;
        stage.add(connection, Committer::new(members, &topic, partitions))?;
    }
    let outcome = stage.run(args.load.span.broker_pid)?;
    let forgotten = proof(&mut admin, &stage)?;
    for committing in stage.actors().flat_map(|committer| &committer.members) {
        admin.leave(&committing.member)?;
    }
    run::clean_up(&mut admin, &args.load.topics)?;
    Ok(summary(&stage.shared, &outcome, args.groups, forgotten))
}

/// How many groups have committed something else than what was acknowledged last.
fn proof(admin: &mut Admin, stage: &Stage<Committer>) -> Result<u64, Error> {
    let shared = &stage.shared;
    let mut wrong = 0;
    for committing in stage.actors().flat_map(|committer| &committer.members) {
        // From an earlier run there may be more than nothing.
        if committing.acknowledged >= 0 {
            let there = admin.committed(&committing.member.group, &shared.topic, shared.partitions)?;
            wrong += u64::from(there.iter().any(|offset| *offset != committing.acknowledged));
        }
    }
    Ok(wrong)
}

fn summary(shared: &Shared, outcome: &Outcome, groups: usize, forgotten: u64) -> (Value, bool) {
    let all_well = shared.commits.errors.is_empty() && shared.lost_members == 0;
    let good = all_well && forgotten == 0 && outcome.unanswered == 0;
    let mut out = Map::new();
    out.insert("workload".into(), json!("commit-offsets"));
    out.insert("good".into(), json!(good));
    out.insert("groups".into(), json!(groups));
    out.insert("committed".into(), shared.commits.to_json(outcome.seconds));
    out.insert("heartbeats".into(), json!(shared.heartbeats));
    out.insert("lost_members".into(), json!(shared.lost_members));
    out.insert("groups_with_other_offsets".into(), json!(forgotten));
    report::put_outcome(&mut out, outcome);
    (Value::Object(out), good)
}
