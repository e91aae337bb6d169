//! One run: the broker and its clients in a world of a seed, from the first start to the last look.

use crate::book::Counts;
use crate::check;
use crate::clients::{
    Client, admin, audit, consumer, member, plain, planter, producer, reader, sharer, transaction,
};
use crate::control::{Control, Phase};
use crate::coordination::Coordination;
use crate::judge;
use crate::node::Node;
use crate::patterns;
use crate::plan::{End, Plan};
use crate::shares;
use crate::tamper::Bug;
use base::Random;
use executor::{Executor, IdlePolicy};
use memory::Pool;
use sim_driver::{DiskFaults, NodeId, World};
use std::rc::Rc;
use std::time::Duration;

const CLIENT_POOL_BYTES: usize = 8 << 20;
/// Everything that must come about does so within this much of virtual time.
const LIMIT: Duration = Duration::from_secs(60);
/// Successes that each client must have when all is well.
const PROGRESS: u64 = 3;

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Lines of the trace to keep.
    pub log_lines: usize,
    /// A deliberate bug, which is to be found.
    pub bug: Option<Bug>,
}

/// A run in which no rule was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// A hash over all that happened.
    pub trace_hash: u64,
    /// What happened, in numbers.
    pub counts: Counts,
    /// Virtual time that passed.
    pub time: Duration,
    /// The kept lines of the trace.
    pub log: Vec<String>,
}

/// A run in which a rule was broken.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Which, and what was found.
    pub what: String,
    /// Where the run stood.
    pub when: String,
    /// The kept lines of the trace.
    pub log: Vec<String>,
}

struct Run {
    plan: Plan,
    bug: Option<Bug>,
    world: World,
    node: Node,
    clients_node: NodeId,
    clients: Executor,
    control: Rc<Control>,
    random: Random,
    capacity: u64,
    disk_faults: DiskFaults,
    /// A write or sync has failed: the broker may be offline until it is started again.
    hurt: bool,
    /// The disk has no room now.
    full: bool,
    stage: String,
}

/// Runs a seed. Equal seeds and options give equal results.
pub fn run(seed: u64, options: &RunOptions) -> Result<Report, Failure> {
    let mut plan = Plan::new(seed);
    plan.world.log_lines = options.log_lines;
    if options.bug == Some(Bug::ShownTooEarly) {
        (plan.crowd.idempotent, plan.crowd.plain, plan.crowd.admin) = (0, 3, false);
        plan.only_unacknowledged = true;
        plan.coordination = None;
    }
    if options.bug == Some(Bug::ClientRepeatsItself) {
        plan.crowd.plain = plan.crowd.plain.max(1);
    }
    base::mistakes::make(options.bug.and_then(Bug::mistake));
    let mut run = Run::new(plan, options.bug);
    let result = run.all();
    let result = run.judged(result);
    run.control.set_phase(Phase::Pause);
    let (log, stage) = (run.world.log(), run.stage.clone());
    let when = format!("{stage}, at {:?}", run.world.now());
    let cleaner_runs = run.node.cleaner_runs();
    match result {
        Ok(()) => Ok(Report {
            trace_hash: run.world.trace_hash(),
            counts: Counts { cleaner_runs, ..run.control.book.borrow().counts },
            time: run.world.now().since(base::Instant::ZERO),
            log,
        }),
        Err(what) => Err(Failure { what, when, log }),
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        base::mistakes::make(None);
        self.clients.drop_tasks();
    }
}

impl Run {
    fn new(plan: Plan, bug: Option<Bug>) -> Run {
        let world = World::new(plan.seed, plan.world.clone());
        let node = Node::new(&world, bug);
        let clients_node = world.add_node();
        let pool = Pool::new(CLIENT_POOL_BYTES).expect("memory can be mapped");
        let options = executor::Options { idle: IdlePolicy::Park, seed: Some(world.random()) };
        let clients = Executor::new(world.driver(clients_node, pool), options);
        Run {
            capacity: plan.world.disk.capacity_bytes,
            random: Random::new(plan.seed ^ 0xc1ae_55ed),
            plan,
            bug,
            control: Control::new(&world),
            world,
            node,
            clients_node,
            clients,
            disk_faults: DiskFaults::default(),
            hurt: false,
            full: false,
            stage: String::new(),
        }
    }

