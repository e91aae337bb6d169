//! Broker keys: producers and transactions.

use super::key::{Key, keys};

keys! {
    pub(super) static KEYS: &[Key];

    "add.partitions.to.txn.retry.backoff.max.ms" Int = "100" [High at_least(0)]
        "Longest total milliseconds the broker retries, by itself, adding a partition to a transaction.";
    "add.partitions.to.txn.retry.backoff.ms" Int = "20" [High at_least(1)]
        "Milliseconds between those retries.";
    "producer.id.expiration.check.interval.ms" Int = "600000" [Low at_least(1) when_set]
        "Milliseconds between two looks for idle producer ids.";
    "producer.id.expiration.ms" Int = "86400000" [Low cluster_wide honoured at_least(1)]
        "Milliseconds after which the state of an idle producer id is forgotten in a partition. Its \
         records stay.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int = "10000" [Low at_least(1)]
        "Milliseconds between two looks for transactions that are over their time and must be aborted. \
         Flumen aborts each when its time is over, and needs no such looks.";
    "transaction.max.timeout.ms" Int = "900000" [High honoured at_least(1)]
        "Largest transaction timeout in milliseconds that a producer may ask for.";
    "transaction.partition.verification.enable" Boolean = "true" [Low cluster_wide]
        "Whether a transactional write first asks the coordinator that its partition belongs to the \
         transaction.";
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int = "3600000" [Low at_least(1)]
        "Milliseconds between two looks for transactional ids that have expired. Flumen removes each when \
         its time is over, and needs no such looks.";
    "transaction.state.log.load.buffer.size" Int = "5242880" [High at_least(1)]
        "Bytes read at once from the transaction topic when a coordinator takes over.";
    "transaction.state.log.min.isr" Int = "2" [High at_least(1)]
        "In-sync replicas that the transaction topic needs for a write.";
    "transaction.state.log.num.partitions" Int = "50" [High honoured at_least(1)]
        "Partitions of the transaction topic. Not to be changed once it exists.";
    "transaction.state.log.replication.factor" Short = "3" [High at_least(1)]
        "Replicas of the transaction topic. It is not created while there are fewer brokers.";
    "transaction.state.log.segment.bytes" Int = "104857600" [High honoured at_least(1)]
        "Segment size of the transaction topic in bytes; small ones compact and load faster.";
    "transaction.two.phase.commit.enable" Boolean = "false" [Low]
        "Whether producers may take part in two-phase commit, where an outside coordinator ends the \
         transaction and it never times out.";
    "transactional.id.expiration.ms" Int = "604800000" [High honoured at_least(1)]
        "Milliseconds without a change of its transaction after which a transactional id expires.";
}
