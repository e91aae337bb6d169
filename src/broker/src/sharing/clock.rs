//! What time brings to share groups: locks that are up, sessions whose clients have gone, partitions that nobody reads.

use super::seat::Seated;
use super::{ShareCore, ask};
use crate::broker::Broker;
use executor::{race, sleep, wall_clock_ms};
use std::rc::Rc;
use std::time::Duration;

/// Locks that are up within this time go together.
const GRAIN_MS: i64 = 50;
/// How long to sleep when nothing is due: the shortest lock, so that none is overlooked.
const REST_MS: i64 = 1_000;
/// The same while there is no share partition. The first that comes wakes this up.
const SLEEP_MS: i64 = 60_000;
/// After how long a share partition is forgotten that nobody asked for; what is durable of it stays.
const IDLE_MS: i64 = 300_000;

impl ShareCore {
    /// Sessions whose connection has ended.
    pub(super) fn left(&self, seated: Vec<Seated>) {
        if !self.stopped.get() {
            self.gone.borrow_mut().extend(seated);
            self.sooner.notify();
        }
    }
}

/// Does what is due, for as long as the broker runs.
pub(crate) async fn keep_time(broker: Rc<Broker>) {
    while !broker.share.stopped.get() {
        let seen = broker.share.sooner.count();
        let gone = std::mem::take(&mut *broker.share.gone.borrow_mut());
        for seated in gone {
            let broker = broker.clone();
            drop(executor::spawn("share session end", async move {
                ask::end(&broker, &seated.group, &seated.member, seated.serial).await;
            }));
        }
        let now_ms = wall_clock_ms();
        let leaders = broker.share.all();
        let rest = if leaders.is_empty() { SLEEP_MS } else { REST_MS };
        let mut next = now_ms.saturating_add(rest);
        for leader in leaders {
            match leader.next_deadline() {
                Some(at) if at <= now_ms => leader.expire(&broker, now_ms),
                Some(at) => next = next.min(at),
                None if leader.is_idle(now_ms - IDLE_MS) => broker.share.forget(&leader),
                None => {}
            }
        }
        let left = u64::try_from((next - now_ms).max(GRAIN_MS)).unwrap_or(0);
        race(broker.share.sooner.after(seen), sleep(Duration::from_millis(left))).await;
    }
}
