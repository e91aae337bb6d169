//! Members of classic groups that wait for others.

use crate::eventually;
use crate::raw::{self, Raw, ask, read};
use kafka_wire::ApiKey;
use kafka_wire::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_wire::messages::list_groups_request::ListGroupsRequest;
use kafka_wire::messages::list_groups_response::ListGroupsResponse;
use std::net::SocketAddr;
use std::time::Duration;

/// JoinGroup in a version without an id told first.
pub const JOIN_VERSION: i16 = 3;

/// Joins a group, as a `member` or, without a name, as a new one; its session and a rebalance take `timeout_ms` at most.
/// The answer comes when nobody else has come for a while.
///
/// # Panics
/// If the group is not there within 30 s.
pub fn begin_join(address: SocketAddr, group: &str, member: &str, timeout_ms: i32) -> Raw {
    let protocol = JoinGroupRequestProtocol { name: "p".into(), metadata: b"m".as_slice().into() };
    let request = JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: timeout_ms,
        rebalance_timeout_ms: timeout_ms,
        member_id: member.into(),
        protocol_type: "test".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let mut connection = Raw::connect(address).expect("it listens");
    connection.send(&raw::encoded(ApiKey::JoinGroup, JOIN_VERSION, 1, &request)).expect("sent");
    eventually("the group is there", Duration::from_secs(30), || {
        let answer = ask(address, ApiKey::ListGroups, 4, &ListGroupsRequest::default());
        let listed: ListGroupsResponse<'_> = read(&answer, ApiKey::ListGroups, 4);
        listed.groups.iter().any(|found| found.group_id == group).then_some(())
    });
    connection
}
