//! The positions of a share group, for those who look at them and change them: the coordinator says which there are
//! and whether they may be changed, and whoever asked goes on to where they are kept.

use super::{ShareGroup, Started};
use crate::coordinator::{Call, Coordinator};
use crate::effects::{Effects, Response};
use crate::group::Group;
use crate::request::Refused;
use crate::undo::Undo;
use kafka_wire::ErrorCode;
use kafka_wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequest;
use kafka_wire::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequest;
use kafka_wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequest;
use model::TopicId;
use std::sync::Arc;

/// What a coordinator says of a share group's positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharePlan {
    /// The group.
    pub group: String,
    /// Why nothing can be done with them, and in words.
    pub refused: Option<(ErrorCode, String)>,
    /// The group's epoch, which a new state takes.
    pub epoch: i32,
    /// Nobody is in the group.
    pub is_empty: bool,
    /// Where the group has positions, or is about to: topics with names and partitions.
    pub topics: Vec<(TopicId, String, Vec<i32>)>,
}

impl SharePlan {
    fn of(group: &ShareGroup) -> SharePlan {
        let topics = group.started.iter().map(|(id, started)| {
            (*id, started.name.clone(), started.partitions.iter().copied().collect::<Vec<i32>>())
        });
        SharePlan {
            group: group.id.to_string(),
            refused: None,
            epoch: group.epoch,
            is_empty: group.members.is_empty(),
            topics: topics.collect(),
        }
    }

    fn refused(group: &str, refused: Refused) -> SharePlan {
        SharePlan {
            group: group.to_owned(),
            refused: Some((refused.code, refused.message)),
            epoch: 0,
            is_empty: true,
            topics: Vec::new(),
        }
    }
}

fn not_there(name: &str, is_other: bool) -> Refused {
    let why = if is_other { "is not a share group" } else { "not found" };
    Refused::new(ErrorCode::GroupIdNotFound, format!("Group {name} {why}."))
}

impl Coordinator {
    /// The positions of groups, to be described.
    pub(crate) fn share_positions(
        &mut self,
        call: &Call<'_>,
        request: &DescribeShareGroupOffsetsRequest<'_>,
        out: &mut Effects,
    ) {
        let plans = request.groups.iter().map(|asked| match self.groups.get(&*asked.group_id) {
            Some(Group::Share(group)) => SharePlan::of(group),
            // Only who wants all positions needs a group: of named partitions it is told that there are none.
            _ if asked.topics.is_some() => SharePlan::of(&ShareGroup::new(Arc::from(&*asked.group_id))),
            other => SharePlan::refused(&asked.group_id, not_there(&asked.group_id, other.is_some())),
        });
        let plans = plans.collect();
        out.answer(call.waiter, Response::SharePlans(plans), true);
    }

    /// Positions are about to be set: the group is made if there is none, and its epoch goes up, so that the state
    /// that comes with it is newer than any before.
    pub(crate) fn share_alter(
        &mut self,
        call: &Call<'_>,
        request: &AlterShareGroupOffsetsRequest<'_>,
        out: &mut Effects,
    ) {
        let plan = self.try_share_alter(call, request, out);
        let plan = plan.unwrap_or_else(|refused| SharePlan::refused(&request.group_id, refused));
        out.answer(call.waiter, Response::SharePlans(vec![plan]), true);
    }

    fn try_share_alter(
        &mut self,
        call: &Call<'_>,
        request: &AlterShareGroupOffsetsRequest<'_>,
        out: &mut Effects,
    ) -> Result<SharePlan, Refused> {
        let topics = call.context.topics;
        let known =
            request.topics.iter().filter_map(|asked| Some((topics.by_name(&asked.topic_name)?, asked)));
        let known: Vec<_> = known.collect();
        let is_new = !self.groups.contains_key(&*request.group_id);
        if known.is_empty() && is_new {
            // Nothing is made for the sake of nothing.
            return Ok(SharePlan::of(&ShareGroup::new(Arc::from(&*request.group_id))));
        }
        let settings = self.settings.clone();
        let group = self.share_for(&request.group_id)?;
        check_empty(group)?;
        let undo = Undo::of(&*group, true, &out.records);
        for (topic, asked) in known {
            let started: &mut Started = group.started.entry(topic.id).or_default();
            started.name = topic.name.to_string();
            let there = asked.partitions.iter().map(|one| one.partition_index);
            started.partitions.extend(there.filter(|one| (0..topic.partitions).contains(one)));
        }
        group.raise_epoch(&mut out.records);
        group.write_started(topics, &mut out.records);
        let kept = undo.check(group, &mut out.records, &settings);
        let plan = SharePlan::of(group);
        if is_new && kept.is_err() {
            self.groups.remove(&*request.group_id);
        }
        kept.map(|()| plan)
    }

    /// Positions are about to be deleted.
    pub(crate) fn share_delete(
        &mut self,
        call: &Call<'_>,
        request: &DeleteShareGroupOffsetsRequest<'_>,
        out: &mut Effects,
    ) {
        let plan = self.try_share_delete(call, request, out);
        let plan = plan.unwrap_or_else(|refused| SharePlan::refused(&request.group_id, refused));
        out.answer(call.waiter, Response::SharePlans(vec![plan]), true);
    }

    fn try_share_delete(
        &mut self,
        call: &Call<'_>,
        request: &DeleteShareGroupOffsetsRequest<'_>,
        out: &mut Effects,
    ) -> Result<SharePlan, Refused> {
        let name = &*request.group_id;
        let settings = self.settings.clone();
        let group = match self.groups.get_mut(name) {
            Some(Group::Share(group)) => group,
            other => return Err(not_there(name, other.is_some())),
        };
        check_empty(group)?;
        let plan = SharePlan::of(group);
        let topics = call.context.topics;
        let gone = request.topics.iter().filter_map(|asked| topics.by_name(&asked.topic_name));
        let undo = Undo::of(&*group, true, &out.records);
        let before = group.started.len();
        for topic in gone {
            group.started.remove(&topic.id);
        }
        if group.started.len() < before {
            group.write_started(topics, &mut out.records);
        }
        undo.check(group, &mut out.records, &settings).map(|()| plan)
    }

    /// The share group of a name, made if there is none.
    pub(crate) fn share_for(&mut self, name: &str) -> Result<&mut ShareGroup, Refused> {
        let id: Arc<str> = Arc::from(name);
        let slot = self.groups.entry(id.clone());
        match slot.or_insert_with(|| Group::Share(ShareGroup::new(id))) {
            Group::Share(group) => Ok(group),
            _ => Err(not_there(name, true)),
        }
    }
}

fn check_empty(group: &ShareGroup) -> Result<(), Refused> {
    if group.members.is_empty() {
        return Ok(());
    }
    Err(Refused::new(ErrorCode::NonEmptyGroup, format!("Group {} is not empty.", group.id)))
}
