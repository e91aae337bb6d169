//! The heartbeats of streams groups: each finds its group, and is handed on.

use super::StreamsGroup;
use super::check::{self, JOINS};
use crate::classic::ClassicState;
use crate::coordinator::{Call, Coordinator};
use crate::effects::{Effects, Response, StreamsHeartbeat};
use crate::group::Group;
use crate::records;
use crate::request::Refused;
use crate::scene::Scene;
use crate::sizes;
use crate::wire::text;
use kafka_wire::ErrorCode;
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use kafka_wire::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use std::sync::Arc;

impl Coordinator {
    pub(crate) fn streams_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &StreamsGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) {
        let answer = self.try_streams_heartbeat(call, request, out);
        let shows_state = answer.is_ok();
        let answer = answer.unwrap_or_else(|refused| StreamsHeartbeat {
            response: StreamsGroupHeartbeatResponse {
                error_code: refused.code.code(),
                error_message: Some(text(&refused.message)),
                ..Default::default()
            },
            create: Vec::new(),
        });
        out.answer(call.waiter, Response::StreamsGroupHeartbeat(answer), shows_state);
    }

    fn try_streams_heartbeat(
        &mut self,
        call: &Call<'_>,
        request: &StreamsGroupHeartbeatRequest<'_>,
        out: &mut Effects,
    ) -> Result<StreamsHeartbeat, Refused> {
        check::request(request)?;
        let Coordinator { settings, groups, timers, parked, .. } = self;
        let known = match groups.get(&*request.group_id) {
            Some(Group::Streams(group)) => Some(group),
            _ => None,
        };
        sizes::check_streams(known, request, call.context, settings)?;
        let mut scene = Scene { now: call.now, settings, timers, parked, topics: call.context.topics, out };
        let name = &*request.group_id;
        let is_new = request.member_epoch == JOINS && !groups.contains_key(name);
        if is_new {
            let id: Arc<str> = Arc::from(name);
            groups.insert(id.clone(), Group::Streams(StreamsGroup::new(id)));
        }
        let Some(slot) = groups.get_mut(name) else {
            return Err(Refused::new(ErrorCode::GroupIdNotFound, format!("Group {name} not found.")));
        };
        if request.member_epoch < JOINS {
            return slot.streams_mut()?.leave(request, &mut scene);
        }
        let mut before = None;
        if request.member_epoch == JOINS {
            before = to_streams(slot, request, &mut scene)?;
        }
        let told = slot.streams_mut()?.heartbeat(request, call.context, &mut scene);
        if told.is_err()
            && let Some(classic) = before
        {
            // Else the log would say that the group has ended, and its offsets would be nobody's.
            *slot = classic;
            scene.out.records.clear();
        }
        if is_new && told.is_err() {
            // Nothing is made for somebody who is turned away.
            groups.remove(name);
        }
        told
    }
}

/// Makes a streams group of a classic one that has no members, as those that only keep offsets have none. That is
/// returned: it is to take its place again if the member is turned away.
fn to_streams(
    slot: &mut Group,
    request: &StreamsGroupHeartbeatRequest<'_>,
    scene: &mut Scene<'_>,
) -> Result<Option<Group>, Refused> {
    let Group::Classic(classic) = &*slot else { return Ok(None) };
    if classic.state != ClassicState::Empty || !classic.pending_join.is_empty() {
        return Ok(None);
    }
    let made = StreamsGroup::new(classic.id.clone());
    // Nothing is changed for somebody who will be turned away.
    made.new_topology(request)?;
    scene.timers.cancel_group(&classic.id);
    scene.out.records.push(records::classic_group_tombstone(&classic.id));
    Ok(Some(std::mem::replace(slot, Group::Streams(made))))
}