    fn all(&mut self) -> Result<(), String> {
        self.start()?;
        self.make_topics()?;
        self.begin_clients();
        for (number, end) in self.plan.ends.clone().into_iter().enumerate() {
            self.stage = format!("stretch {number}, which ends with {end:?}");
            self.control_phase(Phase::Work);
            self.work(true)?;
            self.end(end)?;
            self.start()?;
            self.stage = format!("verification after stretch {number} and its {end:?}");
            self.verify(true, false)?;
        }
        self.stage = "last stretch".to_owned();
        self.control_phase(Phase::Work);
        self.work(false)?;
        self.heal();
        self.progress()?;
        self.settle()?;
        self.finish()?;
        self.stage = "verification at the end".to_owned();
        self.verify(false, true)?;
        self.end(End::Stop)?;
        self.start()?;
        self.stage = "verification after the last stop".to_owned();
        self.verify(true, true)
    }

    /// What the checker says of the history, beside what was found before.
    fn judged(&mut self, result: Result<(), String>) -> Result<(), String> {
        let Some(coordination) = &self.plan.coordination else { return result };
        let complete = result.is_ok();
        let mut verdict = judge::judge(&self.control, &self.world, complete);
        if coordination.sharers > 0 {
            let (limit, clocks_jump) = (coordination.deliveries_max, self.plan.faults.clock_jumps);
            verdict = verdict.and_then(|()| shares::judge(&self.control, limit, clocks_jump, complete));
        }
        match (result, verdict) {
            (Ok(()), verdict) => verdict.inspect_err(|_| self.stage = "judging the history".to_owned()),
            (Err(what), Ok(())) => Err(what),
            (Err(what), Err(found)) => Err(format!("{found}; before that: {what}")),
        }
    }

    /// Lets the world go on until `done`, at most for so long. A broken rule ends it.
    fn advance(&self, time: Duration, mut done: impl FnMut() -> bool) -> Result<bool, String> {
        let mut executors = self.node.cores().to_vec();
        executors.push(self.clients.clone());
        let control = self.control.clone();
        let broken = || control.book.borrow().violation().map(str::to_owned);
        let until = self.world.now() + time;
        let ran = self.world.run_to(&executors, until, || broken().is_some() || done());
        match (broken(), ran) {
            (Some(what), _) => Err(what),
            (None, Ok(was_done)) => Ok(was_done),
            (None, Err(error)) => Err(error.to_string()),
        }
    }

    fn control_phase(&self, phase: Phase) {
        self.world.note(&format!("{}: {phase:?}", self.stage));
        self.control.set_phase(phase);
        // The world turns an executor that sleeps only if somebody wakes it.
        self.clients.with_driver(|driver| driver.waker()).wake();
    }

    /// Starts the broker; now and then it loses its power while it starts.
    fn start(&mut self) -> Result<(), String> {
        self.stage = "start".to_owned();
        while self.plan.faults.crash_in_start && self.random.one_in(3) {
            self.node.start(&self.plan);
            let time = Duration::from_micros(self.random.below(30_000));
            self.advance(time, || false)?;
            self.control.book.borrow_mut().counts.crashes += 1;
            self.node.crash();
        }
        self.hurt = false;
        self.node.start(&self.plan);
        let node = &self.node;
        let up = self.advance(LIMIT, || node.is_up() || node.failure().is_some())?;
        if let Some(why) = self.node.failure() {
            return Err(format!("the broker does not start: {why}"));
        }
        if !up {
            return Err(format!("the broker has not started after {LIMIT:?}"));
        }
        self.control.book.borrow_mut().counts.starts += 1;
        Ok(())
    }

    fn client(&mut self, name: String) -> Client {
        Client::new(&self.control, name, self.node.address(), self.random.fork(), self.bug)
    }

    fn make_topics(&mut self) -> Result<(), String> {
        self.stage = "making topics".to_owned();
        let mut client = self.client("maker".to_owned());
        let topics = self.plan.topics.clone();
        let coordination = self.plan.coordination.clone();
        let made = self.clients.spawn("maker", async move {
            for (number, (partitions, rolls)) in topics.into_iter().enumerate() {
                let name = format!("lasting-{number}");
                if let Err(trouble) = admin::create(&mut client, name, partitions, rolls, true).await {
                    client.trouble(trouble);
                }
            }
            if let Some(coordination) = coordination
                && let Err(trouble) = admin::prepare(&mut client, &coordination).await
            {
                client.trouble(trouble);
            }
            client.control.leave(client.number);
        });
        self.advance(LIMIT, || made.is_finished())?;
        let made = self.control.book.borrow().counts.changes as usize;
        let judged = self.plan.coordination.as_ref().map_or(0, Coordination::changes);
        match made == self.plan.topics.len() + judged {
            true => Ok(()),
            false => Err("the first topics cannot be made".to_owned()),
        }
    }

