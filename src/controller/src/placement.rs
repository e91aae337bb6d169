//! Where partitions live: which nodes, and which core of a node.

use crate::error::{ControlError, ErrorKind};
use model::{NodeId, PartitionId, ShardId, TopicId};
use std::sync::Arc;

/// The replicas of partitions `first..first + count` of a topic, each the preferred leader first.
///
/// Leaders go round the nodes; the followers of a partition are the nodes after its leader. Racks are
/// not looked at yet. With one node, every partition shares one list.
pub fn place(nodes: &[NodeId], first: i32, factor: i16) -> Result<Placement, ControlError> {
    let wanted = usize::try_from(factor).ok().filter(|&wanted| wanted > 0);
    let Some(wanted) = wanted.filter(|&wanted| wanted <= nodes.len()) else {
        let message = format!(
            "A replication factor of {factor} cannot be had: the cluster has {} broker(s).",
            nodes.len()
        );
        return Err(ControlError::new(ErrorKind::InvalidReplicationFactor, message));
    };
    let lists = (0..nodes.len())
        .map(|leader| (0..wanted).map(|step| nodes[(leader + step) % nodes.len()]).collect())
        .collect();
    Ok(Placement { lists, next: first.max(0) as usize })
}

/// The replica lists of one partition after another, without end; see [`place`].
#[derive(Clone, Debug)]
pub struct Placement {
    lists: Vec<Arc<[NodeId]>>,
    next: usize,
}

impl Iterator for Placement {
    type Item = Arc<[NodeId]>;

    fn next(&mut self) -> Option<Arc<[NodeId]>> {
        let list = self.lists.get(self.next % self.lists.len())?;
        self.next += 1;
        Some(list.clone())
    }
}

/// The core of a node that has a partition, of `shards` cores.
///
/// A topic's partitions go round the cores, beginning at one that follows from the topic's id: so one topic is
/// spread evenly, and topics of one partition are spread by chance. Nothing is stored: another number of cores
/// after a restart deals them anew.
///
/// # Panics
/// If `shards` is 0.
pub fn shard_of(topic: TopicId, partition: PartitionId, shards: u16) -> ShardId {
    assert!(shards > 0, "a node without cores");
    let bits = u128::from_be_bytes(topic.0);
    let mixed = base::Random::new((bits >> 64) as u64 ^ (bits as u64).rotate_left(31)).next_u64();
    let place = (mixed >> 32).wrapping_add(u64::from(partition.0.unsigned_abs()));
    ShardId((place % u64::from(shards)) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::random_id;

    #[test]
    fn leaders_go_round_and_followers_come_after() {
        let nodes = [NodeId(1), NodeId(2), NodeId(5)];
        let lists: Vec<_> = place(&nodes, 1, 2).expect("two of three").take(3).collect();
        let numbers: Vec<Vec<i32>> =
            lists.iter().map(|list| list.iter().map(|node| node.0).collect()).collect();
        assert_eq!(numbers, [[2, 5], [5, 1], [1, 2]]);
        for factor in [4, 0, -1, i16::MIN] {
            assert!(place(&nodes, 0, factor).is_err());
        }
        assert!(place(&[], 0, 1).is_err());
    }

    #[test]
    fn partitions_are_dealt_evenly() {
        let mut random = base::Random::new(1);
        let mut first = [0u32; 4];
        for _ in 0..1000 {
            let topic = random_id(|| random.next_u64());
            let mut seen = [0u32; 4];
            for partition in 0..8 {
                seen[shard_of(topic, PartitionId(partition), 4).index()] += 1;
            }
            assert_eq!(seen, [2; 4], "eight partitions on four cores");
            first[shard_of(topic, PartitionId(0), 4).index()] += 1;
            assert_eq!(shard_of(topic, PartitionId(3), 1), ShardId(0));
        }
        assert!(first.iter().all(|&count| (180..=320).contains(&count)), "{first:?}");
    }
}
