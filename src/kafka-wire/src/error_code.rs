//! Kafka's error codes: number, name, whether a client may try again, and a sentence for people.
//!
//! The names, numbers and the retriable flag are those of Kafka 4.3; the sentences are ours.

use std::fmt;

/// Defines the enum and its table from one list, so that they cannot drift apart.
macro_rules! error_codes {
    ($($variant:ident = $code:literal, $name:literal, $retriable:literal, $message:literal;)+) => {
        /// An error as the protocol knows it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = concat!("`", $name, "`: ", $message, ".")] $variant = $code,)+
        }

        /// Every error, by ascending code.
        const ALL: &[Error] = &[
            $(Error {
                code: ErrorCode::$variant,
                name: $name,
                retriable: $retriable,
                message: $message,
            },)+
        ];
    };
}

/// What is known of one error.
struct Error {
    code: ErrorCode,
    name: &'static str,
    retriable: bool,
    message: &'static str,
}

error_codes! {
    UnknownServerError = -1, "UNKNOWN_SERVER_ERROR", false, "the server failed in a way it has no code for";
    None = 0, "NONE", false, "no error";
    OffsetOutOfRange = 1, "OFFSET_OUT_OF_RANGE", false, "the offset is outside what the log holds";
    CorruptMessage = 2, "CORRUPT_MESSAGE", true, "a record batch has a wrong checksum or size, or breaks the format";
    UnknownTopicOrPartition = 3, "UNKNOWN_TOPIC_OR_PARTITION", true, "this server has no such topic or partition";
    InvalidFetchSize = 4, "INVALID_FETCH_SIZE", false, "the fetch size is not valid";
    LeaderNotAvailable = 5, "LEADER_NOT_AVAILABLE", true, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "NOT_LEADER_OR_FOLLOWER", true, "this broker does not lead the partition, or holds no replica of it";
    RequestTimedOut = 7, "REQUEST_TIMED_OUT", true, "the request was not completed in the time it allowed";
    BrokerNotAvailable = 8, "BROKER_NOT_AVAILABLE", false, "the broker is not available";
    ReplicaNotAvailable = 9, "REPLICA_NOT_AVAILABLE", true, "the replica is not available on this broker";
    MessageTooLarge = 10, "MESSAGE_TOO_LARGE", false, "the batch is larger than the topic allows";
    StaleControllerEpoch = 11, "STALE_CONTROLLER_EPOCH", false, "a newer controller has been elected";
    OffsetMetadataTooLarge = 12, "OFFSET_METADATA_TOO_LARGE", false, "the metadata of a committed offset is too long";
    NetworkException = 13, "NETWORK_EXCEPTION", true, "the connection was lost before the answer came";
    CoordinatorLoadInProgress = 14, "COORDINATOR_LOAD_IN_PROGRESS", true, "the coordinator is still loading its state";
    CoordinatorNotAvailable = 15, "COORDINATOR_NOT_AVAILABLE", true, "the coordinator is not available";
    NotCoordinator = 16, "NOT_COORDINATOR", true, "another broker is the coordinator";
    InvalidTopicException = 17, "INVALID_TOPIC_EXCEPTION", false, "the topic name is not valid, or the operation is not allowed on the topic";
    RecordListTooLarge = 18, "RECORD_LIST_TOO_LARGE", false, "the batch is larger than a segment";
    NotEnoughReplicas = 19, "NOT_ENOUGH_REPLICAS", true, "fewer replicas are in sync than a write needs";
    NotEnoughReplicasAfterAppend = 20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", true, "the batch was written, but fewer replicas are in sync than it needs";
    InvalidRequiredAcks = 21, "INVALID_REQUIRED_ACKS", false, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "ILLEGAL_GENERATION", false, "the group is in another generation";
    InconsistentGroupProtocol = 23, "INCONSISTENT_GROUP_PROTOCOL", false, "the member has no protocol in common with the group";
    InvalidGroupId = 24, "INVALID_GROUP_ID", false, "the group id is not valid";
    UnknownMemberId = 25, "UNKNOWN_MEMBER_ID", false, "the group has no such member";
    InvalidSessionTimeout = 26, "INVALID_SESSION_TIMEOUT", false, "the session timeout is outside what the broker allows";
    RebalanceInProgress = 27, "REBALANCE_IN_PROGRESS", false, "the group is rebalancing, the member must join again";
    InvalidCommitOffsetSize = 28, "INVALID_COMMIT_OFFSET_SIZE", false, "the commit is too large to be stored";
    TopicAuthorizationFailed = 29, "TOPIC_AUTHORIZATION_FAILED", false, "not allowed on this topic";
    GroupAuthorizationFailed = 30, "GROUP_AUTHORIZATION_FAILED", false, "not allowed on this group";
    ClusterAuthorizationFailed = 31, "CLUSTER_AUTHORIZATION_FAILED", false, "not allowed on the cluster";
    InvalidTimestamp = 32, "INVALID_TIMESTAMP", false, "a record's timestamp is outside what the topic accepts";
    UnsupportedSaslMechanism = 33, "UNSUPPORTED_SASL_MECHANISM", false, "the broker does not offer this SASL mechanism";
    IllegalSaslState = 34, "ILLEGAL_SASL_STATE", false, "the request does not fit the state of authentication";
    UnsupportedVersion = 35, "UNSUPPORTED_VERSION", false, "the broker does not speak this version of the API";
    TopicAlreadyExists = 36, "TOPIC_ALREADY_EXISTS", false, "a topic of this name exists";
    InvalidPartitions = 37, "INVALID_PARTITIONS", false, "the number of partitions is not valid";
    InvalidReplicationFactor = 38, "INVALID_REPLICATION_FACTOR", false, "the replication factor is below one or above the number of brokers";
    InvalidReplicaAssignment = 39, "INVALID_REPLICA_ASSIGNMENT", false, "the assignment of replicas is not valid";
    InvalidConfig = 40, "INVALID_CONFIG", false, "a configuration value is not valid";
    NotController = 41, "NOT_CONTROLLER", true, "this node is not the active controller";
    InvalidRequest = 42, "INVALID_REQUEST", false, "the request is malformed or contradicts itself";
    UnsupportedForMessageFormat = 43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", false, "the record format does not support this";
    PolicyViolation = 44, "POLICY_VIOLATION", false, "the request breaks a policy of the cluster";
    OutOfOrderSequenceNumber = 45, "OUT_OF_ORDER_SEQUENCE_NUMBER", false, "a batch of the producer is missing before this one";
    DuplicateSequenceNumber = 46, "DUPLICATE_SEQUENCE_NUMBER", false, "the producer has sent this sequence number before";
    InvalidProducerEpoch = 47, "INVALID_PRODUCER_EPOCH", false, "the producer's epoch is old";
    InvalidTxnState = 48, "INVALID_TXN_STATE", false, "the transaction is in no state that allows this";
    InvalidProducerIdMapping = 49, "INVALID_PRODUCER_ID_MAPPING", false, "the producer id is not the one of this transactional id";
    InvalidTransactionTimeout = 50, "INVALID_TRANSACTION_TIMEOUT", false, "the transaction timeout is above what the broker allows";
    ConcurrentTransactions = 51, "CONCURRENT_TRANSACTIONS", true, "the previous transaction of the producer is not finished yet";
    TransactionCoordinatorFenced = 52, "TRANSACTION_COORDINATOR_FENCED", false, "a newer transaction coordinator has taken over";
    TransactionalIdAuthorizationFailed = 53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "not allowed on this transactional id";
    SecurityDisabled = 54, "SECURITY_DISABLED", false, "the broker has no authorizer";
    OperationNotAttempted = 55, "OPERATION_NOT_ATTEMPTED", false, "not tried, because another part of the request failed";
    KafkaStorageError = 56, "KAFKA_STORAGE_ERROR", true, "the disk under the partition failed";
    LogDirNotFound = 57, "LOG_DIR_NOT_FOUND", false, "the broker has no such log directory";
    SaslAuthenticationFailed = 58, "SASL_AUTHENTICATION_FAILED", false, "authentication failed";
    UnknownProducerId = 59, "UNKNOWN_PRODUCER_ID", false, "nothing is known of this producer id any more";
    ReassignmentInProgress = 60, "REASSIGNMENT_IN_PROGRESS", false, "the partition is being reassigned";
    DelegationTokenAuthDisabled = 61, "DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are not enabled";
    DelegationTokenNotFound = 62, "DELEGATION_TOKEN_NOT_FOUND", false, "no such delegation token";
    DelegationTokenOwnerMismatch = 63, "DELEGATION_TOKEN_OWNER_MISMATCH", false, "the principal is neither owner nor renewer of the token";
    DelegationTokenRequestNotAllowed = 64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false, "token requests need an encrypted, authenticated connection that itself uses no token";
    DelegationTokenAuthorizationFailed = 65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "not allowed on this delegation token";
    DelegationTokenExpired = 66, "DELEGATION_TOKEN_EXPIRED", false, "the delegation token has expired";
    InvalidPrincipalType = 67, "INVALID_PRINCIPAL_TYPE", false, "the type of principal is not supported here";
    NonEmptyGroup = 68, "NON_EMPTY_GROUP", false, "the group still has members";
    GroupIdNotFound = 69, "GROUP_ID_NOT_FOUND", false, "no such group";
    FetchSessionIdNotFound = 70, "FETCH_SESSION_ID_NOT_FOUND", true, "no such fetch session";
    InvalidFetchSessionEpoch = 71, "INVALID_FETCH_SESSION_EPOCH", true, "the fetch session is at another epoch";
    ListenerNotFound = 72, "LISTENER_NOT_FOUND", true, "the leader has no listener of the name the request came in on";
    TopicDeletionDisabled = 73, "TOPIC_DELETION_DISABLED", false, "deleting topics is switched off";
    FencedLeaderEpoch = 74, "FENCED_LEADER_EPOCH", true, "the client's leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "UNKNOWN_LEADER_EPOCH", true, "the client's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "UNSUPPORTED_COMPRESSION_TYPE", false, "the version of the request does not allow this compression";
    StaleBrokerEpoch = 77, "STALE_BROKER_EPOCH", false, "the broker has registered again since";
    OffsetNotAvailable = 78, "OFFSET_NOT_AVAILABLE", true, "the new leader's high watermark has not caught up yet";
    MemberIdRequired = 79, "MEMBER_ID_REQUIRED", false, "the member must join again with the id it was given";
    PreferredLeaderNotAvailable = 80, "PREFERRED_LEADER_NOT_AVAILABLE", true, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "GROUP_MAX_SIZE_REACHED", false, "the group has as many members as it may have";
    FencedInstanceId = 82, "FENCED_INSTANCE_ID", false, "another member has taken this instance id";
    EligibleLeadersNotAvailable = 83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no replica that may lead is available";
    ElectionNotNeeded = 84, "ELECTION_NOT_NEEDED", true, "the leader is already the one asked for";
    NoReassignmentInProgress = 85, "NO_REASSIGNMENT_IN_PROGRESS", false, "the partition is not being reassigned";
    GroupSubscribedToTopic = 86, "GROUP_SUBSCRIBED_TO_TOPIC", false, "the group still subscribes to the topic";
    InvalidRecord = 87, "INVALID_RECORD", false, "a record is not valid for this topic";
    UnstableOffsetCommit = 88, "UNSTABLE_OFFSET_COMMIT", true, "a transaction with a newer offset commit is still open";
    ThrottlingQuotaExceeded = 89, "THROTTLING_QUOTA_EXCEEDED", true, "a quota is exceeded";
    ProducerFenced = 90, "PRODUCER_FENCED", false, "a newer producer uses this transactional id";
    ResourceNotFound = 91, "RESOURCE_NOT_FOUND", false, "no such resource";
    DuplicateResource = 92, "DUPLICATE_RESOURCE", false, "the resource exists already, or is named twice";
    UnacceptableCredential = 93, "UNACCEPTABLE_CREDENTIAL", false, "the credential does not meet the requirements";
    InconsistentVoterSet = 94, "INCONSISTENT_VOTER_SET", false, "sender and receiver disagree on who the voters are";
    InvalidUpdateVersion = 95, "INVALID_UPDATE_VERSION", false, "the update is based on another version";
    FeatureUpdateFailed = 96, "FEATURE_UPDATE_FAILED", false, "the feature levels could not be changed";
    PrincipalDeserializationFailure = 97, "PRINCIPAL_DESERIALIZATION_FAILURE", false, "the forwarded principal could not be read";
    SnapshotNotFound = 98, "SNAPSHOT_NOT_FOUND", false, "no such snapshot";
    PositionOutOfRange = 99, "POSITION_OUT_OF_RANGE", false, "the position is outside the snapshot";
    UnknownTopicId = 100, "UNKNOWN_TOPIC_ID", true, "this server has no topic with this id";
    DuplicateBrokerRegistration = 101, "DUPLICATE_BROKER_REGISTRATION", false, "a broker with this id is registered and alive";
    BrokerIdNotRegistered = 102, "BROKER_ID_NOT_REGISTERED", false, "no broker is registered with this id";
    InconsistentTopicId = 103, "INCONSISTENT_TOPIC_ID", true, "the topic id is not the one the log was created with";
    InconsistentClusterId = 104, "INCONSISTENT_CLUSTER_ID", false, "the request is meant for another cluster";
    TransactionalIdNotFound = 105, "TRANSACTIONAL_ID_NOT_FOUND", false, "no such transactional id";
    FetchSessionTopicIdError = 106, "FETCH_SESSION_TOPIC_ID_ERROR", true, "the fetch session mixes topic names and topic ids";
    IneligibleReplica = 107, "INELIGIBLE_REPLICA", false, "the replica may not join the in-sync set";
    NewLeaderElected = 108, "NEW_LEADER_ELECTED", false, "the change to the in-sync set made another replica the leader";
    OffsetMovedToTieredStorage = 109, "OFFSET_MOVED_TO_TIERED_STORAGE", false, "the offset is in tiered storage only";
    FencedMemberEpoch = 110, "FENCED_MEMBER_EPOCH", false, "the coordinator has fenced the member, which must join again";
    UnreleasedInstanceId = 111, "UNRELEASED_INSTANCE_ID", false, "a live member of the group still holds this instance id";
    UnsupportedAssignor = 112, "UNSUPPORTED_ASSIGNOR", false, "the group does not support the assignor";
    StaleMemberEpoch = 113, "STALE_MEMBER_EPOCH", false, "the member must heartbeat first to learn its new epoch";
    MismatchedEndpointType = 114, "MISMATCHED_ENDPOINT_TYPE", false, "brokers were asked for at a controller, or controllers at a broker";
    UnsupportedEndpointType = 115, "UNSUPPORTED_ENDPOINT_TYPE", false, "the endpoint type is not known";
    UnknownControllerId = 116, "UNKNOWN_CONTROLLER_ID", false, "no controller has this id";
    UnknownSubscriptionId = 117, "UNKNOWN_SUBSCRIPTION_ID", false, "the telemetry subscription has changed";
    TelemetryTooLarge = 118, "TELEMETRY_TOO_LARGE", false, "the pushed telemetry is larger than the broker takes";
    InvalidRegistration = 119, "INVALID_REGISTRATION", false, "the controller cannot accept this registration";
    TransactionAbortable = 120, "TRANSACTION_ABORTABLE", false, "the transaction failed and must be aborted";
    InvalidRecordState = 121, "INVALID_RECORD_STATE", false, "the acknowledgement does not fit the state of the record";
    ShareSessionNotFound = 122, "SHARE_SESSION_NOT_FOUND", true, "no such share session";
    InvalidShareSessionEpoch = 123, "INVALID_SHARE_SESSION_EPOCH", true, "the share session is at another epoch";
    FencedStateEpoch = 124, "FENCED_STATE_EPOCH", false, "the share state has moved to a newer epoch";
    InvalidVoterKey = 125, "INVALID_VOTER_KEY", false, "the voter key is not the receiver's";
    DuplicateVoter = 126, "DUPLICATE_VOTER", false, "the voter is in the set already";
    VoterNotFound = 127, "VOTER_NOT_FOUND", false, "the voter is not in the set";
    InvalidRegularExpression = 128, "INVALID_REGULAR_EXPRESSION", false, "the regular expression is not valid";
    RebootstrapRequired = 129, "REBOOTSTRAP_REQUIRED", false, "the client must start over from its bootstrap servers";
    StreamsInvalidTopology = 130, "STREAMS_INVALID_TOPOLOGY", false, "the topology is not valid";
    StreamsInvalidTopologyEpoch = 131, "STREAMS_INVALID_TOPOLOGY_EPOCH", false, "the topology epoch is not valid";
    StreamsTopologyFenced = 132, "STREAMS_TOPOLOGY_FENCED", false, "the topology epoch is outdated";
    ShareSessionLimitReached = 133, "SHARE_SESSION_LIMIT_REACHED", true, "the broker has as many share sessions as it may have";
}