    fn begin_clients(&mut self) {
        let crowd = self.plan.crowd;
        let load = self.plan.load;
        for number in 0..crowd.idempotent {
            let client = self.client(format!("idempotent {number}"));
            drop(self.clients.spawn("producer", producer::run(client, load)));
        }
        for number in 0..crowd.plain {
            let client = self.client(format!("plain {number}"));
            let only = self.plan.only_unacknowledged;
            drop(self.clients.spawn("plain producer", plain::run(client, load, only)));
        }
        for number in 0..crowd.consumers {
            let client = self.client(format!("consumer {number}"));
            drop(self.clients.spawn("consumer", consumer::run(client)));
        }
        if crowd.admin {
            let client = self.client("admin".to_owned());
            drop(self.clients.spawn("admin", admin::run(client)));
        }
        if let Some(coordination) = self.plan.coordination.clone() {
            self.begin_coordinated(coordination);
        }
    }

    fn begin_coordinated(&mut self, coordination: Coordination) {
        let load = self.plan.load;
        let has_patterns = !coordination.by_pattern().is_empty();
        for (number, identity) in coordination.writers.into_iter().enumerate() {
            let client = self.client(format!("writer {number}, {}", identity.id));
            drop(self.clients.spawn("writer", transaction::run(client, identity, load)));
        }
        if has_patterns {
            let client = self.client("planter".to_owned());
            drop(self.clients.spawn("planter", planter::run(client)));
        }
        for group in coordination.groups {
            for nth in 0..group.members.len() {
                let client = self.client(format!("member {nth} of {}", group.name()));
                drop(self.clients.spawn("member", member::run(client, group.clone(), nth, load)));
            }
        }
        for (number, committed) in coordination.readers.into_iter().enumerate() {
            let client = self.client(format!("consumer that reads along {number}"));
            drop(self.clients.spawn("reader", reader::run(client, committed)));
        }
        for number in 0..coordination.sharers {
            let client = self.client(format!("consumer that shares {number}"));
            drop(self.clients.spawn("sharer", sharer::run(client)));
        }
    }

    /// Work with mischief; `hurtful` also such that only a restart heals.
    fn work(&mut self, hurtful: bool) -> Result<(), String> {
        let until = self.world.now() + self.plan.stretch;
        while self.world.now() < until {
            let gap = Duration::from_micros(self.random.between(500, 25_000));
            self.advance(gap.min(until.since(self.world.now())), || false)?;
            self.mischief(hurtful);
        }
        Ok(())
    }

    fn mischief(&mut self, hurtful: bool) {
        let faults = self.plan.faults;
        let (world, node) = (self.world.clone(), self.node.id);
        let some = Duration::from_millis(self.random.between(1, 60));
        let often = self.random.between(1, 30);
        match self.random.below(10) {
            0 if faults.resets => self.on_a_connection(|world, connection| world.reset(connection)),
            1 if faults.silences => self.on_a_connection(|world, connection| world.silence(connection)),
            2 if faults.cuts => world.cut(node, self.clients_node),
            3 => world.heal(node, self.clients_node),
            4 if faults.slow_disk => world.slow_disk(node, some),
            5 if faults.read_errors && hurtful => {
                // The drain reads, too, and a shard whose drain fails goes offline.
                self.hurt = true;
                let off = self.disk_faults.read_error_one_in > 0;
                self.disk_faults.read_error_one_in = if off { 0 } else { often };
                world.set_disk_faults(node, self.disk_faults);
            }
            6 if faults.write_errors && hurtful => {
                self.hurt = true;
                self.disk_faults.write_error_one_in = often;
                world.set_disk_faults(node, self.disk_faults);
            }
            7 if faults.sync_errors && hurtful => {
                self.hurt = true;
                self.disk_faults.sync_error_one_in = often;
                world.set_disk_faults(node, self.disk_faults);
            }
            8 if faults.full_disk => {
                self.full = !self.full;
                let room = world.used_bytes(node) + self.random.below(512 << 10);
                world.set_capacity(node, if self.full { room } else { self.capacity });
            }
            9 if faults.clock_jumps => {
                let by_ms = match self.plan.coordination {
                    // Sessions and transactions are over after a while, so it must not go far back.
                    Some(_) => self.random.below(1_000) as i64 - 200,
                    None => self.random.below(6 * 3_600_000) as i64 - 3 * 3_600_000,
                };
                world.jump_wall_clock(node, by_ms);
            }
            _ => return,
        }
        self.control.book.borrow_mut().counts.mischief += 1;
    }

