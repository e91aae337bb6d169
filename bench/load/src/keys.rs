//! Which keys a run writes, and in which order: every partition has its own share of them and goes through it again
//! and again, in an order that jumps about, as updates of many things do.

/// A prime: added again and again it reaches every number below a count that is no multiple of it, before it comes
/// back to the first.
const STRIDE: u64 = 2_654_435_761;

/// See the module's text.
#[derive(Debug)]
pub struct Keys {
    /// Keys of each partition.
    each: u64,
    /// Keys that each partition was given so far, over all rounds.
    given: Vec<u64>,
}

impl Keys {
    /// `keys` of them, or a few more, so that all of `partitions` have as many.
    pub fn new(keys: u64, partitions: usize) -> Keys {
        let mut each = keys.div_ceil(partitions.max(1) as u64).max(1);
        if each.is_multiple_of(STRIDE) {
            each += 1;
        }
        Keys { each, given: vec![0; partitions] }
    }

    /// The next key of a partition.
    pub fn next(&mut self, partition: usize) -> u64 {
        let given = &mut self.given[partition];
        let index = (*given % self.each).wrapping_mul(STRIDE % self.each) % self.each;
        *given += 1;
        index * self.given.len() as u64 + partition as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_round_gives_every_key_once_and_no_other_partition_has_it() {
        let mut keys = Keys::new(1000, 3);
        let mut seen = HashSet::new();
        for partition in 0..3 {
            let round: Vec<u64> = (0..334).map(|_| keys.next(partition)).collect();
            assert!(round.iter().all(|key| seen.insert(*key)), "a key twice in partition {partition}");
            let again: Vec<u64> = (0..334).map(|_| keys.next(partition)).collect();
            assert_eq!(round, again);
        }
        assert_eq!(seen.len(), 1002);
    }

    #[test]
    fn one_key_is_written_again_and_again() {
        let mut keys = Keys::new(1, 1);
        assert_eq!([keys.next(0), keys.next(0)], [0, 0]);
    }
}
