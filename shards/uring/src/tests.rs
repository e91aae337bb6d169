//! The driver alone, seen from inside: what outlasts the operation that began it.

use crate::ring::AGAIN_MAX;
use crate::{Features, UringDriver, UringOptions};
use driver::{Completion, Driver, Errno, Handle, Operation, Outcome, Token, Wait};
use memory::{Pool, Slice};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const POOL_BYTES: usize = 64 << 20;
const SEND: Token = Token(7);
const LARGE: usize = 256 * 1024;

fn driver() -> (UringDriver, Pool) {
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let features = Features::new(&["registered_files".to_owned()], &["buffer_ring".to_owned()]);
    let options = UringOptions { features: features.expect("known"), data: None };
    (UringDriver::new(&options, pool.clone()).expect("a ring"), pool)
}

/// Turns until something completes.
fn next(driver: &mut UringDriver) -> Completion {
    let mut completions = Vec::new();
    let until = driver.now() + Duration::from_secs(10);
    while completions.is_empty() && driver.now() < until {
        driver.turn(Wait::Until(until), &mut completions);
    }
    assert_eq!(completions.len(), 1, "one at a time");
    completions.remove(0)
}

/// Turns for a time in which nothing completes, and once at least: the machine may be away for all of that time.
fn settle(driver: &mut UringDriver) {
    let mut completions = Vec::new();
    let until = driver.now() + Duration::from_millis(50);
    loop {
        driver.turn(Wait::Until(until), &mut completions);
        assert!(completions.is_empty(), "{completions:?}");
        if driver.now() >= until {
            return;
        }
    }
}

/// Settles until this is so; the network takes its time where the machine has much to do.
fn settle_until(driver: &mut UringDriver, what: &str, is_so: impl Fn(&UringDriver) -> bool) {
    let limit = driver.now() + Duration::from_secs(20);
    while !is_so(driver) {
        assert!(driver.now() < limit, "not in time: {what}");
        settle(driver);
    }
}

/// What was sent without a copy is no longer looked at, and its blocks came home.
fn settle_all(driver: &mut UringDriver, pool: &Pool) {
    settle(driver);
    settle_until(driver, "the network is done with it", |driver| driver.zero_copies.iter().count() == 0);
    assert_eq!(pool.free_bytes(), POOL_BYTES, "the blocks came home");
}

fn connect(driver: &mut UringDriver) -> (Handle, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("an address");
    driver.submit(Token(1), Operation::Connect { address });
    // The kernel connects before anybody accepts.
    match next(driver).outcome {
        Outcome::Opened(Ok(handle)) => (handle, listener.accept().expect("accepts").0),
        other => panic!("{other:?}"),
    }
}

fn slices(pool: &Pool, bytes: usize) -> Vec<Slice> {
    let blocks = (0..bytes / LARGE).map(|number| {
        let mut block = pool.take(LARGE).expect("free");
        block.fill(number as u8);
        block.freeze(LARGE)
    });
    blocks.collect()
}

