//! Acknowledgements of a request: checked, sent to the cores that have the partitions, and what became of each.

use super::ask::ask;
use super::question::{AckItem, ShareQuestion, ShareReply};
use crate::broker::Broker;
use crate::route::{self, ByCore};
use executor::join_all;
use kafka_wire::produce_view::TopicRef;
use kafka_wire::{ErrorCode, Uuid};
use model::TopicPartition;
use share::{AckBatch, AckType};
use std::rc::Rc;
use std::sync::Arc;

/// What a request says about one partition's records, or why that cannot be taken.
pub(crate) type Said = (TopicPartition, Result<Vec<AckBatch>, ErrorCode>);

/// Whether locks may begin anew (KIP-1222).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Renewal {
    /// The request says that it wants that.
    pub(crate) is_said: bool,
    /// The group's settings let it: `share.renew.acknowledge.enable`.
    pub(crate) is_let: bool,
}

/// Checks what is said: batches with a first and a last offset and types, in order, each offset once, one type for all
/// of a batch or one for each.
///
/// # Errors
/// INVALID_REQUEST; INVALID_RECORD_STATE if a lock is to begin anew in a group that does not let it.
pub(crate) fn checked<'a>(
    batches: impl Iterator<Item = (i64, i64, &'a [i8])>,
    renewal: Renewal,
) -> Result<Vec<AckBatch>, ErrorCode> {
    let (mut all, mut next) = (Vec::new(), 0);
    for (first, last, codes) in batches {
        let is_each =
            i64::try_from(codes.len()).ok() == last.checked_sub(first).and_then(|more| more.checked_add(1));
        if first < next || last < first || !(codes.len() == 1 || is_each) {
            return Err(ErrorCode::InvalidRequest);
        }
        next = last.saturating_add(1);
        let types: Option<Vec<AckType>> = codes.iter().map(|code| AckType::of_code(*code)).collect();
        let types = types.ok_or(ErrorCode::InvalidRequest)?;
        if !renewal.is_said && types.contains(&AckType::Renew) {
            return Err(ErrorCode::InvalidRequest);
        }
        all.push(AckBatch { first, last, types });
    }
    let renews = |batch: &AckBatch| batch.types.contains(&AckType::Renew);
    if !renewal.is_let && all.iter().any(renews) {
        return Err(ErrorCode::InvalidRecordState);
    }
    Ok(all)
}

/// Takes in all that is said; tells what became of each partition's, when it is durable.
pub(crate) async fn acknowledge(
    broker: &Rc<Broker>,
    group: &Arc<str>,
    member: &Arc<str>,
    said: Vec<Said>,
) -> Vec<(TopicPartition, ErrorCode)> {
    let image = broker.image();
    let mut results: Vec<(TopicPartition, ErrorCode)> = Vec::with_capacity(said.len());
    let mut by_core = ByCore::new();
    for (place, (partition, batches)) in said.into_iter().enumerate() {
        let topic = route::topic(&image, &TopicRef::Id(Uuid(partition.topic.0)));
        let routed = topic.and_then(|topic| broker.route(topic, partition.partition.0));
        let code = match (batches, routed) {
            (Ok(batches), Ok(routed)) => {
                by_core.push(routed.shard, place, AckItem { partition, batches });
                ErrorCode::NotLeaderOrFollower
            }
            (Err(code), _) | (_, Err(code)) => code,
        };
        results.push((partition, code));
    }
    let calls = by_core.into_cores().map(|(shard, places, items)| {
        let (group, member) = (group.clone(), member.clone());
        let call = ask(broker, shard, ShareQuestion::Acknowledge { group, member, items });
        async move { (places, call.await) }
    });
    for (places, reply) in join_all(calls.collect()).await {
        let Some(ShareReply::Acknowledged(codes)) = reply else { continue };
        for (place, code) in places.into_iter().zip(codes) {
            results[place].1 = code;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_in_order_and_have_a_type_for_all_or_for_each() {
        type Case<'a> = (&'a [(i64, i64, &'a [i8])], bool, bool);
        let cases: [Case<'_>; 10] = [
            (&[(0, 4, &[1]), (5, 6, &[0, 3])], false, true),
            (&[], false, true),
            (&[(0, 4, &[1]), (4, 6, &[1])], false, false),
            (&[(5, 4, &[1])], false, false),
            (&[(-1, 4, &[1])], false, false),
            (&[(0, 1, &[])], false, false),
            (&[(0, 2, &[1, 1])], false, false),
            (&[(0, 0, &[5])], false, false),
            (&[(0, 0, &[4])], false, false),
            (&[(0, 0, &[4])], true, true),
        ];
        for (batches, is_said, is_right) in cases {
            let told = checked(batches.iter().copied(), Renewal { is_said, is_let: true });
            assert_eq!(told.is_ok(), is_right, "{batches:?}");
            assert!(told.is_ok() || told == Err(ErrorCode::InvalidRequest));
        }
        let most = [(0, i64::MAX, &[1i8, 1][..])];
        let never = Renewal { is_said: false, is_let: true };
        assert!(checked(most.into_iter(), never).is_err(), "more offsets than can be counted");
        let unasked = Renewal { is_said: true, is_let: false };
        for (types, expected) in [(&[1i8][..], None), (&[4][..], Some(ErrorCode::InvalidRecordState))] {
            assert_eq!(checked([(0, 0, types)].into_iter(), unasked).err(), expected);
        }
    }
}
