//! Walking an array of topics that hold partitions, the shape that Produce and Fetch share.

use crate::{Reader, Uuid, WireError};

/// How a request names a topic: by name in older versions, by id in newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef<'a> {
    /// The name, in the frame.
    Name(&'a str),
    /// The id.
    Id(Uuid),
}

/// What must be known of a request and version to walk its topics.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub flexible: bool,
    /// Topics are given by id.
    pub by_id: bool,
    /// The least bytes that a topic and a partition take in any version.
    pub min_topic: usize,
    pub min_partition: usize,
}

/// A place in the array. A copy of it at the start walks the array again.
#[derive(Clone, Debug)]
pub(crate) struct TopicWalk<'a> {
    reader: Reader<'a>,
    shape: Shape,
    /// Topics that have been entered; the current one has the index one less.
    entered: usize,
    topics_left: usize,
    partitions_left: usize,
    topic: TopicRef<'a>,
}

impl<'a> TopicWalk<'a> {
    /// Reads the whole array, which `reader` is before, with `read` for each partition.
    ///
    /// Gives its start, from which the same walk cannot fail any more, and the number of partitions.
    pub(crate) fn check<P>(
        reader: &mut Reader<'a>,
        shape: Shape,
        read: impl Fn(&mut Reader<'a>) -> Result<P, WireError>,
    ) -> Result<(TopicWalk<'a>, usize), WireError> {
        let count = reader.array_count(shape.flexible, shape.min_topic)?.ok_or(WireError::UnexpectedNull)?;
        let start = TopicWalk {
            reader: reader.clone(),
            shape,
            entered: 0,
            topics_left: count,
            partitions_left: 0,
            topic: TopicRef::Id(Uuid::ZERO),
        };
        let mut walk = start.clone();
        let mut partitions = 0;
        while walk.next(&read)?.is_some() {
            partitions += 1;
        }
        *reader = walk.reader;
        Ok((start, partitions))
    }

    /// Whether lengths are compact and tagged fields follow.
    pub(crate) fn is_flexible(&self) -> bool {
        self.shape.flexible
    }

    /// The next partition as `read` gives it, with its topic and the topic's index in the array.
    pub(crate) fn next<P>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<P, WireError>,
    ) -> Result<Option<(TopicRef<'a>, usize, P)>, WireError> {
        while self.partitions_left == 0 {
            if self.entered > 0 && self.shape.flexible {
                self.reader.skip_tagged_fields()?;
            }
            match self.topics_left.checked_sub(1) {
                Some(left) => self.topics_left = left,
                None => {
                    // Nothing is left to skip if this is called again.
                    self.entered = 0;
                    return Ok(None);
                }
            }
            self.enter()?;
        }
        self.partitions_left -= 1;
        Ok(Some((self.topic, self.entered - 1, read(&mut self.reader)?)))
    }

    fn enter(&mut self) -> Result<(), WireError> {
        let Shape { flexible, by_id, min_partition, .. } = self.shape;
        self.topic = if by_id {
            TopicRef::Id(self.reader.uuid()?)
        } else {
            TopicRef::Name(self.reader.str(flexible)?)
        };
        let count = self.reader.array_count(flexible, min_partition)?;
        self.partitions_left = count.ok_or(WireError::UnexpectedNull)?;
        self.entered += 1;
        Ok(())
    }
}
