//! What kind of world it is: speeds, sizes, and how often things go wrong.
//!
//! A rate is written as "one in n": 0 is never, 1 is always.

use base::Random;
use std::time::Duration;

/// How long something takes: usually between `min` and `max`, and one time in `slow_one_in` up to `slow_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// The shortest time.
    pub min: Duration,
    /// The longest usual time.
    pub max: Duration,
    /// How often it is slow.
    pub slow_one_in: u64,
    /// The longest time when it is slow.
    pub slow_max: Duration,
}

impl Latency {
    /// Between two numbers of microseconds; slow one time in 100, then up to ten times the longest.
    pub const fn micros(min: u64, max: u64) -> Latency {
        Latency {
            min: Duration::from_micros(min),
            max: Duration::from_micros(max),
            slow_one_in: 100,
            slow_max: Duration::from_micros(max * 10),
        }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Duration {
        let max = if random.one_in(self.slow_one_in) { self.slow_max } else { self.max };
        let (min, max) = (self.min.as_nanos() as u64, max.as_nanos() as u64);
        Duration::from_nanos(random.between(min, max.max(min)))
    }
}

/// How often a disk fails by itself. Can be changed while the world runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskFaults {
    /// A read ends with `EIO`.
    pub read_error_one_in: u64,
    /// A write ends with `EIO`; none, some or all of it is done.
    pub write_error_one_in: u64,
    /// A sync of a file or directory ends with `EIO`. What it should have made durable is, write by write,
    /// durable or given up: a later sync that succeeds says nothing of it, as on Linux.
    pub sync_error_one_in: u64,
    /// A write lands elsewhere in its file and reports success.
    pub misdirected_write_one_in: u64,
}

/// What becomes of directory changes that were not synced when the machine stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectoryLoss {
    /// Each is kept or lost by itself: all that POSIX promises.
    Any,
    /// They were made in order and a part at the end is lost: file systems with a journal.
    Prefix,
}

/// A node's disk.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Reads.
    pub read: Latency,
    /// Writes that are not durable.
    pub write: Latency,
    /// Durable writes and syncs.
    pub sync: Latency,
    /// Names: open, close, rename and so on.
    pub metadata: Latency,
    /// An operation begins a slow spell of the disk.
    pub spell_one_in: u64,
    /// How long such a spell lasts.
    pub spell: Duration,
    /// By how much everything is slower in it.
    pub spell_factor: u32,
    /// What goes wrong by itself.
    pub faults: DiskFaults,
    /// Bytes of files that fit on it, each file rounded up to 4 KiB.
    pub capacity_bytes: u64,
    /// What direct files must be aligned to: 512 or 4,096.
    pub direct_alignment: usize,
    /// The fate of unsynced directory changes.
    pub directory_loss: DirectoryLoss,
    /// Syncing a file makes its name durable too, as ext4 and XFS do and POSIX does not promise.
    pub sync_keeps_name: bool,
    /// An allocation that finds too little room fails, and has taken what there was: as on ext4.
    pub allocates_in_part: bool,
}

impl Default for DiskOptions {
    fn default() -> DiskOptions {
        DiskOptions {
            read: Latency::micros(60, 200),
            write: Latency::micros(20, 150),
            sync: Latency::micros(150, 600),
            metadata: Latency::micros(5, 60),
            spell_one_in: 20_000,
            spell: Duration::from_millis(50),
            spell_factor: 20,
            faults: DiskFaults::default(),
            capacity_bytes: 64 << 30,
            direct_alignment: 4096,
            directory_loss: DirectoryLoss::Any,
            sync_keeps_name: false,
            allocates_in_part: false,
        }
    }
}

/// The network between the nodes, and within them.
#[derive(Clone, Debug)]
pub struct NetworkOptions {
    /// From socket to socket, one way.
    pub latency: Latency,
    /// Bytes of one direction of a connection that are sent and not yet taken by the receiver; a sender waits
    /// when there are so many.
    pub window_bytes: usize,
    /// Size of the blocks lent by `Receive`.
    pub receive_block_bytes: usize,
    /// A send or receive moves less than it could.
    pub partial_one_in: u64,
    /// A piece of data on its way resets its connection.
    pub reset_one_in: u64,
    /// When a connection attempt that nobody answers ends with `ETIMEDOUT`.
    pub connect_timeout: Duration,
}

impl Default for NetworkOptions {
    fn default() -> NetworkOptions {
        NetworkOptions {
            latency: Latency::micros(20, 200),
            window_bytes: 256 * 1024,
            receive_block_bytes: 16 * 1024,
            partial_one_in: 4,
            reset_one_in: 0,
            connect_timeout: Duration::from_secs(127),
        }
    }
}

/// A world.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// Every node's disk at its beginning.
    pub disk: DiskOptions,
    /// The network.
    pub network: NetworkOptions,
    /// The wall clock at the beginning, in milliseconds since 1970.
    pub wall_clock_ms: i64,
    /// Turns of executors in one run; more is a livelock.
    pub steps_max: u64,
    /// Virtual time of one run.
    pub time_max: Duration,
    /// An executor that stops being turned until it is woken, as a sleeping core: a message put into an inbox
    /// without a wake is then [`RunError::LostWake`](crate::RunError::LostWake). Off, wakes are not needed.
    pub check_wakes: bool,
    /// How many of the last lines of the trace are kept as text.
    pub log_lines: usize,
}

impl Default for WorldOptions {
    fn default() -> WorldOptions {
        WorldOptions {
            disk: DiskOptions::default(),
            network: NetworkOptions::default(),
            wall_clock_ms: 1_700_000_000_000,
            steps_max: 10_000_000,
            time_max: Duration::from_secs(3600),
            check_wakes: false,
            log_lines: 0,
        }
    }
}