impl ErrorCode {
    /// The error of this name, such as `NOT_CONTROLLER`.
    pub fn from_name(name: &str) -> Option<ErrorCode> {
        ALL.iter().find(|error| error.name == name).map(|error| error.code)
    }

    /// The code on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The name in Kafka's documentation, in capitals.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// True if a client may send the same request again and hope for another answer.
    pub fn is_retriable(self) -> bool {
        self.entry().retriable
    }

    /// What happened, as a clause without capital and full stop.
    pub fn message(self) -> &'static str {
        self.entry().message
    }

    /// True of [`ErrorCode::None`].
    pub fn is_none(self) -> bool {
        self == ErrorCode::None
    }

    /// Every error, by ascending code.
    pub fn all() -> impl Iterator<Item = ErrorCode> {
        ALL.iter().map(|error| error.code)
    }

    fn entry(self) -> &'static Error {
        // Codes run from -1 without holes, which a test holds.
        &ALL[(self as i16 + 1) as usize]
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> i16 {
        code as i16
    }
}

/// An error code that this crate does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownErrorCode(pub i16);

impl fmt::Display for UnknownErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown error code {}", self.0)
    }
}

impl std::error::Error for UnknownErrorCode {}

impl TryFrom<i16> for ErrorCode {
    type Error = UnknownErrorCode;

