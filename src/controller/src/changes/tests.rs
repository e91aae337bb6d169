//! The rules of each change, as tables of cases.

use super::*;
use crate::error::ErrorKind::{self, *};
use crate::image::Image;
use crate::testing::{Planner, SomeRules, create, created, features};
use model::{NodeId, TopicId};
use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Waker};

fn planner() -> Planner {
    let mut planner = Planner::new(&[1, 2]);
    planner.topic("there", 3);
    planner.topic("a.b", 1);
    planner
}

fn kind<T>(result: Result<T, ControlError>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

fn new(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { partitions, replication_factor, ..NewTopic::named(name) }
}

fn assigned(assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter().map(|(number, nodes)| (*number, nodes.to_vec())).collect();
    NewTopic { assignments, ..NewTopic::named("assigned") }
}

fn configured(key: &str, value: Option<&str>) -> NewTopic {
    NewTopic { configs: vec![(key.into(), value.map(Into::into))], ..NewTopic::named("configured") }
}

#[test]
fn topics_to_create() {
    let long = "n".repeat(250);
    let cases: Vec<(NewTopic, Option<ErrorKind>)> = vec![
        (new("fine", 4, 1), None),
        (new("fine", -1, -1), None),
        (new(&long[1..], 1, 1), None),
        (new("", 1, 1), Some(InvalidTopic)),
        (new(".", 1, 1), Some(InvalidTopic)),
        (new("..", 1, 1), Some(InvalidTopic)),
        (new("a/b", 1, 1), Some(InvalidTopic)),
        (new("ä", 1, 1), Some(InvalidTopic)),
        (new(&long, 1, 1), Some(InvalidTopic)),
        (new("a_b", 1, 1), Some(InvalidTopic)),
        (new("a-b", 1, 1), None),
        (new("__cluster_metadata", 1, 1), Some(InvalidRequest)),
        (new("there", 1, 1), Some(TopicAlreadyExists)),
        (new("fine", 0, 1), Some(InvalidPartitions)),
        (new("fine", -2, 1), Some(InvalidPartitions)),
        (new("fine", i32::MAX, 1), Some(PolicyViolation)),
        (new("fine", 1, 0), Some(InvalidReplicationFactor)),
        (new("fine", 1, -2), Some(InvalidReplicationFactor)),
        (new("fine", 1, 2), None),
        (new("fine", 1, 3), Some(InvalidReplicationFactor)),
        (assigned(&[(1, &[2, 1]), (0, &[1, 2])]), None),
        (NewTopic { partitions: 1, ..assigned(&[(0, &[1])]) }, Some(InvalidRequest)),
        (NewTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) }, Some(InvalidRequest)),
        (assigned(&[(0, &[])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(0, &[7])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(0, &[1, 1])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(0, &[1]), (1, &[1, 2])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(0, &[1]), (0, &[1])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(0, &[1]), (2, &[1])]), Some(InvalidReplicaAssignment)),
        (assigned(&[(-1, &[1])]), Some(InvalidReplicaAssignment)),
        (configured("retention.ms", Some("5")), None),
        (configured("retention.ms", Some("soon")), Some(InvalidConfig)),
        (configured("retention.ms", None), Some(InvalidConfig)),
        (configured("unknown", Some("")), Some(InvalidConfig)),
        (configured("compression.type", Some(&"x".repeat(40_000))), Some(InvalidConfig)),
    ];
    for (topic, expected) in cases {
        for validate_only in [true, false] {
            let mut planner = planner();
            let before = planner.image.clone();
            let change = CreateTopics { topics: vec![topic.clone()], validate_only, budget: None };
            let result = created(planner.change(Change::CreateTopics(change)));
            assert_eq!(kind(result.clone()), expected, "{topic:?}");
            let changed = expected.is_none() && !validate_only;
            assert_eq!(planner.image != before, changed, "{topic:?}");
            if let (Ok(result), true) = (result, changed) {
                let made = planner.image.topic_by_id(result.id).expect("made");
                assert_eq!((&*made.name, made.partitions.len()), (&*topic.name, result.partitions as usize));
                assert_eq!(made.partitions[0].replicas.len(), result.replication_factor as usize);
            }
        }
    }
}

