//! Sockets: order, windows, ends, and what happens to those left behind.

mod common;

use common::{Cores, executor, executor_with, pool, world};
use driver::{Driver, Errno, Handle};
use executor::{Either, io, join_all, race, sleep, spawn, timeout};
use memory::{Pool, Slice};
use sim_driver::{NodeId, RunError, World, WorldOptions};
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

struct Pair {
    world: World,
    server_node: NodeId,
    client_node: NodeId,
    executors: Cores,
    listener: Handle,
    address: SocketAddr,
}

/// Two nodes with a core each, the first of which listens.
fn pair(seed: u64, options: WorldOptions) -> Pair {
    let (world, server_node) = world(seed, options);
    let client_node = world.add_node();
    let executors = Cores(vec![executor(&world, server_node), executor(&world, client_node)]);
    let address = SocketAddr::new(world.address(server_node), 9092);
    let listen = |driver: &mut dyn Driver| driver.listen(address, false);
    let (listener, address) = executors[0].with_driver(listen).expect("listens");
    Pair { world, server_node, client_node, executors, listener, address }
}

fn text(text: &str) -> Slice {
    Slice::from(text.as_bytes().to_vec())
}

async fn receive_all(socket: Handle) -> Result<Vec<u8>, Errno> {
    let mut all = Vec::new();
    while let Some((block, length)) = io::receive(socket).await? {
        all.extend_from_slice(&block[..length]);
    }
    Ok(all)
}

/// An echo server, forever.
async fn echo(listener: Handle) {
    while let Ok((socket, _)) = io::accept(listener).await {
        spawn("echo", async move {
            while let Ok(Some((block, length))) = io::receive(socket).await {
                if io::send_all(socket, vec![block.freeze(length)]).await.is_err() {
                    break;
                }
            }
            io::close(socket).await
        });
    }
}

/// Clients that send numbered lines and check what comes back; returns the trace's hash.
fn echo_workload(seed: u64) -> (u64, usize) {
    let Pair { world, executors, listener, address, .. } = pair(seed, WorldOptions::default());
    drop(executors[0].spawn("server", echo(listener)));
    let lines = Rc::new(RefCell::new(0));
    let seen = lines.clone();
    let clients = executors[1].spawn("clients", async move {
        let clients = (0..5).map(|client| {
            let lines = lines.clone();
            spawn("client", async move {
                let socket = io::connect(address).await.expect("connects");
                for line in 0..20 {
                    let sent = format!("client {client} line {line} {}\n", "x".repeat(line * 500));
                    let mut back = Vec::new();
                    io::send_all(socket, vec![text(&sent[..7]), text(&sent[7..])]).await.expect("sends");
                    while back.len() < sent.len() {
                        let (block, length) = io::receive(socket).await.expect("receives").expect("open");
                        back.extend_from_slice(&block[..length]);
                    }
                    assert_eq!(back, sent.as_bytes());
                    *lines.borrow_mut() += 1;
                }
                io::close(socket).await.expect("closes");
            })
        });
        join_all(clients.collect()).await;
    });
    world.run_until(&executors, || clients.is_finished()).expect("runs");
    assert_eq!(*seen.borrow(), 100);
    (world.trace_hash(), world.trace_lines() as usize)
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let first = echo_workload(1);
    assert!(first.1 > 1000, "only {} lines", first.1);
    assert_eq!(first, echo_workload(1));
    assert_ne!(first.0, echo_workload(2).0);
}

#[test]
fn a_stream_arrives_in_order_and_in_pieces_and_ends() {
    let Pair { world, executors, listener, address, .. } = pair(3, WorldOptions::default());
    let sent: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let expected = sent.clone();
    let server = executors[0].spawn("server", async move {
        let (socket, peer) = io::accept(listener).await.expect("accepts");
        assert_eq!(peer.ip().to_string(), "10.0.0.2");
        receive_all(socket).await
    });
    drop(executors[1].spawn("client", async move {
        let socket = io::connect(address).await.expect("connects");
        io::send_all(socket, vec![Slice::from(sent)]).await.expect("sends");
        io::shutdown(socket).await.expect("shuts down");
    }));
    world.run_until(&executors, || server.is_finished()).expect("runs");
    assert!(server.take() == Some(Ok(expected)));
}

