//! Records that would be larger than the log takes: they are noticed before anything has changed.
//!
//! Kafka finds out when it writes, goes back to the state that it had before, and answers UNKNOWN_SERVER_ERROR. Here
//! what a client can make large is measured first; what grows with the partitions of a group is measured when it is
//! decided, and taken back (`undo`). That is single records: those of one decision may be larger together, for the
//! shell writes them as several batches, all or none. Measures are upper bounds.

use crate::classic::ClassicGroup;
use crate::classic::join::Join;
use crate::consumer::member::Profile as ConsumerProfile;
use crate::effects::Record;
use crate::offsets::commit::{TOPIC_IDS, topic_of};
use crate::request::{Context, Refused};
use crate::settings::Settings;
use crate::share::member::Profile as ShareProfile;
use crate::streams::{StreamsGroup, records as streams, topology};
use kafka_wire::messages::consumer_group_heartbeat_request::ConsumerGroupHeartbeatRequest;
use kafka_wire::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use kafka_wire::messages::offset_commit_request::{OffsetCommitRequest, OffsetCommitRequestTopic};
use kafka_wire::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_wire::messages::streams_group_heartbeat_request::StreamsGroupHeartbeatRequest;
use kafka_wire::{ErrorCode, Str};

/// What a record of a member has besides texts: versions, counts, times, epochs, a port.
const MEMBER_BYTES: usize = 64;
/// What tells the length of a text. Longer ones than three bytes can tell do not fit in any case.
const LENGTH_BYTES: usize = 3;
/// What a committed offset has besides texts, and what its record takes in a batch.
const OFFSET_BYTES: usize = 80;
/// The longest name that a topic may have.
const TOPIC_BYTES: usize = 249;

impl Record {
    /// Bytes of key and value.
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> usize {
    texts.into_iter().map(|text| text.len() + LENGTH_BYTES).sum()
}

/// Refuses what would take so many bytes of a record, as Kafka does when the log has refused it.
pub(crate) fn check(bytes: usize, settings: &Settings) -> Result<(), Refused> {
    let limit = settings.record_bytes_max;
    if bytes <= limit {
        return Ok(());
    }
    let message =
        format!("The group would have to write {bytes} bytes at once, which may be {limit} at most.");
    Err(Refused::new(ErrorCode::UnknownServerError, message))
}

/// The record of a member that `says` this beside `lists` of so many bytes. It has its own name, and its client's, too.
fn check_member<'t>(
    (group, member): (&str, &str),
    says: impl IntoIterator<Item = Option<&'t str>>,
    lists: usize,
    context: &Context<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    let names = texts([context.client_id, context.client_host, group, member]);
    check(MEMBER_BYTES + names + lists + texts(says.into_iter().flatten()), settings)
}

