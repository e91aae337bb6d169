//! A topology as a group keeps it: subtopologies, what each reads, and the internal topics between and beside them.

use super::configure;
use crate::request::Refused;
use crate::wire::text;
use kafka_wire::ErrorCode;
use kafka_wire::messages::streams_group_heartbeat_request as said;
use kafka_wire::messages::streams_group_topology_value::{
    CopartitionGroup, StreamsGroupTopologyValue, Subtopology, TopicConfig, TopicInfo,
};
use std::collections::BTreeSet;

/// A topology, in the form of its record; subtopologies in the order of their ids.
pub(crate) type Topology = StreamsGroupTopologyValue<'static>;

/// The topology that a member brings.
pub(crate) fn brought(topology: &said::Topology<'_>) -> Topology {
    let subtopologies = topology.subtopologies.iter().map(subtopology).collect();
    sorted(Topology { epoch: topology.epoch, subtopologies })
}

/// A topology from the log.
pub(crate) fn restored(value: &StreamsGroupTopologyValue<'_>) -> Topology {
    let own = |subtopology: &Subtopology<'_>| Subtopology {
        subtopology_id: text(&subtopology.subtopology_id),
        source_topics: subtopology.source_topics.iter().map(|name| text(name)).collect(),
        source_topic_regex: subtopology.source_topic_regex.iter().map(|regex| text(regex)).collect(),
        state_changelog_topics: subtopology.state_changelog_topics.iter().map(own_topic).collect(),
        repartition_sink_topics: subtopology.repartition_sink_topics.iter().map(|name| text(name)).collect(),
        repartition_source_topics: subtopology.repartition_source_topics.iter().map(own_topic).collect(),
        copartition_groups: subtopology.copartition_groups.clone(),
    };
    sorted(Topology { epoch: value.epoch, subtopologies: value.subtopologies.iter().map(own).collect() })
}

fn sorted(mut topology: Topology) -> Topology {
    topology.subtopologies.sort_by(|one, other| one.subtopology_id.cmp(&other.subtopology_id));
    topology
}

fn subtopology(subtopology: &said::Subtopology<'_>) -> Subtopology<'static> {
    let group = |group: &said::CopartitionGroup| CopartitionGroup {
        source_topics: group.source_topics.clone(),
        source_topic_regex: group.source_topic_regex.clone(),
        repartition_source_topics: group.repartition_source_topics.clone(),
    };
    Subtopology {
        subtopology_id: text(&subtopology.subtopology_id),
        source_topics: subtopology.source_topics.iter().map(|name| text(name)).collect(),
        source_topic_regex: subtopology.source_topic_regex.iter().map(|regex| text(regex)).collect(),
        state_changelog_topics: subtopology.state_changelog_topics.iter().map(topic).collect(),
        repartition_sink_topics: subtopology.repartition_sink_topics.iter().map(|name| text(name)).collect(),
        repartition_source_topics: subtopology.repartition_source_topics.iter().map(topic).collect(),
        copartition_groups: subtopology.copartition_groups.iter().map(group).collect(),
    }
}

fn topic(topic: &said::TopicInfo<'_>) -> TopicInfo<'static> {
    let config = |one: &said::KeyValue<'_>| TopicConfig { key: text(&one.key), value: text(&one.value) };
    TopicInfo {
        name: text(&topic.name),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: topic.topic_configs.iter().map(config).collect(),
    }
}

fn own_topic(topic: &TopicInfo<'_>) -> TopicInfo<'static> {
    let config = |one: &TopicConfig<'_>| TopicConfig { key: text(&one.key), value: text(&one.value) };
    TopicInfo {
        name: text(&topic.name),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: topic.topic_configs.iter().map(config).collect(),
    }
}

/// The topics that a subtopology reads: the application's, then those between subtopologies.
pub(crate) fn sources<'a>(subtopology: &'a Subtopology<'static>) -> impl Iterator<Item = &'a str> {
    let own = subtopology.source_topics.iter().map(|name| &**name);
    own.chain(subtopology.repartition_source_topics.iter().map(|topic| &*topic.name))
}

/// The changelogs of a subtopology that are topics of their own, and not one that it reads.
pub(crate) fn changelogs<'a>(
    subtopology: &'a Subtopology<'static>,
) -> impl Iterator<Item = &'a TopicInfo<'static>> {
    let is_own = move |topic: &&TopicInfo<'static>| !subtopology.source_topics.contains(&topic.name);
    subtopology.state_changelog_topics.iter().filter(is_own)
}

/// Every topic that has to be there, in the order of names.
pub(crate) fn required(topology: &Topology) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for subtopology in &topology.subtopologies {
        names.extend(sources(subtopology));
        names.extend(subtopology.state_changelog_topics.iter().map(|topic| &*topic.name));
    }
    names
}

/// The topics that make one copartition group; `None` if it points past the lists.
pub(crate) fn copartitioned<'a>(
    subtopology: &'a Subtopology<'static>,
    group: &CopartitionGroup,
) -> Option<BTreeSet<&'a str>> {
    let place = |index: &i16| usize::try_from(*index).ok();
    let own = group.source_topics.iter().map(|index| {
        let name = subtopology.source_topics.get(place(index)?)?;
        Some(&**name)
    });
    let between = group.repartition_source_topics.iter().map(|index| {
        let topic = subtopology.repartition_source_topics.get(place(index)?)?;
        Some(&*topic.name)
    });
    own.chain(between).collect()
}

/// The subtopology that reads a topic.
pub(crate) fn reader_of<'a>(topology: &'a Topology, topic: &str) -> Option<&'a str> {
    let reads = |subtopology: &&Subtopology<'static>| sources(subtopology).any(|name| name == topic);
    topology.subtopologies.iter().find(reads).map(|subtopology| &*subtopology.subtopology_id)
}

fn invalid<T>(message: String) -> Result<T, Refused> {
    Err(Refused::new(ErrorCode::StreamsInvalidTopology, message))
}

/// Checks a topology on its own, without the topics that there are.
pub(crate) fn check(topology: &Topology) -> Result<(), Refused> {
    for pair in topology.subtopologies.windows(2) {
        if pair[0].subtopology_id == pair[1].subtopology_id {
            return invalid(format!("Subtopology {} is there twice.", pair[0].subtopology_id));
        }
    }
    topology.subtopologies.iter().try_for_each(check_subtopology)?;
    // With any numbers for the topics there are, those for internal ones must follow.
    match configure::partition_counts(topology, &|_| Some(1)) {
        Err(problem) if !problem.is_of_counts => invalid(problem.detail),
        _ => Ok(()),
    }
}

fn check_subtopology(subtopology: &Subtopology<'static>) -> Result<(), Refused> {
    let id = &subtopology.subtopology_id;
    if sources(subtopology).next().is_none() {
        return invalid(format!("Subtopology {id} reads no topic."));
    }
    for topic in &subtopology.state_changelog_topics {
        if topic.partitions != 0 {
            return invalid(format!(
                "Changelog topic {} must not set its number of partitions, but sets {}.",
                topic.name, topic.partitions
            ));
        }
    }
    for topic in subtopology.repartition_source_topics.iter().chain(&subtopology.state_changelog_topics) {
        if topic.partitions < 0 || topic.replication_factor < 0 {
            return invalid(format!("Internal topic {} has a negative size.", topic.name));
        }
    }
    for group in &subtopology.copartition_groups {
        if copartitioned(subtopology, group).is_none() || !group.source_topic_regex.is_empty() {
            return invalid(format!(
                "A copartition group of subtopology {id} names topics that it does not have."
            ));
        }
    }
    Ok(())
}