#[test]
fn a_peer_that_does_not_read_makes_the_sender_wait() {
    let Pair { world, executors, listener, address, .. } = pair(4, WorldOptions::default());
    let window = WorldOptions::default().network.window_bytes;
    let body = async move {
        let socket = io::connect(address).await.expect("connects");
        let all = io::send_all(socket, vec![Slice::from(vec![0; window + 1])]);
        assert!(timeout(60 * SECOND, all).await.is_err(), "one byte more than the window");
        let (block, length) = match race(io::receive(socket), sleep(SECOND)).await {
            Either::Left(received) => received.expect("receives").expect("open"),
            Either::Right(()) => return 0,
        };
        drop(block);
        length
    };
    let accepted = executors[0].spawn("server", async move { io::accept(listener).await.map(|a| a.0) });
    let client = executors[1].spawn("client", body);
    world.run_until(&executors, || client.is_finished()).expect("runs");
    assert_eq!(client.take(), Some(0));
    let socket = accepted.take().expect("accepted").expect("accepted");
    let read = executors[0].spawn("reads", async move {
        let mut count = 0;
        while count < window {
            count += io::receive(socket).await.expect("receives").expect("open").1;
        }
        count
    });
    world.run_until(&executors, || read.is_finished()).expect("runs");
    assert_eq!(read.take(), Some(window), "the cancelled send has put nothing more on the way");
}

#[test]
fn a_used_up_pool_is_an_answer_and_loses_no_byte() {
    let Pair { world, client_node, listener, address, mut executors, .. } = pair(5, WorldOptions::default());
    let small = Pool::new(16 * 1024).expect("maps");
    let held = small.take(16 * 1024).expect("free");
    executors.push(executor_with(&world, client_node, small));
    drop(executors[0].spawn("server", echo(listener)));
    let client = executors[2].spawn("client", async move {
        let socket = io::connect(address).await.expect("connects");
        io::send_all(socket, vec![text("hello")]).await.expect("sends");
        assert_eq!(io::receive(socket).await.err(), Some(Errno::NOBUFS));
        let (result, block) = io::receive_into(socket, held, 100, 102).await;
        let (mut first, mut block) = (result.expect("receives"), block.expect("comes back"));
        assert!(first <= 2 && block[100] == b'h');
        while first < 5 {
            let (result, back) = io::receive_into(socket, block, 100 + first, 200).await;
            (first, block) = (first + result.expect("receives"), back.expect("comes back"));
        }
        block[100..105].to_vec()
    });
    world.run_until(&executors, || client.is_finished()).expect("runs");
    assert_eq!(client.take(), Some(b"hello".to_vec()));
}

#[test]
fn cancelled_operations_complete_and_give_their_blocks_back() {
    let Pair { world, executors, listener, address, .. } = pair(6, WorldOptions::default());
    let mine = pool();
    let block = mine.take(4096).expect("free");
    drop(executors[0].spawn("server", echo(listener)));
    let looked = executors[1].clone();
    let client = executors[1].spawn("client", async move {
        let socket = io::connect(address).await.expect("connects");
        assert!(timeout(SECOND, io::receive(socket)).await.is_err());
        assert!(timeout(SECOND, io::receive_into(socket, block, 0, 4096)).await.is_err());
        sleep(SECOND).await;
        assert_eq!(looked.operations_under_way(), 0);
        assert_eq!(mine.free_bytes(), mine.budget_bytes());
        // What comes after is not lost to the cancelled ones.
        io::send_all(socket, vec![text("x")]).await.expect("sends");
        io::receive(socket).await.expect("receives").expect("open").1
    });
    world.run_until(&executors, || client.is_finished()).expect("runs");
    assert_eq!(client.take(), Some(1));
}

