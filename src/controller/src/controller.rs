//! The front: changes in, images out.

use crate::changes::{
    AllocateProducerIds, BumpLeaderEpochs, Change, ConfigRules, FeatureRange, Outcome, Plan, ProducerIdBlock,
    RegisterNode,
};
use crate::error::{ControlError, ErrorKind, MetadataError};
use crate::image::Image;
use crate::log::MetadataLog;
use crate::record::{Endpoint, Record};
use crate::writer::{Job, Writer};
use executor::{Event, JoinHandle, Semaphore, oneshot};
use memory::Pool;
use model::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// Changes that wait to be planned. Who asks beyond that waits for a place.
const QUEUE_MAX: u64 = 256;
/// The longest cluster id that is taken from outside, in bytes.
const CLUSTER_ID_BYTES_MAX: usize = 255;

/// How a controller is opened.
pub struct Options {
    /// The directory of the metadata log, `<data>/metadata`. It is made if it is not there.
    pub directory: PathBuf,
    /// This node.
    pub node: NodeId,
    /// Its rack.
    pub rack: Option<String>,
    /// Where clients and other nodes reach it.
    pub endpoints: Vec<Endpoint>,
    /// The cluster's id, if it is known; else a new cluster makes one up.
    pub cluster_id: Option<String>,
    /// The features that this program knows.
    pub features: Vec<FeatureRange>,
    /// `num.partitions`.
    pub default_partitions: i32,
    /// `default.replication.factor`.
    pub default_replication_factor: i16,
    /// What configuration keys mean.
    pub rules: Rc<dyn ConfigRules>,
    /// Memory to read files with; 256 KiB while opening.
    pub pool: Pool,
    /// A snapshot is made after so many bytes of log.
    pub snapshot_bytes: u64,
    /// Or after so many records.
    pub snapshot_records: u64,
    /// Gives every partition of this node a new leader epoch; see [`BumpLeaderEpochs`].
    pub bump_leader_epochs: bool,
}

impl Options {
    /// Options for a node, with Kafka's defaults and no endpoints.
    pub fn new(
        directory: impl Into<PathBuf>,
        node: NodeId,
        rules: Rc<dyn ConfigRules>,
        pool: Pool,
    ) -> Options {
        Options {
            directory: directory.into(),
            node,
            rack: None,
            endpoints: Vec::new(),
            cluster_id: None,
            features: Vec::new(),
            default_partitions: 1,
            default_replication_factor: 1,
            rules,
            pool,
            snapshot_bytes: 20 << 20,
            snapshot_records: 100_000,
            bump_leader_epochs: false,
        }
    }
}

/// What the front and the writer share.
pub(crate) struct Shared {
    pub(crate) queue: RefCell<VecDeque<Job>>,
    pub(crate) arrived: Event,
    pub(crate) closing: Cell<bool>,
    image: RefCell<Arc<Image>>,
    published: Event,
    subscribers: RefCell<Vec<Subscriber>>,
    places: Semaphore,
}

type Subscriber = Rc<dyn Fn(&Arc<Image>)>;

impl Shared {
    pub(crate) fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    pub(crate) fn publish(&self, image: Arc<Image>) {
        self.image.replace(image.clone());
        // Subscribers may subscribe others: nothing is borrowed while they run.
        let subscribers = self.subscribers.borrow().clone();
        for subscriber in subscribers {
            subscriber(&image);
        }
        self.published.notify();
    }
}

/// The controller of a cluster of one node. Cloning shares it; it stays on its core.
///
/// What it promises, and what one over Raft will promise too:
/// - An outcome is given when its change is durable and its image published; subscribers have been called.
/// - Changes take effect one after another, each as a whole.
/// - An error of kind `KafkaStorageError` or `NotController` leaves open what became of the change (here: nothing,
///   except that a change whose write failed with an I/O error may turn up after a restart). All other
///   errors mean that nothing was changed.
#[derive(Clone)]
pub struct Controller {
    shared: Rc<Shared>,
    writer: Rc<RefCell<Option<JoinHandle<()>>>>,
    node: NodeId,
    node_epoch: i64,
}

impl Controller {
    /// Opens the log, replays it, registers this node, and starts the writer on the current core.
    ///
    /// # Errors
    /// What is wrong with the files; or the node cannot be registered. Nothing of the log is lost then.
    pub async fn open(options: Options) -> Result<(Controller, Arc<Image>), MetadataError> {
        let (log, image) = MetadataLog::open(&options.directory, &options.pool).await?;
        check_opened(&options, &image)?;
        let (node, epoch) = (options.node, image.epoch().saturating_add(1));
        let shared = Rc::new(Shared {
            queue: RefCell::default(),
            arrived: Event::new(),
            closing: Cell::new(false),
            image: RefCell::new(Arc::new(image)),
            published: Event::new(),
            subscribers: RefCell::default(),
            places: Semaphore::new(QUEUE_MAX),
        });
        let mut writer = Writer::new(shared.clone(), options, log, epoch);
        if let Err(error) = writer.commit_first().await {
            writer.close().await;
            return Err(MetadataError::Refused(error));
        }
        let image = shared.image();
        let node_epoch = image.node(node).map_or(-1, |node| node.epoch);
        let task = executor::spawn("metadata writer", writer.run());
        let writer = Rc::new(RefCell::new(Some(task)));
        Ok((Controller { shared, writer, node, node_epoch }, image))
    }

