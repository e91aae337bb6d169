//! Bringing the cores up, and down.
//!
//! Every core runs [`start`]. The first leads: it opens the metadata and replays the journals, whatever number of cores
//! wrote them; then it asks all cores, itself too, to open their stores and partitions, and when all have, to listen. So
//! no partition is opened before every journal is replayed, and no connection is taken before every partition is
//! there. The end goes the other way round.

use crate::broker::{Broker, Identity, layers};
use crate::client_telemetry;
use crate::coordinators::{self, ask_transactions, markers};
use crate::cores::{CoreAnswer, CoreQuestion, Cores};
use crate::features;
use crate::metrics::CoreMetrics;
use crate::publish::{Published, cleaner_options, limit_connections, publish};
use crate::quotas::{Meters, Moment, Windows, bucket_time};
use crate::request::FrontDoor;
use crate::rules::Rules;
use crate::sharing;
use controller::{Controller, Endpoint, Image};
use driver::Handle;
use executor::{Event, Executor, JoinHandle, io, join_all};
use memory::Pool;
use mesh::Port;
use model::ShardId;
use model::config::{BrokerConfig, Durability as ConfigDurability, Layers, Settings};
use network::{Census, ConnectionCounts, Ended, Gathering, Limits, Listener, Outgoing};
use shard::{Envelope, Reply, Service};
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use storage::{Durability, Store, StoreOptions};

/// Why a connection was closed that did not read.
const UNREAD: &str = "it read nothing of its answers, while others waited for the memory that they held";

/// What a core is given.
#[derive(Clone)]
pub struct CoreOptions {
    /// The data directory. It exists, and is locked.
    pub data: PathBuf,
    /// This core's memory.
    pub pool: Pool,
    /// What the file and the command line set; checked.
    pub fixed: Arc<Settings>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who this node is; a port of 0 is replaced by the one that was listened on.
    pub identity: Identity,
    /// The cluster's id, if `node.toml` knows it.
    pub cluster_id: Option<String>,
    /// Whether files are opened past the page cache.
    pub direct: bool,
    /// Where this core counts what it does.
    pub metrics: Arc<CoreMetrics>,
}

/// Why a core did not come up: one line that says what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A core that is being brought up, or runs.
struct Core {
    executor: Executor,
    options: CoreOptions,
    /// By file and flags alone: what holds before the metadata is open, and what cannot be changed at run time.
    config: BrokerConfig,
    cores: Cores,
    broker: OnceCell<Rc<Broker>>,
    published: Published,
    listening: Cell<Option<Handle>>,
    accepting: RefCell<Option<JoinHandle<()>>>,
    connections: OnceCell<ConnectionCounts>,
    outgoing: Outgoing,
    up: Event,
    ended: Cell<bool>,
    failed: RefCell<Option<String>>,
}

/// A core that runs.
pub struct Running {
    core: Rc<Core>,
    /// The address that it listens on.
    pub address: SocketAddr,
}

/// Brings this core up. On the first core it drives all others; on the others it returns when they are told to
/// listen.
pub async fn start(
    executor: Executor,
    port: Port<Envelope<CoreQuestion, CoreAnswer>>,
    options: CoreOptions,
) -> Result<Running, StartError> {
    let config = BrokerConfig::resolve(&Layers::fixed(&options.fixed))
        .map_err(|error| StartError(error.to_string()))?;
    let cores = Cores::attach(&executor, port);
    options.metrics.attach(&executor, &options.pool);
    let outgoing = Outgoing::attach(&executor, options.pool.clone(), options.metrics.traffic.clone());
    let core = Rc::new(Core {
        executor,
        config,
        cores: cores.clone(),
        broker: OnceCell::new(),
        published: Published::default(),
        listening: Cell::new(None),
        accepting: RefCell::new(None),
        connections: OnceCell::new(),
        outgoing,
        up: Event::new(),
        ended: Cell::new(false),
        failed: RefCell::new(None),
        options,
    });
    let serving = core.clone();
    cores.serve(move |from, question, reply| serving.clone().answer(from, question, reply));
    if cores.shard() == ShardId(0) {
        let address = core.clone().lead().await.map_err(StartError)?;
        return Ok(Running { core, address });
    }
    core.up.after(0).await;
    match core.failed.borrow_mut().take() {
        Some(why) => Err(StartError(why)),
        None => Ok(Running { address: core.options.listen, core: core.clone() }),
    }
}

