//! What topologies come to with the topics there are.

use super::*;
use crate::streams::configure::{Configured, Status, configure};
use crate::streams::topology::{brought, check};
use kafka_wire::messages::streams_group_heartbeat_request::{
    CopartitionGroup, Subtopology, TopicInfo, Topology,
};

fn topic(name: &'static str, partitions: i32) -> TopicInfo<'static> {
    TopicInfo { name: name.into(), partitions, ..Default::default() }
}

/// A subtopology: what it reads of the application's topics and of those between, and what it writes of the latter.
fn sub(
    id: &'static str,
    reads: &[&'static str],
    between: &[(&'static str, i32)],
    writes: &[&'static str],
) -> Subtopology<'static> {
    Subtopology {
        subtopology_id: id.into(),
        source_topics: reads.iter().map(|name| Cow::Borrowed(*name)).collect(),
        repartition_source_topics: between
            .iter()
            .map(|(name, partitions)| topic(name, *partitions))
            .collect(),
        repartition_sink_topics: writes.iter().map(|name| Cow::Borrowed(*name)).collect(),
        ..Default::default()
    }
}

/// Joins everything that a subtopology reads.
fn joined(mut subtopology: Subtopology<'static>) -> Subtopology<'static> {
    let all = |count: usize| (0..count).map(|index| index as i16).collect();
    let group = CopartitionGroup {
        source_topics: all(subtopology.source_topics.len()),
        source_topic_regex: Vec::new(),
        repartition_source_topics: all(subtopology.repartition_source_topics.len()),
    };
    subtopology.copartition_groups.push(group);
    subtopology
}

fn with_store(mut subtopology: Subtopology<'static>, changelog: &'static str) -> Subtopology<'static> {
    subtopology.state_changelog_topics.push(topic(changelog, 0));
    subtopology
}

fn of(subtopologies: Vec<Subtopology<'static>>, topics: &[(&str, i32)]) -> Configured {
    let mut cluster = Cluster::default();
    topics.iter().for_each(|(name, partitions)| cluster.add(name, *partitions));
    let topology = brought(&Topology { epoch: 1, subtopologies });
    check(&topology).expect("a sound topology");
    configure(&topology, &cluster)
}

fn counts(configured: &Configured) -> Vec<(&str, i32)> {
    configured.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect()
}

fn status(configured: &Configured) -> Option<Status> {
    configured.problem.as_ref().map(|problem| problem.status)
}

#[test]
fn topics_between_have_as_many_partitions_as_what_their_writers_read() {
    // 2 is read from 1, 1 from a and b: the larger of these counts for all; the store of 2 has as many.
    let chain = || {
        vec![
            with_store(sub("2", &[], &[("r2", 0)], &[]), "c2"),
            sub("1", &[], &[("r1", 0)], &["r2"]),
            sub("0", &["a", "b"], &[], &["r1"]),
        ]
    };
    let found = of(chain(), &[("a", 3), ("b", 5)]);
    assert_eq!(counts(&found), [("c2", 5), ("r1", 5), ("r2", 5)]);
    assert_eq!(status(&found), Some(Status::MissingInternalTopics));
    assert_eq!(
        found.missing.iter().map(|topic| topic.name.as_str()).collect::<Vec<&str>>(),
        ["c2", "r1", "r2"]
    );
    let found = of(chain(), &[("a", 3), ("b", 5), ("r1", 5), ("r2", 5), ("c2", 5)]);
    assert_eq!((status(&found), found.missing.len()), (None, 0));
    assert!(found.subtopologies.values().all(|work| work.tasks == 5));
    assert!(found.subtopologies["2"].is_stateful && !found.subtopologies["1"].is_stateful);
}

#[test]
fn a_number_that_the_topology_says_counts() {
    let found = of(vec![sub("0", &["a"], &[], &["r"]), sub("1", &[], &[("r", 7)], &[])], &[("a", 3)]);
    assert_eq!(counts(&found), [("r", 7)]);
}

#[test]
fn topics_that_are_joined_have_equally_many_partitions() {
    let writer = || sub("0", &["a"], &[], &["r", "s"]);
    // The application's topic leads, whatever the other would have had.
    let one = joined(sub("1", &["b"], &[("r", 0), ("s", 0)], &[]));
    assert_eq!(counts(&of(vec![writer(), one], &[("a", 3), ("b", 8)])), [("r", 8), ("s", 8)]);
    // Without one the number that the topology says, or else the largest.
    let one = joined(sub("1", &[], &[("r", 0), ("s", 6)], &[]));
    assert_eq!(counts(&of(vec![writer(), one], &[("a", 3)])), [("r", 6), ("s", 6)]);
    let other = sub("2", &["b"], &[], &["s"]);
    let one = joined(sub("1", &[], &[("r", 0), ("s", 0)], &[]));
    assert_eq!(counts(&of(vec![writer(), one, other], &[("a", 3), ("b", 4)])), [("r", 4), ("s", 4)]);
    let wrong = Some(Status::IncorrectlyPartitionedTopics);
    let cases = [
        (sub("1", &["b", "c"], &[], &[]), vec![("a", 3), ("b", 4), ("c", 5)]),
        (sub("1", &["b"], &[("r", 5)], &[]), vec![("a", 3), ("b", 4)]),
        (sub("1", &[], &[("r", 5), ("s", 6)], &[]), vec![("a", 3)]),
    ];
    for (one, topics) in cases {
        assert_eq!(status(&of(vec![writer(), joined(one)], &topics)), wrong, "{topics:?}");
    }
}

#[test]
fn what_is_not_there_or_not_as_it_has_to_be_stops_the_application() {
    let whole = || vec![with_store(sub("0", &["a"], &[], &[]), "c")];
    let cases = [
        (vec![], Some(Status::MissingSourceTopics)),
        (vec![("a", 3)], Some(Status::MissingInternalTopics)),
        (vec![("a", 3), ("c", 2)], Some(Status::IncorrectlyPartitionedTopics)),
        (vec![("a", 3), ("c", 3)], None),
    ];
    for (topics, expected) in cases {
        assert_eq!(status(&of(whole(), &topics)), expected, "{topics:?}");
    }
    // A store may be rebuilt from what the application reads: then there is nothing to create.
    let found = of(vec![with_store(sub("0", &["a"], &[], &[]), "a")], &[("a", 3)]);
    assert_eq!((status(&found), counts(&found)), (None, Vec::new()));
    assert!(found.subtopologies["0"].is_stateful);
}

#[test]
fn topologies_that_cannot_be_are_refused() {
    let mut past = joined(sub("0", &["a"], &[], &[]));
    past.copartition_groups[0].source_topics.push(1);
    let mut negative = joined(sub("0", &["a"], &[], &[]));
    negative.copartition_groups[0].repartition_source_topics.push(-1);
    let mut replicas = with_store(sub("0", &["a"], &[], &[]), "c");
    replicas.state_changelog_topics[0].replication_factor = -2;
    let cases = [
        ("reads nothing", vec![sub("0", &[], &[], &["r"])]),
        ("twice", vec![sub("0", &["a"], &[], &[]), sub("0", &["b"], &[], &[])]),
        ("nobody writes it", vec![sub("0", &["a"], &[], &[]), sub("1", &[], &[("r", 0)], &[])]),
        ("a circle", vec![sub("0", &[], &[("r", 0)], &["s"]), sub("1", &[], &[("s", 0)], &["r"])]),
        ("less than none", vec![sub("0", &["a"], &[], &["r"]), sub("1", &[], &[("r", -1)], &[])]),
        ("past the list", vec![past]),
        ("before the list", vec![negative]),
        ("replicas", vec![replicas]),
    ];
    for (name, subtopologies) in cases {
        let refused = check(&brought(&Topology { epoch: 1, subtopologies })).expect_err(name);
        assert_eq!(refused.code, ErrorCode::StreamsInvalidTopology, "{name}");
    }
    // A circle with a way in is none.
    let circle = vec![sub("0", &["a"], &[("r", 0)], &["s"]), sub("1", &[], &[("s", 0)], &["r"])];
    assert_eq!(counts(&of(circle, &[("a", 3)])), [("r", 3), ("s", 3)]);
}
