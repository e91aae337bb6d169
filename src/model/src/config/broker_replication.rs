//! Broker keys: replication and its throttles.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "alter.log.dirs.replication.quota.window.num" Int = "11" [Low at_least(1)]
        "Sample windows kept for the quota on moves between data directories.";
    "alter.log.dirs.replication.quota.window.size.seconds" Int = "1" [Low at_least(1)]
        "Length in seconds of a sample window of that quota on moves.";
    "auto.leader.rebalance.enable" Boolean = "true" [High]
        "Whether the controller gives partitions back to their preferred leaders from time to time.";
    "follower.fetch.last.tiered.offset.enable" Boolean = "false" [Medium cluster_wide]
        "Whether a new, empty follower begins at the last offset that is in remote storage, and so copies \
         only what is local.";
    "follower.replication.throttled.rate" Long = "9223372036854775807" [Medium cluster_wide at_least(0)
        when_set]
        "Bytes a second that throttled followers on this broker may fetch together.";
    "leader.imbalance.check.interval.seconds" Long = "300" [High at_least(1)]
        "Seconds between two such looks at the spread of leaders.";
    "leader.replication.throttled.rate" Long = "9223372036854775807" [Medium cluster_wide at_least(0)
        when_set]
        "Bytes a second that leaders on this broker may send to throttled followers together.";
    "num.replica.fetchers" Int = "1" [High cluster_wide at_least(1)]
        "Fetching threads for each source broker. More copy faster and cost more processor.";
    "replica.alter.log.dirs.io.max.bytes.per.second" Long = "9223372036854775807" [Medium cluster_wide
        at_least(0) when_set]
        "Bytes a second for moving replicas between data directories of this broker.";
    "replica.fetch.backoff.ms" Int = "1000" [Medium at_least(0)]
        "Milliseconds a follower waits after a failed fetch of a partition.";
    "replica.fetch.max.bytes" Int = "1048576" [Medium at_least(0)]
        "Bytes a follower asks for of one partition; a larger first batch comes whole.";
    "replica.fetch.min.bytes" Int = "1" [High]
        "Bytes a leader gathers before it answers a follower, within the wait limit.";
    "replica.fetch.response.max.bytes" Int = "10485760" [Medium at_least(0)]
        "Bytes a follower asks for in one fetch over all partitions.";
    "replica.fetch.wait.max.ms" Int = "500" [High]
        "Longest milliseconds a leader makes a follower wait. Must be below the lag limit, or quiet \
         followers drop out.";
    "replica.high.watermark.checkpoint.interval.ms" Long = "5000" [High]
        "Milliseconds between two saves of the high watermarks.";
    "replica.lag.time.max.ms" Long = "30000" [High]
        "Milliseconds a follower may be behind the end of the log before it leaves the in-sync set.";
    "replica.selector.class" String [Medium]
        "Class that picks the replica a consumer shall read from.";
    "replica.socket.receive.buffer.bytes" Int = "65536" [High]
        "Receive buffer in bytes of a connection that fetches from a leader.";
    "replica.socket.timeout.ms" Int = "30000" [High]
        "Milliseconds a follower waits on its connection; must cover the fetch wait.";
    "replication.quota.window.num" Int = "11" [Low at_least(1)]
        "Sample windows kept for replication quotas.";
    "replication.quota.window.size.seconds" Int = "1" [Low at_least(1)]
        "Length in seconds of a sample window of replication quotas.";
    "unclean.leader.election.interval.ms" Long = "300000" [Medium at_least(1) when_set]
        "Milliseconds between two looks for partitions that only an unclean election can bring back.";
}
