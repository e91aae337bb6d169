//! Broker keys: remote storage of segments.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "remote.fetch.max.wait.ms" Int = "500" [Medium cluster_wide at_least(1)]
        "Milliseconds a fetch waits for data from remote storage before it answers without.";
    "remote.list.offsets.request.timeout.ms" Long = "30000" [Medium cluster_wide at_least(1)]
        "Milliseconds that looking up an offset in remote storage may take.";
    "remote.log.index.file.cache.total.size.bytes" Long = "1073741824" [Low cluster_wide at_least(1)]
        "Bytes of disk for indexes fetched from remote storage.";
    "remote.log.index.file.cache.ttl.ms" Long = "900000" [Low at_least(-1) when_set]
        "Milliseconds an unused index from remote storage stays in that cache; -1 keeps it until room is \
         needed.";
    "remote.log.manager.copier.thread.pool.size" Int = "10" [Medium cluster_wide at_least(1)]
        "Threads that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second" Long = "9223372036854775807" [Medium cluster_wide
        at_least(1)]
        "Bytes a second this broker may copy to remote storage.";
    "remote.log.manager.copy.quota.window.num" Int = "11" [Medium at_least(1)]
        "Sample windows kept for the quota on copies to remote storage.";
    "remote.log.manager.copy.quota.window.size.seconds" Int = "1" [Medium at_least(1)]
        "Length in seconds of a sample window of the quota on copies.";
    "remote.log.manager.expiration.thread.pool.size" Int = "10" [Medium cluster_wide at_least(1)]
        "Threads that delete expired segments from remote storage.";
    "remote.log.manager.fetch.max.bytes.per.second" Long = "9223372036854775807" [Medium cluster_wide
        at_least(1)]
        "Bytes a second this broker may read from remote storage.";
    "remote.log.manager.fetch.quota.window.num" Int = "11" [Medium at_least(1)]
        "Sample windows kept for the quota on reads from remote storage.";
    "remote.log.manager.fetch.quota.window.size.seconds" Int = "1" [Medium at_least(1)]
        "Length in seconds of a sample window of the quota on reads.";
    "remote.log.manager.follower.thread.pool.size" Int = "2" [Medium cluster_wide at_least(1)]
        "Threads that follow tiered partitions whose leader is elsewhere.";
    "remote.log.manager.task.interval.ms" Long = "30000" [Low at_least(1)]
        "Milliseconds between two rounds of copying and deleting for a partition.";
    "remote.log.manager.task.retry.backoff.max.ms" Long = "30000" [Low at_least(1) when_set]
        "Longest pause in milliseconds before a failed remote task is tried again.";
    "remote.log.manager.task.retry.backoff.ms" Long = "500" [Low at_least(1) when_set]
        "First pause in milliseconds before a failed remote task is tried again.";
    "remote.log.manager.task.retry.jitter" Double = "0.2" [Low valid(Valid::Fraction { min: 0.0, max: 0.5 })
        when_set]
        "Random share by which such a pause varies.";
    "remote.log.manager.thread.pool.size" Int = "2" [Medium at_least(1)]
        "Threads that schedule the work on remote storage.";
    "remote.log.metadata.custom.metadata.max.bytes" Int = "128" [Low at_least(0)]
        "Largest note, in bytes, that a storage plug-in may attach to a segment.";
    "remote.log.metadata.manager.class.name" String = "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"
        [Medium valid(Valid::NonEmpty)]
        "Class that keeps what is known of remote segments.";
    "remote.log.metadata.manager.class.path" String [Medium]
        "Where to load the keeper of segment metadata from.";
    "remote.log.metadata.manager.impl.prefix" String = "rlmm.config." [Medium valid(Valid::NonEmpty)]
        "Prefix of the settings passed on to the keeper of segment metadata.";
    "remote.log.metadata.manager.listener.name" String [Medium valid(Valid::NonEmpty)]
        "Listener that the keeper of segment metadata connects to.";
    "remote.log.reader.max.pending.tasks" Int = "100" [Medium at_least(1)]
        "Reads from remote storage that may wait; one more is refused.";
    "remote.log.reader.threads" Int = "10" [Medium cluster_wide at_least(1)]
        "Threads that read from remote storage.";
    "remote.log.storage.manager.class.name" String [Medium valid(Valid::NonEmpty)]
        "Class that stores segments remotely.";
    "remote.log.storage.manager.class.path" String [Medium]
        "Where to load the remote store from.";
    "remote.log.storage.manager.impl.prefix" String = "rsm.config." [Medium valid(Valid::NonEmpty)]
        "Prefix of the settings passed on to the remote store.";
    "remote.log.storage.system.enable" Boolean = "false" [Medium]
        "Whether this broker tiers at all.";
}
