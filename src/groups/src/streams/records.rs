//! The records of streams groups, in the types and versions that Kafka 4.3 writes.

use crate::effects::Record;
use crate::records::{ReplayError, borrowed, decoded_value, member_records, record, tombstone};
use kafka_wire::messages::streams_group_current_member_assignment_key::StreamsGroupCurrentMemberAssignmentKey;
use kafka_wire::messages::streams_group_current_member_assignment_value::StreamsGroupCurrentMemberAssignmentValue;
use kafka_wire::messages::streams_group_member_metadata_key::StreamsGroupMemberMetadataKey;
use kafka_wire::messages::streams_group_member_metadata_value::StreamsGroupMemberMetadataValue;
use kafka_wire::messages::streams_group_metadata_key::StreamsGroupMetadataKey;
use kafka_wire::messages::streams_group_metadata_value::StreamsGroupMetadataValue;
use kafka_wire::messages::streams_group_target_assignment_member_key::StreamsGroupTargetAssignmentMemberKey;
use kafka_wire::messages::streams_group_target_assignment_member_value::StreamsGroupTargetAssignmentMemberValue;
use kafka_wire::messages::streams_group_target_assignment_metadata_key::StreamsGroupTargetAssignmentMetadataKey;
use kafka_wire::messages::streams_group_target_assignment_metadata_value::StreamsGroupTargetAssignmentMetadataValue;
use kafka_wire::messages::streams_group_topology_key::StreamsGroupTopologyKey;
use kafka_wire::messages::streams_group_topology_value::StreamsGroupTopologyValue;
use kafka_wire::{Decode, Reader};

const GROUP: i16 = 17;
const MEMBER: i16 = 19;
const TARGET: i16 = 20;
const TARGET_MEMBER: i16 = 21;
const CURRENT: i16 = 22;
const TOPOLOGY: i16 = 23;

/// A group's epoch.
pub(crate) fn group(group: &str, value: &StreamsGroupMetadataValue<'_>) -> Record {
    record(GROUP, &StreamsGroupMetadataKey { group_id: borrowed(group) }, value, 0)
}

pub(crate) fn group_tombstone(group: &str) -> Record {
    tombstone(GROUP, &StreamsGroupMetadataKey { group_id: borrowed(group) })
}

member_records!(
    /// A member and what it says of itself.
    member, member_tombstone: MEMBER, StreamsGroupMemberMetadataKey, StreamsGroupMemberMetadataValue<'_>
);

/// The epoch of the target assignment, and when it was computed.
pub(crate) fn target(group: &str, assignment_epoch: i32, assignment_timestamp: i64) -> Record {
    let key = StreamsGroupTargetAssignmentMetadataKey { group_id: borrowed(group) };
    let value = StreamsGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp };
    record(TARGET, &key, &value, 0)
}

pub(crate) fn target_tombstone(group: &str) -> Record {
    tombstone(TARGET, &StreamsGroupTargetAssignmentMetadataKey { group_id: borrowed(group) })
}

member_records!(
    /// What a member shall have.
    target_member, target_member_tombstone:
    TARGET_MEMBER, StreamsGroupTargetAssignmentMemberKey, StreamsGroupTargetAssignmentMemberValue<'_>
);

member_records!(
    /// What a member has.
    current, current_tombstone:
    CURRENT, StreamsGroupCurrentMemberAssignmentKey, StreamsGroupCurrentMemberAssignmentValue<'_>
);

/// What the application is made of.
pub(crate) fn topology(group: &str, value: &StreamsGroupTopologyValue<'_>) -> Record {
    record(TOPOLOGY, &StreamsGroupTopologyKey { group_id: borrowed(group) }, value, 0)
}

pub(crate) fn topology_tombstone(group: &str) -> Record {
    tombstone(TOPOLOGY, &StreamsGroupTopologyKey { group_id: borrowed(group) })
}

/// A record that was read back; without a value it is a tombstone.
#[derive(Debug)]
pub(crate) enum Stored<'a> {
    Group(StreamsGroupMetadataKey<'a>, Option<StreamsGroupMetadataValue<'a>>),
    Member(StreamsGroupMemberMetadataKey<'a>, Option<StreamsGroupMemberMetadataValue<'a>>),
    Target(StreamsGroupTargetAssignmentMetadataKey<'a>, Option<StreamsGroupTargetAssignmentMetadataValue>),
    TargetMember(
        StreamsGroupTargetAssignmentMemberKey<'a>,
        Option<StreamsGroupTargetAssignmentMemberValue<'a>>,
    ),
    Current(StreamsGroupCurrentMemberAssignmentKey<'a>, Option<StreamsGroupCurrentMemberAssignmentValue<'a>>),
    Topology(StreamsGroupTopologyKey<'a>, Option<StreamsGroupTopologyValue<'a>>),
}

impl<'a> Stored<'a> {
    /// Reads a record of a type; `None` if the type is none of a streams group. `reader` is behind the type.
    pub fn read(
        kind: i16,
        reader: &mut Reader<'a>,
        value: Option<&'a [u8]>,
    ) -> Result<Option<Stored<'a>>, ReplayError> {
        let bad = ReplayError::Key;
        Ok(Some(match kind {
            GROUP => Stored::Group(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            MEMBER => Stored::Member(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            TARGET => Stored::Target(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            TARGET_MEMBER => {
                Stored::TargetMember(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?)
            }
            CURRENT => Stored::Current(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            TOPOLOGY => Stored::Topology(Decode::decode(reader, 0).map_err(bad)?, decoded_value(value)?),
            _ => return Ok(None),
        }))
    }
}