impl Running {
    /// The core's part of the broker.
    pub fn broker(&self) -> &Rc<Broker> {
        self.core.broker.get().expect("a running core has its broker")
    }

    /// This core's connections.
    pub fn connections(&self) -> usize {
        self.core.connections.get().map_or(0, ConnectionCounts::total)
    }

    /// Stops all cores; for the first. No request is taken any more, everything is made durable.
    pub async fn stop(&self) -> Result<(), StartError> {
        let stopped = self.core.ask_all(|_| CoreQuestion::Stop).await;
        if let Some(controller) = self.broker().controller() {
            controller.close().await;
        }
        stopped.map_err(StartError)
    }

    /// Waits until this core was told to stop.
    pub async fn stopped(&self) {
        while !self.core.ended.get() {
            self.core.up.after(self.core.up.count()).await;
        }
    }
}

impl Core {
    fn answer(self: Rc<Self>, from: ShardId, question: CoreQuestion, reply: Reply<CoreQuestion, CoreAnswer>) {
        match question {
            CoreQuestion::Group(_)
            | CoreQuestion::GroupAnswer { .. }
            | CoreQuestion::GroupForget { .. }
            | CoreQuestion::Transaction(..)
            | CoreQuestion::Share(_)
            | CoreQuestion::Mark(_) => {
                self.coordinate(from, question, reply);
            }
            CoreQuestion::Partitions(operation) => match self.broker.get() {
                Some(broker) => {
                    // Begun here and not in the task: the order of questions is the order of appends.
                    let begun = broker.service.begin(operation);
                    reply.work("partition operation", async move { CoreAnswer::Partitions(begun.await) });
                }
                None => drop(reply),
            },
            CoreQuestion::Telemetry(question) => {
                let Some(broker) = self.broker.get().cloned() else { return };
                reply.work("client telemetry", async move {
                    CoreAnswer::Telemetry(client_telemetry::answer(broker, question).await)
                });
            }
            CoreQuestion::Change(change) => {
                let (broker, published) = (self.broker.get().cloned(), self.published.clone());
                let Some(controller) = broker.and_then(|broker| broker.controller().cloned()) else { return };
                reply.work("metadata change", async move {
                    let result = controller.submit(change).await;
                    published.until(controller.image().offset()).await;
                    CoreAnswer::Changed(result)
                });
            }
            CoreQuestion::Apply(image) => {
                let Some(broker) = self.broker.get().cloned() else { return };
                reply.work("metadata image", async move {
                    broker.apply(image).await;
                    CoreAnswer::Applied
                });
            }
            CoreQuestion::Open(image) => {
                reply.work("opening", async move { CoreAnswer::Step(self.open(image).await) });
            }
            CoreQuestion::Listen(address, census, meters, clock) => {
                if let Some(broker) = self.broker.get() {
                    broker.quotas.share(meters, clock, executor::now());
                }
                let listening = self.listen(address, census);
                self.failed.replace(listening.as_ref().err().cloned());
                self.up.notify();
                reply.send(CoreAnswer::Listening(listening));
            }
            CoreQuestion::Stop => {
                reply.work("stopping", async move { CoreAnswer::Step(self.stop().await) });
            }
        }
    }

