//! What the benchmarks of single pieces share. `cargo bench -p micro` runs them, `cargo xtask bench micro` also
//! keeps their results.
//!
//! - [`batches`]: record batches as producers send them.
//! - [`echo`]: a client that sends small requests and waits for their echoes.
//!
//! The benchmarks, one file each: `crc`, `codec`, `batch` (checks of a record batch), `mesh`, `echo` (the executor
//! over io_uring), `timers`, `pools`, `journal` (a commit's bytes, there and back), `append` (a log's append up to the
//! journal's commit). With the feature `comparators` the same is done by others beside ours: crc-fast, glommio, tokio.

pub mod batches;
pub mod echo;
