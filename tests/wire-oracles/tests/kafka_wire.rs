//! Against the crate that has our codec's name on crates.io.

mod common;

use bytes::Bytes;
use common::{Direction, Sample, every_version, samples};
use kafka_wire_core::{ApiVersion, DecodeLimits, KafkaDecode, KafkaEncode};
use kafka_wire_oracle::*;

/// Calls a function that is generic over request and response with those of an API key.
macro_rules! with_messages {
    ($key:expr, $call:ident($argument:expr)) => {
        match $key {
            0 => $call::<ProduceRequest, ProduceResponse>($argument),
            1 => $call::<FetchRequest, FetchResponse>($argument),
            2 => $call::<ListOffsetsRequest, ListOffsetsResponse>($argument),
            3 => $call::<MetadataRequest, MetadataResponse>($argument),
            8 => $call::<OffsetCommitRequest, OffsetCommitResponse>($argument),
            9 => $call::<OffsetFetchRequest, OffsetFetchResponse>($argument),
            10 => $call::<FindCoordinatorRequest, FindCoordinatorResponse>($argument),
            11 => $call::<JoinGroupRequest, JoinGroupResponse>($argument),
            12 => $call::<HeartbeatRequest, HeartbeatResponse>($argument),
            13 => $call::<LeaveGroupRequest, LeaveGroupResponse>($argument),
            14 => $call::<SyncGroupRequest, SyncGroupResponse>($argument),
            15 => $call::<DescribeGroupsRequest, DescribeGroupsResponse>($argument),
            16 => $call::<ListGroupsRequest, ListGroupsResponse>($argument),
            17 => $call::<SaslHandshakeRequest, SaslHandshakeResponse>($argument),
            18 => $call::<ApiVersionsRequest, ApiVersionsResponse>($argument),
            19 => $call::<CreateTopicsRequest, CreateTopicsResponse>($argument),
            20 => $call::<DeleteTopicsRequest, DeleteTopicsResponse>($argument),
            21 => $call::<DeleteRecordsRequest, DeleteRecordsResponse>($argument),
            22 => $call::<InitProducerIdRequest, InitProducerIdResponse>($argument),
            23 => $call::<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse>($argument),
            24 => $call::<AddPartitionsToTxnRequest, AddPartitionsToTxnResponse>($argument),
            25 => $call::<AddOffsetsToTxnRequest, AddOffsetsToTxnResponse>($argument),
            26 => $call::<EndTxnRequest, EndTxnResponse>($argument),
            27 => $call::<WriteTxnMarkersRequest, WriteTxnMarkersResponse>($argument),
            28 => $call::<TxnOffsetCommitRequest, TxnOffsetCommitResponse>($argument),
            29 => $call::<DescribeAclsRequest, DescribeAclsResponse>($argument),
            30 => $call::<CreateAclsRequest, CreateAclsResponse>($argument),
            31 => $call::<DeleteAclsRequest, DeleteAclsResponse>($argument),
            32 => $call::<DescribeConfigsRequest, DescribeConfigsResponse>($argument),
            33 => $call::<AlterConfigsRequest, AlterConfigsResponse>($argument),
            34 => $call::<AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse>($argument),
            35 => $call::<DescribeLogDirsRequest, DescribeLogDirsResponse>($argument),
            36 => $call::<SaslAuthenticateRequest, SaslAuthenticateResponse>($argument),
            37 => $call::<CreatePartitionsRequest, CreatePartitionsResponse>($argument),
            38 => $call::<CreateDelegationTokenRequest, CreateDelegationTokenResponse>($argument),
            39 => $call::<RenewDelegationTokenRequest, RenewDelegationTokenResponse>($argument),
            40 => $call::<ExpireDelegationTokenRequest, ExpireDelegationTokenResponse>($argument),
            41 => $call::<DescribeDelegationTokenRequest, DescribeDelegationTokenResponse>($argument),
            42 => $call::<DeleteGroupsRequest, DeleteGroupsResponse>($argument),
            43 => $call::<ElectLeadersRequest, ElectLeadersResponse>($argument),
            44 => $call::<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>($argument),
            45 => $call::<AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse>($argument),
            46 => $call::<ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse>($argument),
            47 => $call::<OffsetDeleteRequest, OffsetDeleteResponse>($argument),
            48 => $call::<DescribeClientQuotasRequest, DescribeClientQuotasResponse>($argument),
            49 => $call::<AlterClientQuotasRequest, AlterClientQuotasResponse>($argument),
            50 => {
                $call::<DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse>($argument)
            }
            51 => $call::<AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse>($argument),
            55 => $call::<DescribeQuorumRequest, DescribeQuorumResponse>($argument),
            57 => $call::<UpdateFeaturesRequest, UpdateFeaturesResponse>($argument),
            60 => $call::<DescribeClusterRequest, DescribeClusterResponse>($argument),
            61 => $call::<DescribeProducersRequest, DescribeProducersResponse>($argument),
            64 => $call::<UnregisterBrokerRequest, UnregisterBrokerResponse>($argument),
            65 => $call::<DescribeTransactionsRequest, DescribeTransactionsResponse>($argument),
            66 => $call::<ListTransactionsRequest, ListTransactionsResponse>($argument),
            68 => $call::<ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse>($argument),
            69 => $call::<ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse>($argument),
            71 => $call::<GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse>($argument),
            72 => $call::<PushTelemetryRequest, PushTelemetryResponse>($argument),
            74 => $call::<ListConfigResourcesRequest, ListConfigResourcesResponse>($argument),
            75 => $call::<DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse>($argument),
            76 => $call::<ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse>($argument),
            77 => $call::<ShareGroupDescribeRequest, ShareGroupDescribeResponse>($argument),
            78 => $call::<ShareFetchRequest, ShareFetchResponse>($argument),
            79 => $call::<ShareAcknowledgeRequest, ShareAcknowledgeResponse>($argument),
            80 => $call::<AddRaftVoterRequest, AddRaftVoterResponse>($argument),
            81 => $call::<RemoveRaftVoterRequest, RemoveRaftVoterResponse>($argument),
            83 => $call::<InitializeShareGroupStateRequest, InitializeShareGroupStateResponse>($argument),
            84 => $call::<ReadShareGroupStateRequest, ReadShareGroupStateResponse>($argument),
            85 => $call::<WriteShareGroupStateRequest, WriteShareGroupStateResponse>($argument),
            86 => $call::<DeleteShareGroupStateRequest, DeleteShareGroupStateResponse>($argument),
            87 => $call::<ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse>($argument),
            88 => $call::<StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse>($argument),
            89 => $call::<StreamsGroupDescribeRequest, StreamsGroupDescribeResponse>($argument),
            90 => $call::<DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse>($argument),
            91 => $call::<AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse>($argument),
            92 => $call::<DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse>($argument),
            other => panic!("API {other} is not in the list"),
        }
    };
}