/// Sends, and says how much of it was sent; the slices are dropped.
fn send(driver: &mut UringDriver, socket: Handle, slices: Vec<Slice>) -> Result<usize, Errno> {
    driver.submit(SEND, Operation::Send { socket, slices, skip: 0 });
    match next(driver) {
        Completion { token: SEND, outcome: Outcome::Sent(sent, _) } => sent,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_kernel_copies_is_sent_plainly_from_then_on() {
    let (mut driver, pool) = driver();
    let (socket, mut peer) = connect(&mut driver);
    for bytes in [LARGE, 4 * LARGE] {
        if let Some(info) = driver.handles.get_mut(socket.0) {
            info.copied_sends = 0;
        }
        let sent = send(&mut driver, socket, slices(&pool, bytes)).expect("sends");
        let mut all = vec![0; sent];
        peer.read_exact(&mut all).expect("receives");
        assert!(all.iter().enumerate().all(|(at, byte)| *byte == (at / LARGE) as u8));
        settle_all(&mut driver, &pool);
        assert!(driver.handles.get(socket.0).copied_sends > 0, "the loopback copies, and says so");
    }
    let before = driver.handles.get(socket.0).copied_sends;
    driver.submit(SEND, Operation::Send { socket, slices: slices(&pool, LARGE), skip: 0 });
    assert_eq!(driver.zero_copies.iter().count(), 0, "a plain one");
    assert_eq!(driver.handles.get(socket.0).copied_sends, before - 1, "and one fewer until the next try");
    next(&mut driver);
}

#[test]
fn small_sends_and_what_was_skipped_do_not_count() {
    let (mut driver, pool) = driver();
    let (socket, mut peer) = connect(&mut driver);
    for skip in [LARGE - 100, LARGE] {
        let slices = slices(&pool, LARGE);
        driver.submit(SEND, Operation::Send { socket, slices, skip });
        assert_eq!(driver.zero_copies.iter().count(), 0);
        let Outcome::Sent(sent, _) = next(&mut driver).outcome else { panic!("not a send") };
        assert_eq!(sent, Ok(LARGE - skip));
    }
    peer.read_exact(&mut [0; 100]).expect("receives");
}

/// Fills the socket of a peer that does not read, without copies, until a send waits.
fn fill(driver: &mut UringDriver, pool: &Pool, socket: Handle) {
    for _ in 0..100 {
        if let Some(info) = driver.handles.get_mut(socket.0) {
            info.copied_sends = 0;
        }
        driver.submit(SEND, Operation::Send { socket, slices: slices(pool, 4 * LARGE), skip: 0 });
        // Several looks, of which the machine may miss one: what has room completes in the first.
        let (mut completions, mut looks) = (Vec::new(), 0);
        while completions.is_empty() && looks < 4 {
            let until = driver.now() + Duration::from_millis(25);
            driver.turn(Wait::Until(until), &mut completions);
            looks += u32::from(driver.now() >= until);
        }
        if completions.is_empty() {
            return;
        }
    }
    panic!("a peer that does not read took all");
}

#[test]
fn a_waiting_send_is_cancelled_and_gives_its_slices_back() {
    let (mut driver, pool) = driver();
    let (socket, peer) = connect(&mut driver);
    fill(&mut driver, &pool, socket);
    driver.cancel(SEND);
    let Outcome::Sent(sent, slices) = next(&mut driver).outcome else { panic!("not a send") };
    assert!(slices.len() == 4 && (sent == Err(Errno::CANCELED) || sent.is_ok()), "{sent:?}");
    drop(slices);
    settle(&mut driver);
    settle_until(&mut driver, "what waits for the peer is kept, and counted", |driver| {
        driver.zero_copy_bytes == POOL_BYTES - pool.free_bytes()
    });
    drop(peer);
    settle_all(&mut driver, &pool);
}

#[test]
fn a_peer_that_vanishes_ends_the_send_and_frees_the_memory() {
    let (mut driver, pool) = driver();
    let (socket, peer) = connect(&mut driver);
    fill(&mut driver, &pool, socket);
    drop(peer);
    let Outcome::Sent(sent, slices) = next(&mut driver).outcome else { panic!("not a send") };
    assert!(matches!(sent, Err(Errno::CONNRESET | Errno::PIPE)), "{sent:?}");
    drop(slices);
    settle_all(&mut driver, &pool);
}

#[test]
fn a_driver_that_goes_waits_for_the_network() {
    let (mut driver, pool) = driver();
    let (socket, peer) = connect(&mut driver);
    fill(&mut driver, &pool, socket);
    assert!(driver.zero_copies.iter().count() > 0, "one is under way");
    drop(peer);
    drop(driver);
    assert_eq!(pool.free_bytes(), POOL_BYTES, "nothing had to be leaked");
}

#[test]
fn what_the_network_still_looks_at_is_leaked_and_not_used_again() {
    let (mut driver, pool) = driver();
    let (socket, _peer) = connect(&mut driver);
    fill(&mut driver, &pool, socket);
    let began = std::time::Instant::now();
    drop(driver);
    assert!(began.elapsed() < Duration::from_secs(30), "it does not wait for ever");
    assert!(pool.free_bytes() < POOL_BYTES, "memory that is still sent from was freed");
}

#[test]
fn memory_that_waits_for_the_network_is_bounded() {
    let (mut driver, pool) = driver();
    let (socket, _peer) = connect(&mut driver);
    driver.zero_copy_bytes = POOL_BYTES / 8 - LARGE + 1;
    driver.submit(SEND, Operation::Send { socket, slices: slices(&pool, LARGE), skip: 0 });
    assert_eq!(driver.zero_copies.iter().count(), 0, "a plain one");
    next(&mut driver);
    driver.zero_copy_bytes -= 1;
    driver.submit(SEND, Operation::Send { socket, slices: slices(&pool, LARGE), skip: 0 });
    assert_eq!(driver.zero_copies.iter().count(), 1);
    next(&mut driver);
}

#[test]
fn what_every_kernel_has_that_makes_our_rings_is_found() {
    let options = UringOptions::default();
    let driver = UringDriver::new(&options, Pool::new(POOL_BYTES).expect("maps")).expect("a ring");
    for name in ["buffer_ring", "msg_ring", "multishot_accept", "multishot_receive", "send_zc"] {
        let found = driver.capabilities().features.iter().find(|(one, _)| *one == name);
        assert_eq!(found, Some(&(name, None)));
    }
}

#[test]
fn handles_are_registered_from_their_opening_to_their_close() {
    let (mut driver, _) = driver();
    let (socket, _peer) = connect(&mut driver);
    assert!(driver.handles.is_registered(socket.0));
    driver.submit(Token(1), Operation::Close { handle: socket });
    assert!(!driver.handles.is_registered(socket.0));
    assert!(matches!(next(&mut driver).outcome, Outcome::Done(Ok(()))));
}

/// Every socket is received from, and gets one byte; the kernel tries all receives with the lent blocks of one turn,
/// which are fewer. A receive's token is its socket's place.
fn flood(driver: &mut UringDriver, sockets: &mut [(Handle, TcpStream)]) {
    for (number, (socket, _)) in sockets.iter().enumerate() {
        driver.submit(Token(number as u64), Operation::Receive { socket: *socket });
    }
    // They are with the kernel before anything comes.
    settle(driver);
    for (number, (_, peer)) in sockets.iter_mut().enumerate() {
        peer.write_all(&[number as u8]).expect("sends");
    }
    // In one turn, however little of it newer kernels do in one call.
    for _ in 0..sockets.len() {
        driver.enter(Wait::No);
    }
}

/// Receives from all sockets at once, in fewer lent blocks than there are sockets.
fn receive_all(driver: &mut UringDriver, sockets: &mut [(Handle, TcpStream)]) {
    flood(driver, sockets);
    let (mut left, mut completions) = (sockets.len(), Vec::new());
    let until = driver.now() + Duration::from_secs(10);
    while left > 0 && driver.now() < until {
        driver.turn(Wait::Until(until), &mut completions);
        for Completion { token, outcome } in completions.drain(..) {
            match outcome {
                Outcome::Received(Ok(1), Some(block)) => assert_eq!(block[0], token.0 as u8),
                other => panic!("{other:?}"),
            }
            left -= 1;
        }
    }
    assert_eq!(left, 0);
}

#[test]
fn more_receives_in_a_turn_than_lent_blocks_are_made_once_more() {
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let mut driver = UringDriver::new(&UringOptions::default(), pool).expect("a ring");
    let mut sockets: Vec<_> = (0..150).map(|_| connect(&mut driver)).collect();
    // Single ones first; from the fifth round on they are armed.
    for _ in 0..8 {
        receive_all(&mut driver, &mut sockets);
    }
}

#[test]
fn a_receive_that_is_given_up_is_not_made_once_more() {
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let mut driver = UringDriver::new(&UringOptions::default(), pool).expect("a ring");
    let mut sockets: Vec<_> = (0..150).map(|_| connect(&mut driver)).collect();
    flood(&mut driver, &mut sockets);
    for number in 0..sockets.len() {
        driver.cancel(Token(number as u64));
    }
    let (mut left, mut received, mut completions) = (sockets.len(), 0, Vec::new());
    let until = driver.now() + Duration::from_secs(10);
    while left > 0 && driver.now() < until {
        driver.turn(Wait::Until(until), &mut completions);
        for Completion { outcome, .. } in completions.drain(..) {
            match outcome {
                Outcome::Received(Ok(_), Some(_)) => received += 1,
                Outcome::Received(Err(_), None) => {}
                other => panic!("{other:?}"),
            }
            left -= 1;
        }
    }
    assert_eq!(left, 0);
    assert!(received < sockets.len(), "those that found no block were to end without any bytes");
}

#[test]
fn of_a_flood_of_receives_a_turn_makes_some_once_more_and_tells_the_rest() {
    let pool = Pool::new(POOL_BYTES).expect("maps");
    let mut driver = UringDriver::new(&UringOptions::default(), pool).expect("a ring");
    for _ in 0..2 {
        let short = (0..2 * AGAIN_MAX).filter(|_| driver.was_short_of_lent(-Errno::NOBUFS.0)).count();
        assert_eq!(short, AGAIN_MAX);
        driver.turn(Wait::No, &mut Vec::new());
    }
}
