//! One core's tasks, timers and turns.
//!
//! - [`core`](mod@core): [`Executor`], the loop: inboxes, timers, ready tasks, driver; and how it idles.
//! - [`task`]: spawning, joining, the two classes of work.
//! - [`io`]: the driver's operations as futures: `read(file, offset, block, length).await`.
//! - [`timer`]: [`sleep`], [`timeout`], the clocks.
//! - [`sync`]: what tasks of one core wait for each other with: [`Event`], [`oneshot`], [`Semaphore`].
//! - [`combine`]: [`join_all`], [`join_some`], [`race`].
//!
//! Everything here is for one thread: tasks are not `Send` and no call takes a lock. Inside a task the free
//! functions find their executor by themselves. The same executor runs under the simulator, which drives
//! it by [`Executor::turn`] and, given a seed, lets chance choose among the tasks that are ready.
//!
//! # What a task must not do
//! Hold the core. A poll of more than 5 ms is counted and logged with the task's name. Long work yields
//! ([`yield_now`]) or is spawned as [`Class::Background`], which runs only in small portions
//! between requests.

mod combine;
mod core;
pub mod io;
mod ops;
mod ready;
pub mod sync;
mod task;
#[cfg(test)]
mod tests;
mod timer;

pub use crate::core::{Executor, IdlePolicy, Options, Progress, Stats};
pub use combine::{Either, join_all, join_some, race};
pub use sync::{Event, OneshotReceiver, OneshotSender, Permit, Semaphore, oneshot};
pub use task::{Class, JoinHandle, spawn, spawn_class, yield_now};
pub use timer::{Elapsed, Sleep, now, random, recently, sleep, sleep_until, timeout, wall_clock_ms};
