//! The way of every request.
//!
//! A frame comes from a connection; its header says which API and version; the table [`SERVED`] says who
//! handles it. The handler decodes the body in the frame, asks the cores that own what it needs, and answers. What is
//! in the table is what ApiVersions advertises: nothing else.

use crate::broker::Broker;
use crate::connection::Connection;
use crate::handlers as h;
use crate::quotas::{Charge, Timed, Toll};
use crate::sharing::seat::Seat;
use base::Instant;
use controller::QuotaKey;
use controller::changes::Budget;
use kafka_wire::{ApiKey, Decode, Reader, RequestHeader, Str, WireError};
use memory::Slice;
use network::{Answer, Handling, Left, Requests};
use std::cell::Cell;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The kind of a request that is no served one.
const NO_KIND: u16 = u16::MAX;

/// Who handles an API.
type Handler = fn(Rc<Broker>, Request) -> Handling;

/// Boxes a handler's future, each with its own size.
macro_rules! served {
    ($($api:ident => $handler:path,)+) => {
        /// The APIs that this broker serves.
        pub(crate) const SERVED: &[(ApiKey, Handler)] = &[
            $((ApiKey::$api, |broker, request| Box::pin($handler(broker, request))),)+
        ];
    };
}

served! {
    Produce => h::produce::handle,
    Fetch => h::fetch::handle,
    ListOffsets => h::list_offsets::handle,
    Metadata => h::metadata::handle,
    OffsetCommit => h::offset_commit::handle,
    OffsetFetch => h::offset_fetch::handle,
    FindCoordinator => h::find_coordinator::handle,
    JoinGroup => h::join_group::handle,
    Heartbeat => h::heartbeat::handle,
    LeaveGroup => h::leave_group::handle,
    SyncGroup => h::sync_group::handle,
    DescribeGroups => h::describe_groups::handle,
    ListGroups => h::list_groups::handle,
    ApiVersions => h::api_versions::handle,
    CreateTopics => h::create_topics::handle,
    DeleteTopics => h::delete_topics::handle,
    DeleteRecords => h::delete_records::handle,
    InitProducerId => h::init_producer_id::handle,
    OffsetForLeaderEpoch => h::offset_for_leader_epoch::handle,
    AddPartitionsToTxn => h::add_partitions_to_txn::handle,
    AddOffsetsToTxn => h::add_offsets_to_txn::handle,
    EndTxn => h::end_txn::handle,
    WriteTxnMarkers => h::write_txn_markers::handle,
    TxnOffsetCommit => h::txn_offset_commit::handle,
    DescribeAcls => h::describe_acls::handle,
    CreateAcls => h::create_acls::handle,
    DeleteAcls => h::delete_acls::handle,
    DescribeConfigs => h::describe_configs::handle,
    AlterConfigs => h::alter_configs::handle,
    AlterReplicaLogDirs => h::alter_replica_log_dirs::handle,
    DescribeLogDirs => h::describe_log_dirs::handle,
    CreatePartitions => h::create_partitions::handle,
    DeleteGroups => h::delete_groups::handle,
    ElectLeaders => h::elect_leaders::handle,
    IncrementalAlterConfigs => h::incremental_alter_configs::handle,
    AlterPartitionReassignments => h::alter_partition_reassignments::handle,
    ListPartitionReassignments => h::list_partition_reassignments::handle,
    OffsetDelete => h::offset_delete::handle,
    DescribeClientQuotas => h::describe_client_quotas::handle,
    AlterClientQuotas => h::alter_client_quotas::handle,
    DescribeUserScramCredentials => h::describe_user_scram_credentials::handle,
    DescribeQuorum => h::describe_quorum::handle,
    UpdateFeatures => h::update_features::handle,
    DescribeCluster => h::describe_cluster::handle,
    DescribeProducers => h::describe_producers::handle,
    DescribeTransactions => h::describe_transactions::handle,
    ListTransactions => h::list_transactions::handle,
    ConsumerGroupHeartbeat => h::consumer_group_heartbeat::handle,
    ConsumerGroupDescribe => h::consumer_group_describe::handle,
    GetTelemetrySubscriptions => h::get_telemetry_subscriptions::handle,
    PushTelemetry => h::push_telemetry::handle,
    ListConfigResources => h::list_config_resources::handle,
    DescribeTopicPartitions => h::describe_topic_partitions::handle,
    ShareGroupHeartbeat => h::share_group_heartbeat::handle,
    ShareGroupDescribe => h::share_group_describe::handle,
    ShareFetch => h::share_fetch::handle,
    ShareAcknowledge => h::share_acknowledge::handle,
    DescribeShareGroupOffsets => h::describe_share_group_offsets::handle,
    AlterShareGroupOffsets => h::alter_share_group_offsets::handle,
    DeleteShareGroupOffsets => h::delete_share_group_offsets::handle,
    StreamsGroupHeartbeat => h::streams_group_heartbeat::handle,
    StreamsGroupDescribe => h::streams_group_describe::handle,
}

