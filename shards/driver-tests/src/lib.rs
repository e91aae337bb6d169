//! The contract of the seam, as checks that every driver must pass.
//!
//! - [`files`]: names, contents, sizes, errors.
//! - [`sockets`]: connections, their ends, cancelling, back-pressure, a pool that is used up.
//! - [`time`]: timers, clocks, wakes.
//!
//! What the simulator finds is worth as much as it is like the kernel, and what holds over the simulator is true
//! in production only as far as both keep the same contract: hence one suite for both. A check says only
//! what the seam's documentation says or what every POSIX file system does; where drivers may differ
//! it accepts either.

mod files;
mod sockets;
mod time;

use driver::Handle;
use executor::{Executor, sleep, timeout};
use memory::{Pool, Slice};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

/// A check that takes longer hangs.
const CHECK_TIME_MAX: Duration = Duration::from_secs(30);
/// Between two looks whether operations are under way.
const REST_LOOK: Duration = Duration::from_millis(5);

/// What a check works with.
#[derive(Clone)]
pub(crate) struct Bed {
    pub(crate) executor: Executor,
    /// An empty directory.
    pub(crate) directory: PathBuf,
    /// The pool from which the driver lends.
    pub(crate) pool: Pool,
}

impl Bed {
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A listening socket on a free port of the loopback address.
    pub(crate) fn listen(&self) -> (Handle, SocketAddr) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.executor.with_driver(|driver| driver.listen(any, false)).expect("a free port")
    }

    /// Waits until all operations have completed. The check's time is over if one never does.
    pub(crate) async fn at_rest(&self) {
        while self.executor.operations_under_way() > 0 {
            sleep(REST_LOOK).await;
        }
    }
}

pub(crate) type Check = (&'static str, fn(Bed) -> Pin<Box<dyn Future<Output = ()>>>);

/// Names an async function as a check.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CHECKS: &[crate::Check] = &[$((stringify!($name), |bed| Box::pin($name(bed)))),*];
    };
}
pub(crate) use checks;

/// Bytes of which every part tells where it was.
pub(crate) fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| (at % 251) as u8 ^ (at / 251 % 13) as u8).collect()
}

pub(crate) fn slice(bytes: impl Into<Vec<u8>>) -> Slice {
    Slice::from(bytes.into())
}

/// Runs every check, each on what a call of `make` gives: an executor over the driver in question, an empty
/// directory, and the pool that the driver was given, of at least 4 MiB.
///
/// # Panics
/// At the first check that fails or takes longer than 30 seconds of the driver's time, naming it.
pub fn check_all(make: impl Fn() -> (Executor, PathBuf, Pool)) {
    for (name, check) in [files::CHECKS, sockets::CHECKS, time::CHECKS].concat() {
        let (executor, directory, pool) = make();
        let bed = Bed { executor: executor.clone(), directory, pool };
        // Shown by the test harness only if the check fails.
        println!("driver check: {name}");
        let ended = executor.run(async move { timeout(CHECK_TIME_MAX, check(bed)).await });
        let left = executor.task_count();
        executor.drop_tasks();
        assert!(ended.is_ok(), "{name} hangs; {left} tasks left");
    }
}
