//! Broker keys: share groups and their state.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "group.share.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)]
        "Shortest time in milliseconds between two assignments of a share group.";
    "group.share.assignors" List = "simple" [Medium some_of(&[])]
        "Server-side assignor of share groups.";
    "group.share.delivery.count.limit" Int = "5" [Medium honoured between(2, 10)]
        "Times a record is handed out to a share group before it is given up.";
    "group.share.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Milliseconds between heartbeats of members of share groups.";
    "group.share.initialize.retry.interval.ms" Int = "30000" [Low at_least(1) when_set]
        "Milliseconds before the start of a share partition's state is tried again.";
    "group.share.max.assignment.interval.ms" Int = "15000" [Medium honoured at_least(0)]
        "Largest assignment interval in milliseconds that a share group may set.";
    "group.share.max.delivery.count.limit" Int = "10" [Medium honoured between(5, 25)]
        "Largest number of deliveries that a share group may set.";
    "group.share.max.heartbeat.interval.ms" Int = "15000" [Medium honoured at_least(1)]
        "Largest heartbeat interval in milliseconds that a share group may set.";
    "group.share.max.partition.max.record.locks" Int = "4000" [Medium honoured between(2_000, 10_000)]
        "Largest number of acquired records a partition that a share group may set.";
    "group.share.max.record.lock.duration.ms" Int = "60000" [Medium honoured between(30_000, 3_600_000)]
        "Longest record lock in milliseconds that a share group may set.";
    "group.share.max.session.timeout.ms" Int = "60000" [Medium honoured at_least(1)]
        "Largest session timeout in milliseconds that a share group may set.";
    "group.share.max.share.sessions" Int = "2000" [Medium honoured at_least(1)]
        "Share sessions remembered on one broker at one time.";
    "group.share.max.size" Int = "200" [Medium honoured between(1, 1_000)]
        "Members that a share group may have.";
    "group.share.min.assignment.interval.ms" Int = "0" [Medium honoured at_least(0)]
        "Smallest assignment interval in milliseconds that a share group may set.";
    "group.share.min.delivery.count.limit" Int = "2" [Medium honoured between(2, 5)]
        "Smallest number of deliveries that a share group may set.";
    "group.share.min.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Smallest heartbeat interval in milliseconds that a share group may set.";
    "group.share.min.partition.max.record.locks" Int = "100" [Medium honoured between(100, 2_000)]
        "Smallest number of acquired records a partition that a share group may set.";
    "group.share.min.record.lock.duration.ms" Int = "15000" [Medium honoured between(1_000, 30_000)]
        "Shortest record lock in milliseconds that a share group may set.";
    "group.share.min.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Smallest session timeout in milliseconds that a share group may set.";
    "group.share.partition.max.record.locks" Int = "2000" [Medium honoured between(100, 10_000)]
        "Records of one partition that a share group may have acquired at one time.";
    "group.share.persister.class.name" String = "org.apache.kafka.server.share.persister.DefaultStatePersister"
        [Medium when_set]
        "Class that keeps the state of share groups.";
    "group.share.record.lock.duration.ms" Int = "30000" [Medium honoured between(1_000, 3_600_000)]
        "Milliseconds a member may hold a record before it is offered to another.";
    "group.share.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Milliseconds of silence after which a member of a share group is taken for dead.";
    "share.coordinator.append.linger.ms" Int = "-1" [Medium at_least(-1)]
        "Milliseconds share state is gathered before a write; -1 lets the load decide, 0 never waits.";
    "share.coordinator.cached.buffer.max.bytes" Int = "1048588" [Medium cluster_wide at_least(524_288)]
        "Largest write buffer in bytes that the share coordinator keeps for reuse.";
    "share.coordinator.cold.partition.snapshot.interval.ms" Int = "300000" [Low at_least(1) when_set]
        "Milliseconds between snapshots of share partitions that nobody uses.";
    "share.coordinator.load.buffer.size" Int = "5242880" [High at_least(1)]
        "Bytes read at once from the share state topic when a coordinator takes over.";
    "share.coordinator.snapshot.update.records.per.snapshot" Int = "500" [Medium honoured between(0, 500)]
        "Update records written between two snapshots of a share partition's state.";
    "share.coordinator.state.topic.compression.codec" Int = "0" [High]
        "Codec of the share state topic by its number; 0 is none.";
    "share.coordinator.state.topic.min.isr" Short = "2" [High at_least(1)]
        "In-sync replicas that the share state topic needs for a write.";
    "share.coordinator.state.topic.num.partitions" Int = "50" [High honoured at_least(1)]
        "Partitions of the share state topic. Not to be changed once it exists.";
    "share.coordinator.state.topic.prune.interval.ms" Int = "300000" [Low honoured at_least(1) when_set]
        "Milliseconds between two deletions of share state that newer state has replaced.";
    "share.coordinator.state.topic.replication.factor" Short = "3" [High at_least(1)]
        "Replicas of the share state topic. It is not created while there are fewer brokers.";
    "share.coordinator.state.topic.segment.bytes" Int = "104857600" [High honoured at_least(1)]
        "Segment size of the share state topic in bytes.";
    "share.coordinator.threads" Int = "1" [Medium at_least(1)]
        "Threads that run the share coordinator.";
    "share.coordinator.write.timeout.ms" Int = "5000" [High at_least(1)]
        "Milliseconds a write of share state may take before it fails.";
}
