//! Flumen's own keys. They are broker keys, set in the file or on the command line.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "flumen.cache.bytes" Long = "67108864" [Medium honoured at_least(0)]
        "Memory of each core, in bytes, for data read back from disk: a part of the pool, a quarter of it at \
         most. Less than 262144 keeps nothing and reads nothing ahead.";
    "flumen.cores" List = "" [High honoured any_of(&[])]
        "Cores to run on, as numbers and ranges such as `0,2-5`: one shard on each. Empty takes every core \
         the process may use.";
    "flumen.data" String = "./flumen-data" [High honoured valid(Valid::NonEmpty)]
        "Directory of all data. It goes before the log directories; one process at a time may use it.";
    "flumen.drain.interval.ms" Long = "10000" [Low honoured between(10, 3_600_000)]
        "Longest time in milliseconds that records are in the journal and in memory only, before they are \
         written to segments; synced there after twice that. Sooner where memory or journal run short. With \
         durability `memory` at most 1000 for both.";
    "flumen.durability" String = "device" [High honoured one_of(&["device", "memory"])]
        "When a record is acknowledged. `device`: once the device has it. `memory`, the relaxed mode: \
         before that. A crash of the process then loses what was acknowledged in its last 2 milliseconds, \
         more where the device is behind; a power loss or crash of the system what \
         `flumen.drain.interval.ms` allows.";
    "flumen.http.listen" String = "127.0.0.1:8082" [Medium honoured]
        "Address `host:port` for metrics, health and the HTTP interface; empty serves none.";
    "flumen.idle" String = "park" [Medium honoured one_of(&["park", "spin", "poll"])]
        "What a core does without work. `park` sleeps at once, `spin` looks for a while first, `poll` never \
         sleeps: the quicker the answer, the more processor time is burnt.";
    "flumen.idle.spin.us" Int = "50" [Low honoured between(0, 1_000_000)]
        "Microseconds a core looks for work before it sleeps, where it idles by `spin`.";
    "flumen.io.features.disable" List = "" [Low honoured any_of(&[])]
        "Kernel features not to be used although the kernel has them, by the names in the start-up line: \
         `buffer_ring`, `direct_io`, `huge_pages`, `msg_ring`, `multishot_accept`, `multishot_receive`, \
         `no_iowait`, `registered_buffers`, `registered_files`, `send_zc`, `time_slice`. Each has a slower way \
         in its place.";
    "flumen.io.features.enable" List = "" [Low honoured any_of(&[])]
        "Kernel features to be used although they are off by default, by the same names. \
         `flumen.io.features.disable` wins over it.";
    "flumen.journal.file.bytes" Long = "67108864" [Medium honoured between(1_048_576, 17_179_869_184)]
        "Size in bytes of a journal file. All of them together bound what recovery has to read.";
    "flumen.journal.files" Int = "4" [Medium honoured between(2, 1024)]
        "Journal files of each core. They are written ahead of use and used again once their records are in \
         segments; when all are full, producers wait.";
    "flumen.journal.inflight" Int = "4" [Medium honoured between(1, 64)]
        "Journal writes of a core that may be under way at one time. Records are acknowledged in order \
         whatever the number.";
    "flumen.large.append.bytes" Int = "32768" [Medium honoured at_least(4096)]
        "Bytes for one partition and commit from which an append goes straight to its segment and not \
         through the journal.";
    "flumen.pool.bytes" Long = "268435456" [High honoured at_least(16_777_216)]
        "Memory of each core, in bytes, for requests, tails of logs and the journal. Taken at start and \
         never exceeded: when it runs out, senders are slowed down.";
    "flumen.reserve.bytes" Long = "67108864" [Low honoured at_least(0)]
        "Bytes kept in the file `reserve` of the data directory, where four times as much is free. A start on a \
         full disk goes on in that space, so that topics and records can be deleted; 0 keeps none.";
}
