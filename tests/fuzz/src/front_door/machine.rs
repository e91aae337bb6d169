//! The broker on its simulated machine, and what is seen of it from outside.

use broker::metrics::{CoreMetrics, expose};
use broker::{CoreOptions, Identity, Running};
use executor::{Executor, IdlePolicy, Options};
use memory::Pool;
use model::config::Settings;
use sim_driver::{NodeId, World};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

const POOL_BYTES: usize = 8 << 20;
const DATA: &str = "/data";
const PORT: u16 = 9092;
/// Little of everything, so that a start is quick, and connections that nobody closes end soon.
const SETTINGS: [(&str, &str); 9] = [
    ("flumen.journal.file.bytes", "1048576"),
    ("flumen.journal.files", "2"),
    ("flumen.cache.bytes", "524288"),
    ("log.retention.ms", "-1"),
    ("offsets.topic.num.partitions", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("connections.max.idle.ms", "30000"),
];

/// The machine.
pub(super) struct Machine {
    world: World,
    node: NodeId,
    /// The cores that run.
    pub cores: Vec<Executor>,
    seen: Seen,
}

/// Where a core that has come up is put.
type Slot = Rc<RefCell<Option<Running>>>;

/// What can be seen of the broker. Cloning shares it.
#[derive(Clone)]
pub(super) struct Seen {
    /// Where it listens.
    pub address: SocketAddr,
    running: Vec<Slot>,
    metrics: Vec<Arc<CoreMetrics>>,
}

impl Machine {
    /// Starts a broker on a new machine.
    pub fn start(world: &World, shards: usize) -> Machine {
        let node = world.add_node();
        world.make_directory(node, Path::new(DATA));
        let address = SocketAddr::new(world.address(node), PORT);
        let metrics = (0..shards).map(|_| Arc::default()).collect();
        let running = (0..shards).map(|_| Slot::default()).collect();
        let seen = Seen { address, running, metrics };
        let settings: Settings =
            SETTINGS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let settings = Arc::new(settings);
        let ports = mesh::build(shards, shard::QUEUE_CAPACITY).into_iter();
        let cores = ports.zip(seen.metrics.iter().zip(&seen.running)).map(|(port, (metrics, running))| {
            let pool = Pool::new(POOL_BYTES).expect("maps");
            let options = Options { idle: IdlePolicy::Park, seed: Some(world.random()) };
            let executor = Executor::new(world.driver(node, pool.clone()), options);
            let options = options_of(address, pool, settings.clone(), metrics.clone());
            let (inner, running) = (executor.clone(), running.clone());
            drop(executor.spawn("core", async move {
                let started = broker::start(inner, port, options).await;
                *running.borrow_mut() = Some(started.expect("starts in an empty directory"));
            }));
            executor
        });
        let cores = cores.collect();
        Machine { world: world.clone(), node, cores, seen }
    }

    /// What can be seen of it.
    pub fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// Ends the process, and lets go of all that it had.
    pub fn end(self) {
        self.world.kill(self.node);
        for (executor, slot) in self.cores.iter().zip(&self.seen.running) {
            let running = slot.take();
            if let Some(running) = &running {
                // A core answers questions as long as it is there, and so holds itself.
                running.broker().cores.serve(|_, _, reply| drop(reply));
            }
            // It goes with the tasks, where its executor is at hand.
            drop(executor.spawn("end", async move { drop(running) }));
        }
        self.cores.iter().for_each(Executor::drop_tasks);
    }
}

fn options_of(
    address: SocketAddr,
    pool: Pool,
    fixed: Arc<Settings>,
    metrics: Arc<CoreMetrics>,
) -> CoreOptions {
    CoreOptions {
        data: DATA.into(),
        pool,
        fixed,
        listen: address,
        identity: Identity {
            node: model::NodeId(1),
            host: address.ip().to_string(),
            port: PORT,
            rack: None,
            data: DATA.to_owned(),
            space: Arc::default(),
        },
        cluster_id: Some("fuzz-fuzz-fuzz-fuzz-fu".to_owned()),
        metrics,
        direct: true,
    }
}

impl Seen {
    /// Whether every core takes connections.
    pub fn is_up(&self) -> bool {
        self.running.iter().all(|core| core.borrow().is_some())
    }

    /// Connections that it has.
    pub fn connections(&self) -> usize {
        self.running.iter().map(|core| core.borrow().as_ref().map_or(0, Running::connections)).sum()
    }

    /// Bytes of memory in use beside those that hold what was appended and read, which are given back when others
    /// need them.
    pub fn held_bytes(&self) -> u64 {
        let text = expose(&self.metrics);
        let kept = sum(&text, "flumen_tail_bytes{") + sum(&text, "flumen_cache_bytes{");
        sum(&text, "flumen_pool_used_bytes{").saturating_sub(kept)
    }
}

/// The sum of a family over all cores.
fn sum(text: &str, family: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(family));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}
