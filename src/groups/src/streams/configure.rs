//! From a topology and the topics that there are to tasks, and to the internal topics that are missing.

use super::topology::{Topology, changelogs, copartitioned, required, sources};
use crate::topics::{Topics, digest};
use kafka_wire::messages::streams_group_topology_value::TopicInfo;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Names that a message shows.
const SHOWN: usize = 3;

/// What a member is told besides its tasks, as numbered by KIP-1071.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    StaleTopology = 0,
    MissingSourceTopics = 1,
    IncorrectlyPartitionedTopics = 2,
    MissingInternalTopics = 3,
    ShutdownApplication = 4,
    AssignmentDelayed = 5,
}

/// Why a topology cannot run yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub status: Status,
    pub detail: String,
    /// It may go away with other numbers of partitions; else the topology itself is wrong.
    pub is_of_counts: bool,
}

impl Problem {
    fn new(status: Status, detail: String) -> Problem {
        Problem { status, detail, is_of_counts: true }
    }

    fn of_counts(detail: String) -> Problem {
        Problem::new(Status::IncorrectlyPartitionedTopics, detail)
    }

    fn of_topology(detail: String) -> Problem {
        Problem { is_of_counts: false, ..Problem::of_counts(detail) }
    }
}

/// A topic that a topology needs and that is not there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternalTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it has to have.
    pub partitions: i32,
    /// How many replicas; -1 for the broker's default.
    pub replication_factor: i16,
    /// Its configuration.
    pub configs: Vec<(String, String)>,
}

/// A subtopology's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Tasks, numbered from 0.
    pub tasks: i32,
    /// It keeps state, so that standby tasks make sense.
    pub is_stateful: bool,
}

/// What a topology comes to with the topics there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    /// By id; empty if not even the numbers of partitions are known.
    pub subtopologies: BTreeMap<Arc<str>, Work>,
    /// Partitions of internal topics.
    pub counts: Counts,
    /// Internal topics to be created.
    pub missing: Vec<InternalTopic>,
    pub problem: Option<Problem>,
}

impl Configured {
    /// Tasks can be handed out.
    pub fn is_ready(&self) -> bool {
        self.problem.is_none()
    }
}

/// Partitions by topic.
pub(crate) type Counts = BTreeMap<String, i32>;

/// The partitions of a topic that is there.
type Existing<'a> = &'a dyn Fn(&str) -> Option<i32>;

/// A digest of what is known of the topics that a topology needs.
pub(crate) fn metadata_hash(topology: &Topology, topics: &dyn Topics) -> i64 {
    digest(required(topology).into_iter().filter_map(|name| topics.by_name(name)))
}

/// Looks at a topology together with the topics.
pub(crate) fn configure(topology: &Topology, topics: &dyn Topics) -> Configured {
    configured(topology, topics)
        .unwrap_or_else(|problem| Configured { problem: Some(problem), ..Configured::default() })
}

fn configured(topology: &Topology, topics: &dyn Topics) -> Result<Configured, Problem> {
    let existing = |name: &str| topics.by_name(name).map(|topic| topic.partitions);
    let named = topology.subtopologies.iter().flat_map(|one| one.source_topics.iter());
    let absent: BTreeSet<&str> = named.map(|name| &**name).filter(|name| existing(name).is_none()).collect();
    if !absent.is_empty() {
        let detail = format!("Source topics {} are not there.", few(absent.into_iter()));
        return Err(Problem::new(Status::MissingSourceTopics, detail));
    }
    let counts = partition_counts(topology, &existing)?;
    let missing = missing(topology, &counts, &existing)?;
    let mut subtopologies = BTreeMap::new();
    for subtopology in &topology.subtopologies {
        let tasks = largest(sources(subtopology), &counts, &existing)?;
        let is_stateful = !subtopology.state_changelog_topics.is_empty();
        subtopologies.insert(Arc::from(&*subtopology.subtopology_id), Work { tasks, is_stateful });
    }
    let problem = (!missing.is_empty()).then(|| {
        let names = few(missing.iter().map(|topic| topic.name.as_str()));
        Problem::new(Status::MissingInternalTopics, format!("Internal topics {names} are not there yet."))
    });
    Ok(Configured { subtopologies, counts, missing, problem })
}

/// The first of some names, for a message.
fn few<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// How many partitions every internal topic has to have.
pub(crate) fn partition_counts(topology: &Topology, existing: Existing<'_>) -> Result<Counts, Problem> {
    let mut counts = repartition_counts(topology, existing)?;
    for subtopology in &topology.subtopologies {
        for group in &subtopology.copartition_groups {
            let names = copartitioned(subtopology, group).ok_or_else(|| {
                Problem::of_topology("A copartition group names topics that are not there.".to_owned())
            })?;
            enforce(&names, topology, &mut counts, existing)?;
        }
    }
    for subtopology in &topology.subtopologies {
        let count = largest(sources(subtopology), &counts, existing)?;
        let own = changelogs(subtopology).map(|topic| (topic.name.to_string(), count));
        counts.extend(own.collect::<Counts>());
    }
    Ok(counts)
}

fn between(topology: &Topology) -> impl Iterator<Item = &TopicInfo<'static>> {
    topology.subtopologies.iter().flat_map(|one| one.repartition_source_topics.iter())
}

fn count_of(name: &str, counts: &Counts, existing: Existing<'_>) -> Option<i32> {
    counts.get(name).copied().or_else(|| existing(name))
}

