//! A broker with one core, and a client, on a simulated network.

use driver::Handle;
use executor::{Executor, IdlePolicy, Options, io};
use memory::{Pool, Slice};
use network::{Crowd, Gathering, Limits, Listener, Outgoing, Requests, Traffic};
use sim_driver::{World, WorldOptions};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

const POOL_BYTES: usize = 16 << 20;

/// What a client sees of the broker.
pub(crate) struct Site<B> {
    pub(crate) address: SocketAddr,
    pub(crate) broker: Rc<B>,
    pub(crate) traffic: Arc<Traffic>,
    /// The broker's memory.
    pub(crate) pool: Pool,
}

impl<B> Site<B> {
    /// Connects and sends requests of one byte each, all at once.
    pub(crate) async fn ask(&self, requests: &[u8]) -> Handle {
        let socket = io::connect(self.address).await.expect("connects");
        let frames: Vec<u8> = requests.iter().flat_map(|request| [0, 0, 0, 1, *request]).collect();
        io::send_all(socket, vec![Slice::from(frames)]).await.expect("sent");
        socket
    }
}

/// Runs a client against a broker with these limits.
pub(crate) fn run<B, T, F>(
    seed: u64,
    crowd: Crowd,
    limits: Limits,
    broker: B,
    client: impl FnOnce(Site<B>) -> F,
) -> T
where
    B: Requests + 'static,
    T: 'static,
    F: Future<Output = T> + 'static,
{
    let world = World::new(seed, WorldOptions::default());
    let (server, user) = (world.add_node(), world.add_node());
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let core = |node, pool| {
        let options = Options { idle: IdlePolicy::Park, seed: Some(world.random()) };
        Executor::new(world.driver(node, pool), options)
    };
    let cores = [core(user, Pool::new(POOL_BYTES).expect("maps")), core(server, pool.clone())];
    let address = SocketAddr::new(world.address(server), 9092);
    let (socket, address) = cores[1].with_driver(|driver| driver.listen(address, false)).expect("listens");
    let (broker, traffic) = (Rc::new(broker), Arc::new(Traffic::default()));
    let outgoing = Outgoing::attach(&cores[1], pool.clone(), traffic.clone());
    let (gathering, limits) = (Gathering::new(pool.clone()), Rc::new(limits));
    let listener = Listener::new(socket, Rc::new(crowd), Arc::default(), traffic.clone());
    let (door, counts) = (broker.clone(), traffic.clone());
    let accepting = cores[1].spawn(
        "listener",
        listener.run(move |socket, _| {
            let serving = network::serve(
                socket,
                gathering.clone(),
                outgoing.clone(),
                limits.clone(),
                counts.clone(),
                door.clone(),
            );
            async move { drop(serving.await) }
        }),
    );
    let result = world.run(&cores, client(Site { address, broker, traffic, pool })).expect("runs");
    drop(accepting);
    cores.iter().for_each(Executor::drop_tasks);
    result
}