/// A request whose header is read.
pub struct Request {
    /// The whole frame, header included.
    pub frame: Slice,
    /// Where the body begins in it.
    pub body: usize,
    /// Which API.
    pub api: ApiKey,
    /// In which version.
    pub version: i16,
    /// The client's number for it.
    pub correlation_id: i32,
    /// The client's address.
    pub peer: IpAddr,
    /// What it uses of its client's quotas, if there are any.
    pub(crate) charge: Option<Rc<Charge>>,
    /// The connection that it came on.
    pub(crate) connection: Rc<Connection>,
    /// The door that it came through.
    door: Rc<FrontDoor>,
    /// The share sessions of its connection.
    pub(crate) seat: Rc<Seat>,
}

impl Request {
    /// Reads the header of a frame, or says why the connection must be closed.
    fn read(frame: Slice, visitor: &Visitor) -> Result<Request, String> {
        let (key, version, correlation_id) =
            RequestHeader::peek(&frame).map_err(|error| format!("a request without a header: {error}"))?;
        let api = ApiKey::try_from(key).map_err(|_| format!("a request of the unknown API {key}"))?;
        let mut reader = Reader::new(&frame);
        RequestHeader::read(&mut reader).map_err(|error| format!("a header of {}: {error}", api.name()))?;
        let body = reader.position();
        let (peer, connection, door) = (visitor.peer, visitor.connection.clone(), visitor.door.clone());
        let seat = visitor.seat.clone();
        Ok(Request { frame, body, api, version, correlation_id, peer, charge: None, connection, door, seat })
    }

    /// The body, to be decoded in place.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader::new(&self.frame[self.body..])
    }

    /// Decodes the body.
    pub(crate) fn decode<'a, T: Decode<'a>>(&'a self) -> Result<T, WireError> {
        T::decode(&mut self.reader(), self.version)
    }

    /// What the client calls itself.
    pub(crate) fn client_id(&self) -> Option<Str<'_>> {
        RequestHeader::read(&mut Reader::new(&self.frame)).ok()?.client_id
    }

    /// Counts the errors of its answer: codes, and how often each is in it.
    pub(crate) fn count_errors(&self, errors: &[(i16, u32)]) {
        for &(code, times) in errors {
            self.door.broker.metrics.errors(self.api, code, times);
        }
    }

    /// Charges its client for the time it took, for an answer of so many bytes. Gives the milliseconds that the client
    /// is told to wait.
    pub(crate) fn settle(&self, answer_bytes: usize) -> i32 {
        self.charge.as_ref().map_or(0, |charge| charge.settle(answer_bytes))
    }

    /// What it may create and delete, if that is limited; its answer tells of the wait.
    pub(crate) fn budget(&self) -> Option<Arc<dyn Budget>> {
        self.charge.as_ref()?.budget()
    }

    /// What its client may have created by the way, if that is limited.
    pub(crate) fn budget_aside(&self) -> Option<Arc<dyn Budget>> {
        self.door.broker.quotas.aside(&self.client_id().unwrap_or_default(), executor::now())
    }

    /// A part of the frame that was decoded in place, as a slice that shares the frame's memory.
    ///
    /// # Panics
    /// If `part` is not a part of the frame.
    pub(crate) fn share(&self, part: &[u8]) -> Slice {
        let start = (part.as_ptr() as usize).wrapping_sub(self.frame.as_ptr() as usize);
        self.frame.slice(start..start + part.len())
    }
}

/// A core's front door: takes frames of its connections.
pub struct FrontDoor {
    broker: Rc<Broker>,
    /// When a refused connection was last told of, and how many were not told of since.
    refusals: Cell<(Instant, u64)>,
}

impl FrontDoor {
    /// The door of this core.
    pub fn new(broker: Rc<Broker>) -> FrontDoor {
        FrontDoor { broker, refusals: Cell::new((Instant::ZERO, 0)) }
    }

    /// The door as one connection comes to it.
    pub(crate) fn visitor(self: &Rc<Self>, peer: SocketAddr) -> Rc<dyn Requests> {
        // An address of version 4 on a socket of version 6 is one of version 4.
        let seat = Seat::new(self.broker.clone());
        let connection = Rc::new(Connection::new(peer));
        let peer = peer.ip().to_canonical();
        Rc::new(Visitor { door: self.clone(), peer, toll: Rc::default(), connection, seat })
    }

