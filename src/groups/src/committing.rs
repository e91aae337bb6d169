//! The requests about offsets: each finds its group, has it checked, and is handed to the store.

use crate::classic::{ClassicGroup, ClassicState};
use crate::consumer::ConsumerGroup;
use crate::coordinator::{Call, Coordinator};
use crate::effects::{Effects, Producer, Response};
use crate::group::Group;
use crate::offsets::commit::{commit_refused, partitions_of, txn_commit_refused, txn_partitions_of};
use crate::offsets::fetch::{FetchAs, MANY_GROUPS, fetch_refused, fetch_response};
use crate::request::{Context, Refused};
use crate::scene::Scene;
use crate::sizes;
use crate::streams::StreamsGroup;
use crate::topics::Topics;
use base::mistakes;
use kafka_wire::ErrorCode;
use kafka_wire::messages::offset_commit_request::OffsetCommitRequest;
use kafka_wire::messages::offset_delete_request::OffsetDeleteRequest;
use kafka_wire::messages::offset_delete_response::OffsetDeleteResponse;
use kafka_wire::messages::offset_fetch_request::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequest;
use model::{ProducerEpoch, ProducerId, TopicId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// From this version on a commit may come from a member of the consumer protocol.
const OF_CONSUMERS: i16 = 9;

/// Makes a group that only keeps offsets, if there is none of the name.
pub(crate) fn ensure_group(groups: &mut BTreeMap<Arc<str>, Group>, name: &str, now: i64) {
    if !groups.contains_key(name) {
        let id: Arc<str> = Arc::from(name);
        groups.insert(id.clone(), Group::Classic(ClassicGroup::new(id, now)));
    }
}

impl Coordinator {
    pub(crate) fn commit(&mut self, call: &Call<'_>, request: &OffsetCommitRequest<'_>, out: &mut Effects) {
        if let Err(refused) = self.check_commit(request, call.context)
            && !mistakes::is_made("generation not checked")
        {
            let answer = commit_refused(request, call.context, refused.code);
            return out.answer(call.waiter, Response::OffsetCommit(answer), false);
        }
        if let Err(refused) = sizes::check_commit(request, call.context, &self.settings) {
            let answer = commit_refused(request, call.context, refused.code);
            return out.answer(call.waiter, Response::OffsetCommit(answer), false);
        }
        let Coordinator { settings, groups, timers, parked, offsets, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let known = groups.get(&*request.group_id);
        if let Some(Group::Classic(group)) = known
            && matches!(group.state, ClassicState::Stable | ClassicState::PreparingRebalance)
        {
            group.touch(&request.member_id, &mut scene);
        }
        let is_new = known.is_none();
        let answer = offsets.commit(request, call.context, &mut scene);
        if is_new && !scene.out.records.is_empty() {
            ensure_group(groups, &request.group_id, call.now);
        }
        out.answer(call.waiter, Response::OffsetCommit(answer), true);
    }

    fn check_commit(&self, request: &OffsetCommitRequest<'_>, context: &Context<'_>) -> Result<(), Refused> {
        let epoch = request.generation_id_or_member_epoch;
        let instance = request.group_instance_id.as_deref();
        let group = match self.groups.get(&*request.group_id) {
            None if epoch < 0 => return Ok(()),
            None if context.version >= OF_CONSUMERS => return Err(ErrorCode::GroupIdNotFound.into()),
            None => return Err(ErrorCode::IllegalGeneration.into()),
            Some(Group::Classic(group)) => {
                return group.check_commit(&request.member_id, instance, epoch, false);
            }
            Some(Group::Streams(group)) => return check_streams_commit(group, request, context),
            Some(Group::Share(_)) => return Err(ErrorCode::GroupIdNotFound.into()),
            Some(Group::Consumer(group)) => group,
        };
        if epoch < 0 && group.members.is_empty() {
            return Ok(());
        }
        let member = group.members.get(&*request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if context.version < OF_CONSUMERS && !member.profile.is_classic() {
            return Err(ErrorCode::UnsupportedVersion.into());
        }
        if !group.check_offsets(member, epoch, true)? {
            return Ok(());
        }
        group.check_late(member, epoch, &partitions_of(request, context))
    }

    pub(crate) fn commit_in_transaction(
        &mut self,
        call: &Call<'_>,
        request: &TxnOffsetCommitRequest<'_>,
        out: &mut Effects,
    ) {
        if let Err(refused) = self.check_txn_commit(request, call.context)
            && !mistakes::is_made("generation not checked")
        {
            let answer = txn_commit_refused(request, call.context, refused.code);
            return out.answer(call.waiter, Response::TxnOffsetCommit(answer), false);
        }
        let Coordinator { settings, groups, timers, parked, offsets, .. } = self;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let answer = offsets.commit_in_transaction(request, call.context, &mut scene);
        if !scene.out.records.is_empty() {
            ensure_group(groups, &request.group_id, call.now);
        }
        out.answer(call.waiter, Response::TxnOffsetCommit(answer), true);
    }

    fn check_txn_commit(
        &self,
        request: &TxnOffsetCommitRequest<'_>,
        context: &Context<'_>,
    ) -> Result<(), Refused> {
        let epoch = request.generation_id;
        match self.groups.get(&*request.group_id) {
            None if epoch < 0 => Ok(()),
            None => Err(ErrorCode::IllegalGeneration.into()),
            Some(Group::Classic(group)) => {
                group.check_commit(&request.member_id, request.group_instance_id.as_deref(), epoch, true)
            }
            Some(Group::Share(_)) => Err(ErrorCode::GroupIdNotFound.into()),
            Some(Group::Consumer(group)) => check_consumer_txn_commit(group, request, context),
            Some(Group::Streams(group)) => check_streams_txn_commit(group, request, context),
        }
    }

    /// What became of a write in a transaction: its records are in the log, or the log has refused them and has nothing of
    /// them. Writes of one producer and the ends of its transactions are told in the order of the log.
    pub fn written(&mut self, producer: Producer, is_in_log: bool) {
        self.offsets.written(producer.id.0, producer.write, is_in_log);
    }

    /// A transaction of a producer has ended: its offsets count, or are dropped; writes that are not in the log yet are
    /// not part of it. For markers in the log while it is loaded, and for those that are written later, once they are
    /// durable.
    pub fn end_transaction(&mut self, producer: ProducerId, _epoch: ProducerEpoch, commit: bool) {
        self.offsets.end_transaction(producer.0, commit);
    }

    pub(crate) fn fetch(&mut self, call: &Call<'_>, request: &OffsetFetchRequest<'_>, out: &mut Effects) {
        let version = call.context.version;
        let how = FetchAs { version, stable: request.require_stable, topics: call.context.topics };
        let one = if version >= MANY_GROUPS { None } else { Some(single_group(request)) };
        let groups = one.as_ref().map_or(request.groups.as_slice(), std::slice::from_ref);
        let answers = groups.iter().map(|group| match self.check_fetch(group) {
            Ok(exists) => self.offsets.fetch(group, exists, how),
            Err(refused) => fetch_refused(group, refused.code, version),
        });
        let answer = fetch_response(answers.collect(), version);
        out.answer(call.waiter, Response::OffsetFetch(answer), true);
    }

    /// Whether the offsets of a group may be fetched; false if there is no such group.
    fn check_fetch(&self, request: &OffsetFetchRequestGroup<'_>) -> Result<bool, Refused> {
        let Some(group) = self.groups.get(&*request.group_id) else { return Ok(false) };
        let id = request.member_id.as_deref();
        if matches!(group, Group::Share(_)) {
            // It keeps its positions elsewhere; of offsets it is as one that is not there.
            return Ok(false);
        }
        if id.is_none() && request.member_epoch < 0 {
            return Ok(true);
        }
        let id = id.unwrap_or_default();
        match group {
            Group::Classic(_) | Group::Share(_) => {}
            Group::Consumer(group) => {
                let member = group.members.get(id).ok_or_else(|| group.unknown_member(id))?;
                group.check_offsets(member, request.member_epoch, false)?;
            }
            Group::Streams(group) => {
                let member = group.members.get(id).ok_or_else(|| group.unknown_member(id))?;
                group.check_offsets(member, request.member_epoch, false)?;
            }
        }
        Ok(true)
    }

    pub(crate) fn delete_offsets(
        &mut self,
        call: &Call<'_>,
        request: &OffsetDeleteRequest<'_>,
        out: &mut Effects,
    ) {
        let checked = match self.groups.get(&*request.group_id) {
            None | Some(Group::Share(_)) => Err(ErrorCode::GroupIdNotFound),
            Some(Group::Classic(group)) if group.state != ClassicState::Empty && !group.is_of_consumers() => {
                Err(ErrorCode::NonEmptyGroup)
            }
            Some(group) => Ok(group),
        };
        let answer = match checked {
            Err(code) => OffsetDeleteResponse { error_code: code.code(), ..Default::default() },
            Ok(group) => {
                let subscribed = |topic: &str| group.is_subscribed_to(topic);
                self.offsets.delete(request, subscribed, call.context.topics, &mut out.records)
            }
        };
        out.answer(call.waiter, Response::OffsetDelete(answer), true);
    }

    /// A topic has been deleted: so are its offsets, but not those of another one of the same name.
    pub fn topic_deleted(&mut self, name: &str, id: TopicId) -> Effects {
        let mut out = Effects::default();
        self.offsets.delete_topic(name, id, &mut out.records);
        out
    }

    /// Deletes the offsets of topics that are not there any more. For when the log has been read: a topic may have been
    /// deleted while nobody could write that its offsets are gone too.
    pub fn delete_orphans(&mut self, topics: &dyn Topics) -> Effects {
        let mut out = Effects::default();
        self.offsets.delete_orphans(topics, &mut out.records);
        out
    }

    /// The committed offset of a partition, if there is one.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        Some(self.offsets.of_group(group)?.get(topic)?.get(&partition)?.offset)
    }
}

/// A commit in a transaction of a member of a consumer group. The API is older than member epochs, so a bad one is a
/// bad generation. Whoever names neither member nor epoch answers for itself: its transactional id fences.
fn check_consumer_txn_commit(
    group: &ConsumerGroup,
    request: &TxnOffsetCommitRequest<'_>,
    context: &Context<'_>,
) -> Result<(), Refused> {
    let epoch = request.generation_id;
    let names_nobody = request.member_id.is_empty() && request.group_instance_id.is_none();
    if (epoch < 0 && group.members.is_empty()) || (epoch == -1 && names_nobody) {
        return Ok(());
    }
    let member = group.members.get(&*request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
    let late = group.check_offsets(member, epoch, true).and_then(|is_late| match is_late {
        true => group.check_late(member, epoch, &txn_partitions_of(request, context)),
        false => Ok(()),
    });
    late.map_err(|_| ErrorCode::IllegalGeneration.into())
}

/// A commit of a member of a streams group; a late one only of what the member has had since its epoch.
fn check_streams_commit(
    group: &StreamsGroup,
    request: &OffsetCommitRequest<'_>,
    context: &Context<'_>,
) -> Result<(), Refused> {
    let epoch = request.generation_id_or_member_epoch;
    if epoch < 0 && group.members.is_empty() {
        return Ok(());
    }
    let id = &*request.member_id;
    let member = group.members.get(id).ok_or_else(|| group.unknown_member(id))?;
    if context.version < OF_CONSUMERS {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    if !group.check_offsets(member, epoch, true)? {
        return Ok(());
    }
    let all = partitions_of(request, context);
    if !all.iter().all(|(topic, partition)| group.has_had(member, &topic.name, *partition, epoch)) {
        return Err(ErrorCode::StaleMemberEpoch.into());
    }
    Ok(())
}

/// The same in a transaction. Whoever names neither member nor epoch answers for itself: its transactional id fences.
fn check_streams_txn_commit(
    group: &StreamsGroup,
    request: &TxnOffsetCommitRequest<'_>,
    context: &Context<'_>,
) -> Result<(), Refused> {
    let epoch = request.generation_id;
    let names_nobody = request.member_id.is_empty() && request.group_instance_id.is_none();
    if epoch < 0 && (group.members.is_empty() || names_nobody) {
        return Ok(());
    }
    let id = &*request.member_id;
    let member = group.members.get(id).ok_or_else(|| group.unknown_member(id))?;
    // The API is older than member epochs.
    let is_late = group.check_offsets(member, epoch, true).map_err(|_| ErrorCode::IllegalGeneration)?;
    let all = if is_late { txn_partitions_of(request, context) } else { Vec::new() };
    if !all.iter().all(|(topic, partition)| group.has_had(member, &topic.name, *partition, epoch)) {
        return Err(ErrorCode::IllegalGeneration.into());
    }
    Ok(())
}

/// A request of an old version, in the form of the new ones.
fn single_group<'a>(request: &OffsetFetchRequest<'a>) -> OffsetFetchRequestGroup<'a> {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| OffsetFetchRequestTopics {
            name: topic.name.clone(),
            partition_indexes: topic.partition_indexes.clone(),
            ..Default::default()
        });
        topics.collect()
    });
    OffsetFetchRequestGroup { group_id: request.group_id.clone(), member_id: None, member_epoch: -1, topics }
}
