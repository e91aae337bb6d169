//! SyncGroup: the leader's assignment, and how it gets to the others.

use super::{ClassicGroup, ClassicState};
use crate::effects::{Response, Waiter};
use crate::request::Refused;
use crate::scene::{Parked, Scene};
use crate::sizes;
use crate::timers::TimerKind;
use crate::wire::optional_text;
use kafka_wire::ErrorCode;
use kafka_wire::messages::sync_group_request::SyncGroupRequest;
use kafka_wire::messages::sync_group_response::SyncGroupResponse;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn sync_refused(code: ErrorCode) -> SyncGroupResponse<'static> {
    SyncGroupResponse { error_code: code.code(), ..Default::default() }
}

impl ClassicGroup {
    /// SyncGroup.
    pub fn sync(
        &mut self,
        request: &SyncGroupRequest<'_>,
        version: i16,
        waiter: Waiter,
        scene: &mut Scene<'_>,
    ) {
        let id = &*request.member_id;
        if let Err(refused) = self.check_sync(request) {
            return scene.out.answer(waiter, Response::SyncGroup(sync_refused(refused.code)), false);
        }
        self.pending_sync.remove(id);
        if self.pending_sync.is_empty() {
            scene.disarm(&self.id, None, TimerKind::Sync);
        }
        if self.state == ClassicState::Stable {
            let answer = Response::SyncGroup(self.synced_answer(id));
            return scene.out.answer(waiter, answer, true);
        }
        let Some(key) = self.members.get(id).map(|member| member.id.clone()) else { return };
        self.answer_sync(id, ErrorCode::RebalanceInProgress, scene);
        let parked = scene.park(&self.id, &key, waiter, version);
        self.park_sync(id, parked);
        if self.is_leader(id) {
            self.assign(request, scene);
        }
    }

    fn check_sync(&self, request: &SyncGroupRequest<'_>) -> Result<(), Refused> {
        if self.state == ClassicState::Empty {
            return Err(ErrorCode::UnknownMemberId.into());
        }
        self.check_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != self.generation {
            return Err(ErrorCode::IllegalGeneration.into());
        }
        let differs = |asked: &Option<Cow<'_, str>>, is: &Option<String>| {
            asked.as_deref().is_some_and(|asked| Some(asked) != is.as_deref())
        };
        if differs(&request.protocol_type, &self.protocol_type)
            || differs(&request.protocol_name, &self.protocol)
        {
            return Err(ErrorCode::InconsistentGroupProtocol.into());
        }
        if self.state == ClassicState::PreparingRebalance {
            return Err(ErrorCode::RebalanceInProgress.into());
        }
        Ok(())
    }

    fn park_sync(&mut self, id: &str, parked: Parked) {
        if let Some(member) = self.members.get_mut(id) {
            member.syncing = Some(parked);
        }
    }

    /// The leader has spoken: what it said is written, and all who wait are told once it is durable. If it is more than
    /// the log takes, all are told that instead, and a new round starts, as in Kafka.
    fn assign(&mut self, request: &SyncGroupRequest<'_>, scene: &mut Scene<'_>) {
        let said = request.assignments.iter();
        let said: BTreeMap<&str, &[u8]> = said.map(|one| (&*one.member_id, &*one.assignment)).collect();
        for member in self.members.values_mut() {
            member.assignment = said.get(&*member.id).map_or(Vec::new(), |bytes| bytes.to_vec());
        }
        self.enter(ClassicState::Stable, scene.now);
        let record = self.record();
        if let Err(refused) = sizes::check(record.bytes(), scene.settings) {
            self.enter(ClassicState::CompletingRebalance, scene.now);
            self.answer_syncs(refused.code, scene);
            return self.prepare(scene);
        }
        scene.out.records.push(record);
        self.answer_syncs(ErrorCode::None, scene);
    }

    fn synced_answer(&self, id: &str) -> SyncGroupResponse<'static> {
        let assignment = self.members.get(id).map_or(Vec::new(), |member| member.assignment.clone());
        SyncGroupResponse {
            protocol_type: optional_text(self.protocol_type.as_deref()),
            protocol_name: optional_text(self.protocol.as_deref()),
            assignment: Cow::Owned(assignment),
            ..Default::default()
        }
    }

    /// Answers all syncs that wait, with the assignment or an error; those members' sessions begin anew.
    pub fn answer_syncs(&mut self, code: ErrorCode, scene: &mut Scene<'_>) {
        let waiting = self.members.values().filter(|member| member.syncing.is_some());
        let waiting: Vec<Arc<str>> = waiting.map(|member| member.id.clone()).collect();
        for id in waiting {
            self.answer_sync(&id, code, scene);
            self.touch(&id, scene);
        }
    }

    /// Answers the sync of a member, if it has one waiting.
    pub fn answer_sync(&mut self, id: &str, code: ErrorCode, scene: &mut Scene<'_>) {
        let Some(parked) = self.members.get_mut(id).and_then(|member| member.syncing.take()) else { return };
        let answer = if code.is_none() { self.synced_answer(id) } else { sync_refused(code) };
        scene.unpark(parked, Response::SyncGroup(answer), code.is_none());
    }

    /// Some have joined and never synced: they go, and a new round starts.
    pub fn sync_is_up(&mut self, scene: &mut Scene<'_>) {
        let is_waiting = matches!(self.state, ClassicState::CompletingRebalance | ClassicState::Stable);
        if !is_waiting || self.pending_sync.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.pending_sync) {
            self.remove(&id);
            scene.disarm(&self.id, Some(&id), TimerKind::Session);
        }
        self.prepare(scene);
    }
}