#[test]
fn topics_named_twice_are_refused_once_and_the_others_created() {
    let mut planner = planner();
    let topics = ["x", "y", "x", "p.q", "p_q"].map(|name| new(name, 1, 1)).to_vec();
    let Ok(Outcome::CreateTopics(results)) = planner.change(create(topics)) else { panic!("no results") };
    let kinds: Vec<_> = results.into_iter().map(|(name, result)| (name, kind(result))).collect();
    let expected = [("x", Some(InvalidRequest)), ("y", None), ("p.q", None), ("p_q", Some(InvalidTopic))];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    let internal = internal_topic(names::CONSUMER_OFFSETS, 50, 1, 1 << 20).expect("known");
    assert_eq!(created(planner.change(create(vec![internal]))).map(|made| made.partitions), Ok(50));
    assert!(internal_topic("other", 1, 1, 1 << 20).is_none());
}

#[test]
fn topics_to_delete() {
    let mut planner = planner();
    let (there, other) = (planner.topic("by-name", 2), planner.topic("by-id", 2));
    let twice = planner.topic("twice", 1);
    let absent = TopicId([9; 16]);
    let references = [
        (Some("by-name"), TopicId::ZERO),
        (None, other),
        (None, TopicId::ZERO),
        (Some("there"), there),
        (Some("absent"), TopicId::ZERO),
        (None, absent),
        (Some("twice"), TopicId::ZERO),
        (None, twice),
        (Some("gone"), TopicId::ZERO),
        (Some("gone"), TopicId::ZERO),
    ];
    let topics = references.map(|(name, id)| TopicReference { name: name.map(Into::into), id }).to_vec();
    let outcome = planner.change(Change::DeleteTopics(DeleteTopics { topics, budget: None }));
    let Ok(Outcome::DeleteTopics(results)) = outcome else { panic!("{outcome:?}") };
    let result = |name: Option<&str>, id| {
        let found: Vec<_> = results.iter().filter(|r| r.name.as_deref() == name && r.id == id).collect();
        assert_eq!(found.len(), 1, "one result for {name:?} {id}");
        kind(found[0].result.clone())
    };
    assert_eq!(result(Some("by-name"), there), None);
    assert_eq!(result(Some("by-id"), other), None);
    assert_eq!(result(None, TopicId::ZERO), Some(InvalidRequest));
    assert_eq!(result(Some("there"), there), Some(InvalidRequest));
    assert_eq!(result(Some("absent"), TopicId::ZERO), Some(UnknownTopicOrPartition));
    assert_eq!(result(None, absent), Some(UnknownTopicId));
    assert_eq!(result(Some("twice"), twice), Some(InvalidRequest));
    assert_eq!(result(Some("gone"), TopicId::ZERO), Some(InvalidRequest));
    let left: Vec<&str> = planner.image.topics().map(|topic| &*topic.name).collect();
    assert_eq!(left, ["a.b", "there", "twice"]);
    assert_eq!(planner.image.partition_count(), 5);
}

#[test]
fn more_partitions() {
    let on = |nodes: &[i32]| Some(vec![nodes.to_vec()]);
    type Case<'a> = (&'a str, i32, Option<Vec<Vec<i32>>>, Option<ErrorKind>);
    let cases: Vec<Case<'_>> = vec![
        ("there", 5, None, None),
        ("there", 3, None, Some(InvalidPartitions)),
        ("there", 2, None, Some(InvalidPartitions)),
        ("there", -1, None, Some(InvalidPartitions)),
        ("there", i32::MAX, None, Some(PolicyViolation)),
        ("absent", 5, None, Some(UnknownTopicOrPartition)),
        ("there", 4, on(&[2]), None),
        ("there", 5, on(&[2]), Some(InvalidReplicaAssignment)),
        ("there", 4, on(&[1, 2]), Some(InvalidReplicaAssignment)),
        ("there", 4, on(&[3]), Some(InvalidReplicaAssignment)),
    ];
    for (topic, count, assignments, expected) in cases {
        for validate_only in [true, false] {
            let mut planner = planner();
            let more = MorePartitions { topic: topic.into(), count, assignments: assignments.clone() };
            let change = CreatePartitions { topics: vec![more.clone()], validate_only, budget: None };
            let outcome = planner.change(Change::CreatePartitions(change));
            let Ok(Outcome::CreatePartitions(results)) = outcome else { panic!("{outcome:?}") };
            assert_eq!(kind(results[0].1.clone()), expected, "{more:?}");
            let has = planner.image.topic("there").expect("there").partitions.len() as i32;
            let grown = expected.is_none() && !validate_only;
            assert_eq!(has, if grown { count } else { 3 }, "{more:?}");
        }
    }
}

