//! When a group's epoch goes up, and the target assignment: computed anew when the epoch has left it behind.

use super::configure::{Configured, configure, metadata_hash};
use super::sticky::{self, Candidate};
use super::tasks::TaskSet;
use super::{NOT_VALIDATED, StreamsGroup, records};
use crate::effects::Record;
use crate::scene::Scene;
use crate::settings::StreamsSettings;
use crate::timers::{Timer, TimerKind};
use crate::topics::Topics;
use crate::wire::text;
use kafka_wire::messages::streams_group_metadata_value::{LastAssignmentConfig, StreamsGroupMetadataValue};
use std::sync::Arc;

/// The first epoch of a group: while its members wait for their first tasks, they are at 1.
const FIRST_EPOCH: i32 = 2;
/// The setting that the group's record keeps.
pub(crate) const STANDBY_REPLICAS: &str = "num.standby.replicas";

/// Why a target that is behind is not computed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The group has just been empty, and more members may come.
    ForMembers,
    /// The last assignment was not long ago.
    ForInterval,
}

impl Wait {
    pub fn detail(self) -> &'static str {
        match self {
            Wait::ForMembers => "The first assignment waits for more members to join.",
            Wait::ForInterval => "The last assignment is too recent for another one.",
        }
    }
}

impl StreamsGroup {
    /// Looks at the topics again if they have changed, and tells their digest.
    fn look(&mut self, topics: &dyn Topics) -> i64 {
        let Some(topology) = &self.topology else { return self.metadata_hash };
        let version = Some(topics.version());
        if self.configured.is_some() && self.seen_topics == version {
            return self.metadata_hash;
        }
        let hash = metadata_hash(topology, topics);
        if self.configured.is_none() || hash != self.metadata_hash {
            self.configured = Some(configure(topology, topics));
        }
        self.seen_topics = version;
        hash
    }

    /// Raises the epoch if `changed`, or if the topics or settings have changed that tasks depend on.
    pub fn refresh_epoch(&mut self, changed: bool, settings: StreamsSettings, scene: &mut Scene<'_>) {
        let hash = self.look(scene.topics);
        let is_ready = self.configured.as_ref().is_some_and(Configured::is_ready);
        let runs = self.topology.as_ref().filter(|_| is_ready);
        let validated = runs.map_or(NOT_VALIDATED, |topology| topology.epoch);
        let standby_replicas = Some(settings.standby_replicas);
        let is_same = hash == self.metadata_hash
            && validated == self.validated_epoch
            && standby_replicas == self.standby_replicas;
        if self.epoch > 0 && !changed && is_same {
            return;
        }
        self.metadata_hash = hash;
        self.validated_epoch = validated;
        self.standby_replicas = standby_replicas;
        self.raise_epoch(&mut scene.out.records);
    }

    /// Raises the epoch, for whatever reason.
    pub fn raise_epoch(&mut self, out: &mut Vec<Record>) {
        self.epoch = if self.epoch == 0 { FIRST_EPOCH } else { self.epoch.saturating_add(1) };
        let configs = self.standby_replicas.iter();
        let configs = configs.map(|count| LastAssignmentConfig {
            key: text(STANDBY_REPLICAS),
            value: text(&count.to_string()),
        });
        let value = StreamsGroupMetadataValue {
            epoch: self.epoch,
            metadata_hash: self.metadata_hash,
            validated_topology_epoch: self.validated_epoch,
            last_assignment_configs: Some(configs.collect()),
        };
        out.push(records::group(&self.id, &value));
    }

    /// Computes the target if it is behind; tells why if it may not be computed yet.
    pub fn refresh_target(&mut self, settings: StreamsSettings, scene: &mut Scene<'_>) -> Option<Wait> {
        if self.epoch <= self.assignment_epoch {
            return None;
        }
        let delay = Timer { group: self.id.clone(), member: None, kind: TimerKind::Delay };
        if scene.timers.is_set(&delay) {
            return Some(Wait::ForMembers);
        }
        let interval = i64::from(settings.assignment_interval_ms);
        let is_early =
            self.assigned_ms.is_some_and(|at| (0..interval).contains(&scene.now.saturating_sub(at)));
        if is_early {
            return Some(Wait::ForInterval);
        }
        self.assign(settings, scene);
        None
    }

    /// The group has waited for its first members.
    pub fn delay_is_up(&mut self, scene: &mut Scene<'_>) {
        if self.members.is_empty() {
            return;
        }
        let settings = scene.streams_settings(&self.id);
        let undo = self.before_assignment(scene);
        self.refresh_epoch(false, settings, scene);
        if self.epoch > self.assignment_epoch {
            self.assign(settings, scene);
        }
        // What the log would not take is decided anew, and refused, by the next heartbeat.
        drop(self.keep(undo, scene));
    }

    fn assign(&mut self, settings: StreamsSettings, scene: &mut Scene<'_>) {
        for (id, target) in self.compute(settings) {
            if self.targets.get(&id) != Some(&target) {
                self.write_target(&id, target, &mut scene.out.records);
            }
        }
        self.assignment_epoch = self.epoch;
        self.assigned_ms = Some(scene.now);
        scene.out.records.push(records::target(&self.id, self.assignment_epoch, scene.now));
    }

    /// Everybody's tasks; without topics to run on there are none.
    fn compute(&self, settings: StreamsSettings) -> Vec<(Arc<str>, TaskSet)> {
        let nothing = TaskSet::default();
        let ready = self.configured.as_ref().filter(|configured| configured.is_ready());
        let targets = match ready {
            None => vec![TaskSet::default(); self.members.len()],
            Some(configured) => {
                let candidates = self.members.values().map(|member| Candidate {
                    process: &member.profile.process,
                    current: self.targets.get(&member.id).unwrap_or(&nothing),
                });
                let candidates: Vec<Candidate<'_>> = candidates.collect();
                let standby = usize::try_from(settings.standby_replicas).unwrap_or(0);
                sticky::assign(&candidates, &configured.subtopologies, standby)
            }
        };
        self.members.keys().cloned().zip(targets).collect()
    }
}
