//! Configuration of topics.

use super::key::{Key, Valid, keys};

keys! {
    /// Every key of a topic, by name.
    pub static TOPIC: &[Key];

    "cleanup.policy" List = "delete" [Medium cluster_wide honoured any_of(&["compact", "delete"])
        synonyms(&["log.cleanup.policy"])]
        "What happens to old segments: `delete` drops them by age and size, `compact` keeps the newest \
         record of each key, both together do both. An empty value keeps everything.";
    "compression.gzip.level" Int = "-1" [Medium cluster_wide honoured
        valid(Valid::RangeOr { min: 1, max: 9, or: -1 }) synonyms(&["compression.gzip.level"])]
        "Effort of gzip when the broker has to recompress, from 1 (quick) to 9 (small); -1 leaves the \
         choice to the library.";
    "compression.lz4.level" Int = "9" [Medium cluster_wide between(1, 17)
        synonyms(&["compression.lz4.level"])]
        "Effort of LZ4 when the broker has to recompress. Flumen's LZ4 knows one effort only, the quickest.";
    "compression.type" String = "producer" [Medium cluster_wide honoured
        one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        synonyms(&["compression.type"])]
        "The codec batches are stored with. `producer` keeps whatever the producer chose and costs the \
         broker nothing; a batch of another codec than the one named here is compressed anew.";
    "compression.zstd.level" Int = "3" [Medium cluster_wide between(-131_072, 22)
        synonyms(&["compression.zstd.level"])]
        "Effort of Zstandard when the broker has to recompress. Flumen's Zstandard knows one effort only, \
         about that of level 1.";
    "delete.retention.ms" Long = "86400000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.cleaner.delete.retention.ms"])]
        "Milliseconds a tombstone stays readable in a compacted topic before it may vanish. A reader that \
         starts from offset 0 must finish within this time to see every deletion.";
    "file.delete.delay.ms" Long = "60000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.segment.delete.delay.ms"])]
        "Milliseconds between a segment leaving the log and its files leaving the disk, so that reads \
         under way can end.";
    "flush.messages" Long = "9223372036854775807" [Medium cluster_wide at_least(1)
        synonyms(&["log.flush.interval.messages"])]
        "Records after which the log is forced to the device. With durability `device` Flumen forces each \
         before it acknowledges it; with `memory` time alone decides, see `flumen.drain.interval.ms`.";
    "flush.ms" Long = "9223372036854775807" [Medium cluster_wide at_least(0)
        synonyms(&["log.flush.interval.ms", "log.flush.scheduler.interval.ms"])]
        "Longest time in milliseconds that a record may wait before the log is forced to the device. With \
         durability `device` Flumen forces each before it acknowledges it; with `memory` \
         `flumen.drain.interval.ms` decides.";
    "follower.replication.throttled.replicas" List = "" [Medium cluster_wide valid(Valid::ThrottledReplicas)]
        "Replicas whose incoming catch-up traffic is throttled, as `partition:broker` pairs, or `*` for \
         all of this topic.";
    "index.interval.bytes" Int = "4096" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.index.interval.bytes"])]
        "Bytes of log between two entries of the offset index. Smaller finds a position sooner and makes \
         a larger index.";
    "internal.segment.bytes" Int [Medium cluster_wide when_set]
        "Segment size in bytes without the lower limit of the public setting, for tests that want tiny \
         segments.";
    "leader.replication.throttled.replicas" List = "" [Medium cluster_wide valid(Valid::ThrottledReplicas)]
        "Replicas whose outgoing catch-up traffic is throttled on the leader, as `partition:broker` \
         pairs, or `*` for all of this topic.";
    "local.retention.bytes" Long = "-2" [Medium cluster_wide at_least(-2)
        synonyms(&["log.local.retention.bytes"])]
        "Bytes of a tiered partition to keep on local disk; -2 takes the value of the total size limit.";
    "local.retention.ms" Long = "-2" [Medium cluster_wide at_least(-2) synonyms(&["log.local.retention.ms"])]
        "Milliseconds that tiered data stays on local disk as well; -2 takes the value of the total time \
         limit.";
    "max.compaction.lag.ms" Long = "9223372036854775807" [Medium cluster_wide honoured at_least(1)
        synonyms(&["log.cleaner.max.compaction.lag.ms"])]
        "Milliseconds after which a record must have been considered for compaction, however small the \
         dirty part of the log is.";
    "max.message.bytes" Int = "1048588" [Medium cluster_wide honoured at_least(0)
        synonyms(&["message.max.bytes"])]
        "Largest record batch accepted, in bytes, after compression and with its header.";
    "message.timestamp.after.max.ms" Long = "3600000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.message.timestamp.after.max.ms"])]
        "How far in the future, in milliseconds against the broker's clock, a record's own timestamp may \
         lie before it is refused. Without effect when the broker sets timestamps.";
    "message.timestamp.before.max.ms" Long = "9223372036854775807" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.message.timestamp.before.max.ms"])]
        "How far in the past, in milliseconds against the broker's clock, a record's own timestamp may \
         lie before it is refused. Without effect when the broker sets timestamps.";
    "message.timestamp.type" String = "CreateTime" [Medium cluster_wide honoured
        one_of(&["CreateTime", "LogAppendTime"]) synonyms(&["log.message.timestamp.type"])]
        "Whose clock stamps a record: `CreateTime` keeps the producer's, `LogAppendTime` puts in the \
         broker's at the moment of the append.";
    "min.cleanable.dirty.ratio" Double = "0.5" [Medium cluster_wide honoured
        valid(Valid::Fraction { min: 0.0, max: 1.0 }) synonyms(&["log.cleaner.min.cleanable.ratio"])]
        "Share of a compacted log, 0 to 1, that must be uncompacted before a compaction starts. Lower \
         wastes less space and writes more.";
    "min.compaction.lag.ms" Long = "0" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.cleaner.min.compaction.lag.ms"])]
        "Milliseconds that a record is safe from compaction after it was written.";
    "min.insync.replicas" Int = "1" [Medium cluster_wide at_least(1) synonyms(&["min.insync.replicas"])]
        "In-sync replicas, the leader included, without which a produce with acks=all is refused. Flumen \
         has one replica of each partition, and takes such a produce whatever is set here.";
    "preallocate" Boolean = "false" [Medium cluster_wide synonyms(&["log.preallocate"])]
        "Whether a new segment's file takes its full size on disk at once. Flumen reserves space ahead in \
         steps that double, whatever is set here.";
    "remote.log.copy.disable" Boolean = "false" [Medium cluster_wide]
        "Stops copying new segments of a tiered topic to remote storage; what is there stays readable.";
    "remote.log.delete.on.disable" Boolean = "false" [Medium cluster_wide]
        "Whether remote data is deleted when tiering is switched off for the topic.";
    "remote.storage.enable" Boolean = "false" [Medium cluster_wide]
        "Whether closed segments of this topic also go to remote storage.";
    "retention.bytes" Long = "-1" [Medium cluster_wide honoured synonyms(&["log.retention.bytes"])]
        "Largest size of one partition in bytes before its oldest segments are deleted; any negative \
         number means without limit. Multiply by the partitions for the topic's size.";
    "retention.ms" Long = "604800000" [Medium cluster_wide honoured at_least(-1)
        synonyms(&["log.retention.ms", "log.retention.minutes", "log.retention.hours"])]
        "Milliseconds a record is kept before its segment may be deleted; -1 keeps it for ever.";
    "segment.bytes" Int = "1073741824" [Medium cluster_wide honoured at_least(1_048_576)
        synonyms(&["log.segment.bytes"])]
        "Size in bytes at which a segment is closed and the next one begins. Deletion and compaction work \
         on closed segments only.";
    "segment.index.bytes" Int = "10485760" [Medium cluster_wide at_least(4)
        synonyms(&["log.index.size.max.bytes"])]
        "Room in bytes reserved for the index of a segment; a full index also closes the segment. \
         Flumen's indexes are thinned: they are never full, and take no room ahead.";
    "segment.jitter.ms" Long = "0" [Medium cluster_wide honoured at_least(0)
        synonyms(&["log.roll.jitter.ms", "log.roll.jitter.hours"])]
        "Longest random time in milliseconds taken off the segment's age limit, so that many partitions \
         do not roll at one moment.";
    "segment.ms" Long = "604800000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["log.roll.ms", "log.roll.hours"])]
        "Age in milliseconds at which a segment is closed even if it is small, so that retention and \
         compaction can reach its records.";
    "unclean.leader.election.enable" Boolean = "false" [Medium cluster_wide
        synonyms(&["unclean.leader.election.enable"])]
        "Whether a replica that is not in sync may lead when no other is left. The partition comes back, \
         and records may be lost. Flumen has one replica of each partition, so there is never a choice.";
}
