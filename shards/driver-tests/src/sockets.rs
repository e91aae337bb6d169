//! Connections.

use crate::{Bed, checks, pattern, slice};
use driver::{Errno, Handle};
use executor::{io, join_all, sleep, spawn, timeout};
use memory::Pool;
use std::net::SocketAddr;
use std::time::Duration;

checks![
    connecting,
    the_end_of_a_stream,
    receiving_into_a_range,
    a_long_stream,
    shutting_down,
    nobody_listens,
    cancelling,
    a_sender_that_is_not_read,
    a_used_up_pool,
    sharing_a_port,
    errors_of_handles,
];

const SHORT: Duration = Duration::from_millis(50);

/// Both ends of a fresh connection: who connected, who accepted.
async fn pair(bed: &Bed) -> (Handle, Handle) {
    let (listener, address) = bed.listen();
    let accepting = spawn("accepts", io::accept(listener));
    let client = io::connect(address).await.expect("connects");
    let (server, peer) = accepting.await.expect("accepts");
    assert!(peer.ip().is_loopback() && peer.port() != 0, "{peer}");
    io::close(listener).await.expect("closes");
    (client, server)
}

/// At least `count` bytes, as they come in lent blocks.
async fn receive(socket: Handle, count: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < count {
        let (block, length) = io::receive(socket).await.expect("receives").expect("not at its end");
        assert!(0 < length && length <= block.len());
        all.extend_from_slice(&block[..length]);
    }
    all
}

async fn send(socket: Handle, bytes: impl Into<Vec<u8>>) {
    io::send_all(socket, vec![slice(bytes)]).await.expect("sends");
}

async fn connecting(bed: Bed) {
    let (listener, address) = bed.listen();
    assert_ne!(address.port(), 0, "the port is filled in");
    // Connections may come before anybody accepts them.
    let clients = join_all((0..5).map(|_| io::connect(address)).collect()).await;
    let mut servers = Vec::new();
    for _ in &clients {
        servers.push(io::accept(listener).await.expect("accepts").0);
    }
    for (number, client) in clients.iter().enumerate() {
        send(client.expect("connects"), vec![number as u8]).await;
    }
    let mut heard = Vec::new();
    for server in &servers {
        heard.extend(receive(*server, 1).await);
        send(*server, "back").await;
    }
    heard.sort_unstable();
    assert_eq!(heard, [0, 1, 2, 3, 4]);
    for client in clients {
        assert_eq!(receive(client.expect("connects"), 4).await, b"back");
    }
}

async fn the_end_of_a_stream(bed: Bed) {
    let (client, server) = pair(&bed).await;
    let waiting = spawn("waits", io::receive(server));
    io::close(client).await.expect("closes");
    assert!(waiting.await.expect("receives").is_none(), "a waiting receive sees the end");
    assert!(io::receive(server).await.expect("receives").is_none(), "and so do those after it");
    let block = bed.pool.take(4096).expect("free");
    let (result, block) = io::receive_into(server, block, 0, 4096).await;
    assert_eq!((result, block.map(|block| block.len())), (Ok(0), Some(4096)));
    io::close(server).await.expect("closes");
}

async fn receiving_into_a_range(bed: Bed) {
    let (client, server) = pair(&bed).await;
    send(client, pattern(0, 1000)).await;
    let mut block = bed.pool.take(4096).expect("free");
    block.fill(0xee);
    let mut at = 100;
    while at < 600 {
        let (result, back) = io::receive_into(server, block, at, 600).await;
        let count = result.expect("receives");
        assert!(0 < count && count <= 600 - at);
        (at, block) = (at + count, back.expect("comes back"));
    }
    assert_eq!(block[100..600], pattern(0, 500));
    assert!(block[..100].iter().chain(&block[600..]).all(|byte| *byte == 0xee), "outside of the range");
    assert_eq!(receive(server, 500).await, pattern(500, 500), "the rest is not lost");
}

async fn a_long_stream(bed: Bed) {
    const TOTAL: usize = 2 << 20;
    let (client, server) = pair(&bed).await;
    let sender = spawn("sends", async move {
        // Many slices of uneven length in one call, more than one send can take.
        let mut slices = Vec::new();
        let mut at = 0;
        while at < TOTAL {
            let count = (1 + at % 9973).min(TOTAL - at);
            slices.push(slice(pattern(at, count)));
            at += count;
        }
        io::send_all(client, slices).await.expect("sends");
        io::shutdown(client).await.expect("shuts down");
    });
    let mut at = 0;
    while let Some((block, length)) = io::receive(server).await.expect("receives") {
        assert!(block[..length] == pattern(at, length)[..], "at {at}");
        at += length;
    }
    assert_eq!(at, TOTAL);
    sender.await;
}

async fn shutting_down(bed: Bed) {
    let (client, server) = pair(&bed).await;
    let waiting = spawn("waits", io::receive(client));
    sleep(SHORT).await;
    send(client, "last words").await;
    io::shutdown(client).await.expect("shuts down");
    assert!(waiting.await.expect("receives").is_none(), "operations on it complete");
    assert_eq!(io::send_all(client, vec![slice("x")]).await, Err(Errno::PIPE));
    assert_eq!(receive(server, 10).await, b"last words", "what was sent before arrives");
    assert!(io::receive(server).await.expect("receives").is_none());
    // Who goes on sending to it learns in time that nobody reads.
    let mut result = Ok(());
    for _ in 0..100 {
        result = io::send_all(server, vec![slice("late")]).await;
        if result.is_err() {
            break;
        }
        sleep(SHORT / 10).await;
    }
    assert!(matches!(result, Err(Errno::PIPE | Errno::CONNRESET)), "{result:?}");
}

