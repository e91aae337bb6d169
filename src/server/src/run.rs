//! `flumen start`: a thread a core, from start to stop.

use crate::arguments::Start;
use crate::directory::Directory;
use crate::reserve::Reserve;
use crate::shown::Shown;
use crate::{host, settings};
use broker::metrics::CoreMetrics;
use broker::{CoreAnswer, CoreOptions, CoreQuestion, Identity, Space};
use driver::Wake;
use executor::{Event, Executor, IdlePolicy, Options};
use memory::{Block, Pool};
use mesh::Port;
use model::config::{BrokerConfig, DEFAULT_NODE_ID, Idle, Listener};
use model::{NodeId, ShardId};
use shard::{Envelope, QUEUE_CAPACITY};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};
use uring::{Features, UringDriver, UringOptions};

/// How old what clients are told of the file system may be.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// Signals so close together are one: shells and supervisors pass on what their whole group was sent.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

type CorePort = Port<Envelope<CoreQuestion, CoreAnswer>>;

/// What a thread needs to become a core.
struct CorePlan {
    core: usize,
    port: CorePort,
    options: UringOptions,
    idle: IdlePolicy,
    pool_bytes: usize,
    /// Takes memory that is to be touched before its core does.
    memory: mpsc::Sender<Block>,
    stop: Arc<AtomicBool>,
    /// Tells the main thread how to wake this core for a stop.
    waker: mpsc::Sender<Arc<dyn Wake>>,
    announce: bool,
    metrics: Arc<CoreMetrics>,
}

/// Everything of [`CoreOptions`] that may cross threads.
#[derive(Clone)]
struct Shared {
    data: std::path::PathBuf,
    fixed: Arc<model::config::Settings>,
    listen: SocketAddr,
    identity: Identity,
    cluster_id: Option<String>,
    /// Where metrics and health are served, for the ready line.
    http: Option<SocketAddr>,
}

/// Starts a broker and runs it until it is told to stop.
pub(crate) fn run(start: &Start) -> Result<(), String> {
    let (settings, config) = settings::gather(start)?;
    host::raise_descriptors()?;
    let cores = host::cores(&config.cores)?;
    let features = Features::new(&config.io_features_enable, &config.io_features_disable)?;
    let directory = Directory::open(Path::new(&config.data), config.node_id, DEFAULT_NODE_ID)?;
    let listener = config.client_listener();
    let listen = resolve(listener.ok_or("listeners has none for clients: name an address to listen on")?)?;
    for listener in config.controller_listeners() {
        log::info!("{listener} is not listened on: controller.listener.names has it, and needs no port here");
    }
    let shown = Arc::new(Shown::new(cores.len()));
    let http = shown.clone().serve(&config.http_listen)?;
    let identity = identity(&config, &directory, listen);
    let space = identity.space.clone();
    host::measure(&directory.path, &space);
    let reserve = Reserve::new(&directory.path, config.reserve_bytes);
    reserve.at_start(usable(&space));
    let shared = Shared {
        http,
        data: directory.path.clone(),
        listen,
        identity,
        cluster_id: directory.cluster_id.clone(),
        fixed: Arc::new(settings),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let (wakers, woken) = mpsc::channel();
    let (ends, ended) = mpsc::channel();
    let memory = touch_memory(&cores)?;
    let ports = mesh::build(cores.len(), QUEUE_CAPACITY);
    for (&core, port) in cores.iter().zip(ports) {
        let plan = CorePlan {
            core,
            options: UringOptions { features: features.clone(), data: Some(directory.path.clone()) },
            idle: idle(&config),
            pool_bytes: config.pool_bytes as usize,
            memory: memory.clone(),
            stop: stop.clone(),
            waker: wakers.clone(),
            announce: port.shard() == ShardId(0),
            metrics: shown.core(port.shard()),
            port,
        };
        let (shared, ends) = (shared.clone(), ends.clone());
        let name = format!("flumen-{}", plan.port.shard());
        start_thread(&name, move || {
            // The main thread waits for every end.
            let _ = ends.send(core_thread(plan, shared));
        })?;
    }
    drop((wakers, ends, memory));
    listen_for_signals(stop, woken)?;
    // The first failure ends the process, and with it the other cores: none can go on without the rest.
    for _ in &cores {
        next_end(&ended, &directory.path, &space, &reserve)?;
    }
    Ok(())
}

/// The bytes that are free, if that is known.
fn usable(space: &Space) -> Option<u64> {
    u64::try_from(space.usable_bytes()).ok()
}

/// Waits for the next core to end; meanwhile the file system is measured now and then, and space kept for a start.
fn next_end(
    ended: &mpsc::Receiver<Result<(), String>>,
    data: &Path,
    space: &Space,
    reserve: &Reserve,
) -> Result<(), String> {
    loop {
        reserve.keep(usable(space));
        match ended.recv_timeout(MEASURE_INTERVAL) {
            Ok(end) => return end,
            Err(mpsc::RecvTimeoutError::Timeout) => host::measure(data, space),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return Err("a core's thread failed; its log line says why".to_owned());
            }
        }
    }
}

