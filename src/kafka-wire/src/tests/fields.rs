//! Single fields: what is refused, what is dropped, how nulls, tags and external records look in bytes.

use crate::messages::api_versions_response::ApiVersionsResponse;
use crate::messages::consumer_group_heartbeat_response::ConsumerGroupHeartbeatResponse;
use crate::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use crate::messages::metadata_request::MetadataRequest;
use crate::messages::metadata_response::{MetadataResponse, MetadataResponseBroker};
use crate::{Decode, Encode, Reader, Records, WireError, Writer};

fn encoded(message: &impl Encode, version: i16) -> Result<Vec<u8>, WireError> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version)?;
    Ok(writer.into_parts().0)
}

#[test]
fn a_value_is_not_lost() {
    let request = MetadataRequest { allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let field = "AllowAutoTopicCreation";
    assert_eq!(encoded(&request, 3), Err(WireError::UnsupportedField { field, version: 3 }));
    assert_eq!(encoded(&request, 4), Ok(vec![0, 0, 0, 0, 0]));
}

#[test]
fn an_ignorable_value_is_dropped() {
    let response = ApiVersionsResponse { throttle_time_ms: 5, ..ApiVersionsResponse::default() };
    assert_eq!(encoded(&response, 0), Ok(vec![0, 0, 0, 0, 0, 0]));
    assert_eq!(encoded(&response, 1), Ok(vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 5]));
}

#[test]
fn error_codes_are_noted_as_they_are_written() {
    let partition = |error_code| PartitionData { error_code, ..PartitionData::default() };
    let partitions = [3, 0, -1, 3].map(partition).to_vec();
    let topic = FetchableTopicResponse { partitions, ..FetchableTopicResponse::default() };
    let response = FetchResponse { error_code: 70, responses: vec![topic], ..FetchResponse::default() };
    let mut writer = Writer::new();
    response.encode(&mut writer, 12).expect("can be encoded");
    assert_eq!(writer.errors(), [(70, 1), (3, 2), (-1, 1)]);
    writer.clear();
    // Version 6 has no error of the whole.
    let response = FetchResponse { error_code: 0, ..response };
    response.encode(&mut writer, 6).expect("can be encoded");
    assert_eq!(writer.errors(), [(3, 2), (-1, 1)]);
}