async fn nobody_listens(bed: Bed) {
    let (listener, address) = bed.listen();
    io::close(listener).await.expect("closes");
    // The kernel may take a moment to let go of a closed socket, when other threads open and close files.
    let mut result = io::connect(address).await;
    for _ in 0..400 {
        if let Ok(early) = result {
            io::close(early).await.expect("closes");
            sleep(SHORT / 2).await;
            result = io::connect(address).await;
        }
    }
    assert_eq!(result, Err(Errno::CONNREFUSED));
}

async fn cancelling(bed: Bed) {
    let (listener, address) = bed.listen();
    assert!(timeout(SHORT, io::accept(listener)).await.is_err());
    // The cancelled accept completes.
    bed.at_rest().await;
    // The next one gets the connection.
    let client = io::connect(address).await.expect("connects");
    let (server, _) = io::accept(listener).await.expect("accepts");
    let own = Pool::new(64 * 1024).expect("maps");
    let block = own.take(4096).expect("free");
    assert!(timeout(SHORT, io::receive(server)).await.is_err());
    assert!(timeout(SHORT, io::receive_into(server, block, 0, 4096)).await.is_err());
    bed.at_rest().await;
    assert_eq!(own.free_bytes(), own.budget_bytes(), "the block came home");
    send(client, "later").await;
    assert_eq!(receive(server, 5).await, b"later", "not lost to the cancelled ones");
}

async fn a_sender_that_is_not_read(bed: Bed) {
    const MORE_THAN_FITS: usize = 24 << 20;
    let (client, server) = pair(&bed).await;
    let own = slice(pattern(0, MORE_THAN_FITS));
    let sending = spawn("sends", async move { io::send_all(client, vec![own]).await });
    sleep(4 * SHORT).await;
    assert!(!sending.is_finished(), "it waits for the reader");
    sending.abort();
    // And can be given up.
    bed.at_rest().await;
    io::shutdown(client).await.expect("shuts down");
    let mut at = 0;
    while let Some((block, length)) = io::receive(server).await.expect("receives") {
        assert!(block[..length] == pattern(at, length)[..], "at {at}");
        at += length;
    }
    assert!(0 < at && at < MORE_THAN_FITS, "a beginning of it arrived: {at}");
}

async fn a_used_up_pool(bed: Bed) {
    const TOTAL: usize = 4 << 20;
    let (client, server) = pair(&bed).await;
    let held: Vec<_> = std::iter::from_fn(|| bed.pool.take(4096)).collect();
    let sender = spawn("sends", async move {
        send(client, pattern(0, TOTAL)).await;
        io::shutdown(client).await.expect("shuts down");
    });
    // A driver may have blocks in hand already: those are lent, and then there are no more.
    let (mut blocks, mut at) = (Vec::new(), 0);
    let errno = loop {
        match io::receive(server).await {
            Ok(Some((block, length))) => {
                assert!(block[..length] == pattern(at, length)[..]);
                blocks.push(block);
                at += length;
            }
            Ok(None) => panic!("the whole stream fitted into {} blocks of an empty pool", blocks.len()),
            Err(errno) => break errno,
        }
    };
    assert_eq!(errno, Errno::NOBUFS);
    drop((held, blocks));
    // A driver that lends ahead takes up what came home at its next turn.
    sleep(SHORT).await;
    while let Some((block, length)) = io::receive(server).await.expect("receives") {
        assert!(block[..length] == pattern(at, length)[..], "at {at}");
        at += length;
    }
    assert_eq!(at, TOTAL, "not a byte is lost");
    sender.await;
}

async fn sharing_a_port(bed: Bed) {
    let listen =
        |address: SocketAddr, share| bed.executor.with_driver(|driver| driver.listen(address, share));
    let (first, address) = listen(SocketAddr::from(([127, 0, 0, 1], 0)), true).expect("listens");
    let (second, same) = listen(address, true).expect("shares");
    assert_eq!(same, address);
    let error = listen(address, false).expect_err("not for one alone");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let accepted = [first, second].map(|listener| {
        spawn("accepts", async move {
            let mut count = 0;
            while let Ok(Ok(_)) = timeout(4 * SHORT, io::accept(listener)).await {
                count += 1;
            }
            count
        })
    });
    let clients = (0..64).map(|_| io::connect(address)).collect();
    assert!(join_all(clients).await.into_iter().all(|client| client.is_ok()));
    let [a, b] = <[u32; 2]>::try_from(join_all(accepted.into()).await).expect("two");
    assert!(a + b == 64 && a > 0 && b > 0, "dealt out: {a} and {b}");
}

async fn errors_of_handles(bed: Bed) {
    let (client, server) = pair(&bed).await;
    for socket in [client, server] {
        io::close(socket).await.expect("closes");
    }
    let bad = Some(Errno::BADF);
    assert_eq!(io::close(client).await.err(), bad);
    assert_eq!(io::receive(client).await.err(), bad);
    assert_eq!(io::shutdown(client).await.err(), bad);
    assert_eq!(io::accept(client).await.err(), bad);
    assert_eq!(io::send_all(client, vec![slice("x")]).await.err(), bad);
    let block = bed.pool.take(4096).expect("free");
    let (result, block) = io::receive_into(client, block, 0, 10).await;
    assert_eq!((result.err(), block.is_some()), (bad, true), "the block comes back");
}