fn idle(config: &BrokerConfig) -> IdlePolicy {
    match config.idle {
        Idle::Park => IdlePolicy::Park,
        Idle::Spin => IdlePolicy::Spin(Duration::from_micros(config.idle_spin_us.max(0) as u64)),
        Idle::Poll => IdlePolicy::Poll,
    }
}

fn resolve(listener: &Listener) -> Result<SocketAddr, String> {
    let host = if listener.host.is_empty() { "0.0.0.0" } else { listener.host.as_str() };
    (host, listener.port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("'{host}' is not an address: change listeners or --listen"))
}

/// Where clients are told to go, as in Kafka: what `advertised.listeners` says, else what `listeners` does, names of
/// hosts as they are written, since what one means here it need not mean to clients. For no host at all, and where
/// every address is listened on, it is the machine's name.
fn told(config: &BrokerConfig, listen: SocketAddr) -> (String, u16) {
    let (host, port) = match (config.client_address(), config.client_listener()) {
        (Some(listener), _) => (listener.host.as_str(), listener.port),
        (None, Some(listener)) if !listen.ip().is_unspecified() => (listener.host.as_str(), listen.port()),
        (None, _) => ("", listen.port()),
    };
    (if host.is_empty() { machine_name() } else { host.to_owned() }, port)
}

/// Who the node is to clients.
fn identity(config: &BrokerConfig, directory: &Directory, listen: SocketAddr) -> Identity {
    let (host, port) = told(config, listen);
    Identity {
        node: NodeId(directory.node_id),
        host,
        port,
        rack: config.rack.clone(),
        data: directory.path.display().to_string(),
        space: Arc::default(),
    }
}

fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// A thread that touches memory of all cores' pools before they do, beside them where there is room, and in time that
/// nobody else wants. It ends when all of them have.
fn touch_memory(cores: &[usize]) -> Result<mpsc::Sender<Block>, String> {
    let (sender, blocks) = mpsc::channel::<Block>();
    let cores = cores.to_vec();
    start_thread("flumen-memory", move || {
        host::keep_off(&cores);
        if let Err(error) = schedule::set_idle() {
            log::debug!("memory is made ready in time that others want: {error}");
        }
        for mut block in blocks {
            block.chunks_mut(memory::BLOCK_BYTES_MIN).for_each(|page| page[0] = 0);
        }
    })?;
    Ok(sender)
}

/// Has the pool's memory be that of the calling thread's node, whoever touches it.
fn keeps_on_node(pool: &Pool) -> bool {
    let kept = pool.keep_on_node();
    if let Err(error) = &kept {
        log::debug!("a core touches its memory itself, as it cannot ask for that of its node: {error}");
    }
    kept.is_ok()
}

/// Turns SIGTERM and SIGINT into the stop flag; a second one ends the process at once.
fn listen_for_signals(stop: Arc<AtomicBool>, wakers: mpsc::Receiver<Arc<dyn Wake>>) -> Result<(), String> {
    let mut signals =
        Signals::new([SIGTERM, SIGINT]).map_err(|error| format!("cannot listen for signals: {error}"))?;
    start_thread("flumen-signals", move || {
        let mut told: Option<Instant> = None;
        for _ in signals.forever() {
            match told {
                Some(first) if first.elapsed() < ONE_SIGNAL => continue,
                Some(_) => {
                    log::warn!(
                        "told to stop a second time: ending without a clean stop; the next start replays the journal"
                    );
                    std::process::exit(1);
                }
                None => told = Some(Instant::now()),
            }
            stop.store(true, Ordering::SeqCst);
            log::info!("stopping");
            while let Ok(waker) = wakers.try_recv() {
                waker.wake();
            }
        }
    })
}

/// Starts a thread that nobody waits for.
fn start_thread(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
}

