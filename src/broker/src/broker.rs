//! What a core of the broker knows.

use crate::client_telemetry::Telemetry;
use crate::coordinators::Coordinators;
use crate::cores::{CoreAnswer, CoreQuestion, Cores};
use crate::metrics::CoreMetrics;
use crate::quotas::Quotas;
use crate::sessions::Sessions;
use crate::sharing::ShareCore;
use crate::space::Space;
use controller::{Change, ControlError, Controller, ErrorKind, Image, Outcome};
use executor::Either;
use model::config::{BrokerConfig, CleanupPolicy, Layers, Settings, TopicConfig};
use model::{NodeId, ShardId};
use network::Crowd;
use shard::{Operation, Service};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Who this node is, and how clients reach it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `node.id`.
    pub node: NodeId,
    /// The host told to clients.
    pub host: String,
    /// The port told to clients.
    pub port: u16,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The data directory, as told to clients that ask for log directories.
    pub data: String,
    /// How large the data directory's file system is.
    pub space: Arc<Space>,
}

/// One core's part of the broker. It lives on that core in an `Rc`.
pub struct Broker {
    /// Who this node is.
    pub identity: Identity,
    /// What the file and the command line set.
    pub fixed: Arc<Settings>,
    /// The ways to all cores, this one too.
    pub cores: Cores,
    /// This core's partitions.
    pub service: Service,
    /// What this core counts.
    pub metrics: Arc<CoreMetrics>,
    /// Fetch sessions of this core's connections.
    pub sessions: RefCell<Sessions>,
    /// Producer ids of the block that this core was given: the next, and the first that is not its own.
    pub producer_ids: Cell<(i64, i64)>,
    /// The coordinators of this core's partitions.
    pub(crate) coordinators: Coordinators,
    /// What holds for how much clients may use.
    pub(crate) quotas: Quotas,
    /// Share groups on this core.
    pub(crate) share: ShareCore,
    /// The clients that push metrics and are kept by this core.
    pub(crate) telemetry: Telemetry,
    /// How many connections there may be; every core is told the same.
    pub(crate) crowd: Rc<Crowd>,
    /// The port that clients are told; known when it is listened on.
    port: Cell<u16>,
    image: RefCell<Arc<Image>>,
    config: RefCell<Rc<BrokerConfig>>,
    /// On the first core: the writer of metadata.
    controller: OnceCell<Controller>,
}

const NO_SETTINGS: &Settings = &Settings::new();

/// What is set of a broker's configuration, by layer: at run time in this image, and in its file and flags.
pub(crate) fn layers<'a>(node: NodeId, fixed: &'a Settings, image: &'a Image) -> Layers<'a> {
    Layers {
        broker: image.broker_configs(Some(node)).unwrap_or(NO_SETTINGS),
        default: image.broker_configs(None).unwrap_or(NO_SETTINGS),
        fixed,
    }
}

/// What is set of a topic was checked when it was stored; should a value be refused all the same, after an upgrade, the
/// defaults hold and the log says so. Whether records may go is then not known, and all are kept.
fn topic_config(name: &str, configs: &Settings, layers: &Layers<'_>) -> TopicConfig {
    TopicConfig::in_force(configs, layers).unwrap_or_else(|error| {
        log::error!("topic {name}: {error}; its defaults are used, and all of its records kept");
        let cleanup_policy = CleanupPolicy { delete: false, compact: false };
        TopicConfig { cleanup_policy, ..TopicConfig::default() }
    })
}

