//! Groups that change their protocol while they have members.

use super::ConsumerGroup;
use super::member::{ClassicSide, MemberState, Owned, Profile, Progress, sorted_names, without_epochs};
use crate::classic::round::join_refused;
use crate::classic::{CONSUMER_PROTOCOL, ClassicGroup, ClassicMember, ClassicState};
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::settings::Settings;
use crate::sizes;
use crate::timers::TimerKind;
use crate::topics::Topics;
use crate::wire::{assignment, embed_assignment, embedded_version, subscription};
use base::mistakes;
use kafka_wire::ErrorCode;
use std::sync::Arc;

/// Whether a classic group may become a consumer group when a member of that protocol joins it.
pub(crate) fn check_upgrade(group: &ClassicGroup, settings: &Settings) -> Result<(), Refused> {
    let can = settings.migration.upgrades() && group.is_of_consumers();
    if !can {
        let message = format!("Group {} is not a consumer group.", group.id);
        return Err(Refused::new(ErrorCode::GroupIdNotFound, message));
    }
    if group.members.len() >= settings.consumer_max_size {
        let limit = settings.consumer_max_size;
        let message = format!("The consumer group has reached its maximum capacity of {limit} members.");
        return Err(Refused::new(ErrorCode::GroupMaxSizeReached, message));
    }
    Ok(())
}

/// Makes a consumer group of a classic one. Members keep what they have, at the generation as their epoch; those
/// that wait for something are told to come again.
///
/// # Errors
/// GROUP_ID_NOT_FOUND if what a member embeds is malformed, UNKNOWN_SERVER_ERROR if the members' records are more than
/// one batch, as in Kafka, or the log does not take what one of them has; then nothing has changed.
pub(crate) fn upgrade(group: &mut ClassicGroup, scene: &mut Scene<'_>) -> Result<ConsumerGroup, Refused> {
    let members: Option<Vec<(Arc<str>, Profile, Owned)>> =
        group.members.values().map(|member| upgraded(member, group, scene.topics)).collect();
    let members = members.ok_or_else(|| {
        let message =
            format!("Cannot upgrade group {}: the embedded consumer protocol is malformed.", group.id);
        Refused::new(ErrorCode::GroupIdNotFound, message)
    })?;
    let records = members.iter().map(|(id, profile, _)| records::member(&group.id, id, &profile.value()));
    sizes::check(records.map(|record| record.bytes()).sum(), scene.settings)?;
    for (id, _, owned) in &members {
        // Its target is the same without epochs.
        let progress = Progress { assigned: owned.clone(), ..Progress::new() };
        sizes::check(records::current(&group.id, id, &progress.value()).bytes(), scene.settings)?;
    }
    let ids: Vec<Arc<str>> = group.members.keys().cloned().collect();
    for id in &ids {
        group.answer_join(id, scene, |version| join_refused(ErrorCode::RebalanceInProgress, id, version));
    }
    group.answer_syncs(ErrorCode::RebalanceInProgress, scene);
    scene.timers.cancel_group(&group.id);
    scene.out.records.push(records::classic_group_tombstone(&group.id));
    let mut made = ConsumerGroup::new(group.id.clone());
    made.epoch = group.generation;
    made.assignment_epoch = group.generation;
    for (id, profile, mut owned) in members {
        // A client-side assignor may have given one partition to two.
        for (topic, partitions) in &mut owned {
            partitions.retain(|partition, _| !made.owners.contains_key(&(*topic, *partition)));
        }
        owned.retain(|_, partitions| !partitions.is_empty());
        if mistakes::is_made("owners forgotten by an upgrade") {
            owned.clear();
        }
        let state = MemberState::Stable;
        let (epoch, revoking) = (group.generation, Owned::new());
        made.targets.insert(id.clone(), without_epochs(&owned));
        made.put_profile(&id, profile);
        made.put_progress(&id, Progress { epoch, previous_epoch: epoch, state, assigned: owned, revoking });
    }
    made.write_whole(scene);
    Ok(made)
}

