//! What sets the groups of a seed apart from others of their protocol.
//!
//! It is drawn from numbers of its own, so that all else in a plan stays what it was.

use crate::coordination::{Coordination, Group, LEVEL, Protocol};
use base::Random;

/// Gives the groups of a plan their variety, and its transactions one more level.
pub(crate) fn apply(coordination: &mut Coordination, seed: u64) {
    let mut random = Random::new(seed ^ 0x57a7_1c1d);
    if random.one_in(3) {
        coordination.sharers = random.between(2, 3) as usize;
        coordination.deliveries_max = random.between(3, 10) as i16;
    }
    for group in &mut coordination.groups {
        if random.one_in(3) {
            group.instances = instances(&mut random, group);
        }
        group.by_pattern = group.protocol == Protocol::Consumer && random.one_in(2);
        let classic = match group.protocol {
            Protocol::Consumer if random.one_in(2) => Protocol::Eager,
            Protocol::Consumer => Protocol::Cooperative,
            classic => classic,
        };
        group.migrates = (!group.by_pattern && random.one_in(3)).then_some(classic);
    }
    if coordination.level < LEVEL && random.one_in(2) {
        coordination.level = 0;
    }
}

/// Most members are static; in half of the groups the first and the last have one instance id.
fn instances(random: &mut Random, group: &Group) -> Vec<Option<u32>> {
    let count = group.members.len();
    let mut all: Vec<Option<u32>> =
        (0..count as u32).map(|number| (!random.one_in(4)).then_some(number)).collect();
    if random.one_in(2) {
        (all[0], all[count - 1]) = (Some(0), Some(0));
    }
    all
}
