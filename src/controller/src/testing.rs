//! What the tests share: rules, a context, images with nodes, a world with a disk.

use crate::changes::{Change, ConfigRules, Context, CreatedTopic, FeatureRange, NewTopic, Outcome, Plan};
use crate::controller::{Controller, Options};
use crate::error::{ControlError, ErrorKind};
use crate::ids::random_id;
use crate::image::{Configs, Image};
use crate::quota::QuotaKey;
use crate::record::{Record, Resource, ResourceKind};
use base::Random;
use memory::Pool;
use model::{NodeId, TopicId};
use std::cell::RefCell;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

/// Rules for a few keys: `cleanup.policy` is a list, `retention.ms` a number, others are not known.
pub(crate) struct SomeRules;

impl ConfigRules for SomeRules {
    fn validate(&self, resource: &Resource, configs: &Configs) -> Result<(), ControlError> {
        for (key, value) in configs {
            let good = match key.as_str() {
                "cleanup.policy" => value.split(',').all(|part| matches!(part, "delete" | "compact")),
                "retention.ms" | "segment.bytes" => value.parse::<i64>().is_ok(),
                "compression.type" | "unclean.leader.election.enable" => true,
                _ => resource.kind != ResourceKind::Topic,
            };
            if !good {
                return Err(ControlError::new(ErrorKind::InvalidConfig, format!("{key} cannot be {value}")));
            }
        }
        Ok(())
    }

    fn is_list(&self, _: ResourceKind, key: &str) -> bool {
        key == "cleanup.policy"
    }

    fn default_value(&self, _: ResourceKind, key: &str) -> Option<String> {
        (key == "cleanup.policy").then(|| "delete".to_owned())
    }
}

/// The result of a future that never waits.
pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

pub(crate) fn features() -> Vec<FeatureRange> {
    vec![
        FeatureRange { name: "metadata.version".into(), min: 1, max: 29, initial: 29 },
        FeatureRange { name: "transaction.version".into(), min: 0, max: 2, initial: 2 },
    ]
}

/// Plans changes one after another, each in a commit of its own, without a controller.
pub(crate) struct Planner {
    pub(crate) image: Image,
    pub(crate) records: Vec<Vec<Record>>,
    random: RefCell<Random>,
}

impl Planner {
    /// An empty cluster with these nodes.
    pub(crate) fn new(nodes: &[i32]) -> Planner {
        let mut records: Vec<Record> = vec![Record::Cluster { id: "cluster".into() }];
        records.extend((1..).zip(nodes).map(|(epoch, node)| Record::Node {
            node: NodeId(*node),
            epoch,
            rack: None,
            endpoints: Vec::new(),
        }));
        let image = Image::default().with(&records, 1).expect("fits");
        Planner { image, records: vec![records], random: RefCell::new(Random::new(5)) }
    }

    /// Plans a change, applies it, and gives its outcome.
    pub(crate) fn change(&mut self, change: Change) -> Result<Outcome, ControlError> {
        let new_id = || random_id(|| self.random.borrow_mut().next_u64());
        let features = features();
        let context = Context {
            rules: &SomeRules,
            features: &features,
            default_partitions: 3,
            default_replication_factor: 1,
            new_id: &new_id,
            yields: false,
        };
        let mut plan = Plan::new(&context, &self.image, 1);
        let outcome = ready(change.plan(&mut plan));
        let (records, image) = plan.finish();
        self.image = image;
        self.records.push(records);
        outcome
    }

    /// The records of the last change.
    pub(crate) fn last(&self) -> &[Record] {
        self.records.last().map_or(&[], Vec::as_slice)
    }

    /// Creates a topic that nothing is wrong with.
    pub(crate) fn topic(&mut self, name: &str, partitions: i32) -> TopicId {
        let topic = NewTopic { partitions, ..NewTopic::named(name) };
        created(self.change(create(vec![topic]))).expect("created").id
    }
}

pub(crate) fn create(topics: Vec<NewTopic>) -> Change {
    Change::CreateTopics(crate::changes::CreateTopics { topics, validate_only: false, budget: None })
}

/// The result of the only topic that was to be created.
pub(crate) fn created(outcome: Result<Outcome, ControlError>) -> Result<CreatedTopic, ControlError> {
    match outcome? {
        Outcome::CreateTopics(mut results) if results.len() == 1 => results.remove(0).1,
        other => panic!("not one topic: {other:?}"),
    }
}