    /// Carries out a change; see the type's promises.
    ///
    /// # Errors
    /// What concerns the change as a whole. Items that were refused are in the outcome.
    pub async fn submit(&self, change: Change) -> Result<Outcome, ControlError> {
        let place = self.shared.places.take(1).await;
        if self.shared.closing.get() {
            return Err(stopping());
        }
        let (reply, answer) = oneshot();
        self.shared.queue.borrow_mut().push_back(Job { change, reply, _place: place });
        self.shared.arrived.notify();
        answer.receive().await.unwrap_or_else(|| Err(stopping()))
    }

    /// A block of producer ids for this node.
    ///
    /// # Errors
    /// As [`submit`](Controller::submit).
    pub async fn allocate_producer_ids(&self) -> Result<ProducerIdBlock, ControlError> {
        let change = AllocateProducerIds { node: self.node, node_epoch: self.node_epoch };
        match self.submit(Change::AllocateProducerIds(change)).await? {
            Outcome::AllocateProducerIds(block) => Ok(block),
            other => unreachable!("an outcome of another change: {other:?}"),
        }
    }

    /// The latest published image.
    pub fn image(&self) -> Arc<Image> {
        self.shared.image()
    }

    /// Happens whenever an image was published.
    pub fn published(&self) -> Event {
        self.shared.published.clone()
    }

    /// Calls `see` with every image that is published from now on, in order, on this core, before the changes in
    /// it are answered. It must not take long: it is for handing the image to the other cores.
    pub fn subscribe(&self, see: impl Fn(&Arc<Image>) + 'static) {
        self.shared.subscribers.borrow_mut().push(Rc::new(see));
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// This node's epoch: the offset at which it registered.
    pub fn node_epoch(&self) -> i64 {
        self.node_epoch
    }

    /// Ends: changes that wait are carried out, later ones refused, files closed.
    pub async fn close(&self) {
        self.shared.closing.set(true);
        self.shared.arrived.notify();
        let writer = self.writer.borrow_mut().take();
        if let Some(writer) = writer {
            writer.await;
        }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Controller(node {}, offset {})", self.node, self.image().offset())
    }
}

pub(crate) fn stopping() -> ControlError {
    ControlError::new(ErrorKind::NotController, "The controller is stopping.")
}

/// Whether this node may work with what the log says.
fn check_opened(options: &Options, image: &Image) -> Result<(), MetadataError> {
    let refused =
        |message: String| MetadataError::Refused(ControlError::new(ErrorKind::InvalidRequest, message));
    if let Some(expected) = &options.cluster_id {
        if expected.is_empty() || expected.len() > CLUSTER_ID_BYTES_MAX {
            return Err(refused(format!("a cluster id has 1 to {CLUSTER_ID_BYTES_MAX} bytes")));
        }
        if !image.cluster_id().is_empty() && image.cluster_id() != expected {
            let found = image.cluster_id().to_owned();
            return Err(MetadataError::OtherCluster { expected: expected.clone(), found });
        }
    }
    for (name, level) in image.features() {
        let known = options.features.iter().find(|known| known.name == name);
        if !known.is_some_and(|known| (known.min..=known.max).contains(&level)) {
            let message = format!(
                "feature {name} is at level {level}, which this version does not know; start a newer one"
            );
            return Err(refused(message));
        }
    }
    Ok(())
}

/// The records of a start: the cluster's if it is new, and this node's.
pub(crate) async fn plan_start(
    options: &Options,
    plan: &mut Plan<'_>,
    new_cluster_id: impl FnOnce() -> String,
) -> Result<(), ControlError> {
    let is_new = plan.image().cluster_id().is_empty();
    if is_new {
        let id = options.cluster_id.clone().unwrap_or_else(new_cluster_id);
        log::info!("metadata: a new cluster, {id}");
        plan.push(Record::Cluster { id });
        for feature in options.features.iter().filter(|feature| feature.initial != 0) {
            plan.push(Record::Feature { name: feature.name.clone(), level: feature.initial });
        }
    }
    let registration =
        RegisterNode { node: options.node, rack: options.rack.clone(), endpoints: options.endpoints.clone() };
    Change::RegisterNode(registration).plan(plan).await?;
    if options.bump_leader_epochs && !is_new {
        Change::BumpLeaderEpochs(BumpLeaderEpochs { node: options.node }).plan(plan).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