#[test]
fn shutdown_and_close_are_seen_at_both_ends() {
    let Pair { world, executors, listener, address, .. } = pair(7, WorldOptions::default());
    let server = executors[0].spawn("server", async move {
        let (socket, _) = io::accept(listener).await.expect("accepts");
        let got = receive_all(socket).await;
        // The peer reads no more: the first send goes out, one after it fails.
        let mut sends = Vec::new();
        for _ in 0..3 {
            sends.push(io::send_all(socket, vec![text("late")]).await);
            sleep(SECOND).await;
        }
        (got, sends)
    });
    let client = executors[1].spawn("client", async move {
        let socket = io::connect(address).await.expect("connects");
        io::send_all(socket, vec![text("bye")]).await.expect("sends");
        let waiting = spawn("waits", io::receive(socket));
        sleep(SECOND).await;
        io::shutdown(socket).await.expect("shuts down");
        assert!(matches!(waiting.await, Ok(None)), "a waiting receive ends");
        let after = io::send_all(socket, vec![text("x")]).await;
        assert_eq!(after, Err(Errno::PIPE));
        sleep(10 * SECOND).await;
        io::close(socket).await.expect("closes");
        io::close(socket).await
    });
    world.run_until(&executors, || server.is_finished() && client.is_finished()).expect("runs");
    assert_eq!(client.take(), Some(Err(Errno::BADF)), "a handle is closed once");
    let (got, sends) = server.take().expect("finished");
    assert_eq!(got, Ok(b"bye".to_vec()));
    assert_eq!(sends, [Ok(()), Err(Errno::CONNRESET), Err(Errno::CONNRESET)]);
}

#[test]
fn nobody_listens_or_nobody_is_there() {
    let Pair { world, executors, address, .. } = pair(8, WorldOptions::default());
    let started = world.now();
    let silent = world.add_node();
    let nowhere = SocketAddr::new(world.address(silent), 9092);
    let client = executors[1].spawn("client", async move {
        let other_port = SocketAddr::new(address.ip(), 1);
        let refused = io::connect(other_port).await;
        assert!(timeout(SECOND, io::connect(nowhere)).await.is_err(), "a machine that is down says nothing");
        (refused, io::connect(nowhere).await)
    });
    world.run_until(&executors, || client.is_finished()).expect("runs");
    assert_eq!(client.take(), Some((Err(Errno::CONNREFUSED), Err(Errno(110)))));
    assert!(world.now().since(started) >= WorldOptions::default().network.connect_timeout);
}