    fn try_from(code: i16) -> Result<ErrorCode, UnknownErrorCode> {
        let at = usize::try_from(i32::from(code) + 1).map_err(|_| UnknownErrorCode(code))?;
        ALL.get(at).map(|error| error.code).ok_or(UnknownErrorCode(code))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.message())
    }
}

impl std::error::Error for ErrorCode {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_no_holes() {
        assert_eq!(ALL.len(), 135);
        for (at, error) in ALL.iter().enumerate() {
            assert_eq!(error.code as i16, at as i16 - 1);
            assert_eq!(ErrorCode::try_from(at as i16 - 1), Ok(error.code));
        }
        for code in [-2, 134, i16::MIN, i16::MAX] {
            assert_eq!(ErrorCode::try_from(code), Err(UnknownErrorCode(code)));
        }
    }

    #[test]
    fn known_points() {
        assert_eq!(i16::from(ErrorCode::UnsupportedVersion), 35);
        assert_eq!(ErrorCode::TransactionAbortable.code(), 120);
        assert_eq!(ErrorCode::UnknownTopicId.name(), "UNKNOWN_TOPIC_ID");
        assert!(ErrorCode::NotLeaderOrFollower.is_retriable());
        assert!(!ErrorCode::MessageTooLarge.is_retriable());
    }
}