    fn on_a_connection(&mut self, act: impl Fn(&World, sim_driver::Connection)) {
        let connections = self.world.connections();
        if !connections.is_empty() {
            let which = self.random.below(connections.len() as u64) as usize;
            act(&self.world, connections[which]);
        }
    }

    /// No more mischief: the disk has room again, the network is whole, ordered failures are taken back.
    fn heal(&mut self) {
        self.world.heal(self.node.id, self.clients_node);
        self.world.set_capacity(self.node.id, self.capacity);
        self.world.set_disk_faults(self.node.id, DiskFaults::default());
        self.disk_faults = DiskFaults::default();
        self.full = false;
    }

    /// Ends a life of the broker, and waits until every client has noticed.
    fn end(&mut self, end: End) -> Result<(), String> {
        match end {
            End::Crash => {
                self.node.crash();
                self.control.book.borrow_mut().counts.crashes += 1;
            }
            End::Kill => self.node.kill(),
            End::Stop => {
                self.node.ask_to_stop();
                let node = &self.node;
                let ended = self.advance(LIMIT, || node.has_ended())?;
                let excused = self.hurt || self.full || self.disk_faults != DiskFaults::default();
                if let Some(why) = self.node.failure().filter(|_| !excused) {
                    return Err(format!("the broker does not stop in order: {why}"));
                }
                if !ended && !excused {
                    return Err(format!("the broker has not stopped after {LIMIT:?}"));
                }
                self.node.kill();
            }
        }
        if end != End::Crash {
            self.control.book.borrow_mut().counts.kills += 1;
        }
        self.heal();
        self.quiet()
    }

    /// Waits until no client has anything under way.
    fn quiet(&self) -> Result<(), String> {
        self.control_phase(Phase::Pause);
        let control = self.control.clone();
        match self.advance(LIMIT, || control.all_wait())? {
            true => Ok(()),
            false => Err(format!("clients do not come to rest: {:?}", self.control.progress())),
        }
    }

    /// Looks at everything while nobody else does anything; at last, when every transaction is decided.
    fn verify(&mut self, restarted: bool, last: bool) -> Result<(), String> {
        self.quiet()?;
        let mut client = self.client("checker".to_owned());
        client.be_patient();
        let groups = self.plan.coordination.as_ref().map(|coordination| coordination.groups.clone());
        let checked = self.clients.spawn("checker", async move {
            if let Err(trouble) = check::everything(&mut client, restarted).await {
                client.trouble(trouble);
            }
            if let Some(groups) = groups
                && let Err(trouble) = audit::everything(&mut client, &groups, last).await
            {
                client.trouble(trouble);
            }
            client.control.leave(client.number);
        });
        match self.advance(LIMIT, || checked.is_finished())? {
            true => Ok(()),
            false => Err("the verification has not ended: a request is not answered".to_owned()),
        }
    }

    /// With all well again, every client must get on.
    fn progress(&mut self) -> Result<(), String> {
        self.stage = "progress, with all well".to_owned();
        let before = self.control.progress();
        let control = self.control.clone();
        let stuck = move || {
            let now = control.progress();
            let slow = now
                .iter()
                .zip(&before)
                .filter(|(now, before)| !now.left && now.successes < before.successes + PROGRESS);
            slow.map(|(now, _)| now.name.clone()).collect::<Vec<_>>()
        };
        match self.advance(LIMIT, || stuck().is_empty())? {
            true => Ok(()),
            false => Err(format!("no progress within {LIMIT:?} of {:?}", stuck())),
        }
    }

    /// Groups come to have all that matches their patterns: the topic that is made last, too.
    fn settle(&mut self) -> Result<(), String> {
        let groups = self.plan.coordination.as_ref().map(Coordination::by_pattern).unwrap_or_default();
        if groups.is_empty() {
            return Ok(());
        }
        self.stage = "settling of groups with patterns".to_owned();
        self.control_phase(Phase::Settle);
        let control = self.control.clone();
        let missing = || groups.iter().find_map(|group| patterns::missing(&control, group));
        match self.advance(LIMIT, || missing().is_none())? {
            true => Ok(()),
            false => Err(format!("after {LIMIT:?} {}", missing().unwrap_or_default())),
        }
    }

    /// Everything that was begun comes to its end: all is acknowledged, and consumers have seen all.
    fn finish(&mut self) -> Result<(), String> {
        self.stage = "finishing".to_owned();
        self.control_phase(Phase::Finish);
        let control = self.control.clone();
        match self.advance(LIMIT, || control.all_finished())? {
            true => Ok(()),
            false => {
                Err(format!("what was begun does not end within {LIMIT:?}: {:?}", self.control.progress()))
            }
        }
    }
}