fn compare<Request, Response>(sample: &Sample)
where
    Request: KafkaDecode + KafkaEncode,
    Response: KafkaDecode + KafkaEncode,
{
    match sample.direction {
        Direction::Request => compare_one::<Request>(sample),
        Direction::Response => compare_one::<Response>(sample),
    }
}

fn compare_one<T: KafkaDecode + KafkaEncode>(sample: &Sample) {
    let Sample { key, version, direction, bytes, origin } = sample;
    let what = || format!("{direction:?} {key} v{version} {origin}");
    let version = ApiVersion::new(*version);
    // It refuses bytes that are left over by itself.
    let message = T::decode_from_bytes(Bytes::copy_from_slice(bytes), version, DecodeLimits::default())
        .unwrap_or_else(|error| panic!("{}: {error:?}", what()));
    let theirs = message.encode_to_bytes(version).unwrap_or_else(|error| panic!("{}: {error:?}", what()));
    sample.compare(0, &theirs);
}

/// Their defaults are ours: each encoded from its own.
fn compare_defaults<Request, Response>(sample: &Sample)
where
    Request: KafkaEncode + Default,
    Response: KafkaEncode + Default,
{
    let version = ApiVersion::new(sample.version);
    let theirs = match sample.direction {
        Direction::Request => Request::default().encode_to_bytes(version),
        Direction::Response => Response::default().encode_to_bytes(version),
    };
    let Sample { key, version, direction, .. } = sample;
    sample.compare(0, &theirs.unwrap_or_else(|error| panic!("{direction:?} {key} v{version}: {error:?}")));
}

#[test]
fn every_message_is_the_same() {
    let mut compared = 0;
    for (key, version) in every_version() {
        for direction in [Direction::Request, Direction::Response] {
            for sample in samples(key, version, direction) {
                with_messages!(key, compare(&sample));
                compared += 1;
            }
        }
    }
    // 278 versions in two directions, each with 31 samples.
    assert_eq!(compared, 278 * 2 * 31);
}

#[test]
fn defaults_are_the_same() {
    for (key, version) in every_version() {
        for direction in [Direction::Request, Direction::Response] {
            let all = samples(key, version, direction);
            let sample = all.last().expect("there are samples");
            assert_eq!(sample.origin, "defaults");
            with_messages!(key, compare_defaults(sample));
        }
    }
}
