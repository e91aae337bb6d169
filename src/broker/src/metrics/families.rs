//! Every metric of the broker: name, kind, unit, labels, meaning.

use base::exposition::{Family, Kind};

macro_rules! families {
    ($($constant:ident = $name:literal, $kind:ident, $unit:literal, [$($label:literal),*], $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Family = Family {
                name: $name,
                kind: Kind::$kind,
                unit: $unit,
                labels: &[$($label),*],
                help: $help,
            };
        )+

        /// All of them, in the order of the text.
        pub static ALL: &[&Family] = &[$(&$constant),+];
    };
}

families! {
    REQUESTS = "flumen_requests_total", Counter, "requests", ["core", "api"],
        "Requests that were answered, or that wanted no answer, or that closed their connection.";
    ERRORS = "flumen_request_errors_total", Counter, "errors", ["core", "api", "error"],
        "Errors told to clients, one for each item of an answer that failed (a partition, a topic, a group) or for the answer as a whole, by Kafka's name of the error.";
    REFUSED_REQUESTS = "flumen_requests_refused_total", Counter, "requests", ["core", "api"],
        "Requests of a served API whose connection was closed instead of an answer.";
    STAGE_SECONDS = "flumen_request_stage_seconds", Histogram, "seconds", ["api", "stage"],
        "Time of requests by stage, of all cores: queue, execute, commit (wait for APIs that make nothing durable), send, and total from the frame's arrival to the answer's last byte in the socket.";
    RECEIVED_BYTES = "flumen_received_bytes_total", Counter, "bytes", ["core"],
        "Bytes of requests received, length prefixes included.";
    SENT_BYTES = "flumen_sent_bytes_total", Counter, "bytes", ["core"],
        "Bytes of answers handed to sockets.";
    UNSENT_BYTES = "flumen_unsent_bytes", Gauge, "bytes", ["core"],
        "Bytes of answers that are ready and that sockets have not taken: what clients are slow to read.";
    CONNECTIONS = "flumen_connections", Gauge, "connections", ["core"],
        "Connections of Kafka clients now.";
    ACCEPTED = "flumen_connections_accepted_total", Counter, "connections", ["core"],
        "Connections accepted.";
    TURNED_AWAY = "flumen_connections_turned_away_total", Counter, "connections", ["core"],
        "Connections closed at once because of max.connections or max.connections.per.ip.";
    REFUSED_CONNECTIONS = "flumen_connections_refused_total", Counter, "connections", ["core"],
        "Connections closed for what they sent: no Kafka, an unknown API or version, a request too long or unreadable.";
    IDLE_CLOSED = "flumen_connections_idle_closed_total", Counter, "connections", ["core"],
        "Connections closed after connections.max.idle.ms without traffic, or without reading anything of their answers.";
    UNREAD_CLOSED = "flumen_connections_unread_closed_total", Counter, "connections", ["core"],
        "Connections closed since for 10 s they read nothing of their answers while others waited for memory.";
    THROTTLED = "flumen_throttled_total", Counter, "waits", ["core", "quota"],
        "Times that a quota made a client wait: a request was answered with a throttle time, or a connection closed late.";
    THROTTLE_SECONDS = "flumen_throttle_seconds_total", Counter, "seconds", ["core", "quota"],
        "Time that quotas made clients wait; where two did for one request, the shorter wait counts as its quota's and the rest as the other's.";
    FETCH_SESSIONS = "flumen_fetch_sessions", Gauge, "sessions", ["core"],
        "Fetch sessions kept for clients.";
    TOPICS = "flumen_topics", Gauge, "topics", [],
        "Topics in the metadata.";
    PARTITIONS = "flumen_partitions", Gauge, "partitions", ["core"],
        "Partitions that the core owns.";
    GROUPS = "flumen_groups", Gauge, "groups", ["core"],
        "Groups whose coordinator the core is, of all protocols, and those that only keep offsets; counted every 10 s, as the next three.";
    GROUP_MEMBERS = "flumen_group_members", Gauge, "members", ["core"],
        "Members of these groups.";
    GROUP_OFFSETS = "flumen_group_offsets", Gauge, "offsets", ["core"],
        "Committed offsets of these groups.";
    GROUP_WAITERS = "flumen_group_waiters", Gauge, "requests", ["core"],
        "Requests that wait for other members of their group to join or to sync.";
    SHARE_SESSIONS = "flumen_share_sessions", Gauge, "sessions", ["core"],
        "Share sessions kept for members of share groups; counted every 10 s, as the next four.";
    SHARE_PARTITIONS = "flumen_share_partitions", Gauge, "partitions", ["core"],
        "Partitions as share groups read them: one for each group that reads one of the core's partitions.";
    SHARE_ACQUIRED = "flumen_share_acquired_records", Gauge, "records", ["core"],
        "Records of these that members have and have not acknowledged yet.";
    SHARE_WINDOW = "flumen_share_window_offsets", Gauge, "offsets", ["core"],
        "Offsets between the positions of share groups and the last that they were given.";
    SHARE_STATES = "flumen_share_states", Gauge, "states", ["core"],
        "Share partitions whose durable state the core keeps.";
    SHARE_DELIVERED = "flumen_share_delivered_records_total", Counter, "records", ["core"],
        "Records handed out to members of share groups, again and again ones included.";
    SHARE_EXPIRED = "flumen_share_expired_locks_total", Counter, "records", ["core"],
        "Records that members were given and did not acknowledge in time.";
    CLIENTS = "flumen_clients", Gauge, "clients", ["core"],
        "Clients that were told which metrics to push and were not silent since for three of their intervals.";
    CLIENT_SERIES = "flumen_client_series", Gauge, "series", ["core"],
        "Numbers pushed by clients that are shown at the end of this text.";
    CLIENT_SERIES_DROPPED = "flumen_client_series_dropped_total", Counter, "series", ["core"],
        "Numbers pushed by clients that are not shown: histograms, names that do not fit, those above the limits.";
    BUSY = "flumen_core_busy_seconds_total", Counter, "seconds", ["core"],
        "Time that the core spent in tasks.";
    PARKED = "flumen_core_parked_seconds_total", Counter, "seconds", ["core"],
        "Time that the core slept in the kernel; counted when it wakes up.";
    STALLED = "flumen_core_stalled_seconds_total", Counter, "seconds", ["core"],
        "Time in single runs of a task that held the core longer than 5 ms, while all others waited.";
    LONG_POLLS = "flumen_core_long_polls_total", Counter, "runs", ["core"],
        "Single runs of a task that held the core longer than 5 ms; each has a line in the log.";
    LONGEST_POLL = "flumen_core_longest_poll_seconds", Gauge, "seconds", ["core"],
        "The longest single run of a task above 5 ms since the start.";
    LONG_TURNS = "flumen_core_long_turns_total", Counter, "turns", ["core"],
        "Turns of the core's loop that took longer than 5 ms, be it of many short runs of tasks or of what the kernel did meanwhile, such as copying into sockets.";
    LONGEST_TURN = "flumen_core_longest_turn_seconds", Gauge, "seconds", ["core"],
        "The longest turn of the core's loop above 5 ms since the start.";
    POLLS = "flumen_core_polls_total", Counter, "runs", ["core"],
        "Runs of tasks.";
    TURNS = "flumen_core_turns_total", Counter, "turns", ["core"],
        "Turns of the core's loop.";
    POOL_BYTES = "flumen_pool_bytes", Gauge, "bytes", ["core"],
        "The core's memory budget, flumen.pool.bytes.";
    POOL_USED = "flumen_pool_used_bytes", Gauge, "bytes", ["core"],
        "Bytes of the budget that are in use.";
    POOL_REFUSED = "flumen_pool_refused_total", Counter, "refusals", ["core"],
        "Times that memory was asked for and none was free; whoever asked waits, and its sender slows down.";
    APPENDS = "flumen_appends_total", Counter, "appends", ["core"],
        "Appends of batches to partitions that were accepted.";
    APPENDED_BYTES = "flumen_appended_bytes_total", Counter, "bytes", ["core"],
        "Bytes of batches that were accepted.";
    BUSY_APPENDS = "flumen_appends_delayed_total", Counter, "appends", ["core"],
        "Times that an append found no room in journal or memory and had to wait.";
    COMMITS = "flumen_journal_commits_total", Counter, "commits", ["core"],
        "Commits written to the journal.";
    COMMIT_BYTES = "flumen_journal_bytes_total", Counter, "bytes", ["core"],
        "Bytes written to the journal, headers and padding included.";
    UNDRAINED = "flumen_journal_undrained_bytes", Gauge, "bytes", ["core"],
        "Bytes of batches that are in the journal and not yet in segments: how far the drain lags behind.";
    DRAINED_BYTES = "flumen_drained_bytes_total", Counter, "bytes", ["core"],
        "Bytes written to segments by the drain, padding included.";
    DIRECT_BYTES = "flumen_direct_bytes_total", Counter, "bytes", ["core"],
        "Bytes of large appends written to segments past the journal, padding included.";
    DIRECT_WRITES = "flumen_direct_writes_total", Counter, "writes", ["core"],
        "Writes of large appends to segments past the journal.";
    READ_BYTES = "flumen_segment_read_bytes_total", Counter, "bytes", ["core"],
        "Bytes read from segments on the device.";
    READ_AHEAD_BYTES = "flumen_segment_read_ahead_bytes_total", Counter, "bytes", ["core"],
        "Of the bytes read from segments, those that were read before a fetch came to them.";
    TAIL_BYTES = "flumen_tail_bytes", Gauge, "bytes", ["core"],
        "Memory that holds recent batches, from which tail fetches are served.";
    CACHE_BYTES = "flumen_cache_bytes", Gauge, "bytes", ["core"],
        "Memory that holds what was read from the device.";
    CACHE_HITS = "flumen_cache_hits_total", Counter, "chunks", ["core"],
        "Chunks of segments that fetches found in memory or on their way there.";
    CACHE_MISSES = "flumen_cache_misses_total", Counter, "chunks", ["core"],
        "Chunks of segments that fetches had to begin to read.";
    SEGMENTS_DELETED = "flumen_segments_deleted_total", Counter, "segments", ["core"],
        "Segments deleted by retention or because their records were deleted.";
    DELETED_BYTES = "flumen_deleted_bytes_total", Counter, "bytes", ["core"],
        "Bytes of batches in deleted segments.";
    CLEANER_RUNS = "flumen_cleaner_runs_total", Counter, "runs", ["core"],
        "Runs of the cleaner over a compacted log.";
    CLEANER_READ = "flumen_cleaner_read_bytes_total", Counter, "bytes", ["core"],
        "Bytes that the cleaner has read.";
    CLEANER_WRITTEN = "flumen_cleaner_written_bytes_total", Counter, "bytes", ["core"],
        "Bytes that the cleaner has written, padding included.";
    CLEANER_DIRTY = "flumen_cleaner_max_dirty_permille", Gauge, "thousandths", ["core"],
        "The largest dirty share of all compacted logs when the cleaner looked last, in thousandths.";
    CLEANER_UNCLEANABLE = "flumen_cleaner_uncleanable_partitions", Gauge, "partitions", ["core"],
        "Compacted logs that cannot be cleaned; each has a line in the log.";
    CLEANER_LAST_RUN = "flumen_cleaner_last_run_timestamp_seconds", Gauge, "seconds", ["core"],
        "When the cleaner's last run ended, in seconds since 1970; 0 if there was none.";
    FLUSH_SECONDS = "flumen_flush_seconds", Histogram, "seconds", ["core"],
        "Time from a commit's way out to the device's word that it is durable.";
    NO_SPACE = "flumen_storage_full", Gauge, "boolean", ["core"],
        "1 while the device is full and writes wait for room, else 0.";
    OFFLINE = "flumen_storage_offline", Gauge, "boolean", ["core"],
        "1 since a write or flush failed and the shard takes no appends any more, else 0.";
    LISTENING = "flumen_listening", Gauge, "boolean", ["core"],
        "1 while the core takes connections, else 0.";
    BUILD = "flumen_build_info", Gauge, "boolean", ["version"],
        "Always 1; its label is the broker's version.";
}
