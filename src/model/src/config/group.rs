//! Configuration of groups.

use super::key::{Key, Valid, keys};

keys! {
    /// Every key of a group, by name.
    pub static GROUP: &[Key];

    "consumer.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["group.consumer.assignment.interval.ms"])]
        "Shortest time in milliseconds between two assignments computed for this consumer group.";
    "consumer.heartbeat.interval.ms" Int = "5000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.consumer.heartbeat.interval.ms"])]
        "Milliseconds between heartbeats that members of this consumer group are told to send.";
    "consumer.session.timeout.ms" Int = "45000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.consumer.session.timeout.ms"])]
        "Milliseconds of silence after which a member of this consumer group is taken for dead.";
    "share.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["group.share.assignment.interval.ms"])]
        "Shortest time in milliseconds between two assignments computed for this share group.";
    "share.auto.offset.reset" String = "latest" [Medium cluster_wide honoured valid(Valid::OffsetReset)]
        "Where a share group begins when it has no position: `earliest`, `latest`, or `by_duration:` with \
         an ISO 8601 duration back from now.";
    "share.delivery.count.limit" Int = "5" [Medium cluster_wide honoured at_least(2)
        synonyms(&["group.share.delivery.count.limit"])]
        "Times a record is handed out to this share group before it is given up.";
    "share.heartbeat.interval.ms" Int = "5000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.share.heartbeat.interval.ms"])]
        "Milliseconds between heartbeats that members of this share group are told to send.";
    "share.isolation.level" String = "read_uncommitted" [Medium cluster_wide honoured
        one_of(&["read_committed", "read_uncommitted"])]
        "Whether this share group sees records of open and aborted transactions, or only committed ones.";
    "share.partition.max.record.locks" Int = "2000" [Medium cluster_wide honoured at_least(100)
        synonyms(&["group.share.partition.max.record.locks"])]
        "Records of one partition that this share group may have acquired at one time.";
    "share.record.lock.duration.ms" Int = "30000" [Medium cluster_wide honoured at_least(1_000)
        synonyms(&["group.share.record.lock.duration.ms"])]
        "Milliseconds a member of this share group may hold a record before it is offered to another.";
    "share.renew.acknowledge.enable" Boolean = "true" [Medium cluster_wide honoured]
        "Whether members of this share group may extend the lock of a record that they still work on.";
    "share.session.timeout.ms" Int = "45000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.share.session.timeout.ms"])]
        "Milliseconds of silence after which a member of this share group is taken for dead.";
    "streams.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["group.streams.assignment.interval.ms"])]
        "Shortest time in milliseconds between two task assignments computed for this streams group.";
    "streams.heartbeat.interval.ms" Int = "5000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.streams.heartbeat.interval.ms"])]
        "Milliseconds between heartbeats that members of this streams group are told to send.";
    "streams.initial.rebalance.delay.ms" Int = "3000" [Medium cluster_wide honoured at_least(0)
        synonyms(&["group.streams.initial.rebalance.delay.ms"])]
        "Milliseconds that an empty streams group waits for more members before its first assignment.";
    "streams.num.standby.replicas" Int = "0" [Medium cluster_wide honoured at_least(0)
        synonyms(&["group.streams.num.standby.replicas"])]
        "Standby copies kept of each stateful task of this streams group.";
    "streams.session.timeout.ms" Int = "45000" [Medium cluster_wide honoured at_least(1)
        synonyms(&["group.streams.session.timeout.ms"])]
        "Milliseconds of silence after which a member of this streams group is taken for dead.";
}