#[test]
fn the_place_of_the_throttle_time_is_noted() {
    let mut writer = Writer::new();
    ApiVersionsResponse::default().encode(&mut writer, 0).expect("can be encoded");
    assert_eq!(writer.throttle_time_position(), None, "version 0 has none");
    writer.clear();
    ApiVersionsResponse::default().encode(&mut writer, 1).expect("can be encoded");
    let at = writer.throttle_time_position().expect("version 1 has it");
    writer.patch_i32(at, 7);
    assert_eq!(writer.bytes(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    writer.clear();
    assert_eq!(writer.throttle_time_position(), None, "forgotten with the rest");
}

#[test]
fn null_only_where_the_version_has_it() {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    assert_eq!(encoded(&request, 0), Err(WireError::NullField { field: "Topics" }));
    assert_eq!(encoded(&request, 1), Ok(vec![255, 255, 255, 255]));
    let decode = |bytes, version| MetadataRequest::decode(&mut Reader::new(bytes), version);
    assert_eq!(decode(&[255; 4], 0), Err(WireError::UnexpectedNull));
    assert_eq!(decode(&[255; 4], 1), Ok(request));
}

#[test]
fn a_null_struct_is_a_byte() {
    let response = ConsumerGroupHeartbeatResponse::default();
    assert_eq!(response.assignment, None);
    let bytes = encoded(&response, 0).unwrap();
    // Before the tagged fields of the message, which are none.
    assert_eq!(bytes[bytes.len() - 2..], [0xff, 0]);
    let mut other = bytes.clone();
    other[bytes.len() - 2] = 2;
    let error = ConsumerGroupHeartbeatResponse::decode(&mut Reader::new(&other), 0);
    assert_eq!(error, Err(WireError::InvalidPresence(2)));
}

#[test]
fn tagged_fields_to_the_byte() {
    let response = ApiVersionsResponse { finalized_features_epoch: 1, ..ApiVersionsResponse::default() };
    let bytes = encoded(&response, 3).unwrap();
    // Error code, no APIs, throttle time, one tagged field: tag 1, eight bytes.
    let expected = [0, 0, 1, 0, 0, 0, 0, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(bytes, expected);
    // An unknown tag is skipped, and known ones are still found behind it.
    let unknown = [&expected[..7], &[2, 99, 3, 7, 7, 7], &expected[8..]].concat();
    assert_eq!(ApiVersionsResponse::decode(&mut Reader::new(&unknown), 3), Ok(response));
    // A size that is not the field's.
    let mut wrong = expected.to_vec();
    wrong[9] = 7;
    let error = ApiVersionsResponse::decode(&mut Reader::new(&wrong), 3).unwrap_err();
    assert_eq!(error, WireError::UnexpectedEnd { needed: 8, remaining: 7 });
    let long = [&expected[..9], &[9], &expected[10..], &[0]].concat();
    let error = ApiVersionsResponse::decode(&mut Reader::new(&long), 3).unwrap_err();
    assert_eq!(error, WireError::TagSizeMismatch { tag: 1 });
}

#[test]
fn strings_have_a_limit() {
    let long = "x".repeat(32_768);
    let mut response = MetadataResponse { cluster_id: Some("x".into()), ..MetadataResponse::default() };
    response.brokers.push(MetadataResponseBroker { host: long.as_str().into(), ..Default::default() });
    for version in [8, 13] {
        assert_eq!(encoded(&response, version), Err(WireError::TooLong { length: 32_768 }));
    }
    response.brokers[0].host = long[1..].into();
    for version in [8, 13] {
        let bytes = encoded(&response, version).unwrap();
        assert_eq!(MetadataResponse::decode(&mut Reader::new(&bytes), version), Ok(response.clone()));
    }
}

/// A fetch response of two partitions; `records` gives those of each.
fn fetch_response<'a>(records: impl Fn(u32) -> Records<'a>) -> FetchResponse<'a> {
    let partition = |index: u32| PartitionData {
        partition_index: index as i32,
        records: records(index),
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse { partitions: vec![partition(0), partition(1)], ..Default::default() };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}

#[test]
fn external_records_leave_a_gap_of_their_size() {
    let payloads = [vec![7u8; 5], vec![9u8; 1_000]];
    for version in 4..=18 {
        let whole = encoded(&fetch_response(|i| Records::Bytes(&payloads[i as usize])), version).unwrap();
        let with_gaps = fetch_response(|index| {
            let len = payloads[index as usize].len() as u32;
            Records::External { index, len }
        });
        let mut writer = Writer::new();
        writer.i32(0);
        with_gaps.encode(&mut writer, version).unwrap();
        writer.patch_i32(0, writer.total_len() as i32 - 4);
        assert_eq!(writer.total_len(), whole.len() + 4);
        let (bytes, externals) = writer.into_parts();
        let mut sent = Vec::new();
        let mut position = 0;
        for &(offset, index, len) in &externals {
            assert_eq!(len as usize, payloads[index as usize].len());
            sent.extend_from_slice(&bytes[position..offset]);
            sent.extend_from_slice(&payloads[index as usize]);
            position = offset;
        }
        sent.extend_from_slice(&bytes[position..]);
        assert_eq!(sent[..4], (whole.len() as i32).to_be_bytes());
        assert_eq!(sent[4..], whole, "version {version}");
        assert_eq!(externals.len(), 2);
    }
}

#[test]
fn a_gap_inside_a_tagged_field_moves_with_it() {
    let mut writer = Writer::new();
    writer.records(true, &Records::External { index: 1, len: 3 }).unwrap();
    let start = writer.begin_tag(0);
    writer.raw(&[5; 200]);
    writer.records(true, &Records::External { index: 2, len: 4 }).unwrap();
    writer.end_tag(start).unwrap();
    // Length, tag, size 201 in two bytes, 200 bytes, length.
    assert_eq!(writer.externals(), [(1, 1, 3), (205, 2, 4)]);
    assert_eq!(writer.bytes()[..5], [4, 0, 0xc9, 0x01, 5]);
    assert_eq!(writer.total_len(), 212);
}

#[test]
fn variable_length_integers() {
    let cases: [(i64, &[u8]); 7] = [
        (0, &[0]),
        (-1, &[1]),
        (1, &[2]),
        (63, &[126]),
        (-64, &[127]),
        (64, &[128, 1]),
        (i64::from(i32::MIN), &[255, 255, 255, 255, 15]),
    ];
    for (value, bytes) in cases {
        let mut writer = Writer::new();
        writer.varlong(value);
        writer.varint(value as i32);
        assert_eq!(writer.bytes(), [bytes, bytes].concat());
        let mut reader = Reader::new(writer.bytes());
        assert_eq!((reader.varlong(), reader.varint()), (Ok(value), Ok(value as i32)));
    }
    for value in [i64::MIN, i64::MAX, i64::MIN + 1] {
        let mut writer = Writer::new();
        writer.varlong(value);
        assert_eq!(Reader::new(writer.bytes()).varlong(), Ok(value));
    }
    assert_eq!(Reader::new(&[255, 255, 255, 255, 16]).unsigned_varint(), Err(WireError::InvalidVarint));
    assert_eq!(Reader::new(&[255; 5]).unsigned_varint(), Err(WireError::InvalidVarint));
    assert_eq!(Reader::new(&[255; 10]).varlong(), Err(WireError::InvalidVarint));
    assert!(matches!(Reader::new(&[255; 4]).unsigned_varint(), Err(WireError::UnexpectedEnd { .. })));
}