/// The topics that a member subscribes to: those that it names now, else those that it has named before.
fn subscription(named: Option<&[Str<'_>]>, before: Option<&[String]>) -> usize {
    match named {
        Some(named) => texts(named.iter().map(|name| &**name)),
        None => texts(before.unwrap_or_default().iter().map(String::as_str)),
    }
}

/// The record of a member of a consumer group that says this. `known`: the profile that it adds to.
pub(crate) fn check_consumer(
    known: Option<&ConsumerProfile>,
    request: &ConsumerGroupHeartbeatRequest<'_>,
    context: &Context<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    if known.is_some_and(|known| known.hears_nothing_new(request, context)) {
        return Ok(());
    }
    let before = known.map(|known| &known.topics[..]);
    let topics = subscription(request.subscribed_topic_names.as_deref(), before);
    let regex = request.subscribed_topic_regex.as_deref();
    let says = [
        regex.or(known.and_then(|known| known.regex.as_deref())),
        request.rack_id.as_deref().or(known.and_then(|known| known.rack.as_deref())),
        request.server_assignor.as_deref().or(known.and_then(|known| known.assignor.as_deref())),
        request.instance_id.as_deref().or(known.and_then(|known| known.instance.as_deref())),
    ];
    check_member((&*request.group_id, &*request.member_id), says, topics, context, settings)
}

/// The record of a member of the classic protocol in a consumer group.
pub(crate) fn check_joining(
    known: Option<&ConsumerProfile>,
    join: &Join<'_>,
    says: &ConsumerProtocolSubscription<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    let protocols = join.request.protocols.iter();
    let protocols: usize = protocols.map(|one| one.name.len() + one.metadata.len() + 3 * LENGTH_BYTES).sum();
    let topics = texts(says.topics.iter().map(|topic| &**topic));
    let others = [
        says.rack_id.as_deref().or(known.and_then(|known| known.rack.as_deref())),
        known.and_then(|known| known.assignor.as_deref()),
        join.instance(),
    ];
    let member = (&*join.request.group_id, &*join.request.member_id);
    check_member(member, others, protocols + topics, join.context, settings)
}

/// The record of a member of a share group that says this. `known`: what it has said before.
pub(crate) fn check_share(
    known: Option<&ShareProfile>,
    request: &ShareGroupHeartbeatRequest<'_>,
    context: &Context<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    if known.is_some_and(|known| known.hears_nothing_new(request, context)) {
        return Ok(());
    }
    let before = known.map(|known| &known.topics[..]);
    let topics = subscription(request.subscribed_topic_names.as_deref(), before);
    let says = [request.rack_id.as_deref().or(known.and_then(|known| known.rack.as_deref()))];
    check_member((&*request.group_id, &*request.member_id), says, topics, context, settings)
}

/// The records of a member of a streams group that says this, and of the topology that it brings. `group`: if there is
/// one.
pub(crate) fn check_streams(
    group: Option<&StreamsGroup>,
    request: &StreamsGroupHeartbeatRequest<'_>,
    context: &Context<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    let known = group.and_then(|group| group.members.get(&*request.member_id)).map(|member| &member.profile);
    if known.is_some_and(|known| known.hears_nothing_new(request, context)) {
        return Ok(());
    }
    if let Some(said) = &request.topology
        && group.is_none_or(|group| group.topology.is_none())
    {
        let record = streams::topology(&request.group_id, &topology::brought(said));
        check(record.bytes(), settings)?;
    }
    let tags = match &request.client_tags {
        Some(tags) => tags.iter().map(|tag| texts([&*tag.key, &*tag.value])).sum::<usize>(),
        None => known.map_or(0, |known| {
            known.tags.iter().map(|(key, value)| texts([key.as_str(), value.as_str()])).sum::<usize>()
        }),
    };
    let endpoint = request.user_endpoint.as_ref().map(|endpoint| &*endpoint.host);
    let known_endpoint = known.and_then(|known| known.endpoint.as_ref()).map(|(host, _)| host.as_str());
    let says = [
        request.rack_id.as_deref().or(known.and_then(|known| known.rack.as_deref())),
        known.and_then(|known| known.instance.as_deref()),
        request.process_id.as_deref().or(known.map(|known| known.process.as_str())),
        endpoint.or(known_endpoint),
        // Without a name its process has that of the member.
        Some(&*request.member_id),
    ];
    check_member((&*request.group_id, &*request.member_id), says, tags, context, settings)
}

/// The records of a commit, which are one batch as in Kafka.
pub(crate) fn check_commit(
    request: &OffsetCommitRequest<'_>,
    context: &Context<'_>,
    settings: &Settings,
) -> Result<(), Refused> {
    let by_id = context.version >= TOPIC_IDS;
    let roughly =
        commit_bytes(request, usize::MAX, |topic| Some(if by_id { TOPIC_BYTES } else { topic.name.len() }));
    if roughly <= settings.record_bytes_max {
        return Ok(());
    }
    let name =
        |topic: &OffsetCommitRequestTopic<'_>| topic_of(topic, context).ok().map(|topic| topic.name.len());
    check(commit_bytes(request, settings.offset_metadata_max_bytes, name), settings)
}

/// Bytes of those offsets whose topics have a name and whose notes are not too long.
fn commit_bytes(
    request: &OffsetCommitRequest<'_>,
    note_max: usize,
    name: impl Fn(&OffsetCommitRequestTopic<'_>) -> Option<usize>,
) -> usize {
    let of_topic = |topic: &OffsetCommitRequestTopic<'_>| {
        let Some(name) = name(topic) else { return 0 };
        let notes = topic.partitions.iter().map(|one| one.committed_metadata.as_deref().unwrap_or_default());
        let notes = notes.filter(|note| note_max == usize::MAX || note.encode_utf16().count() <= note_max);
        notes.map(|note| OFFSET_BYTES + request.group_id.len() + name + note.len()).sum::<usize>()
    };
    request.topics.iter().map(of_topic).sum()
}

impl ClassicGroup {
    /// Whether the record of the group has room for what a static member says of itself now, in the protocol that is.
    pub fn has_room_for_change(&self, old: &str, join: &Join<'_>, settings: &Settings) -> bool {
        let Some(member) = self.members.get(old) else { return true };
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let said = join.request.protocols.iter().find(|one| one.name == protocol);
        let texts = join.context.client_id.len() + join.context.client_host.len();
        let after = said.map_or(0, |said| said.metadata.len()) + texts;
        let before = member.metadata(protocol).len() + member.client_id.len() + member.client_host.len();
        // Its new id begins with the instance's name, cut, as the old one did.
        let growth = after.saturating_sub(before);
        self.record().bytes() + growth <= settings.record_bytes_max
    }
}
