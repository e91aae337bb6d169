//! A Fetch request walked in place, versions 4 to 18, for the hot path: no `Vec` is built.

use crate::error::check_version;
use crate::topic_walk::{Shape, TopicWalk};
use crate::{Reader, Uuid, WireError};

pub use crate::topic_walk::TopicRef;

/// A checked Fetch request. Fields that the version lacks are at the protocol's defaults.
#[derive(Clone, Debug)]
pub struct FetchView<'a> {
    /// What the sender takes to be the cluster's id; null if it does not say.
    pub cluster_id: Option<&'a str>,
    /// The follower's broker id, -1 for a consumer. Before version 15 a field of its own, then tagged.
    pub replica_id: i32,
    /// The follower's broker epoch, -1 if unknown.
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes to wait for.
    pub min_bytes: i32,
    /// The most bytes of the response, but for one batch that is larger.
    pub max_bytes: i32,
    /// 0 reads all, 1 only what is committed; not checked.
    pub isolation_level: i8,
    /// The fetch session, 0 if there is none.
    pub session_id: i32,
    /// The session's epoch, -1 outside sessions.
    pub session_epoch: i32,
    /// Where the consumer is, to fetch from near.
    pub rack_id: &'a str,
    /// Partitions of all topics, forgotten ones not counted.
    pub partition_count: usize,
    version: i16,
    topics: TopicWalk<'a>,
    forgotten: Option<TopicWalk<'a>>,
}

/// One partition's part of the request. Fields that the version lacks are at the protocol's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPartition<'a> {
    /// By id from version 13 on.
    pub topic: TopicRef<'a>,
    /// Which topic of the request it is, from 0: equal for partitions that the response groups.
    pub topic_index: usize,
    /// The partition's number.
    pub partition: i32,
    /// The leader epoch that the sender knows, -1 if none.
    pub current_leader_epoch: i32,
    /// Where to read from.
    pub fetch_offset: i64,
    /// The epoch of the last record that the sender has, -1 if unknown.
    pub last_fetched_epoch: i32,
    /// The follower's log start offset, -1 for a consumer.
    pub log_start_offset: i64,
    /// The most bytes of this partition, but for one batch that is larger.
    pub partition_max_bytes: i32,
    /// The follower's log directory, zero for a consumer.
    pub replica_directory_id: Uuid,
    /// The high watermark that the follower knows; the greatest number if it does not say.
    pub high_watermark: i64,
}

/// A partition that the session is to leave out from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForgottenPartition<'a> {
    /// By id from version 13 on.
    pub topic: TopicRef<'a>,
    /// Which topic of the forgotten ones it is, from 0.
    pub topic_index: usize,
    /// The partition's number.
    pub partition: i32,
}

impl<'a> FetchView<'a> {
    /// Reads the body of a request and checks all of its structure, so that iterating cannot fail.
    ///
    /// # Errors
    /// Exactly when decoding a [`FetchRequest`](crate::messages::fetch_request::FetchRequest) fails.
    pub fn decode(reader: &mut Reader<'a>, version: i16) -> Result<FetchView<'a>, WireError> {
        check_version("FetchRequest", version, 4, 18)?;
        let shape = |min_partition| Shape {
            flexible: version >= 12,
            by_id: version >= 13,
            min_topic: 3,
            min_partition,
        };
        let replica_id = if version <= 14 { reader.i32()? } else { -1 };
        let (max_wait_ms, min_bytes, max_bytes) = (reader.i32()?, reader.i32()?, reader.i32()?);
        let isolation_level = reader.i8()?;
        let (session_id, session_epoch) = if version >= 7 { (reader.i32()?, reader.i32()?) } else { (0, -1) };
        let read = |reader: &mut Reader<'a>| read_partition(reader, version);
        let (topics, partition_count) = TopicWalk::check(reader, shape(16), read)?;
        let forgotten = match version {
            7.. => Some(TopicWalk::check(reader, shape(4), Reader::i32)?.0),
            _ => None,
        };
        let rack_id = if version >= 11 { reader.str(version >= 12)? } else { "" };
        let mut view = FetchView {
            cluster_id: None,
            replica_id,
            replica_epoch: -1,
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            rack_id,
            partition_count,
            version,
            topics,
            forgotten,
        };
        if version >= 12 {
            view.read_tags(reader)?;
        }
        Ok(view)
    }

    fn read_tags(&mut self, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let version = self.version;
        reader.tagged_fields(|reader, tag| {
            match tag {
                0 => self.cluster_id = reader.nullable_str(true)?,
                1 if version >= 15 => {
                    self.replica_id = reader.i32()?;
                    self.replica_epoch = reader.i64()?;
                    reader.skip_tagged_fields()?;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// The partitions in the order of the request. Topics without partitions do not show.
    pub fn partitions(&self) -> FetchPartitions<'a> {
        FetchPartitions { walk: self.topics.clone(), version: self.version }
    }

    /// The partitions to leave out of the session from now on.
    pub fn forgotten(&self) -> ForgottenPartitions<'a> {
        ForgottenPartitions { walk: self.forgotten.clone() }
    }
}

/// The partition without its topic, which the caller puts in.
fn read_partition<'a>(reader: &mut Reader<'a>, version: i16) -> Result<FetchPartition<'a>, WireError> {
    let mut partition = FetchPartition {
        topic: TopicRef::Id(Uuid::ZERO),
        topic_index: 0,
        partition: reader.i32()?,
        current_leader_epoch: if version >= 9 { reader.i32()? } else { -1 },
        fetch_offset: reader.i64()?,
        last_fetched_epoch: if version >= 12 { reader.i32()? } else { -1 },
        log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
        partition_max_bytes: reader.i32()?,
        replica_directory_id: Uuid::ZERO,
        high_watermark: i64::MAX,
    };
    if version >= 12 {
        reader.tagged_fields(|reader, tag| {
            match tag {
                0 if version >= 17 => partition.replica_directory_id = reader.uuid()?,
                1 if version >= 18 => partition.high_watermark = reader.i64()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
    }
    Ok(partition)
}

/// See [`FetchView::partitions`].
#[derive(Clone, Debug)]
pub struct FetchPartitions<'a> {
    walk: TopicWalk<'a>,
    version: i16,
}

impl<'a> Iterator for FetchPartitions<'a> {
    type Item = FetchPartition<'a>;

    fn next(&mut self) -> Option<FetchPartition<'a>> {
        let version = self.version;
        // The same walk has succeeded when the view was made.
        let next = self.walk.next(|reader| read_partition(reader, version)).ok()?;
        next.map(|(topic, topic_index, partition)| FetchPartition { topic, topic_index, ..partition })
    }
}

/// See [`FetchView::forgotten`].
#[derive(Clone, Debug)]
pub struct ForgottenPartitions<'a> {
    walk: Option<TopicWalk<'a>>,
}

impl<'a> Iterator for ForgottenPartitions<'a> {
    type Item = ForgottenPartition<'a>;

    fn next(&mut self) -> Option<ForgottenPartition<'a>> {
        // The same walk has succeeded when the view was made.
        let next = self.walk.as_mut()?.next(Reader::i32).ok()?;
        next.map(|(topic, topic_index, partition)| ForgottenPartition { topic, topic_index, partition })
    }
}