    /// Lets a new connection in, or says how long it waits before it is closed: its address makes too many.
    pub(crate) fn admit(&self, peer: SocketAddr) -> Result<(), Duration> {
        let admitted = self.broker.quotas.connect(peer.ip(), executor::now());
        if let Err(wait) = admitted {
            self.broker.metrics.throttled(QuotaKey::ConnectionCreationRate, wait);
        }
        admitted
    }

    /// How long to take no new connection, now that so many were taken (`max.connection.creation.rate`).
    pub(crate) fn pace(&self, taken: u64) -> Duration {
        let per_second = self.broker.config().max_connection_creation_rate;
        self.broker.quotas.pace(taken, per_second, executor::now())
    }

    /// Logs why a connection was closed, at most a line a second.
    pub(crate) fn note_refusal(&self, peer: SocketAddr, why: &str) {
        let (last, untold) = self.refusals.get();
        let now = executor::now();
        if last != Instant::ZERO && now.since(last) < Duration::from_secs(1) {
            self.refusals.set((last, untold + 1));
            return;
        }
        self.refusals.set((now, 0));
        match untold {
            0 => log::warn!("closed the connection of {peer}: {why}"),
            _ => log::warn!(
                "closed the connection of {peer}: {why} ({untold} more were closed since the last line)"
            ),
        }
    }
}

/// The number of the API that a frame asks for; -1 if it is too short to have one.
fn key_of(frame: &Slice) -> i16 {
    RequestHeader::peek(frame).map(|(key, ..)| key).unwrap_or(-1)
}

/// A program that consumes for many groups commits for all of them over one connection.
fn is_commit(key: i16) -> bool {
    key == ApiKey::OffsetCommit as i16
}

fn close(reason: String) -> (u16, Handling) {
    (NO_KIND, Box::pin(std::future::ready(Answer::Close(reason))))
}

/// Somebody at the door.
struct Visitor {
    door: Rc<FrontDoor>,
    peer: IpAddr,
    toll: Rc<Toll>,
    seat: Rc<Seat>,
    connection: Rc<Connection>,
}

impl Requests for Visitor {
    /// A request's kind, for its measurements, is its API's place in the table.
    fn begin(&self, frame: Slice) -> (u16, Handling) {
        let mut request = match Request::read(frame, self) {
            Ok(request) => request,
            Err(reason) => return close(reason),
        };
        let versions = request.api.versions();
        let known = (versions.min..=versions.max).contains(&request.version);
        let Some(place) = SERVED.iter().position(|(api, _)| *api == request.api) else {
            return close(format!("a request of {}, which is not served", request.api.name()));
        };
        // ApiVersions answers a version that it does not know: clients begin with it.
        if !known && request.api != ApiKey::ApiVersions {
            return close(format!("version {} of {} is not known", request.version, request.api.name()));
        }
        let (broker, handler) = (&self.door.broker, SERVED[place].1);
        if broker.quotas.limit_requests(request.api)
            && let Some(charge) = Charge::of(broker, &self.toll, &request)
        {
            request.charge = Some(charge.clone());
            let handling = handler(broker.clone(), request);
            return (place as u16, Box::pin(Timed::new(charge, handling)));
        }
        (place as u16, handler(broker.clone(), request))
    }

    fn muted_until(&self) -> Instant {
        self.toll.muted_until(&self.door.broker.quotas)
    }

    fn left(&self, request: &Left, sent: Instant) {
        let broker = &self.door.broker;
        let metrics = &broker.metrics;
        metrics.request_left(request, sent);
        metrics.fetch_sessions.set(broker.sessions.borrow().len() as u64);
    }

    fn is_pipelined(&self, frame: &Slice) -> bool {
        let key = key_of(frame);
        let beside = [ApiKey::Produce, ApiKey::Fetch, ApiKey::Metadata, ApiKey::ListOffsets];
        is_commit(key) || beside.iter().any(|api| *api as i16 == key)
    }

    /// Commits are worked on beside commits alone, and come to their coordinators in their order. So one that was sent
    /// behind a Produce, without waiting for its answer, still counts only when that one is done; and the other way
    /// round.
    fn lane(&self, frame: &Slice) -> u8 {
        u8::from(is_commit(key_of(frame)))
    }
}

/// Decodes the body, or closes the connection as Kafka does with a request that it cannot parse.
pub(crate) fn decoded<T>(request: &Request, result: Result<T, WireError>) -> Result<T, Answer> {
    result.map_err(|error| {
        Answer::Close(format!("{} v{} cannot be read: {error}", request.api.name(), request.version))
    })
}

/// Runs a handler whose early end is an answer too.
pub(crate) async fn answered(handling: impl Future<Output = Result<Answer, Answer>>) -> Answer {
    match handling.await {
        Ok(answer) | Err(answer) => answer,
    }
}
