//! Broker keys: the log, with the defaults of topics.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "compression.gzip.level" Int = "-1" [Medium cluster_wide honoured
        valid(Valid::RangeOr { min: 1, max: 9, or: -1 })]
        "Effort of gzip for topics without a level of their own, where the broker recompresses; -1 leaves \
         it to the library.";
    "compression.lz4.level" Int = "9" [Medium cluster_wide between(1, 17)]
        "Effort of LZ4 for topics without a level of their own, where the broker recompresses. \
         Flumen's LZ4 knows one effort only, the quickest.";
    "compression.type" String = "producer" [High cluster_wide honoured
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])]
        "Codec that batches are stored with in topics that name none; `producer` keeps what the producer \
         chose.";
    "compression.zstd.level" Int = "3" [Medium cluster_wide between(-131_072, 22)]
        "Effort of Zstandard for topics without a level of their own, where the broker recompresses. \
         Flumen's Zstandard knows one effort only, about that of level 1.";
    "cordoned.log.dirs" List = "" [Medium per_broker any_of(&[])]
        "Data directories that get no new partitions; `*` means all of this node.";
    "log.cleaner.backoff.ms" Long = "15000" [Medium cluster_wide honoured at_least(0)]
        "Milliseconds the compactor sleeps when no log needs it.";
    "log.cleaner.dedupe.buffer.size" Long = "134217728" [Medium cluster_wide honoured]
        "Bytes of memory for the key tables of all compaction threads together.";
    "log.cleaner.delete.retention.ms" Long = "86400000" [Medium cluster_wide honoured at_least(0)]
        "Milliseconds a tombstone stays readable in compacted topics that do not say so themselves.";
    "log.cleaner.enable" Boolean = "true" [Medium honoured]
        "Whether compaction runs at all. Off, compacted topics grow without bound, the offsets topic \
         included.";
    "log.cleaner.io.buffer.load.factor" Double = "0.9" [Medium cluster_wide honoured]
        "How full a key table may get, as a share. Fuller handles more log at once with more collisions.";
    "log.cleaner.io.buffer.size" Int = "524288" [Medium cluster_wide at_least(0)]
        "Bytes of memory for the read and write buffers of all compaction threads together. Flumen takes \
         these buffers from `flumen.pool.bytes`, and of sizes of its own.";
    "log.cleaner.io.max.bytes.per.second" Double = "1.7976931348623157E308" [Medium cluster_wide honoured]
        "Bytes a second that compaction may read and write together.";
    "log.cleaner.max.compaction.lag.ms" Long = "9223372036854775807" [Medium cluster_wide honoured
        at_least(1)]
        "Milliseconds within which compaction must consider a record, for topics that do not say so \
         themselves.";
    "log.cleaner.min.cleanable.ratio" Double = "0.5" [Medium cluster_wide honoured
        valid(Valid::Fraction { min: 0.0, max: 1.0 })]
        "Share of uncompacted log at which compaction starts, for topics that do not say so themselves.";
    "log.cleaner.min.compaction.lag.ms" Long = "0" [Medium cluster_wide honoured at_least(0)]
        "Milliseconds a record is safe from compaction, for topics that do not say so themselves.";
    "log.cleaner.threads" Int = "1" [Medium cluster_wide at_least(0)]
        "Threads that compact.";
    "log.cleanup.policy" List = "delete" [Medium cluster_wide honoured any_of(&["compact", "delete"])]
        "What happens to old segments of topics that do not say so themselves: `delete`, `compact`, both, \
         or neither.";
    "log.dir" List = "/tmp/kafka-logs" [High honoured some_of(&[])]
        "Data directory, used where the list of directories is not given.";
    "log.dir.failure.timeout.ms" Long = "30000" [Low at_least(1)]
        "Milliseconds in which a failed data directory must have been reported to the controller, or the \
         broker stops.";
    "log.dirs" List [High honoured some_of(&[])]
        "Data directories. Flumen keeps all of its data in one and refuses a longer list.";
    "log.flush.interval.messages" Long = "9223372036854775807" [High cluster_wide at_least(1)]
        "Records after which a log is forced to the device, for topics that do not say so themselves. \
         Without effect, as `flush.messages` is.";
    "log.flush.interval.ms" Long [High cluster_wide
        synonyms(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"])]
        "Longest time in milliseconds a record waits to be forced to the device, for topics that do not \
         say so; unset takes the scheduler's interval. Without effect, as `flush.ms` is.";
    "log.flush.offset.checkpoint.interval.ms" Int = "60000" [High at_least(0)]
        "Milliseconds between two records of how far each log was flushed, which shorten recovery.";
    "log.flush.scheduler.interval.ms" Long = "9223372036854775807" [High]
        "Milliseconds between two looks for logs that are due to be flushed. Without effect, as `flush.ms` \
         is.";
    "log.flush.start.offset.checkpoint.interval.ms" Int = "60000" [High at_least(0)]
        "Milliseconds between two records of where each log begins, so that deleted records stay deleted.";
    "log.index.interval.bytes" Int = "4096" [Medium cluster_wide honoured at_least(0)]
        "Bytes of log between two entries of the offset index, for topics that do not say so themselves.";
    "log.index.size.max.bytes" Int = "10485760" [Medium cluster_wide at_least(4)]
        "Room in bytes for the index of a segment, for topics that do not say so themselves. Without \
         effect, as `segment.index.bytes` is.";
    "log.initial.task.delay.ms" Long = "30000" [Low honoured at_least(0) when_set]
        "Milliseconds after the start before the first look for segments that retention may delete.";
    "log.local.retention.bytes" Long = "-2" [Medium cluster_wide at_least(-2)]
        "Bytes of a tiered partition kept on local disk, for topics that do not say so; -2 takes the \
         total limit.";
    "log.local.retention.ms" Long = "-2" [Medium cluster_wide at_least(-2)]
        "Milliseconds tiered data stays on local disk, for topics that do not say so; -2 takes the total \
         limit.";
    "log.message.timestamp.after.max.ms" Long = "3600000" [Medium cluster_wide honoured at_least(0)]
        "How many milliseconds ahead of the broker a record's timestamp may be, for topics that do not \
         say so themselves.";
    "log.message.timestamp.before.max.ms" Long = "9223372036854775807" [Medium cluster_wide honoured
        at_least(0)]
        "How many milliseconds behind the broker a record's timestamp may be, for topics that do not say \
         so themselves.";
    "log.message.timestamp.type" String = "CreateTime" [Medium cluster_wide honoured
        one_of(&["CreateTime", "LogAppendTime"])]
        "Whose clock stamps records, `CreateTime` or `LogAppendTime`, for topics that do not say so \
         themselves.";
    "log.preallocate" Boolean = "false" [Medium cluster_wide]
        "Whether new segments take their full size on disk at once, for topics that do not say so \
         themselves. Without effect, as `preallocate` is.";
    "log.retention.bytes" Long = "-1" [High cluster_wide honoured]
        "Largest size of a partition in bytes, for topics that do not say so themselves; negative is \
         without limit.";
    "log.retention.check.interval.ms" Long = "300000" [Medium honoured at_least(1)]
        "Milliseconds between two looks for segments that retention may delete.";
    "log.retention.hours" Int = "168" [High honoured
        synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"])]
        "Hours that records are kept. The limits in minutes and in milliseconds go before it.";
    "log.retention.minutes" Int [High honoured
        synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"])]
        "Minutes that records are kept. Goes before the limit in hours, after the one in milliseconds.";
    "log.retention.ms" Long [High cluster_wide honoured
        synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"])]
        "Milliseconds that records are kept, for topics that do not say so; -1 keeps them for ever. Goes \
         before minutes and hours.";
    "log.roll.hours" Int = "168" [High honoured at_least(1) synonyms(&["log.roll.ms", "log.roll.hours"])]
        "Hours after which a segment is closed. The limit in milliseconds goes before it.";
    "log.roll.jitter.hours" Int = "0" [High honoured at_least(0)
        synonyms(&["log.roll.jitter.ms", "log.roll.jitter.hours"])]
        "Longest random time in hours taken off that age limit. The one in milliseconds goes before it.";
    "log.roll.jitter.ms" Long [High cluster_wide honoured
        synonyms(&["log.roll.jitter.ms", "log.roll.jitter.hours"])]
        "Longest random time in milliseconds taken off a segment's age limit, for topics that do not say \
         so themselves.";
    "log.roll.ms" Long [High cluster_wide honoured synonyms(&["log.roll.ms", "log.roll.hours"])]
        "Milliseconds after which a segment is closed, for topics that do not say so themselves. Goes \
         before hours.";
    "log.segment.bytes" Int = "1073741824" [High cluster_wide honoured at_least(1_048_576)]
        "Size in bytes at which a segment is closed, for topics that do not say so themselves.";
    "log.segment.delete.delay.ms" Long = "60000" [High cluster_wide honoured at_least(0)]
        "Milliseconds before the files of a dropped segment are removed, for topics that do not say so \
         themselves.";
    "message.max.bytes" Int = "1048588" [High cluster_wide honoured at_least(0)]
        "Largest record batch accepted, in bytes, for topics that do not say so themselves.";
    "min.insync.replicas" Int = "1" [High cluster_wide at_least(1)]
        "In-sync replicas without which acks=all is refused, for topics that do not say so themselves. \
         Without effect: Flumen has one replica of each partition.";
    "unclean.leader.election.enable" Boolean = "false" [High cluster_wide]
        "Whether an out-of-sync replica may lead as a last resort, for topics that do not say so \
         themselves. Without effect: Flumen has one replica of each partition.";
}
