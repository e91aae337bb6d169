//! Where partitions begin and end, and where a time is in them.

use crate::cluster::Node;
use crate::{Client, ClientError};
use kafka_wire::messages::list_offsets_request::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use kafka_wire::messages::list_offsets_response::ListOffsetsResponse;
use kafka_wire::{ApiKey, ErrorCode};
use std::collections::BTreeMap;

/// A place in a partition that its leader knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetAt {
    /// The first offset that is still there.
    Beginning,
    /// The offset that the next record gets, as far as consumers may see.
    End,
    /// The first record whose timestamp is at least this many milliseconds since 1970.
    Time(i64),
}

impl OffsetAt {
    /// The number by which the protocol knows it.
    fn timestamp(self) -> i64 {
        match self {
            OffsetAt::Beginning => -2,
            OffsetAt::End => -1,
            OffsetAt::Time(timestamp) => timestamp,
        }
    }
}

/// An answer to [`Client::offsets`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionOffset {
    /// The partition.
    pub partition: i32,
    /// The offset; -1 if there is no record at or after the time.
    pub offset: i64,
    /// The timestamp of the record there; -1 if the answer is not about a record.
    pub timestamp: i64,
}

impl Client {
    /// Asks the leaders of some partitions where `at` is; the answers are in the order of `partitions`.
    ///
    /// # Errors
    /// Those of the leaders, after the deadline if they are retriable; [`ClientError::NoSuchPartition`].
    pub fn offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        at: OffsetAt,
    ) -> Result<Vec<PartitionOffset>, ClientError> {
        let found = self.retry(|client| {
            let mut by_leader = BTreeMap::<i32, Vec<i32>>::new();
            for &partition in partitions {
                by_leader.entry(client.leader(topic, partition)?).or_default().push(partition);
            }
            let mut found = BTreeMap::new();
            for (leader, partitions) in by_leader {
                client.offsets_of_leader(leader, topic, &partitions, at, &mut found)?;
            }
            Ok(found)
        })?;
        let missing = |partition| {
            let code = ErrorCode::UnknownServerError.code();
            let message = Some("the broker's answer leaves this partition out");
            ClientError::broker(ApiKey::ListOffsets, format!("{topic}-{partition}"), code, message)
        };
        partitions.iter().map(|id| found.get(id).copied().ok_or_else(|| missing(id))).collect()
    }

    fn offsets_of_leader(
        &mut self,
        leader: i32,
        topic: &str,
        partitions: &[i32],
        at: OffsetAt,
        found: &mut BTreeMap<i32, PartitionOffset>,
    ) -> Result<(), ClientError> {
        let response: ListOffsetsResponse<'_> =
            self.call(Node::Broker(leader), ApiKey::ListOffsets, |_| {
                let partitions = partitions.iter().map(|&partition_index| ListOffsetsPartition {
                    partition_index,
                    current_leader_epoch: -1,
                    timestamp: at.timestamp(),
                });
                ListOffsetsRequest {
                    replica_id: -1,
                    topics: vec![ListOffsetsTopic {
                        name: topic.to_owned().into(),
                        partitions: partitions.collect(),
                    }],
                    ..ListOffsetsRequest::default()
                }
            })?;
        for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
            let id = partition.partition_index;
            if partition.error_code != 0 {
                let subject = format!("{topic}-{id}");
                return Err(ClientError::broker(ApiKey::ListOffsets, subject, partition.error_code, None));
            }
            let answer =
                PartitionOffset { partition: id, offset: partition.offset, timestamp: partition.timestamp };
            found.insert(id, answer);
        }
        Ok(())
    }
}
