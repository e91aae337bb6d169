//! Requests that are armed once: not a byte and not a connection is lost, whatever way it is asked for.

use base::Random;
use driver::Handle;
use executor::{Executor, Options, io, sleep, spawn, timeout};
use memory::Pool;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use uring::{Features, UringDriver, UringOptions};

const POOL_BYTES: usize = 16 << 20;
const SHORT: Duration = Duration::from_millis(20);

fn executor() -> (Executor, Pool) {
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let all: Vec<String> = Features::OFF_BY_DEFAULT.iter().map(|&name| name.to_owned()).collect();
    let features = Features::new(&all, &[]).expect("known");
    let driver = UringDriver::new(&UringOptions { features, data: None }, pool.clone()).expect("a ring");
    (Executor::new(Box::new(driver), Options::default()), pool)
}

fn listen(executor: &Executor) -> (Handle, SocketAddr) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    executor.with_driver(|driver| driver.listen(any, false)).expect("a free port")
}

fn pattern(at: usize) -> u8 {
    (at % 251) as u8 ^ (at / 251 % 13) as u8
}

/// Sends `total` bytes of the pattern in pieces by chance, with pauses, from a thread.
fn send_by_chance(mut to: TcpStream, seed: u64, total: usize) -> std::thread::JoinHandle<()> {
    to.set_nodelay(true).expect("sets");
    std::thread::spawn(move || {
        let mut random = Random::new(seed);
        let mut at = 0;
        while at < total {
            let longest = [100, 100, 3000, 100_000][random.below(4) as usize];
            let count = (1 + random.below(longest) as usize).min(total - at);
            let bytes: Vec<u8> = (at..at + count).map(pattern).collect();
            to.write_all(&bytes).expect("sends");
            at += count;
            if random.below(4) == 0 {
                std::thread::sleep(Duration::from_micros(random.below(500)));
            }
        }
    })
}

/// Receives all of it, in a way chosen by chance each time.
async fn receive_by_chance(socket: Handle, pool: Pool, seed: u64, total: usize) {
    let mut random = Random::new(seed);
    let mut at = 0;
    while at < total {
        let got = match random.below(10) {
            // Mostly lent blocks, so that the receive is armed.
            0 => {
                let block = pool.take(8192).expect("free");
                let start = random.below(1000) as usize;
                let (result, block) = io::receive_into(socket, block, start, 8192).await;
                let (count, mut block) = (result.expect("receives"), block.expect("comes back"));
                block.copy_within(start..start + count, 0);
                (block, count)
            }
            _ => io::receive(socket).await.expect("receives").expect("not at its end"),
        };
        let (block, count) = got;
        assert!(0 < count && at + count <= total);
        let wrong = (0..count).find(|&offset| block[offset] != pattern(at + offset));
        assert_eq!(wrong, None, "at {at}");
        at += count;
        if random.below(50) == 0 {
            sleep(Duration::from_millis(random.below(3))).await;
        }
    }
    assert!(io::receive(socket).await.expect("receives").is_none(), "the end");
    io::close(socket).await.expect("closes");
}

#[test]
fn every_byte_comes_once_and_in_order() {
    const TOTAL: usize = 3 << 20;
    for seed in 0..8 {
        let (executor, pool) = executor();
        let (listener, address) = listen(&executor);
        let sender = send_by_chance(TcpStream::connect(address).expect("connects"), seed, TOTAL);
        let inner = pool.clone();
        executor.run(async move {
            let (socket, _) = io::accept(listener).await.expect("accepts");
            let received = receive_by_chance(socket, inner, !seed, TOTAL);
            assert!(timeout(Duration::from_secs(30), received).await.is_ok(), "seed {seed} hangs");
        });
        sender.join().expect("sent");
        assert_eq!(executor.operations_under_way(), 0);
        drop(executor);
        assert_eq!(pool.free_bytes(), POOL_BYTES, "all blocks are home");
    }
}

