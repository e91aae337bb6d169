//! One core's ends of all queues.

use crate::bell::Bell;
use model::ShardId;
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// Messages taken from one queue in one look, so that a busy peer does not keep a core from its own work.
const TAKEN_MAX: usize = 256;

/// One core's ends: to every shard and from every shard. Moves to its core once, and stays there.
pub struct Port<M> {
    shard: ShardId,
    to: Vec<RefCell<Producer<M>>>,
    from: Vec<RefCell<Consumer<M>>>,
    bells: Arc<[OnceLock<Bell>]>,
}

/// The ports of `shards` cores, with queues of `capacity` messages each.
///
/// # Panics
/// If there is no shard, or no capacity.
pub fn build<M: Send>(shards: usize, capacity: usize) -> Vec<Port<M>> {
    assert!(shards > 0 && capacity > 0, "{shards} shards with queues of {capacity}");
    let bells: Arc<[OnceLock<Bell>]> = (0..shards).map(|_| OnceLock::new()).collect();
    let mut ports: Vec<Port<M>> = (0..shards)
        .map(|shard| Port {
            shard: ShardId(u16::try_from(shard).expect("at most 65,536 shards")),
            to: Vec::with_capacity(shards),
            from: Vec::with_capacity(shards),
            bells: bells.clone(),
        })
        .collect();
    for source in 0..shards {
        for port in &mut ports {
            let (producer, consumer) = RingBuffer::new(capacity);
            port.from.push(RefCell::new(consumer));
            // Parked with the target for a moment; handed to its source below.
            port.to.push(RefCell::new(producer));
        }
        debug_assert_eq!(ports[source].from.len(), source + 1);
    }
    transpose(&mut ports);
    ports
}

/// Gives each source the producers that lie with its targets.
fn transpose<M>(ports: &mut [Port<M>]) {
    let mut rows: Vec<_> = ports.iter_mut().map(|port| std::mem::take(&mut port.to).into_iter()).collect();
    for port in ports {
        port.to = rows.iter_mut().filter_map(Iterator::next).collect();
    }
}

impl<M> Port<M> {
    /// Whose port this is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.to.len()
    }

    /// Tells the others how to wake this core. Before that it must not sleep. Once only.
    pub fn bind(&self, bell: Bell) {
        assert!(self.bells[self.shard.index()].set(bell).is_ok(), "shard {} was bound twice", self.shard);
    }

    /// Sends a message, and wakes its receiver if that sleeps; gives it back if the queue is full.
    pub fn try_send(&self, to: ShardId, message: M) -> Result<(), M> {
        match self.to[to.index()].borrow_mut().push(message) {
            Ok(()) => {
                if let Some(bell) = self.bells[to.index()].get() {
                    bell.ring();
                }
                Ok(())
            }
            Err(PushError::Full(message)) => Err(message),
        }
    }

    /// Takes what has arrived, a bounded number from each shard in turn; returns how many.
    pub fn receive(&self, mut take: impl FnMut(ShardId, M)) -> usize {
        let mut count = 0;
        for (source, queue) in self.from.iter().enumerate() {
            for _ in 0..TAKEN_MAX {
                // The borrow ends before `take` runs: it may send.
                let popped = queue.borrow_mut().pop();
                let Ok(message) = popped else { break };
                take(ShardId(source as u16), message);
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_connected_the_right_way_round() {
        let ports = build::<(usize, usize)>(4, 2);
        for (source, port) in ports.iter().enumerate() {
            for target in 0..4 {
                assert_eq!(port.try_send(ShardId(target as u16), (source, target)), Ok(()));
            }
        }
        for (target, port) in ports.iter().enumerate() {
            let mut seen = Vec::new();
            port.receive(|from, message| seen.push((from.index(), message)));
            let expected: Vec<_> = (0..4).map(|source| (source, (source, target))).collect();
            assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_full_queue_gives_the_message_back() {
        let ports = build::<u32>(1, 2);
        assert_eq!(ports[0].try_send(ShardId(0), 1), Ok(()));
        assert_eq!(ports[0].try_send(ShardId(0), 2), Ok(()));
        assert_eq!(ports[0].try_send(ShardId(0), 3), Err(3));
        assert_eq!(ports[0].receive(|_, _| {}), 2);
        assert_eq!(ports[0].try_send(ShardId(0), 3), Ok(()));
    }

    #[test]
    fn order_holds_between_threads() {
        let mut ports = build::<u64>(2, 16).into_iter();
        let (Some(first), Some(second)) = (ports.next(), ports.next()) else { panic!("two ports") };
        let sender = std::thread::spawn(move || {
            for number in 0..10_000u64 {
                while first.try_send(ShardId(1), number).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let mut next = 0;
        while next < 10_000 {
            second.receive(|_, number| {
                assert_eq!(number, next);
                next += 1;
            });
        }
        sender.join().expect("no panic");
    }
}
