//! Names of things.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

/// A topic's identity (KIP-516): it survives nothing; a topic deleted and created again has another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// No topic: the wire's way of leaving an id out.
    pub const ZERO: TopicId = TopicId([0; 16]);
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl fmt::Display for TopicId {
    /// As Kafka writes ids: URL-safe base 64 without padding, 22 characters.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for digit in 0..22u32 {
            // 128 bits are 21 digits of six bits and one of two, which stands high in its digit.
            let index = if digit < 21 { (bits >> (122 - 6 * digit)) & 63 } else { (bits & 3) << 4 };
            write!(out, "{}", char::from(ALPHABET[index as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTopicId;

impl fmt::Display for BadTopicId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("not an id: 22 characters of A-Z, a-z, 0-9, - and _ are expected")
    }
}

impl std::error::Error for BadTopicId {}

impl FromStr for TopicId {
    type Err = BadTopicId;

    fn from_str(text: &str) -> Result<TopicId, BadTopicId> {
        if text.len() != 22 {
            return Err(BadTopicId);
        }
        let mut bits = 0u128;
        for (position, byte) in text.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&b| b == byte).ok_or(BadTopicId)? as u128;
            bits = if position < 21 { bits << 6 | digit } else { bits << 2 | digit >> 4 };
        }
        Ok(TopicId(bits.to_be_bytes()))
    }
}

/// A partition's number within its topic, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionId(pub i32);

impl fmt::Display for PartitionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: PartitionId,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.topic, self.partition)
    }
}

/// Hashes [`TopicPartition`]s for tables that every request looks into. Ids of topics are the broker's random numbers, so
/// nobody outside chooses what meets in such a table, and a few instructions will do.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

/// For `HashMap`'s third parameter.
pub type IdHashing = BuildHasherDefault<IdHasher>;

impl IdHasher {
    fn word(&mut self, word: u64) {
        // The golden ratio's bits: odd, and spread over the word.
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn write_i32(&mut self, number: i32) {
        self.word(u64::from(number as u32));
    }

    fn write_usize(&mut self, number: usize) {
        self.word(number as u64);
    }

    fn finish(&self) -> u64 {
        // Tables go by the highest bits and by the lowest.
        self.0 ^ self.0 >> 32
    }
}

/// A core of this node, counted from 0. Which partitions it has may differ after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    /// As an index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

/// A node of the cluster, as `node.id` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub i32);

impl fmt::Display for NodeId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_kafka_writes_them() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        // Kafka's id of the metadata topic: zeros and a one.
        let mut one = [0; 16];
        one[15] = 1;
        assert_eq!(TopicId(one).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
    }

    #[test]
    fn ids_are_spread_by_their_hashes() {
        use std::hash::BuildHasher;
        const BUCKETS: usize = 128;
        let mut random = base::Random::new(3);
        let (mut low, mut high) = ([0u32; BUCKETS], [0u32; BUCKETS]);
        // One topic of many partitions, and many of one.
        for number in 0..20_000 {
            let mut topic = TopicId([7; 16]);
            if number >= 10_000 {
                random.fill(&mut topic.0);
            }
            let partition = PartitionId(if number < 10_000 { number } else { 0 });
            let hash = IdHashing::default().hash_one(TopicPartition { topic, partition });
            low[hash as usize % BUCKETS] += 1;
            high[(hash >> 57) as usize] += 1;
        }
        for count in low.into_iter().chain(high) {
            assert!((78..=234).contains(&count), "{count} of 156 on average");
        }
    }

    #[test]
    fn ids_come_back_from_their_text() {
        let mut random = base::Random::new(3);
        for _ in 0..1000 {
            let mut id = TopicId::ZERO;
            random.fill(&mut id.0);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        assert_eq!("short".parse::<TopicId>(), Err(BadTopicId));
        assert_eq!("AAAAAAAAAAAAAAAAAAAAA!".parse::<TopicId>(), Err(BadTopicId));
    }
}