fn upgraded(
    member: &ClassicMember,
    group: &ClassicGroup,
    topics: &dyn Topics,
) -> Option<(Arc<str>, Profile, Owned)> {
    let first = member.protocols.first()?;
    let protocol = group.protocol.as_deref().unwrap_or(&first.0);
    let says = subscription(member.metadata(protocol))?;
    let mut owned = Owned::new();
    for (name, partitions) in assignment(&member.assignment)? {
        let Some(topic) = topics.by_name(&name).filter(|_| !partitions.is_empty()) else { continue };
        owned.insert(
            topic.id,
            partitions.into_iter().map(|partition| (partition, group.generation)).collect(),
        );
    }
    let profile = Profile {
        instance: member.instance.clone(),
        rack: says.rack_id.as_deref().map(str::to_owned),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: sorted_names(says.topics.iter().map(|topic| topic.to_string())),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        classic: Some(ClassicSide {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
        ..Profile::default()
    };
    Some((member.id.clone(), profile, owned))
}

/// Whether the group could be a classic one if it were not for this member.
pub(crate) fn can_downgrade_without(group: &ConsumerGroup, id: &Arc<str>, settings: &Settings) -> bool {
    let others = group.members.len().saturating_sub(1);
    group.members.get(id).is_some_and(|member| !member.profile.is_classic())
        && others > 0
        && group.classic_members == others
        && others <= settings.max_size
        && settings.migration.downgrades()
}

/// Whether the group could be a classic one as it is.
pub(crate) fn can_downgrade(group: &ConsumerGroup, settings: &Settings) -> bool {
    group.classic_members == group.members.len()
        && group.members.len() <= settings.max_size
        && settings.migration.downgrades()
}

/// Makes a classic group of a consumer group whose members, but for the one that leaves, all use that protocol.
/// Their targets become what they are assigned. `None`, and nothing has changed, if the record of the classic group is
/// more than the log takes: then it stays what it is.
pub(crate) fn downgrade(
    group: &ConsumerGroup,
    leaving: Option<&Arc<str>>,
    scene: &mut Scene<'_>,
) -> Option<ClassicGroup> {
    let mut made = ClassicGroup::new(group.id.clone(), scene.now);
    for member in group.members.values().filter(|member| Some(&member.id) != leaving) {
        let profile = &member.profile;
        let Some(classic) = &profile.classic else { continue };
        let downgraded = ClassicMember {
            id: member.id.clone(),
            instance: profile.instance.clone(),
            client_id: profile.client_id.clone(),
            client_host: profile.client_host.clone(),
            rebalance_timeout_ms: profile.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols.clone(),
            assignment: Vec::new(),
            joining: None,
            syncing: None,
            is_new: false,
        };
        made.add(downgraded, CONSUMER_PROTOCOL);
    }
    made.generation = group.epoch;
    made.state = ClassicState::Stable;
    made.protocol = made.vote();
    made.read_topics();
    let protocol = made.protocol.clone().unwrap_or_default();
    for member in made.members.values_mut() {
        let target = group.targets.get(&member.id).into_iter().flatten();
        let named = target.filter_map(|(topic, partitions)| {
            let topic = scene.topics.by_id(*topic)?;
            Some((topic.name.to_string(), partitions.clone()))
        });
        let version = embedded_version(member.metadata(&protocol)).unwrap_or(0);
        member.assignment = embed_assignment(named.collect(), version);
    }
    let record = made.record();
    sizes::check(record.bytes(), scene.settings).ok()?;
    group.write_end(&mut scene.out.records);
    scene.timers.cancel_group(&group.id);
    scene.out.records.push(record);
    for member in made.members.values() {
        scene.arm(&made.id, Some(&member.id), TimerKind::Session, member.session_timeout_ms);
    }
    Some(made)
}

impl ConsumerGroup {
    /// Writes all of a group that was just made, and starts its members' sessions.
    fn write_whole(&mut self, scene: &mut Scene<'_>) {
        let group = self.id.clone();
        for (id, member) in &self.members {
            scene.out.records.push(records::member(&group, id, &member.profile.value()));
        }
        scene.out.records.push(records::group(&group, self.epoch, self.metadata_hash));
        for (id, target) in self.targets.clone() {
            self.write_target(&id, target, &mut scene.out.records);
        }
        scene.out.records.push(records::target(&group, self.assignment_epoch, 0));
        for (id, member) in &self.members {
            scene.out.records.push(records::current(&group, id, &member.progress.value()));
            if let Some(classic) = &member.profile.classic {
                scene.arm(&group, Some(id), TimerKind::Session, classic.session_timeout_ms);
            }
        }
    }
}
