//! Broker keys: consumer and streams groups, committed offsets.

use super::key::{Key, Valid, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "group.consumer.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)]
        "Shortest time in milliseconds between two assignments of a consumer group.";
    "group.consumer.assignors" List = "uniform,range" [Medium honoured some_of(&[])]
        "Server-side assignors on offer to consumer groups; the first is taken when a member names none.";
    "group.consumer.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Milliseconds between heartbeats of members of consumer groups.";
    "group.consumer.max.assignment.interval.ms" Int = "15000" [Medium honoured at_least(0)]
        "Largest assignment interval in milliseconds that a consumer group may set.";
    "group.consumer.max.heartbeat.interval.ms" Int = "15000" [Medium honoured at_least(1)]
        "Largest heartbeat interval in milliseconds that a consumer group may set.";
    "group.consumer.max.session.timeout.ms" Int = "60000" [Medium honoured at_least(1)]
        "Largest session timeout in milliseconds that a consumer group may set.";
    "group.consumer.max.size" Int = "2147483647" [Medium honoured at_least(1)]
        "Members that a consumer group may have.";
    "group.consumer.migration.policy" String = "bidirectional" [Medium honoured
        valid(Valid::OneOfAnyCase(&["BIDIRECTIONAL", "DISABLED", "DOWNGRADE", "UPGRADE"]))]
        "Which way a group may change between the classic and the consumer protocol while it has members.";
    "group.consumer.min.assignment.interval.ms" Int = "0" [Medium honoured at_least(0)]
        "Smallest assignment interval in milliseconds that a consumer group may set.";
    "group.consumer.min.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Smallest heartbeat interval in milliseconds that a consumer group may set.";
    "group.consumer.min.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Smallest session timeout in milliseconds that a consumer group may set.";
    "group.consumer.regex.refresh.interval.ms" Int = "600000" [Medium honoured at_least(10_000) when_set]
        "Milliseconds between two evaluations of pattern subscriptions against the topics there are.";
    "group.consumer.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Milliseconds of silence after which a member of a consumer group is taken for dead.";
    "group.coordinator.append.linger.ms" Int = "-1" [Medium at_least(-1)]
        "Milliseconds group records are gathered before a write; -1 lets the load decide, 0 never waits.";
    "group.coordinator.background.threads" Int = "2" [High at_least(1)]
        "Threads for long work of the group coordinator, such as assignments and patterns.";
    "group.coordinator.cached.buffer.max.bytes" Int = "1048588" [Medium cluster_wide at_least(524_288)]
        "Largest write buffer in bytes that the group coordinator keeps for reuse.";
    "group.coordinator.rebalance.protocols" List = "classic,consumer,streams" [Medium honoured
        some_of(&["consumer", "classic", "share", "streams"])]
        "Group protocols on offer. `classic` cannot be left out. `share` changes nothing: there are share groups \
         where the feature `share.version` is at level 1.";
    "group.coordinator.threads" Int = "4" [High at_least(1)]
        "Threads that run the group coordinator.";
    "group.initial.rebalance.delay.ms" Int = "3000" [Medium honoured]
        "Milliseconds an empty classic group waits for more members before its first rebalance. Longer \
         saves rebalances, shorter starts sooner.";
    "group.max.session.timeout.ms" Int = "1800000" [Medium honoured]
        "Largest session timeout in milliseconds that a classic member may ask for.";
    "group.max.size" Int = "2147483647" [Medium honoured at_least(1)]
        "Members that a classic group may have.";
    "group.min.session.timeout.ms" Int = "6000" [Medium honoured]
        "Smallest session timeout in milliseconds that a classic member may ask for.";
    "group.streams.assignment.interval.ms" Int = "1000" [Medium cluster_wide honoured at_least(0)]
        "Shortest time in milliseconds between two assignments of a streams group.";
    "group.streams.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Milliseconds between heartbeats of members of streams groups.";
    "group.streams.initial.rebalance.delay.ms" Int = "3000" [Medium honoured at_least(0)]
        "Milliseconds an empty streams group waits for more members before its first assignment.";
    "group.streams.max.assignment.interval.ms" Int = "15000" [Medium honoured at_least(0)]
        "Largest assignment interval in milliseconds that a streams group may set.";
    "group.streams.max.heartbeat.interval.ms" Int = "15000" [Medium honoured at_least(1)]
        "Largest heartbeat interval in milliseconds that a streams group may set.";
    "group.streams.max.session.timeout.ms" Int = "60000" [Medium honoured at_least(1)]
        "Largest session timeout in milliseconds that a streams group may set.";
    "group.streams.max.size" Int = "2147483647" [Medium honoured at_least(1)]
        "Members that a streams group may have.";
    "group.streams.max.standby.replicas" Int = "2" [Medium honoured at_least(0)]
        "Most standby copies of a task that a streams group may set.";
    "group.streams.min.assignment.interval.ms" Int = "0" [Medium honoured at_least(0)]
        "Smallest assignment interval in milliseconds that a streams group may set.";
    "group.streams.min.heartbeat.interval.ms" Int = "5000" [Medium honoured at_least(1)]
        "Smallest heartbeat interval in milliseconds that a streams group may set.";
    "group.streams.min.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Smallest session timeout in milliseconds that a streams group may set.";
    "group.streams.num.standby.replicas" Int = "0" [Medium honoured at_least(0)]
        "Standby copies of each stateful task of a streams group.";
    "group.streams.session.timeout.ms" Int = "45000" [Medium honoured at_least(1)]
        "Milliseconds of silence after which a member of a streams group is taken for dead.";
    "offset.metadata.max.bytes" Int = "4096" [High honoured]
        "Largest note, in bytes, that a client may attach to a committed offset.";
    "offsets.commit.timeout.ms" Int = "5000" [High at_least(1)]
        "Milliseconds a commit of offsets may take before it fails.";
    "offsets.load.buffer.size" Int = "5242880" [High at_least(1)]
        "Bytes read at once from the offsets topic when a coordinator takes over its groups.";
    "offsets.retention.check.interval.ms" Long = "600000" [High honoured at_least(1)]
        "Milliseconds between two looks for committed offsets that have expired.";
    "offsets.retention.minutes" Int = "10080" [High honoured at_least(1)]
        "Minutes that offsets outlive their group's last member, or their last commit where there is no \
         group.";
    "offsets.topic.compression.codec" Int = "0" [High]
        "Codec of the offsets topic by its number; 0 is none.";
    "offsets.topic.num.partitions" Int = "50" [High honoured at_least(1)]
        "Partitions of the offsets topic. Not to be changed once it exists.";
    "offsets.topic.replication.factor" Short = "3" [High at_least(1)]
        "Replicas of the offsets topic. It is not created while there are fewer brokers.";
    "offsets.topic.segment.bytes" Int = "104857600" [High honoured at_least(1)]
        "Segment size of the offsets topic in bytes; small ones compact and load faster.";
}
