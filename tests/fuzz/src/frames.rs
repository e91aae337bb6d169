//! The stream of a connection, cut into frames: over a simulated network, so that pieces arrive as they may.

use driver::Driver;
use executor::{Executor, IdlePolicy, Options, io};
use memory::{Pool, Slice};
use network::{FrameError, FrameReader, Gathering, Limits};
use sim_driver::{World, WorldOptions};
use std::net::SocketAddr;
use std::rc::Rc;

const POOL_BYTES: usize = 16 << 20;
const FRAME_BYTES_MAX: usize = 1 << 20;
const INPUT_BYTES_MAX: usize = 256 << 10;

/// One byte of seed, then what the peer sends before it closes.
///
/// The frames must be those that a plain walk over the bytes finds, and all memory must be given back.
pub fn run(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    if stream.len() > INPUT_BYTES_MAX {
        return;
    }
    let (expected, end) = walk(stream);
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let free = pool.free_bytes();
    let (frames, ended) = received(u64::from(*seed), stream, pool.clone());
    assert_eq!(frames, expected);
    assert_eq!(ended, end);
    assert_eq!(pool.free_bytes(), free, "memory was kept");
}

/// The frames of a stream, and why there are no more.
fn walk(stream: &[u8]) -> (Vec<Vec<u8>>, FrameError) {
    let (mut frames, mut rest) = (Vec::new(), stream);
    while let Some((prefix, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > FRAME_BYTES_MAX {
            return (frames, refusal(*prefix));
        }
        if length > after.len() {
            return (frames, FrameError::Cut);
        }
        frames.push(after[..length].to_vec());
        rest = &after[length..];
    }
    (frames, if rest.is_empty() { FrameError::Closed } else { FrameError::Cut })
}

/// What is said of a length that is too large: other protocols are named even where it is negative.
fn refusal(prefix: [u8; 4]) -> FrameError {
    let other = matches!(&prefix, [0x16, 0x03, ..] | b"SSH-");
    match i32::from_be_bytes(prefix) {
        length @ ..0 if !other => FrameError::NegativeLength(length),
        length => FrameError::TooLong { bytes: length as u32, limit: FRAME_BYTES_MAX },
    }
}

/// Sends the stream from one node to another, and reads its frames there.
fn received(seed: u64, stream: &[u8], pool: Pool) -> (Vec<Vec<u8>>, FrameError) {
    let world = World::new(seed, WorldOptions::default());
    let (server, peer) = (world.add_node(), world.add_node());
    let options = || Options { idle: IdlePolicy::Park, seed: Some(world.random()) };
    let executors = [
        Executor::new(world.driver(server, pool.clone()), options()),
        Executor::new(world.driver(peer, Pool::new(POOL_BYTES).expect("maps")), options()),
    ];
    let address = SocketAddr::new(world.address(server), 9092);
    let listen = |driver: &mut dyn Driver| driver.listen(address, false);
    let (listener, address) = executors[0].with_driver(listen).expect("listens");
    let bytes = Slice::from(stream.to_vec());
    drop(executors[1].spawn("peer", async move {
        let socket = io::connect(address).await.expect("connects");
        // The reader may have refused the rest and closed.
        let _ = io::send_all(socket, vec![bytes]).await;
        io::close(socket).await
    }));
    let result = world.run(&executors, async move {
        let (socket, _) = io::accept(listener).await.expect("a peer comes");
        let limits = Limits { frame_bytes_max: FRAME_BYTES_MAX, ..Limits::default() };
        let gathering = Gathering::new(pool);
        let mut reader = FrameReader::new(socket, gathering.clone(), Rc::default());
        let mut frames = Vec::new();
        let ended = loop {
            match reader.next(&limits).await {
                Ok(frame) => frames.push(frame.to_vec()),
                Err(error) => break error,
            }
        };
        drop(reader);
        assert_eq!(gathering.held_bytes(), 0, "a share was kept");
        io::close(socket).await.expect("closes");
        (frames, ended)
    });
    executors.iter().for_each(Executor::drop_tasks);
    result.expect("the world comes to rest")
}