impl Broker {
    /// A core's part, knowing an image but no partitions yet.
    pub(crate) fn new(
        identity: Identity,
        fixed: Arc<Settings>,
        config: BrokerConfig,
        cores: Cores,
        service: Service,
        image: Arc<Image>,
        metrics: Arc<CoreMetrics>,
    ) -> Rc<Broker> {
        // Connections are dealt out to the cores, members spread over them by their names.
        let sessions = (config.max_fetch_sessions.max(0) as usize).div_ceil(cores.shards());
        let sessions = Sessions::new(sessions);
        let share_sessions = (config.share_sessions_max.max(1) as usize).div_ceil(cores.shards());
        let telemetry = Telemetry::new(cores.shards());
        Rc::new(Broker {
            port: Cell::new(identity.port),
            identity,
            fixed,
            cores,
            service,
            metrics,
            sessions: RefCell::new(sessions),
            producer_ids: Cell::new((0, 0)),
            coordinators: Coordinators::default(),
            quotas: Quotas::new(image.quotas()),
            share: ShareCore::new(share_sessions),
            telemetry,
            crowd: Rc::default(),
            image: RefCell::new(image),
            config: RefCell::new(Rc::new(config)),
            controller: OnceCell::new(),
        })
    }

    /// Makes this core the one that writes metadata.
    pub(crate) fn lead(&self, controller: Controller) {
        assert!(self.controller.set(controller).is_ok(), "a core leads once");
    }

    /// The controller, on the first core.
    pub fn controller(&self) -> Option<&Controller> {
        self.controller.get()
    }

    /// This core.
    pub fn shard(&self) -> ShardId {
        self.cores.shard()
    }

    /// The metadata as this core has it now.
    pub fn image(&self) -> Arc<Image> {
        self.image.borrow().clone()
    }

    pub(crate) fn replace_image(&self, image: Arc<Image>) -> Arc<Image> {
        self.quotas.see(image.quotas());
        self.image.replace(image)
    }

    /// The broker's configuration in force.
    pub fn config(&self) -> Rc<BrokerConfig> {
        self.config.borrow().clone()
    }

    pub(crate) fn replace_config(&self, config: BrokerConfig) {
        *self.config.borrow_mut() = Rc::new(config);
    }

    /// What is set of the broker's configuration, by layer.
    pub fn layers<'a>(&'a self, image: &'a Image) -> Layers<'a> {
        layers(self.identity.node, &self.fixed, image)
    }

    /// A topic's settings in force.
    pub fn topic_config(&self, image: &Image, topic: &controller::Topic) -> TopicConfig {
        topic_config(&topic.name, &topic.configs, &self.layers(image))
    }

    /// The port told to clients.
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// A port of 0 was asked for, and this one was given.
    pub(crate) fn tell_port(&self, port: u16) {
        if self.port.get() == 0 {
            self.port.set(port);
        }
    }

    /// Asks a core about its partitions; begun in the order of calls.
    pub fn ask(
        &self,
        shard: ShardId,
        operation: Operation,
    ) -> impl Future<Output = Option<shard::Outcome>> + 'static + use<> {
        // This core's own partitions need no message and no task: whoever asks carries the work along.
        let asked = match shard == self.cores.shard() {
            true => Either::Left(self.service.begin(operation)),
            false => Either::Right(self.cores.call(shard, CoreQuestion::Partitions(operation))),
        };
        async move {
            match asked {
                Either::Left(work) => Some(work.await),
                Either::Right(call) => match call.await {
                    Some(CoreAnswer::Partitions(outcome)) => Some(outcome),
                    _ => None,
                },
            }
        }
    }

    /// Changes metadata. When this returns, every core has the new image and its partitions.
    pub async fn change(&self, change: Change) -> Result<Outcome, ControlError> {
        match self.cores.call(ShardId(0), CoreQuestion::Change(change)).await {
            Some(CoreAnswer::Changed(result)) => result,
            _ => Err(ControlError::new(ErrorKind::NotController, "the broker is stopping")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_whose_settings_cannot_be_read_keeps_its_records() {
        let settings = |age: &str| Settings::from([("retention.ms".to_owned(), age.to_owned())]);
        let config = topic_config("t", &settings("5"), &Layers::empty());
        assert!(config.cleanup_policy.delete && config.retention_ms == Some(5));
        let config = topic_config("t", &settings("soon"), &Layers::empty());
        assert_eq!(config.cleanup_policy, CleanupPolicy { delete: false, compact: false });
    }
}
