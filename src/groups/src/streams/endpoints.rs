//! Where an application can be asked for its state: which member serves which partitions.

use super::StreamsGroup;
use super::member::Member;
use super::tasks::Tasks;
use super::topology::{Topology, sources};
use crate::topics::Topics;
use crate::wire::text;
use kafka_wire::messages::streams_group_heartbeat_response::{
    Endpoint, EndpointToPartitions, TopicPartition,
};
use std::collections::{BTreeMap, BTreeSet};

impl StreamsGroup {
    /// The members with an address, each with the partitions whose state it has.
    pub fn endpoints(&self, topics: &dyn Topics) -> Vec<EndpointToPartitions<'static>> {
        let Some(topology) = &self.topology else { return Vec::new() };
        let one = |member: &Member| {
            let (host, port) = member.profile.endpoint.as_ref()?;
            Some(EndpointToPartitions {
                user_endpoint: Endpoint { host: text(host), port: *port },
                active_partitions: partitions(&member.progress.assigned.active, topology, topics),
                standby_partitions: partitions(&member.progress.assigned.standby, topology, topics),
            })
        };
        self.members.values().filter_map(one).collect()
    }
}

/// The partitions that tasks read. A topic may have fewer than its subtopology has tasks.
fn partitions(tasks: &Tasks, topology: &Topology, topics: &dyn Topics) -> Vec<TopicPartition<'static>> {
    let mut found: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for subtopology in &topology.subtopologies {
        let Some(tasks) = tasks.get(&*subtopology.subtopology_id) else { continue };
        for name in sources(subtopology) {
            let count = topics.by_name(name).map_or(0, |topic| topic.partitions);
            let there = tasks.keys().copied().filter(|partition| *partition < count);
            found.entry(name).or_default().extend(there);
        }
    }
    let found = found.into_iter().filter(|(_, partitions)| !partitions.is_empty());
    found
        .map(|(name, partitions)| TopicPartition {
            topic: text(name),
            partitions: partitions.into_iter().collect(),
        })
        .collect()
}