fn alter(planner: &mut Planner, resource: &Resource, alteration: Alteration) -> Option<ErrorKind> {
    let resources = vec![(resource.clone(), alteration)];
    let outcome = planner.change(Change::AlterConfigs(AlterConfigs { resources, validate_only: false }));
    let Ok(Outcome::AlterConfigs(mut results)) = outcome else { panic!("{outcome:?}") };
    kind(results.remove(0).1)
}

fn edit(key: &str, kind: EditKind, value: Option<&str>) -> Alteration {
    Alteration::Edit(vec![ConfigEdit { key: key.into(), kind, value: value.map(Into::into) }])
}

#[test]
fn edits_build_on_each_other() {
    use EditKind::*;
    let topic = Resource::new(ResourceKind::Topic, "there");
    let policy = "cleanup.policy";
    // Key, edit, value; what it is refused with; what the key has then.
    type Case<'a> = (&'a str, EditKind, Option<&'a str>, Option<ErrorKind>, Option<&'a str>);
    let cases: [Case<'_>; 11] = [
        (policy, Append, Some("compact"), None, Some("delete,compact")),
        (policy, Append, Some("compact"), None, Some("delete,compact")),
        (policy, Subtract, Some("delete"), None, Some("compact")),
        (policy, Append, Some("nonsense"), Some(InvalidConfig), Some("compact")),
        (policy, Set, None, Some(InvalidRequest), Some("compact")),
        (policy, Delete, None, None, None),
        (policy, Delete, None, None, None),
        ("retention.ms", Set, Some("7"), None, Some("7")),
        ("retention.ms", Set, Some("x"), Some(InvalidConfig), Some("7")),
        ("retention.ms", Append, Some("8"), Some(InvalidConfig), Some("7")),
        ("unknown", Set, Some("1"), Some(InvalidConfig), None),
    ];
    let mut planner = planner();
    for (key, edit_kind, value, refused, then) in cases {
        let case = format!("{key} {edit_kind:?} {value:?}");
        assert_eq!(alter(&mut planner, &topic, edit(key, edit_kind, value)), refused, "{case}");
        let configs = planner.image.configs(&topic).expect("a topic");
        assert_eq!(configs.get(key).map(String::as_str), then, "{case}");
    }
    let all = |pairs: &[(&str, &str)]| {
        Alteration::Replace(pairs.iter().map(|(k, v)| ((*k).into(), Some((*v).into()))).collect())
    };
    assert_eq!(alter(&mut planner, &topic, all(&[(policy, "compact")])), None);
    let configs = planner.image.configs(&topic).expect("a topic");
    assert_eq!(configs.iter().collect::<Vec<_>>(), [(&policy.to_owned(), &"compact".to_owned())]);
    assert_eq!(
        alter(&mut planner, &topic, all(&[(policy, "compact"), (policy, "delete")])),
        Some(InvalidRequest)
    );
    assert_eq!(alter(&mut planner, &topic, all(&[])), None);
    assert!(planner.image.configs(&topic).expect("a topic").is_empty());
}

#[test]
fn resources_that_can_be_configured() {
    let cases = [
        (ResourceKind::Topic, "absent", Some(UnknownTopicOrPartition)),
        (ResourceKind::Broker, "", None),
        (ResourceKind::Broker, "1", None),
        (ResourceKind::Broker, "+1", Some(InvalidRequest)),
        (ResourceKind::Broker, "one", Some(InvalidRequest)),
        (ResourceKind::Broker, "9", Some(BrokerIdNotRegistered)),
        (ResourceKind::Group, "", Some(InvalidRequest)),
        (ResourceKind::Group, "g", None),
        (ResourceKind::ClientMetrics, "m", None),
    ];
    for (resource_kind, name, expected) in cases {
        let mut planner = planner();
        let resource = Resource::new(resource_kind, name);
        let set = || edit("some.key", EditKind::Set, Some("1"));
        assert_eq!(alter(&mut planner, &resource, set()), expected, "{resource:?}");
        assert_eq!(planner.image.configs(&resource).is_some(), expected.is_none());
        if expected.is_none() {
            assert_eq!(alter(&mut planner, &resource, set()), None);
            let again = usize::from(resource_kind == ResourceKind::Broker);
            assert_eq!(planner.last().len(), again, "brokers are told again: {resource:?}");
            assert_eq!(alter(&mut planner, &resource, edit("some.key", EditKind::Delete, None)), None);
            assert!(planner.image.configs(&resource).is_none());
        }
    }
}