fn largest<'a>(
    names: impl Iterator<Item = &'a str>,
    counts: &Counts,
    existing: Existing<'_>,
) -> Result<i32, Problem> {
    let mut largest = 0;
    for name in names {
        let count = count_of(name, counts, existing);
        let unknown = || Problem::of_topology(format!("The number of partitions of {name} is not known."));
        largest = largest.max(count.ok_or_else(unknown)?);
    }
    Ok(largest)
}

/// Topics between subtopologies have the partitions that they say, or as many as what is read by those who write
/// them. In rounds, for what these read may be such topics as well.
fn repartition_counts(topology: &Topology, existing: Existing<'_>) -> Result<Counts, Problem> {
    let said = between(topology).filter(|topic| topic.partitions != 0);
    let mut counts: Counts = said.map(|topic| (topic.name.to_string(), topic.partitions)).collect();
    let names: BTreeSet<&str> = between(topology).map(|topic| &*topic.name).collect();
    let mut open: Vec<&str> = names.iter().copied().filter(|name| !counts.contains_key(*name)).collect();
    while !open.is_empty() {
        let upstream: Vec<(&str, Upstream)> =
            open.iter().map(|name| (*name, upstream(name, topology, &names, &counts, existing))).collect();
        // Those first whose every upstream topic is known; where topics run in circles, what is known must do.
        let any_whole = upstream.iter().any(|(_, found)| found.is_whole && found.largest > 0);
        let known = |found: &Upstream| found.largest > 0 && (found.is_whole || !any_whole);
        let found: Counts = upstream
            .iter()
            .filter(|(_, found)| known(found))
            .map(|(name, found)| ((*name).to_owned(), found.largest))
            .collect();
        if found.is_empty() {
            let detail = format!("The number of partitions cannot be told for {}.", few(open.into_iter()));
            return Err(Problem::of_topology(detail));
        }
        open.retain(|name| !found.contains_key(*name));
        counts.extend(found);
    }
    Ok(counts)
}

/// What those read who write a topic.
struct Upstream {
    /// The most partitions of a topic that is known; 0 if none is.
    largest: i32,
    /// All are known.
    is_whole: bool,
}

fn upstream(
    name: &str,
    topology: &Topology,
    between: &BTreeSet<&str>,
    counts: &Counts,
    existing: Existing<'_>,
) -> Upstream {
    let mut upstream = Upstream { largest: 0, is_whole: true };
    let writes = |topics: &[kafka_wire::Str<'static>]| topics.iter().any(|topic| &**topic == name);
    let writers = topology.subtopologies.iter().filter(|one| writes(&one.repartition_sink_topics));
    for topic in writers.flat_map(sources) {
        // One between subtopologies may be there from before, but the topology says how large it has to be.
        let count = if between.contains(topic) { counts.get(topic).copied() } else { existing(topic) };
        upstream.is_whole &= count.is_some();
        upstream.largest = upstream.largest.max(count.unwrap_or(0));
    }
    upstream
}

/// Topics that are joined have equally many partitions: those between subtopologies follow the others.
fn enforce(
    names: &BTreeSet<&str>,
    topology: &Topology,
    counts: &mut Counts,
    existing: Existing<'_>,
) -> Result<(), Problem> {
    let is_fixed = |name: &str| between(topology).any(|topic| topic.partitions != 0 && topic.name == name);
    let is_free = |name: &str| between(topology).any(|topic| topic.partitions == 0 && topic.name == name);
    let given: Vec<&str> = names.iter().copied().filter(|name| !is_fixed(name) && !is_free(name)).collect();
    let fixed: Vec<&str> = names.iter().copied().filter(|name| is_fixed(name)).collect();
    let leading = if !given.is_empty() { given } else { fixed.clone() };
    let wanted = match leading.first() {
        Some(first) => largest(std::iter::once(*first), counts, existing)?,
        None => largest(names.iter().copied(), counts, existing)?,
    };
    for name in leading.into_iter().chain(fixed) {
        let count = largest(std::iter::once(name), counts, existing)?;
        if count != wanted {
            let all = few(names.iter().copied());
            return Err(Problem::of_counts(format!(
                "Topics {all} are joined, but {name} has {count} partitions and not {wanted}."
            )));
        }
    }
    for name in names.iter().filter(|name| is_free(name) && !is_fixed(name)) {
        counts.insert((*name).to_owned(), wanted);
    }
    Ok(())
}

/// The internal topics that are not there, by name.
fn missing(
    topology: &Topology,
    counts: &Counts,
    existing: Existing<'_>,
) -> Result<Vec<InternalTopic>, Problem> {
    let mut missing = BTreeMap::new();
    for topic in between(topology).chain(topology.subtopologies.iter().flat_map(changelogs)) {
        let wanted = counts.get(&*topic.name).copied().unwrap_or(0);
        match existing(&topic.name) {
            Some(found) if found != wanted => {
                return Err(Problem::of_counts(format!(
                    "Internal topic {} is there with {found} partitions, but needs {wanted}.",
                    topic.name
                )));
            }
            Some(_) => {}
            None => {
                missing.insert(topic.name.to_string(), internal(topic, wanted));
            }
        }
    }
    Ok(missing.into_values().collect())
}

fn internal(topic: &TopicInfo<'static>, partitions: i32) -> InternalTopic {
    let configs = topic.topic_configs.iter();
    InternalTopic {
        name: topic.name.to_string(),
        partitions,
        replication_factor: if topic.replication_factor == 0 { -1 } else { topic.replication_factor },
        configs: configs.map(|one| (one.key.to_string(), one.value.to_string())).collect(),
    }
}