    /// Answers what has to do with coordinators. Before the core is open and after its end nobody waits for it.
    fn coordinate(&self, from: ShardId, question: CoreQuestion, reply: Reply<CoreQuestion, CoreAnswer>) {
        let Some(broker) = self.broker.get() else { return };
        match question {
            CoreQuestion::Group(question) => broker.coordinators.answer(broker, from, &question, reply),
            CoreQuestion::GroupAnswer { ticket, answer } => {
                broker.coordinators.take(ticket, answer);
                reply.send(CoreAnswer::Taken);
            }
            CoreQuestion::GroupForget { ticket } => {
                broker.coordinators.forget(from, ticket);
                reply.send(CoreAnswer::Taken);
            }
            CoreQuestion::Transaction(partition, question) => {
                let answer = ask_transactions::answer(broker.clone(), partition, question);
                reply.work("transaction request", async move { CoreAnswer::Transaction(answer.await) });
            }
            CoreQuestion::Share(question) => {
                let answer = sharing::answer(broker, question);
                reply.work("share request", async move { CoreAnswer::Share(answer.await) });
            }
            CoreQuestion::Mark(items) => {
                let marked = markers::mark(broker.clone(), items);
                reply.work("transaction markers", async move { CoreAnswer::Marked(marked.await) });
            }
            _ => {}
        }
    }

    /// Asks every core for a step; the first failure is the answer.
    async fn ask_all(&self, question: impl Fn(usize) -> CoreQuestion) -> Result<(), String> {
        let calls = (0..self.cores.shards())
            .map(|shard| self.cores.call(ShardId(shard as u16), question(shard)))
            .collect();
        for answer in join_all(calls).await {
            match answer {
                Some(CoreAnswer::Step(result)) => result?,
                _ => return Err("a core ended while the broker was being started or stopped".to_owned()),
            }
        }
        Ok(())
    }

    async fn lead(self: Rc<Self>) -> Result<SocketAddr, String> {
        let (controller, image) = self.open_controller().await?;
        self.note_settings_without_effect(&image);
        let directories = self.shard_directories().await?;
        let shards = self.cores.shards();
        self.recover(directories, &image).await?;
        self.ask_all(|_| CoreQuestion::Open(image.clone())).await?;
        let broker = self.broker.get().expect("opened").clone();
        broker.lead(controller.clone());
        drop(executor::spawn("publisher", publish(broker, controller, self.published.clone())));
        let mut address = self.options.listen;
        self.claim_port(address).await?;
        let census = Arc::new(Census::default());
        let config = &self.config;
        let windows = Windows::new(config.quota_window_num, config.quota_window_size_seconds);
        let bucket_time =
            bucket_time(config.controller_quota_window_num, config.controller_quota_window_size_seconds);
        let (meters, began) = (Arc::new(Meters::new(windows, bucket_time)), executor::now());
        for shard in 0..shards {
            // Each core sets its own clock beside this one; what the question is under way is nothing to windows.
            let clock = Moment::ZERO.after(executor::now().since(began));
            let listen = CoreQuestion::Listen(address, census.clone(), meters.clone(), clock);
            match self.cores.call(ShardId(shard as u16), listen).await {
                Some(CoreAnswer::Listening(listening)) => address = listening?,
                _ => return Err("a core ended while the broker was being started".to_owned()),
            }
        }
        Ok(address)
    }

    /// The cores share their port, and the kernel would let another broker of the same user share it too: so the port
    /// is listened on alone for a moment, which fails if anybody has it.
    async fn claim_port(&self, address: SocketAddr) -> Result<(), String> {
        if self.cores.shards() == 1 || address.port() == 0 {
            return Ok(());
        }
        let claimed = self.executor.with_driver(|driver| driver.listen(address, false));
        let (socket, _) = claimed.map_err(|error| cannot_listen(address, &error))?;
        io::close(socket).await.map_err(|errno| format!("cannot listen on {address}: {errno}"))
    }