#[test]
fn a_shared_port_deals_connections_out_and_another_is_taken() {
    let Pair { world, server_node, mut executors, .. } = pair(9, WorldOptions::default());
    executors.push(executor(&world, server_node));
    let address = SocketAddr::new(world.address(server_node), 0);
    let first = executors[0].with_driver(|driver| driver.listen(address, true)).expect("listens");
    assert_ne!(first.1.port(), 0);
    let second = executors[2].with_driver(|driver| driver.listen(first.1, true)).expect("shares");
    let error = executors[2].with_driver(|driver| driver.listen(first.1, false)).expect_err("taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let counts = Rc::new(RefCell::new([0, 0]));
    for (place, (core, listener)) in [(0, first.0), (2, second.0)].into_iter().enumerate() {
        let counts = counts.clone();
        drop(executors[core].spawn("server", async move {
            while io::accept(listener).await.is_ok() {
                counts.borrow_mut()[place] += 1;
            }
        }));
    }
    let client = executors[1].spawn("client", async move {
        for _ in 0..100 {
            io::connect(first.1).await.expect("connects");
        }
        sleep(SECOND).await;
    });
    world.run_until(&executors, || client.is_finished()).expect("runs");
    let [a, b] = *counts.borrow();
    assert!(a + b == 100 && a > 20 && b > 20, "{a} and {b}");
}

/// A client waits for an answer that never comes, since something happens to the connection or the server.
fn wait_for_answer(
    seed: u64,
    server_ends: bool,
    happens: impl FnOnce(&World, NodeId),
) -> Result<Result<usize, Errno>, RunError> {
    let Pair { world, server_node, mut executors, listener, address, .. } =
        pair(seed, WorldOptions::default());
    let server = executors[0].spawn("server", async move {
        let accepted = io::accept(listener).await;
        sleep(1_000_000 * SECOND).await;
        accepted.map(drop)
    });
    let client = executors[1].spawn("client", async move {
        let socket = io::connect(address).await.expect("connects");
        io::receive(socket).await.map(|received| received.map_or(0, |(_, length)| length))
    });
    let until = world.now() + SECOND;
    assert_eq!(world.run_to(&executors, until, || false), Ok(false));
    happens(&world, server_node);
    if server_ends {
        executors.remove(0).drop_tasks();
    }
    drop(server);
    world.run_until(&executors, || client.is_finished())?;
    client.take().ok_or_else(|| unreachable!("it is finished"))
}

#[test]
fn resets_and_kills_are_heard_of_and_lost_power_is_not() {
    let reset = wait_for_answer(10, false, |world, _| world.reset(world.connections()[0]));
    assert_eq!(reset, Ok(Err(Errno::CONNRESET)));
    let killed = wait_for_answer(10, true, |world, node| world.kill(node));
    assert_eq!(killed, Ok(Ok(0)), "the kernel ends the stream");
    let crashed = wait_for_answer(10, true, |world, node| {
        let _ = world.crash(node);
    });
    assert!(matches!(crashed, Err(RunError::Deadlock { .. })), "{crashed:?}");
    let silent = wait_for_answer(10, false, |world, _| world.silence(world.connections()[0]));
    assert!(matches!(silent, Err(RunError::TimeUp { .. })), "the server's timer goes on: {silent:?}");
}

#[test]
fn a_machine_that_came_back_knows_nothing_of_its_connections() {
    let Pair { world, server_node, executors, listener, address, .. } = pair(11, WorldOptions::default());
    let (server, client) = (executors[0].clone(), executors[1].clone());
    drop(server.spawn("server", echo(listener)));
    let connected = client.spawn("client", async move { io::connect(address).await.expect("connects") });
    world.run_until(&[server.clone(), client.clone()], || connected.is_finished()).expect("runs");
    let socket = connected.take().expect("finished");
    world.crash(server_node);
    server.drop_tasks();
    let executors = Cores(vec![executor(&world, server_node), client]);
    let heard = executors[1].spawn("client", async move {
        io::send_all(socket, vec![text("still there?")]).await.expect("sends");
        io::receive(socket).await.map(drop)
    });
    world.run_until(&executors, || heard.is_finished()).expect("runs");
    assert_eq!(heard.take(), Some(Err(Errno::CONNRESET)));
}

#[test]
fn a_cut_delays_and_loses_nothing() {
    let Pair { world, server_node, client_node, executors, listener, address } =
        pair(12, WorldOptions::default());
    let server = executors[0].spawn("server", async move {
        let (socket, _) = io::accept(listener).await.expect("accepts");
        receive_all(socket).await
    });
    let socket = executors[1].spawn("client", async move { io::connect(address).await.expect("connects") });
    world.run_until(&executors, || socket.is_finished()).expect("runs");
    let socket = socket.take().expect("finished");
    world.cut(client_node, server_node);
    drop(executors[1].spawn("client", async move {
        for part in ["one ", "two ", "three"] {
            io::send_all(socket, vec![text(part)]).await.expect("sends");
        }
        io::shutdown(socket).await
    }));
    let healed = world.now() + 10 * SECOND;
    assert_eq!(world.run_to(&executors, healed, || server.is_finished()), Ok(false), "nothing passes");
    world.heal(client_node, server_node);
    world.run_until(&executors, || server.is_finished()).expect("runs");
    assert_eq!(server.take(), Some(Ok(b"one two three".to_vec())));
}