#[test]
fn who_does_not_ask_holds_few_blocks() {
    let (executor, pool) = executor();
    let (listener, address) = listen(&executor);
    let mut client = TcpStream::connect(address).expect("connects");
    client.set_nodelay(true).expect("sets");
    executor.run(async move {
        let (socket, _) = io::accept(listener).await.expect("accepts");
        for _ in 0..10 {
            client.write_all(b"small").expect("sends");
            assert!(io::receive(socket).await.expect("receives").is_some());
        }
        let before = pool.free_bytes();
        for _ in 0..50 {
            client.write_all(b"unasked for").expect("sends");
            sleep(Duration::from_millis(1)).await;
        }
        let held = before - pool.free_bytes();
        assert!(held <= 5 * 32 * 1024, "{held} bytes");
        let mut all = 0;
        while all < 50 * 11 {
            all += io::receive(socket).await.expect("receives").expect("not at its end").1;
        }
        drop(client);
        assert!(io::receive(socket).await.expect("receives").is_none());
    });
}

#[test]
fn what_arrives_after_giving_up_is_not_lost() {
    let (executor, _) = executor();
    let (listener, address) = listen(&executor);
    let mut client = TcpStream::connect(address).expect("connects");
    client.set_nodelay(true).expect("sets");
    executor.run(async move {
        let (socket, _) = io::accept(listener).await.expect("accepts");
        for round in 0..20u8 {
            client.write_all(&[round; 7]).expect("sends");
            let (block, count) = io::receive(socket).await.expect("receives").expect("not at its end");
            assert_eq!(block[..count], [round; 7]);
            assert!(timeout(Duration::from_millis(2), io::receive(socket)).await.is_err());
        }
        client.write_all(b"later").expect("sends");
        let (block, count) = io::receive(socket).await.expect("receives").expect("not at its end");
        assert_eq!(&block[..count], b"later");
    });
}

#[test]
fn an_error_is_told_though_nobody_asked_when_it_came() {
    let (executor, _) = executor();
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    executor.run(async move {
        let socket = io::connect(address).await.expect("connects");
        let (mut peer, _) = listener.accept().expect("accepts");
        for _ in 0..10 {
            peer.write_all(b"small").expect("sends");
            assert!(io::receive(socket).await.expect("receives").is_some());
        }
        // Closing with something unread resets the connection.
        io::send_all(socket, vec![memory::Slice::from(b"unread".to_vec())]).await.expect("sends");
        sleep(SHORT).await;
        drop(peer);
        sleep(SHORT).await;
        assert_eq!(io::receive(socket).await.err(), Some(driver::Errno::CONNRESET));
    });
}

/// Sees the end of the stream, or its reset. The kernel may take a moment for those that a ring held.
fn is_ended(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("sets");
    match client.read(&mut [0; 8]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn connections_that_nobody_asked_for_end_with_the_listening_socket() {
    let (executor, _) = executor();
    let (listener, address) = listen(&executor);
    let mut clients: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(address).expect("connects")).collect();
    executor.run(async move {
        let (_first, peer) = io::accept(listener).await.expect("accepts");
        assert!(peer.ip().is_loopback());
        sleep(SHORT).await;
        io::close(listener).await.expect("closes");
    });
    // The kernel may take a moment to let go of a closed socket.
    let refused = (0..1000).any(|_| {
        let refused = TcpStream::connect(address).is_err();
        std::thread::sleep(if refused { Duration::ZERO } else { SHORT });
        refused
    });
    assert!(refused, "nobody listens");
    let first = clients.remove(0);
    assert!(clients.iter_mut().all(is_ended));
    drop(first);
}

#[test]
fn they_end_with_the_driver_too() {
    let (executor, _) = executor();
    let (listener, address) = listen(&executor);
    let mut clients: Vec<TcpStream> =
        (0..10).map(|_| TcpStream::connect(address).expect("connects")).collect();
    executor.run(async move {
        let accepting = spawn("accepts", io::accept(listener));
        sleep(SHORT).await;
        accepting.await.expect("accepts");
    });
    drop(executor);
    // The one that was handed out is its owner's to close.
    assert!(clients.drain(1..).all(|mut client| is_ended(&mut client)));
}