pub(crate) fn options(pool: Pool) -> Options {
    Options {
        features: features(),
        default_partitions: 3,
        ..Options::new("/data/metadata", NodeId(1), Rc::new(SomeRules), pool)
    }
}

pub(crate) fn pool() -> Pool {
    Pool::new(2 << 20).expect("maps")
}

/// Opens a controller that must open.
pub(crate) async fn open(options: Options) -> Controller {
    match Controller::open(options).await {
        Ok((controller, _)) => controller,
        Err(error) => panic!("{error}"),
    }
}

/// A change drawn by chance, over few names, so that changes meet; some are refused.
pub(crate) fn some_change(random: &mut Random, image: &Image) -> Change {
    use crate::changes::*;
    let name = format!("topic{}{}", ["-", ".", "_"][random.below(3) as usize], random.below(8));
    let resource = match random.below(4) {
        0 => Resource::new(ResourceKind::Topic, name.clone()),
        1 => Resource::new(ResourceKind::Broker, ["", "1", "2"][random.below(3) as usize]),
        2 => Resource::new(ResourceKind::Group, "group"),
        _ => Resource::new(ResourceKind::ClientMetrics, "metrics"),
    };
    let key = ["retention.ms", "segment.bytes", "cleanup.policy"][random.below(3) as usize];
    let value =
        Some(if key == "cleanup.policy" { "compact".to_owned() } else { random.below(9).to_string() });
    match random.below(13) {
        0..=3 => create(vec![NewTopic {
            partitions: random.below(6) as i32 - 1,
            configs: if random.one_in(2) { vec![(key.to_owned(), value)] } else { Vec::new() },
            ..NewTopic::named(name)
        }]),
        4 => {
            let by_id = image.topic(&name).filter(|_| random.one_in(2)).map(|topic| topic.id);
            let id = by_id.unwrap_or_default();
            let name = by_id.is_none().then_some(name);
            Change::DeleteTopics(DeleteTopics { topics: vec![TopicReference { name, id }], budget: None })
        }
        5 => Change::CreatePartitions(CreatePartitions {
            topics: vec![MorePartitions { topic: name, count: random.below(9) as i32, assignments: None }],
            validate_only: random.one_in(4),
            budget: None,
        }),
        6..=8 => {
            let kinds = [EditKind::Set, EditKind::Delete, EditKind::Append, EditKind::Subtract];
            let kind = kinds[random.below(4) as usize];
            let alteration = if random.one_in(3) {
                Alteration::Replace(vec![(key.to_owned(), value)])
            } else {
                Alteration::Edit(vec![ConfigEdit { key: key.to_owned(), kind, value }])
            };
            Change::AlterConfigs(AlterConfigs {
                resources: vec![(resource, alteration)],
                validate_only: false,
            })
        }
        9 => Change::UpdateFeatures(UpdateFeatures {
            updates: vec![FeatureUpdate {
                name: "transaction.version".into(),
                level: random.below(4) as i16,
                upgrade: [UpgradeType::Upgrade, UpgradeType::SafeDowngrade][random.below(2) as usize],
            }],
            validate_only: false,
        }),
        10 => Change::AllocateProducerIds(AllocateProducerIds {
            node: NodeId(1),
            node_epoch: image.node(NodeId(1)).map_or(0, |node| node.epoch),
        }),
        11 => {
            let names = [None, Some("a".to_owned()), Some("b".to_owned())];
            let mut entity = ["user", "client-id"]
                .map(|kind| (kind.to_owned(), names[random.below(3) as usize].clone()))
                .to_vec();
            entity.truncate(1 + random.below(2) as usize);
            let key = QuotaKey::ALL[random.below(4) as usize].name().to_owned();
            let value = (!random.one_in(3)).then(|| random.below(3) as f64);
            let alterations = vec![QuotaAlteration { entity, edits: vec![QuotaEdit { key, value }] }];
            Change::AlterClientQuotas(AlterClientQuotas { alterations, validate_only: random.one_in(4) })
        }
        _ => Change::BumpLeaderEpochs(BumpLeaderEpochs { node: NodeId(1) }),
    }
}
