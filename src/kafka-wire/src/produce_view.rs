//! A Produce request walked in place, versions 3 to 13, for the hot path: no `Vec` is built.

use crate::error::check_version;
use crate::topic_walk::{Shape, TopicWalk};
use crate::{Reader, Records, WireError};

pub use crate::topic_walk::TopicRef;

/// A checked Produce request.
#[derive(Clone, Debug)]
pub struct ProduceView<'a> {
    /// Null outside transactions.
    pub transactional_id: Option<&'a str>,
    /// -1, 0 or 1; not checked.
    pub acks: i16,
    /// How long the client lets the replicas take, milliseconds.
    pub timeout_ms: i32,
    /// Partitions of all topics.
    pub partition_count: usize,
    start: TopicWalk<'a>,
}

/// One partition's part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducePartition<'a> {
    /// By id from version 13 on.
    pub topic: TopicRef<'a>,
    /// Which topic of the request it is, from 0: equal for partitions that the response groups.
    pub topic_index: usize,
    /// The partition's number.
    pub partition: i32,
    /// The batches.
    pub records: Records<'a>,
}

impl<'a> ProduceView<'a> {
    /// Reads the body of a request and checks all of its structure, so that iterating cannot fail.
    ///
    /// # Errors
    /// Exactly when decoding a [`ProduceRequest`](crate::messages::produce_request::ProduceRequest) fails.
    pub fn decode(reader: &mut Reader<'a>, version: i16) -> Result<ProduceView<'a>, WireError> {
        check_version("ProduceRequest", version, 3, 13)?;
        let flexible = version >= 9;
        let transactional_id = reader.nullable_str(flexible)?;
        let (acks, timeout_ms) = (reader.i16()?, reader.i32()?);
        let shape = Shape { flexible, by_id: version >= 13, min_topic: 3, min_partition: 6 };
        let read = |reader: &mut Reader<'a>| read_partition(reader, flexible);
        let (start, partition_count) = TopicWalk::check(reader, shape, read)?;
        if flexible {
            reader.skip_tagged_fields()?;
        }
        Ok(ProduceView { transactional_id, acks, timeout_ms, partition_count, start })
    }

    /// The partitions in the order of the request. Topics without partitions do not show.
    pub fn partitions(&self) -> ProducePartitions<'a> {
        ProducePartitions { walk: self.start.clone() }
    }
}

fn read_partition<'a>(reader: &mut Reader<'a>, flexible: bool) -> Result<(i32, Records<'a>), WireError> {
    let partition = (reader.i32()?, reader.nullable_records(flexible)?);
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(partition)
}

/// See [`ProduceView::partitions`].
#[derive(Clone, Debug)]
pub struct ProducePartitions<'a> {
    walk: TopicWalk<'a>,
}

impl<'a> Iterator for ProducePartitions<'a> {
    type Item = ProducePartition<'a>;

    fn next(&mut self) -> Option<ProducePartition<'a>> {
        let flexible = self.walk.is_flexible();
        // The same walk has succeeded when the view was made.
        let next = self.walk.next(|reader| read_partition(reader, flexible)).ok()?;
        let (topic, topic_index, (partition, records)) = next?;
        Some(ProducePartition { topic, topic_index, partition, records })
    }
}
