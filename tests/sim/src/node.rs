//! The broker's machine: its cores, started as the server starts them, and its ends.

use crate::plan::Plan;
use crate::tamper::{Bug, Earlier, Tamper};
use broker::metrics::CoreMetrics;
use broker::{CoreOptions, Identity};
use executor::{Event, Executor, IdlePolicy, Options};
use memory::Pool;
use model::ShardId;
use sim_driver::{NodeId, World};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

const DATA: &str = "/data";
const PORT: u16 = 9092;
const BROKER: model::NodeId = model::NodeId(1);

/// What the cores of one life of the broker say of themselves.
#[derive(Default)]
struct Life {
    up: Cell<usize>,
    ended: Cell<usize>,
    failure: RefCell<Option<String>>,
    stop: Event,
}

/// The machine and what runs on it.
pub(crate) struct Node {
    world: World,
    pub id: NodeId,
    bug: Option<Bug>,
    earlier: Earlier,
    cores: Vec<Executor>,
    life: Rc<Life>,
    /// What the cores of this life count.
    metrics: Vec<Arc<CoreMetrics>>,
    /// Runs of the cleaner in the lives before.
    cleaner_runs: u64,
}

impl Node {
    /// A machine with an empty data directory.
    pub(crate) fn new(world: &World, bug: Option<Bug>) -> Node {
        let id = world.add_node();
        world.make_directory(id, Path::new(DATA));
        Node {
            world: world.clone(),
            id,
            bug,
            earlier: Earlier::default(),
            cores: Vec::new(),
            life: Rc::default(),
            metrics: Vec::new(),
            cleaner_runs: 0,
        }
    }

    /// Where clients find the broker.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.world.address(self.id), PORT)
    }

    /// The cores that run.
    pub(crate) fn cores(&self) -> &[Executor] {
        &self.cores
    }

    /// Begins a life of the broker.
    pub(crate) fn start(&mut self, plan: &Plan) {
        self.life = Rc::default();
        for port in mesh::build(plan.shards, shard::QUEUE_CAPACITY) {
            // Each life has memory of its own, as a process has.
            let pool = Pool::new(plan.pool_bytes).expect("memory can be mapped");
            let mut driver = self.world.driver(self.id, pool.clone());
            if let Some(bug) = self.bug {
                driver = Box::new(Tamper::new(driver, bug, self.world.random(), self.earlier.clone()));
            }
            let seed = Some(self.world.random());
            let executor = Executor::new(driver, Options { idle: IdlePolicy::Park, seed });
            let address = self.address();
            let metrics: Arc<CoreMetrics> = Arc::default();
            self.metrics.push(metrics.clone());
            let options = CoreOptions {
                data: DATA.into(),
                pool,
                fixed: Arc::new(plan.settings.clone()),
                listen: address,
                identity: Identity {
                    node: BROKER,
                    host: address.ip().to_string(),
                    port: PORT,
                    rack: None,
                    data: DATA.to_owned(),
                    space: Arc::default(),
                },
                cluster_id: Some("sim-sim-sim-sim-sim-si".to_owned()),
                metrics,
                direct: true,
            };
            let (inner, life) = (executor.clone(), self.life.clone());
            drop(executor.spawn("core", async move {
                let first = port.shard() == ShardId(0);
                let result = match broker::start(inner, port, options).await {
                    Ok(running) => {
                        life.up.set(life.up.get() + 1);
                        match first {
                            true => {
                                life.stop.after(0).await;
                                running.stop().await
                            }
                            false => {
                                running.stopped().await;
                                Ok(())
                            }
                        }
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = result {
                    life.failure.borrow_mut().get_or_insert(error.to_string());
                }
                life.ended.set(life.ended.get() + 1);
            }));
            self.cores.push(executor);
        }
    }

    /// Whether every core takes connections.
    pub(crate) fn is_up(&self) -> bool {
        self.life.up.get() == self.cores.len()
    }

    /// Why this life failed, if it did.
    pub(crate) fn failure(&self) -> Option<String> {
        self.life.failure.borrow().clone()
    }

    /// Tells the broker to stop in order.
    pub(crate) fn ask_to_stop(&self) {
        self.life.stop.notify();
        self.cores[0].with_driver(|driver| driver.waker()).wake();
    }

    /// Whether every core has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.life.ended.get() == self.cores.len()
    }

    /// Power loss.
    pub(crate) fn crash(&mut self) {
        self.world.crash(self.id);
        self.bury();
    }

    /// The end of the process; files keep what was written.
    pub(crate) fn kill(&mut self) {
        self.world.kill(self.id);
        self.bury();
    }

    /// Runs of the cleaner in all lives.
    pub(crate) fn cleaner_runs(&self) -> u64 {
        self.cleaner_runs + self.metrics.iter().map(|core| core.cleaner_runs()).sum::<u64>()
    }

    fn bury(&mut self) {
        self.cleaner_runs = self.cleaner_runs();
        self.metrics.clear();
        for core in self.cores.drain(..) {
            core.drop_tasks();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