fn core_thread(plan: CorePlan, shared: Shared) -> Result<(), String> {
    host::pin(plan.core);
    let pool = Pool::new(plan.pool_bytes).map_err(|error| error.to_string())?;
    let driver = UringDriver::new(&plan.options, pool.clone()).map_err(|error| error.to_string())?;
    // From another node's memory all that follows would be slower: then the core touches its own.
    if pool.has_huge_pages() && (host::has_one_node() || keeps_on_node(&pool)) {
        let memory = plan.memory.clone();
        // Should that thread be gone, the core touches its memory itself.
        pool.prepare_ahead(move |block| drop(memory.send(block)));
    }
    let executor = Executor::new(Box::new(driver), Options { idle: plan.idle, seed: None });
    if plan.announce {
        announce(&executor);
    }
    let stop_event = Event::new();
    let (stop, event) = (plan.stop.clone(), stop_event.clone());
    let mut told = false;
    executor.add_inbox(move || {
        let now = !told && stop.load(Ordering::Relaxed);
        if now {
            told = true;
            event.notify();
        }
        now
    });
    // The main thread may be gone already if another core failed.
    let _ = plan.waker.send(executor.with_driver(|driver| driver.waker()));
    let options = CoreOptions {
        data: shared.data,
        pool,
        fixed: shared.fixed,
        listen: shared.listen,
        identity: shared.identity,
        cluster_id: shared.cluster_id,
        direct: true,
        metrics: plan.metrics,
    };
    let (inner, port, first) = (executor.clone(), plan.port, plan.announce);
    executor.run(async move {
        let data = options.data.display().to_string();
        let cores = host::counted(port.shards());
        let running = broker::start(inner, port, options).await.map_err(|error| error.to_string())?;
        if !first {
            running.stopped().await;
            return Ok(());
        }
        let http =
            shared.http.map_or(String::new(), |address| format!(", metrics at http://{address}/metrics"));
        // Whoever does not read it can do without.
        let _ = writeln!(
            io::stdout(),
            "flumen is ready: Kafka clients at {}{http}, data in {data}, {cores}",
            running.address
        );
        stop_event.after(0).await;
        let stopped = running.stop().await;
        log::info!("stopped");
        stopped.map_err(|error| error.to_string())
    })
}

/// The start-up line about the kernel.
fn announce(executor: &Executor) {
    let capabilities = executor.with_driver(|driver| driver.capabilities().clone());
    let features: Vec<String> = capabilities
        .features
        .iter()
        .map(|(name, off)| match off {
            None => (*name).to_owned(),
            Some(why) => format!("no {name} ({why})"),
        })
        .collect();
    log::info!("{}: {}", capabilities.driver, features.join(", "));
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::config::{Layers, Settings};

    fn config(pairs: &[(&str, &str)]) -> BrokerConfig {
        let settings: Settings =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        BrokerConfig::resolve(&Layers::fixed(&settings)).expect("resolves")
    }

    /// How a core idles by these settings.
    fn idle_by(pairs: &[(&str, &str)]) -> IdlePolicy {
        idle(&config(pairs))
    }

    #[test]
    fn clients_are_told_a_host_that_is_theirs() {
        let name = machine_name();
        let (machine, every, one) = (name.as_str(), "0.0.0.0:9092", "127.0.0.1:9092");
        // Listeners and advertised listeners, the address that is listened on, the host and port that are told.
        let cases = [
            ("PLAINTEXT://127.0.0.1:9092", "", one, "127.0.0.1", 9092),
            ("PLAINTEXT://[::1]:9092", "", "[::1]:9092", "::1", 9092),
            ("PLAINTEXT://a.host:9092", "", one, "a.host", 9092),
            ("PLAINTEXT://:9092", "", every, machine, 9092),
            ("PLAINTEXT://0.0.0.0:9092", "", every, machine, 9092),
            ("PLAINTEXT://[::]:9092", "", "[::]:9092", machine, 9092),
            ("PLAINTEXT://:9092", "PLAINTEXT://b.host:1", every, "b.host", 1),
            ("PLAINTEXT://:9092", "PLAINTEXT://:1", every, machine, 1),
            ("PLAINTEXT://127.0.0.1:9092", "PLAINTEXT://:0", one, machine, 0),
        ];
        for (listeners, advertised, listen, host, port) in cases {
            let mut pairs = vec![("listeners", listeners), ("advertised.listeners", advertised)];
            pairs.retain(|(_, value)| !value.is_empty());
            let listen: SocketAddr = listen.parse().expect("an address");
            assert_eq!(told(&config(&pairs), listen), (host.to_owned(), port), "{pairs:?}");
        }
    }

    #[test]
    fn cores_idle_as_the_settings_say() {
        assert_eq!(idle_by(&[]), Options::default().idle, "the executor's default is the setting's");
        assert_eq!(idle_by(&[("flumen.idle", "park")]), IdlePolicy::Park);
        assert_eq!(idle_by(&[("flumen.idle", "poll")]), IdlePolicy::Poll);
        assert_eq!(idle_by(&[("flumen.idle", "spin")]), IdlePolicy::Spin(Duration::from_micros(50)));
        let spin = idle_by(&[("flumen.idle", "spin"), ("flumen.idle.spin.us", "7")]);
        assert_eq!(spin, IdlePolicy::Spin(Duration::from_micros(7)));
    }
}
