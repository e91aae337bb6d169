//! What the page says about rows that need more words than their title: of transactions, groups, and logs that are
//! shortened under load.

use super::{
    beside::{BESIDE_SECONDS, COMPACTION_LEAD, KEYS, KEYS_A_BATCH, RETENTION_LEAD},
    rows::{Kind, Row},
    system::SETTINGS,
    turns::Asked,
};
use std::fmt::Write as _;

/// Writes a line for each of these rows that was asked for, and one for the settings of all brokers.
pub fn text(out: &mut String, asked: &Asked<'_>) {
    let settings: Vec<String> = SETTINGS.iter().map(|setting| format!("`{setting}`")).collect();
    let _ = writeln!(
        out,
        "- All brokers, Kafka and Flumen alike, have {}; everything else is as it comes.",
        settings.join(", ")
    );
    for row in asked.rows {
        if let Some(words) = words(row) {
            let _ = writeln!(out, "- {}: {words}", row.name);
        }
    }
}

fn words(row: &Row) -> Option<String> {
    match (row.kind, row.command) {
        (Kind::Beside(_), _) | (Kind::Rebalance, _) | (_, "transact" | "commit-offsets") => {}
        _ => return None,
    }
    Some(match row.name {
        "idempotent" => "the load of the row typical, in each turn without idempotence, with it, and without it \
             again, on the same topic; the ratio is to the mean of the two. Each connection is a producer with five \
             requests in flight; sequences go into batches that were built once, and their checksums follow from \
             what has changed."
            .into(),
        "transactional" => "transactions of version 2 (KIP-890), as the current Java client makes them: batches add \
             their partitions themselves, and each end gives the producer its next epoch. A producer sends for 100 \
             ms to all partitions, waits for its answers, commits, and begins the next when that is answered. The \
             last stable offsets prove every record and every marker."
            .into(),
        "transactions-one" => "a producer, a partition, a record; the time is from sending the record to the answer \
             to the commit. Before a turn of Kafka with `flush.messages=1` its topics `__transaction_state` and \
             `__consumer_offsets` are given that configuration as well, before a turn of Kafka's default they lose it; \
             both systems are one process."
            .into(),
        "offset-commits" => "every group has one member of the classic protocol that has joined and sends a heartbeat \
             every 3 s; it commits the next offset of its four partitions as soon as its last commit is answered and \
             its turn on the connection comes. Ten groups share a connection. At the end every group's committed \
             offsets are read and compared with what was acknowledged last."
            .into(),
        "rebalance" => "every member has a connection and a heartbeat every 200 ms, by which it learns of a change; \
             500 stay, one more joins, rests, and leaves, again and again. The time is from its first request until \
             all 501 have the same generation, newer than before, and together each of the 1,000 partitions once. \
             Classic: the leader gives ranges. Consumer protocol (KIP-848): the broker's own assignor."
            .into(),
        "retention" => format!(
            "two new topics with segments of 4 MB, one after the other: one keeps everything, the other two segments \
             of each partition. {BESIDE_SECONDS} s of each are measured, after {RETENTION_LEAD} s of the same load; \
             that the logs' starts moved is checked."
        ),
        "compacted" => format!(
            "two new topics with segments of 4 MB, one after the other, the second with `cleanup.policy=compact` and \
             `min.cleanable.dirty.ratio=0.1`. {} million keys in batches of {KEYS_A_BATCH} records of 100 B are \
             written to each as fast as that goes (1.1 GB), then the open loop writes keys again, in an order that \
             jumps about; {BESIDE_SECONDS} s are measured, after {COMPACTION_LEAD} s of it. That the cleaner got on \
             meanwhile is read from Flumen's metrics and from Kafka's checkpoint of what is clean.",
            KEYS / 1_000_000
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::ROWS;

    #[test]
    fn every_row_that_needs_words_has_them() {
        for row in ROWS {
            let special = matches!(row.kind, Kind::Beside(_) | Kind::Rebalance)
                || matches!(row.command, "transact" | "commit-offsets");
            assert_eq!(words(row).is_some(), special, "{}", row.name);
        }
    }
}
