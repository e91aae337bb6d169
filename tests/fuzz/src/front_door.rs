//! Frames against a running broker: all of it, over the simulated driver, as `tests/sim` runs it.
//!
//! Every input has a world and a broker of its own, so that what is found is found again.
//! - `script`: what the client does. `machine`: the broker.

mod machine;
mod script;

use driver::Handle;
use executor::{Executor, IdlePolicy, Options, io, sleep, timeout};
use kafka_wire::ApiKey;
use machine::{Machine, Seen};
use memory::{Pool, Slice};
use script::Turn;
use sim_driver::{World, WorldOptions};
use std::net::SocketAddr;
use std::time::Duration;

const CLIENT_POOL_BYTES: usize = 4 << 20;
const INPUT_BYTES_MAX: usize = 16 << 10;
/// So long the client waits for what may not come.
const PAUSE: Duration = Duration::from_millis(100);
/// What must come about does so within this: longer than connections may be idle.
const LIMIT: Duration = Duration::from_secs(90);

/// So often an input is sent.
const VISITS: usize = 6;

/// One byte for the world and the number of cores, one or two; then what a client sends.
///
/// Another connection must be served as ever, and when all are closed, all memory that they had must be free.
pub fn run(data: &[u8]) {
    let Some((first, input)) = data.split_first() else { return };
    if input.len() > INPUT_BYTES_MAX {
        return;
    }
    let turns = script::turns(input);
    let options = WorldOptions { check_wakes: true, ..WorldOptions::default() };
    let world = World::new(u64::from(first >> 1), options);
    let machine = Machine::start(&world, 1 + usize::from(first & 1));
    let pool = Pool::new(CLIENT_POOL_BYTES).expect("maps");
    let options = Options { idle: IdlePolicy::Park, seed: Some(world.random()) };
    let client = Executor::new(world.driver(world.add_node(), pool), options);
    let mut executors = vec![client];
    executors.extend(machine.cores.iter().cloned());
    let result = world.run(&executors, visit(machine.seen(), turns));
    executors[0].drop_tasks();
    drop(executors);
    machine.end();
    result.expect("the world comes to rest");
}

async fn visit(broker: Seen, turns: Vec<Turn>) {
    until("does not start", || broker.is_up()).await;
    // Each core keeps some memory to receive into, more or less of it, and the requests may have made something that
    // stays. So they are sent again: what is not given back grows each time.
    let mut held = None;
    for _ in 0..VISITS {
        let other = connect(broker.address).await;
        play(broker.address, &turns).await;
        ask(other).await;
        close(other).await;
        until("keeps a connection", || broker.connections() == 0).await;
        if let Some(held) = held
            && comes_about(|| broker.held_bytes() <= held).await
        {
            return;
        }
        held = Some(broker.held_bytes());
    }
    panic!("the broker keeps the memory of connections");
}

/// Waits until something has come about, which it must in time.
async fn until(otherwise: &str, done: impl Fn() -> bool) {
    assert!(comes_about(done).await, "the broker {otherwise}");
}

/// Waits until something has come about; false if it has not in time.
async fn comes_about(done: impl Fn() -> bool) -> bool {
    // A look costs more than the time between two.
    let mut pause = PAUSE;
    while pause < 2 * LIMIT {
        if done() {
            return true;
        }
        sleep(pause).await;
        pause *= 4;
    }
    done()
}

async fn connect(address: SocketAddr) -> Handle {
    timeout(LIMIT, io::connect(address)).await.expect("connects in time").expect("connects")
}

async fn close(socket: Handle) {
    // The broker may have done so before.
    let _ = io::close(socket).await;
}

/// Asks which versions are spoken, which needs no more than that requests are answered.
async fn ask(socket: Handle) {
    let request = script::request(ApiKey::ApiVersions, 0, &[]);
    io::send_all(socket, vec![Slice::from(request)]).await.expect("takes a request");
    let answer = timeout(LIMIT, answer(socket)).await.expect("answers in time");
    // The correlation id, no error, and a list.
    assert_eq!(answer.get(..6), Some(&[0, 0, 0, 1, 0, 0][..]), "{answer:?}");
    assert!(answer.len() > 10, "{answer:?}");
}

/// The next frame.
async fn answer(socket: Handle) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    loop {
        if let Some((prefix, content)) = bytes.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*prefix) as usize;
            if content.len() >= length {
                return content[..length].to_vec();
            }
        }
        let received = io::receive(socket).await.expect("stays connected");
        let (block, length) = received.expect("is not closed by the broker");
        bytes.extend_from_slice(&block[..length]);
    }
}

/// Does what the input says. A connection that the broker closes, or does not read, is made anew.
async fn play(address: SocketAddr, turns: &[Turn]) {
    let mut sockets = [None; script::CONNECTIONS];
    for &Turn { connection, ref bytes } in turns {
        if bytes.is_empty() {
            sleep(PAUSE).await;
            continue;
        }
        let socket = match sockets[connection] {
            Some(socket) => socket,
            None => connect(address).await,
        };
        sockets[connection] = Some(socket);
        let sent = timeout(PAUSE, io::send_all(socket, vec![Slice::from(bytes.clone())])).await;
        if !matches!(sent, Ok(Ok(()))) {
            close(socket).await;
            sockets[connection] = None;
        }
    }
    for socket in sockets.into_iter().flatten() {
        // Until no answers come for a while, or the end.
        while let Ok(Ok(Some(_))) = timeout(PAUSE, io::receive(socket)).await {}
        close(socket).await;
    }
}