#[test]
fn features_go_together_or_not_at_all() {
    use UpgradeType::*;
    type Asked<'a> = &'a [(&'a str, i16, UpgradeType)];
    let cases: [(Asked<'_>, &[bool]); 8] = [
        (&[("transaction.version", 2, Upgrade)], &[true]),
        (&[("transaction.version", 3, Upgrade)], &[false]),
        (&[("transaction.version", -1, Upgrade)], &[false]),
        (&[("unknown", 1, Upgrade)], &[false]),
        (&[("transaction.version", 0, SafeDowngrade)], &[true]),
        (&[("metadata.version", 0, UnsafeDowngrade)], &[false]),
        (&[("transaction.version", 1, Upgrade), ("unknown", 1, Upgrade)], &[true, false]),
        (&[("metadata.version", 5, Upgrade), ("metadata.version", 6, Upgrade)], &[true, false]),
    ];
    for (updates, good) in cases {
        let mut planner = planner();
        let updates = updates.iter().map(|(name, level, upgrade)| FeatureUpdate {
            name: (*name).into(),
            level: *level,
            upgrade: *upgrade,
        });
        let change = UpdateFeatures { updates: updates.collect(), validate_only: false };
        let before: Image = planner.image.clone();
        let outcome = planner.change(Change::UpdateFeatures(change.clone()));
        let Ok(Outcome::UpdateFeatures(results)) = outcome else { panic!("{outcome:?}") };
        let found: Vec<bool> = results.iter().map(|(_, result)| result.is_ok()).collect();
        assert_eq!(found, good, "{change:?}");
        if good.contains(&false) {
            assert_eq!(planner.image, before, "{change:?}");
        } else {
            assert_eq!(planner.image.feature(&change.updates[0].name), change.updates[0].level);
        }
    }
    let mut planner = planner();
    let mut go = |level, upgrade| {
        let updates = vec![FeatureUpdate { name: "transaction.version".into(), level, upgrade }];
        let outcome =
            planner.change(Change::UpdateFeatures(UpdateFeatures { updates, validate_only: false }));
        matches!(outcome, Ok(Outcome::UpdateFeatures(results)) if results[0].1.is_ok())
    };
    assert!(go(2, Upgrade) && !go(1, Upgrade) && go(1, SafeDowngrade) && !go(2, UnsafeDowngrade));
}

#[test]
fn producer_ids_go_to_the_living() {
    let mut planner = planner();
    let mut block = |node, node_epoch| {
        let change = AllocateProducerIds { node: NodeId(node), node_epoch };
        match planner.change(Change::AllocateProducerIds(change))? {
            Outcome::AllocateProducerIds(block) => Ok(block.first),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((block(1, 1), block(2, 2), block(1, 1)), (Ok(0), Ok(1000), Ok(2000)));
    assert_eq!(kind(block(1, 7)), Some(StaleBrokerEpoch));
    assert_eq!(kind(block(3, 1)), Some(BrokerIdNotRegistered));
}

#[test]
fn ten_thousand_partitions_are_planned_in_portions() {
    let one = vec![new("one", 10_000, 1)];
    let many = (0..10_000).map(|number| new(&format!("t{number}"), 1, 1)).collect();
    for topics in [one, many] {
        let next = std::cell::Cell::new(0u128);
        let new_id = || {
            next.set(next.get() + 1);
            TopicId(next.get().to_be_bytes())
        };
        let features = features();
        let context = Context {
            rules: &SomeRules,
            features: &features,
            default_partitions: 1,
            default_replication_factor: 1,
            new_id: &new_id,
            yields: true,
        };
        let planner = Planner::new(&[1]);
        let mut plan = Plan::new(&context, &planner.image, 1);
        let change = create(topics);
        let mut turns = 0;
        {
            let mut planned = pin!(change.plan(&mut plan));
            while planned.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending() {
                turns += 1;
            }
        }
        assert!(turns >= 10_000 / plan::PORTION, "others ran {turns} times");
        assert_eq!(plan.finish().1.partition_count(), 10_000);
    }
}
