//! The hand-written views agree with the generated decoders, on good bytes and on bad ones.

use base::Random;

use crate::fetch_view::{FetchPartition, FetchView, ForgottenPartition};
use crate::fill::Fill;
use crate::messages::fetch_request::FetchRequest;
use crate::messages::produce_request::ProduceRequest;
use crate::produce_view::{ProducePartition, ProduceView};
use crate::{Decode, Encode, Reader, TopicRef, Uuid, WireError, Writer};

fn topic(version: i16, name: &str, id: Uuid) -> TopicRef<'_> {
    if version >= 13 { TopicRef::Id(id) } else { TopicRef::Name(name) }
}

fn expected_produce<'m>(version: i16, request: &'m ProduceRequest<'_>) -> Vec<ProducePartition<'m>> {
    let topics = request.topic_data.iter().enumerate();
    let partitions = topics.flat_map(|(topic_index, data)| {
        data.partition_data.iter().map(move |partition| ProducePartition {
            topic: topic(version, &data.name, data.topic_id),
            topic_index,
            partition: partition.index,
            records: partition.records,
        })
    });
    partitions.collect()
}

fn compare_produce(bytes: &[u8], version: i16) -> Result<(), WireError> {
    let (mut ours, mut theirs) = (Reader::new(bytes), Reader::new(bytes));
    let view = ProduceView::decode(&mut ours, version);
    let request = ProduceRequest::decode(&mut theirs, version);
    assert_eq!(view.as_ref().err(), request.as_ref().err(), "version {version}: {bytes:?}");
    let (view, request) = (view?, request?);
    assert_eq!(ours.position(), theirs.position());
    assert_eq!(view.transactional_id, request.transactional_id.as_deref());
    assert_eq!((view.acks, view.timeout_ms), (request.acks, request.timeout_ms));
    let expected = expected_produce(version, &request);
    assert_eq!(view.partition_count, expected.len());
    assert_eq!(view.partitions().collect::<Vec<_>>(), expected);
    Ok(())
}

fn expected_fetch<'m>(version: i16, request: &'m FetchRequest<'_>) -> Vec<FetchPartition<'m>> {
    let topics = request.topics.iter().enumerate();
    let partitions = topics.flat_map(|(topic_index, data)| {
        data.partitions.iter().map(move |partition| FetchPartition {
            topic: topic(version, &data.topic, data.topic_id),
            topic_index,
            partition: partition.partition,
            current_leader_epoch: partition.current_leader_epoch,
            fetch_offset: partition.fetch_offset,
            last_fetched_epoch: partition.last_fetched_epoch,
            log_start_offset: partition.log_start_offset,
            partition_max_bytes: partition.partition_max_bytes,
            replica_directory_id: partition.replica_directory_id,
            high_watermark: partition.high_watermark,
        })
    });
    partitions.collect()
}

fn expected_forgotten<'m>(version: i16, request: &'m FetchRequest<'_>) -> Vec<ForgottenPartition<'m>> {
    let topics = request.forgotten_topics_data.iter().enumerate();
    let partitions = topics.flat_map(|(topic_index, data)| {
        let topic = topic(version, &data.topic, data.topic_id);
        data.partitions.iter().map(move |&partition| ForgottenPartition { topic, topic_index, partition })
    });
    partitions.collect()
}

fn compare_fetch(bytes: &[u8], version: i16) -> Result<(), WireError> {
    let (mut ours, mut theirs) = (Reader::new(bytes), Reader::new(bytes));
    let view = FetchView::decode(&mut ours, version);
    let request = FetchRequest::decode(&mut theirs, version);
    assert_eq!(view.as_ref().err(), request.as_ref().err(), "version {version}: {bytes:?}");
    let (view, request) = (view?, request?);
    assert_eq!(ours.position(), theirs.position());
    let replica_id = if version >= 15 { request.replica_state.replica_id } else { request.replica_id };
    assert_eq!((view.replica_id, view.replica_epoch), (replica_id, request.replica_state.replica_epoch));
    assert_eq!(view.cluster_id, request.cluster_id.as_deref());
    assert_eq!((view.max_wait_ms, view.min_bytes), (request.max_wait_ms, request.min_bytes));
    assert_eq!((view.max_bytes, view.isolation_level), (request.max_bytes, request.isolation_level));
    assert_eq!((view.session_id, view.session_epoch), (request.session_id, request.session_epoch));
    assert_eq!(view.rack_id, request.rack_id);
    let expected = expected_fetch(version, &request);
    assert_eq!(view.partition_count, expected.len());
    assert_eq!(view.partitions().collect::<Vec<_>>(), expected);
    assert_eq!(view.forgotten().collect::<Vec<_>>(), expected_forgotten(version, &request));
    Ok(())
}

/// Compares on made-up requests, on what is left when they are cut, and on single changed bytes.
fn compare<T: Fill + Encode>(
    versions: std::ops::RangeInclusive<i16>,
    compare: fn(&[u8], i16) -> Result<(), WireError>,
) {
    let mut random = Random::new(3);
    let (mut accepted, mut refused) = (0, 0);
    for version in versions {
        for seed in 0..40 {
            let mut writer = Writer::new();
            T::fill(&mut Random::new(seed), version).encode(&mut writer, version).unwrap();
            let mut bytes = writer.into_parts().0;
            compare(&bytes, version).unwrap();
            for _ in 0..60 {
                let at = random.below(bytes.len() as u64) as usize;
                compare(&bytes[..at], version).unwrap_err();
                let value = if random.one_in(2) { random.below(4) } else { random.next_u64() };
                let before = std::mem::replace(&mut bytes[at], value as u8);
                match compare(&bytes, version) {
                    Ok(()) => accepted += 1,
                    Err(_) => refused += 1,
                }
                bytes[at] = before;
            }
        }
    }
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn produce_view_is_the_request() {
    compare::<ProduceRequest<'_>>(3..=13, compare_produce);
}

#[test]
fn fetch_view_is_the_request() {
    compare::<FetchRequest<'_>>(4..=18, compare_fetch);
}

#[test]
fn versions_without_a_message_are_refused() {
    for version in [-1, 2, 14] {
        assert!(ProduceView::decode(&mut Reader::new(&[0; 99]), version).is_err());
    }
    for version in [3, 19] {
        assert!(FetchView::decode(&mut Reader::new(&[0; 99]), version).is_err());
    }
}

#[test]
fn iterating_on_after_the_end_gives_nothing() {
    let mut writer = Writer::new();
    ProduceRequest::fill(&mut Random::new(5), 9).encode(&mut writer, 9).unwrap();
    let view = ProduceView::decode(&mut Reader::new(writer.bytes()), 9).unwrap();
    let mut partitions = view.partitions();
    assert_eq!(partitions.by_ref().count(), view.partition_count);
    assert!(view.partition_count > 0);
    assert_eq!((partitions.next(), partitions.next()), (None, None));
}