    async fn open_controller(&self) -> Result<(Controller, Arc<Image>), String> {
        let identity = &self.options.identity;
        let rules = Rc::new(Rules::new(identity.node, self.options.fixed.clone()));
        let mut options = controller::Options::new(
            self.options.data.join("metadata"),
            identity.node,
            rules.clone(),
            self.options.pool.clone(),
        );
        options.rack = identity.rack.clone();
        options.cluster_id = self.options.cluster_id.clone();
        options.endpoints = vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: identity.host.clone(),
            port: identity.port,
            security: 0,
        }];
        options.features = features::ranges();
        options.default_partitions = self.config.num_partitions;
        options.default_replication_factor = self.config.default_replication_factor as i16;
        let (controller, image) = Controller::open(options).await.map_err(|error| error.to_string())?;
        rules.see(&image);
        controller.subscribe(move |image| rules.see(image));
        Ok((controller, image))
    }

    fn layers<'a>(&'a self, image: &'a Image) -> Layers<'a> {
        layers(self.options.identity.node, &self.options.fixed, image)
    }

    /// Whoever sets what changes nothing here shall know; docs/configuration.md says of each what there is instead.
    fn note_settings_without_effect(&self, image: &Image) {
        let names = self.layers(image).without_effect();
        if !names.is_empty() {
            // A name that takes in anything, such as that of a listener, may hold anything.
            let names: Vec<String> = names.iter().map(|name| name.escape_debug().to_string()).collect();
            log::warn!("settings that are given and change nothing here: {}", names.join(", "));
        }
    }

    /// The configuration in force, with what was set while the broker ran. What was stored was checked; should it be
    /// refused all the same, after an upgrade, file and flags hold alone and the log says so.
    fn config_in_force(&self, image: &Image) -> BrokerConfig {
        BrokerConfig::resolve(&self.layers(image)).unwrap_or_else(|error| {
            log::error!("what was set while the broker ran is left out: {error}");
            self.config.clone()
        })
    }

    /// The shard directories of the data directory, of this and of earlier numbers of cores.
    async fn shard_directories(&self) -> Result<Vec<PathBuf>, String> {
        let data = &self.options.data;
        let listed = io::list_directory(data).await;
        let entries = listed.map_err(|errno| format!("cannot list {}: {errno}", data.display()))?;
        let shards =
            entries.into_iter().filter(|entry| entry.is_directory && entry.name.starts_with("shard-"));
        Ok(shards.map(|entry| data.join(entry.name)).collect())
    }

    async fn recover(&self, directories: Vec<PathBuf>, image: &Arc<Image>) -> Result<(), String> {
        let known = image.clone();
        let names = move |id| known.topic_by_id(id).map(|topic| topic.name.to_string());
        let recovered = storage::recover(&self.options.data, &directories, &self.options.pool, &names).await;
        recovered.map(drop).map_err(|error| error.to_string())
    }

    async fn open(&self, image: Arc<Image>) -> Result<(), String> {
        let config = self.config_in_force(&image);
        let mut options =
            StoreOptions::new(&self.options.data, self.cores.shard(), self.options.pool.clone());
        options.durability = match config.durability {
            ConfigDurability::Device => Durability::Device,
            ConfigDurability::Memory => Durability::Memory,
        };
        options.journal_file_bytes = config.journal_file_bytes;
        options.journal_files = config.journal_files.max(2) as u32;
        options.journal_inflight = config.journal_inflight.max(1) as usize;
        options.drain_interval = Duration::from_millis(config.drain_interval_ms);
        options.large_append_bytes = config.large_append_bytes.max(0) as usize;
        options.cache_bytes = config.cache_bytes as usize;
        options.direct = self.options.direct;
        let first_ms = u64::try_from(config.log_initial_task_delay_ms).unwrap_or(0);
        options.retention_first = Duration::from_millis(first_ms);
        let check_ms = u64::try_from(config.log_retention_check_interval_ms).unwrap_or(1).max(1);
        options.retention_check = Duration::from_millis(check_ms);
        options.cleaner = cleaner_options(&config, self.cores.shards());
        let store = Store::open(options).await.map_err(|error| error.to_string())?;
        let _ = self.options.metrics.store.set(store.stats());
        let broker = Broker::new(
            self.options.identity.clone(),
            self.options.fixed.clone(),
            config,
            self.cores.clone(),
            Service::new(store),
            image.clone(),
            self.options.metrics.clone(),
        );
        broker.open_partitions(&image).await?;
        drop(executor::spawn("group count", coordinators::count(broker.clone())));
        drop(executor::spawn("share clock", sharing::keep_time(broker.clone())));
        assert!(self.broker.set(broker).is_ok(), "a core is opened once");
        Ok(())
    }

    fn limits(&self) -> Limits {
        let config = &self.config;
        let count = |value: i32| usize::try_from(value).unwrap_or(0);
        Limits {
            frame_bytes_max: count(config.socket_request_max_bytes),
            idle_max: idle_max(config.connections_max_idle_ms),
            ..Limits::default()
        }
    }

    fn listen(self: &Rc<Self>, address: SocketAddr, census: Arc<Census>) -> Result<SocketAddr, String> {
        let share = self.cores.shards() > 1;
        let listening = self.executor.with_driver(|driver| driver.listen(address, share));
        let (socket, bound) = listening.map_err(|error| cannot_listen(address, &error))?;
        self.listening.set(Some(socket));
        let limits = Rc::new(self.limits());
        let broker = self.broker.get().expect("a core listens after it was opened").clone();
        broker.tell_port(bound.port());
        limit_connections(&broker.crowd, &broker.config());
        let (crowd, caches) = (broker.crowd.clone(), broker.clone());
        let door: Rc<FrontDoor> = Rc::new(FrontDoor::new(broker));
        let (traffic, pacing) = (self.options.metrics.traffic.clone(), door.clone());
        let listener = Listener::new(socket, crowd, census, traffic).paced(move |taken| pacing.pace(taken));
        let _ = self.connections.set(listener.counts());
        let gathering =
            Gathering::beside_caches(self.options.pool.clone(), move || caches.service.store().give_back());
        let metrics = self.options.metrics.clone();
        let outgoing = self.outgoing.clone();
        let over = metrics.clone();
        let accepting = executor::spawn("listener", async move {
            let errno = listener
                .run(move |socket, peer| {
                    let (gathering, outgoing) = (gathering.clone(), outgoing.clone());
                    let (limits, door) = (limits.clone(), door.clone());
                    let traffic = metrics.traffic.clone();
                    async move {
                        if let Err(wait) = door.admit(peer) {
                            executor::sleep(wait).await;
                            return io::close_detached(socket);
                        }
                        let visitor = door.visitor(peer);
                        match network::serve(socket, gathering, outgoing, limits, traffic, visitor).await {
                            Ended::Refused(why) => door.note_refusal(peer, &why),
                            Ended::Unread => door.note_refusal(peer, UNREAD),
                            Ended::ByPeer | Ended::Idle => {}
                        }
                    }
                })
                .await;
            over.note_listening(false);
            log::error!("listening on {bound} has ended: {errno}");
        });
        self.accepting.replace(Some(accepting));
        self.options.metrics.note_listening(true);
        Ok(bound)
    }

    async fn stop(&self) -> Result<(), String> {
        self.options.metrics.note_listening(false);
        if let Some(accepting) = self.accepting.borrow_mut().take() {
            accepting.abort();
        }
        if let Some(socket) = self.listening.take() {
            let _ = io::close(socket).await;
        }
        let stopped = match self.broker.get() {
            Some(broker) => {
                broker.coordinators.stop();
                broker.share.stop();
                broker.telemetry.stop();
                broker.service.store().stop().await.map_err(|error| error.to_string())
            }
            None => Ok(()),
        };
        self.ended.set(true);
        self.up.notify();
        stopped
    }
}

/// How long a connection may be silent, of `connections.max.idle.ms`. Not for no time at all: a request in work keeps
/// its connection, and the core would do nothing but look whether it still is.
fn idle_max(ms: Option<u64>) -> Duration {
    ms.map_or(Duration::MAX, |ms| Duration::from_millis(ms.max(1)))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "port {} is in use: stop what listens there, or choose another with --listen",
            address.port()
        ),
        std::io::ErrorKind::PermissionDenied => {
            format!(
                "port {} may not be opened by this user: choose one above 1023 with --listen",
                address.port()
            )
        }
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{} is no address of this machine: choose another with --listen", address.ip())
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_may_be_silent_for_a_moment_at_least() {
        assert_eq!(idle_max(Some(0)), Duration::from_millis(1));
        assert_eq!(idle_max(Some(600_000)), Duration::from_secs(600));
        assert_eq!(idle_max(None), Duration::MAX);
    }
}
