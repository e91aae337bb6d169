//! From a handler to the cores that have a share group's partitions and sessions, and back.

use super::question::{ShareQuestion, ShareReply, answer};
use crate::broker::Broker;
use crate::cores::{CoreAnswer, CoreQuestion};
use crate::route::ByCore;
use executor::{Either, join_all};
use kafka_wire::ErrorCode;
use model::{ShardId, TopicPartition};
use share::sessions::{Seen, Visit};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Asks a core; begun in the order of calls. `None` if it is stopping.
pub(crate) fn ask(
    broker: &Rc<Broker>,
    shard: ShardId,
    question: ShareQuestion,
) -> impl Future<Output = Option<ShareReply>> + 'static + use<> {
    // This core needs no message: whoever asks carries the work along. But not what takes turns at a share partition:
    // a connection does not look at its requests for as long as its client does not read, and others wait behind it.
    let takes_turns = matches!(
        question,
        ShareQuestion::Fetch(_) | ShareQuestion::Acknowledge { .. } | ShareQuestion::Watch { .. }
    );
    let asked = match shard == broker.shard() && !takes_turns {
        true => Either::Left(answer(broker, question)),
        false => Either::Right(broker.cores.call(shard, CoreQuestion::Share(question))),
    };
    async move {
        match asked {
            Either::Left(work) => Some(work.await),
            Either::Right(call) => match call.await {
                Some(CoreAnswer::Share(reply)) => Some(reply),
                _ => None,
            },
        }
    }
}

/// The longest name of a member that Kafka takes, in UTF-16 units: that of a UUID.
const MEMBER_MAX: usize = 36;

/// The group and the member of a request.
///
/// # Errors
/// INVALID_REQUEST if either is not named, or the member's name is no name.
pub(crate) fn who<'a>(
    group: Option<&'a str>,
    member: Option<&'a str>,
) -> Result<(&'a str, &'a str), ErrorCode> {
    let group = group.filter(|group| !group.is_empty());
    let member = member.filter(|member| (1..=MEMBER_MAX).contains(&member.encode_utf16().count()));
    group.zip(member).ok_or(ErrorCode::InvalidRequest)
}

/// The core that has a member's session: one that its name says, for its requests may come over several connections.
fn session_shard(broker: &Broker, member: &str) -> ShardId {
    let shards = i32::try_from(broker.cores.shards()).unwrap_or(1);
    ShardId(u16::try_from(transactions::partition_of(member, shards)).unwrap_or(0))
}

/// Goes on with a member's session.
pub(crate) async fn visit(broker: &Rc<Broker>, visit: Visit) -> Result<Seen, ErrorCode> {
    let shard = session_shard(broker, &visit.member);
    seen(ask(broker, shard, ShareQuestion::Visit(visit)).await)
}

/// Ends a session whose client is gone, and takes back what the member has.
pub(crate) async fn end(broker: &Rc<Broker>, group: &str, member: &str, serial: u64) {
    let (shard, question) = (
        session_shard(broker, member),
        ShareQuestion::End { group: group.to_owned(), member: member.to_owned(), serial },
    );
    if let Ok(seen) = seen(ask(broker, shard, question).await) {
        release(broker, &Arc::from(group), &Arc::from(member), &seen.partitions).await;
    }
}

fn seen(reply: Option<ShareReply>) -> Result<Seen, ErrorCode> {
    match reply {
        Some(ShareReply::Seen(seen)) => seen,
        // It is stopping.
        _ => Err(ErrorCode::NotLeaderOrFollower),
    }
}

/// Takes back what a member has in partitions.
pub(crate) async fn release(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    member: &Arc<str>,
    partitions: &[TopicPartition],
) {
    each_core(broker, partitions, |partitions| ShareQuestion::Release {
        group: group.clone(),
        member: member.clone(),
        partitions,
    })
    .await;
}

/// Forgets what is known of share partitions, because their state was set.
pub(crate) async fn forget(broker: &Rc<Broker>, group: &Arc<str>, partitions: &[TopicPartition]) {
    each_core(broker, partitions, |partitions| ShareQuestion::Forget { group: group.clone(), partitions })
        .await;
}

async fn each_core(
    broker: &Rc<Broker>,
    partitions: &[TopicPartition],
    question: impl Fn(Vec<TopicPartition>) -> ShareQuestion,
) {
    let mut by_core = ByCore::new();
    for (place, partition) in partitions.iter().enumerate() {
        by_core.push(broker.shard_of(*partition), place, *partition);
    }
    let calls = by_core.into_cores().map(|(shard, _, partitions)| ask(broker, shard, question(partitions)));
    join_all(calls.collect()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_members_have_names() {
        let (longest, longer) = ("m".repeat(36), "m".repeat(37));
        let cases = [
            (Some("g"), Some("m"), true),
            (Some("g"), Some(longest.as_str()), true),
            (Some("g"), Some(longer.as_str()), false),
            (Some("g"), Some(""), false),
            (Some("g"), None, false),
            (Some(""), Some("m"), false),
            (None, Some("m"), false),
        ];
        for (group, member, is_right) in cases {
            let told = who(group, member);
            assert_eq!(told.is_ok(), is_right, "{group:?} {member:?}");
            assert!(is_right || told == Err(ErrorCode::InvalidRequest));
        }
    }
}
