//! What a client may do, as bits: one for each operation of Kafka's ACLs, by its number. Without an authorizer
//! everybody may do all that there is to do with a kind of resource.

/// Operations of ACLs, by Kafka's numbers.
#[derive(Clone, Copy)]
enum Operation {
    Read = 3,
    Write = 4,
    Create = 5,
    Delete = 6,
    Alter = 7,
    Describe = 8,
    ClusterAction = 9,
    DescribeConfigs = 10,
    AlterConfigs = 11,
    IdempotentWrite = 12,
}
use Operation::*;

const fn bits(operations: &[Operation]) -> i32 {
    let (mut bits, mut i) = (0, 0);
    while i < operations.len() {
        bits |= 1 << operations[i] as i32;
        i += 1;
    }
    bits
}

/// All that can be done with the cluster.
pub(crate) const CLUSTER: i32 =
    bits(&[Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite]);

/// All that can be done with a topic.
pub(crate) const TOPIC: i32 =
    bits(&[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs]);

/// All that can be done with a group.
pub(crate) const GROUP: i32 = bits(&[Read, Delete, Describe, DescribeConfigs, AlterConfigs]);

#[cfg(test)]
mod tests {
    #[test]
    fn the_numbers_are_those_that_kafka_tells() {
        assert_eq!(super::TOPIC, 3576);
        assert_eq!(super::CLUSTER, 8096);
        assert_eq!(super::GROUP, 3400);
    }
}
