//! The records that metadata is made of, and their bytes.
//!
//! A record is `u32 length | u8 kind | u8 version | body`; the length counts kind, version and body. Every kind
//! is at version 0. A kind or version that this program does not know is an error, never skipped:
//! to skip it would be to forget part of the cluster.

use crate::codec::{Reader, put_optional_text, put_text};
use crate::quota::{QuotaEntity, QuotaKey, QuotaLimit, QuotaPart};
use model::{NodeId, PartitionId, TopicId};
use std::fmt;
use std::sync::Arc;

/// No record is longer: a damaged length is noticed before it is believed.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// No replica set is larger.
pub const REPLICAS_MAX: usize = 1000;
/// No node has more listeners.
pub const ENDPOINTS_MAX: usize = 64;
/// The longest text in a record that a user chose, in bytes: what Kafka's protocol can carry.
pub const TEXT_BYTES_MAX: usize = 32_767;

/// What has a configuration of its own. The numbers are Kafka's resource types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic = 2,
    /// A broker, by node id; the empty name is the cluster's default.
    Broker = 4,
    /// A client metrics subscription (KIP-714), by name.
    ClientMetrics = 16,
    /// A group, by id.
    Group = 32,
}

impl ResourceKind {
    /// From Kafka's number; `None` for what Flumen keeps no configuration of.
    pub fn from_number(number: u8) -> Option<ResourceKind> {
        match number {
            2 => Some(ResourceKind::Topic),
            4 => Some(ResourceKind::Broker),
            16 => Some(ResourceKind::ClientMetrics),
            32 => Some(ResourceKind::Group),
            _ => None,
        }
    }
}

/// Something that has a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Its name.
    pub name: String,
}

impl Resource {
    /// A resource by kind and name.
    pub fn new(kind: ResourceKind, name: impl Into<String>) -> Resource {
        Resource { kind, name: name.into() }
    }
}

/// Where a node can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub listener: String,
    /// Host name or address as told to clients.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Kafka's number of the security protocol: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security: i16,
}

/// A partition as a record tells of it; later records of the same partition replace earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionRecord {
    /// Its topic.
    pub topic: TopicId,
    /// Its number.
    pub partition: PartitionId,
    /// The node that leads it; -1 for none.
    pub leader: NodeId,
    /// How often its leader has changed.
    pub leader_epoch: i32,
    /// How often anything of it has changed.
    pub partition_epoch: i32,
    /// The nodes that shall hold it, the preferred leader first.
    pub replicas: Arc<[NodeId]>,
    /// Those of them that are in sync.
    pub isr: Arc<[NodeId]>,
}

/// One fact about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// The cluster's id; the first record of all.
    Cluster { id: String },
    /// A node came up.
    Node { node: NodeId, epoch: i64, rack: Option<String>, endpoints: Vec<Endpoint> },
    /// A topic, as yet without partitions.
    Topic { id: TopicId, name: String },
    /// A partition is as the record says.
    Partition(PartitionRecord),
    /// A topic is gone, with its partitions and configuration.
    RemoveTopic { id: TopicId },
    /// A configuration value is set, or with `None` removed.
    Config { resource: Resource, key: String, value: Option<String> },
    /// A feature is at a level; level 0 is the same as none.
    Feature { name: String, level: i16 },
    /// Producer ids below `next` have been given out in blocks (KIP-730).
    ProducerIds { next: i64 },
    /// A client quota is set, or with `None` removed (KIP-546).
    ClientQuota { entity: QuotaEntity, key: QuotaKey, limit: Option<QuotaLimit> },
}

/// Bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// They end too early.
    Truncated,
    /// A record claims more than [`RECORD_BYTES_MAX`], or has no room for its kind.
    Length(u32),
    /// A text is not UTF-8.
    Text,
    /// A kind that this program does not know.
    Kind(u8),
    /// A version that this program does not know.
    Version { kind: u8, version: u8 },
    /// Bytes are left after the body.
    Trailing,
    /// A value out of its range: what it is.
    Value(&'static str),
}

impl fmt::Display for RecordError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::Truncated => out.write_str("a record ends too early"),
            RecordError::Length(length) => write!(out, "a record cannot be {length} bytes long"),
            RecordError::Text => out.write_str("a text is not UTF-8"),
            RecordError::Kind(kind) => write!(out, "records of kind {kind} are not known to this version"),
            RecordError::Version { kind, version } => {
                write!(out, "version {version} of records of kind {kind} is not known to this version")
            }
            RecordError::Trailing => out.write_str("bytes are left after a record's end"),
            RecordError::Value(what) => write!(out, "{what} is out of range"),
        }
    }
}

impl std::error::Error for RecordError {}

const CLUSTER: u8 = 1;
const NODE: u8 = 2;
const TOPIC: u8 = 3;
const PARTITION: u8 = 4;
const REMOVE_TOPIC: u8 = 5;
const CONFIG: u8 = 6;
const FEATURE: u8 = 7;
const PRODUCER_IDS: u8 = 8;
const CLIENT_QUOTA: u8 = 9;

impl Record {
    /// The name of its kind, for people.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Record::Cluster { .. } => "Cluster",
            Record::Node { .. } => "Node",
            Record::Topic { .. } => "Topic",
            Record::Partition(_) => "Partition",
            Record::RemoveTopic { .. } => "RemoveTopic",
            Record::Config { .. } => "Config",
            Record::Feature { .. } => "Feature",
            Record::ProducerIds { .. } => "ProducerIds",
            Record::ClientQuota { .. } => "ClientQuota",
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Record::Cluster { .. } => CLUSTER,
            Record::Node { .. } => NODE,
            Record::Topic { .. } => TOPIC,
            Record::Partition(_) => PARTITION,
            Record::RemoveTopic { .. } => REMOVE_TOPIC,
            Record::Config { .. } => CONFIG,
            Record::Feature { .. } => FEATURE,
            Record::ProducerIds { .. } => PRODUCER_IDS,
            Record::ClientQuota { .. } => CLIENT_QUOTA,
        }
    }

    /// No fewer bytes than it takes in the log; for limits.
    pub(crate) fn bytes_at_most(&self) -> usize {
        64 + match self {
            Record::Cluster { id } => id.len(),
            Record::Node { rack, endpoints, .. } => {
                let texts = endpoints.iter().map(|at| at.listener.len() + at.host.len() + 8);
                rack.as_ref().map_or(0, String::len) + texts.sum::<usize>()
            }
            Record::Topic { name, .. } | Record::Feature { name, .. } => name.len(),
            Record::Partition(partition) => 4 * (partition.replicas.len() + partition.isr.len()),
            Record::Config { resource, key, value } => {
                resource.name.len() + key.len() + value.as_ref().map_or(0, String::len)
            }
            Record::ClientQuota { entity, .. } => {
                entity.parts().map(|(_, name)| name.map_or(0, str::len)).sum::<usize>()
            }
            Record::RemoveTopic { .. } | Record::ProducerIds { .. } => 0,
        }
    }

    /// Appends the record's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[self.kind(), 0]);
        self.encode_body(out);
        let length = out.len() - start - 4;
        assert!(length <= RECORD_BYTES_MAX, "a metadata record of {length} bytes");
        out[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Record::Cluster { id } => put_text(out, id),
            Record::Node { node, epoch, rack, endpoints } => {
                out.extend_from_slice(&node.0.to_le_bytes());
                out.extend_from_slice(&epoch.to_le_bytes());
                put_optional_text(out, rack.as_deref());
                out.extend_from_slice(&(endpoints.len() as u16).to_le_bytes());
                for endpoint in endpoints {
                    put_text(out, &endpoint.listener);
                    put_text(out, &endpoint.host);
                    out.extend_from_slice(&endpoint.port.to_le_bytes());
                    out.extend_from_slice(&endpoint.security.to_le_bytes());
                }
            }
            Record::Topic { id, name } => {
                out.extend_from_slice(&id.0);
                put_text(out, name);
            }
            Record::Partition(partition) => partition.encode(out),
            Record::RemoveTopic { id } => out.extend_from_slice(&id.0),
            Record::Config { resource, key, value } => {
                out.push(resource.kind as u8);
                put_text(out, &resource.name);
                put_text(out, key);
                put_optional_text(out, value.as_deref());
            }
            Record::Feature { name, level } => {
                put_text(out, name);
                out.extend_from_slice(&level.to_le_bytes());
            }
            Record::ProducerIds { next } => out.extend_from_slice(&next.to_le_bytes()),
            Record::ClientQuota { entity, key, limit } => encode_quota(out, entity, *key, *limit),
        }
    }

    /// The record at the front of `bytes`, and how many bytes it takes.
    pub fn decode(bytes: &[u8]) -> Result<(Record, usize), RecordError> {
        let mut reader = Reader::new(bytes);
        let length = reader.u32()?;
        if length < 2 || length as usize > RECORD_BYTES_MAX {
            return Err(RecordError::Length(length));
        }
        let mut body = Reader::new(reader.take(length as usize)?);
        let (kind, version) = (body.u8()?, body.u8()?);
        if !(CLUSTER..=CLIENT_QUOTA).contains(&kind) {
            return Err(RecordError::Kind(kind));
        }
        if version != 0 {
            return Err(RecordError::Version { kind, version });
        }
        let record = decode_body(kind, &mut body)?;
        if !body.is_empty() {
            return Err(RecordError::Trailing);
        }
        Ok((record, 4 + length as usize))
    }
}

fn decode_body(kind: u8, body: &mut Reader<'_>) -> Result<Record, RecordError> {
    Ok(match kind {
        CLUSTER => Record::Cluster { id: body.text()?.to_owned() },
        NODE => decode_node(body)?,
        TOPIC => Record::Topic { id: TopicId(body.array()?), name: body.text()?.to_owned() },
        PARTITION => Record::Partition(PartitionRecord::decode(body)?),
        REMOVE_TOPIC => Record::RemoveTopic { id: TopicId(body.array()?) },
        CONFIG => {
            let kind =
                ResourceKind::from_number(body.u8()?).ok_or(RecordError::Value("the kind of a resource"))?;
            let resource = Resource::new(kind, body.text()?);
            let key = body.text()?.to_owned();
            Record::Config { resource, key, value: body.optional_text()?.map(str::to_owned) }
        }
        FEATURE => Record::Feature { name: body.text()?.to_owned(), level: body.i16()? },
        PRODUCER_IDS => Record::ProducerIds { next: body.i64()? },
        CLIENT_QUOTA => decode_quota(body)?,
        other => return Err(RecordError::Kind(other)),
    })
}

fn encode_quota(out: &mut Vec<u8>, entity: &QuotaEntity, key: QuotaKey, limit: Option<QuotaLimit>) {
    out.push(entity.parts().count() as u8);
    for (part, name) in entity.parts() {
        out.push(part as u8);
        put_optional_text(out, name);
    }
    out.extend_from_slice(&[key as u8, u8::from(limit.is_some())]);
    if let Some(limit) = limit {
        out.extend_from_slice(&limit.value().to_bits().to_le_bytes());
    }
}

fn decode_quota(body: &mut Reader<'_>) -> Result<Record, RecordError> {
    let mut parts: Vec<(QuotaPart, Option<String>)> = Vec::new();
    for _ in 0..body.u8()? {
        let known = QuotaPart::from_number(body.u8()?);
        // In order, so that an entity has one way of being written, and none twice.
        let part = known.filter(|part| parts.last().is_none_or(|(last, _)| last < part));
        let part = part.ok_or(RecordError::Value("a part of a quota's entity"))?;
        parts.push((part, body.optional_text()?.map(str::to_owned)));
    }
    let entity = QuotaEntity::from_parts(parts).ok_or(RecordError::Value("a quota's entity"))?;
    let key = QuotaKey::from_number(body.u8()?).ok_or(RecordError::Value("the key of a quota"))?;
    let limit = match body.u8()? {
        0 => None,
        1 => {
            let value = f64::from_bits(u64::from_le_bytes(body.array()?));
            Some(QuotaLimit::new(value).ok_or(RecordError::Value("the limit of a quota"))?)
        }
        _ => return Err(RecordError::Value("the mark of a quota's limit")),
    };
    Ok(Record::ClientQuota { entity, key, limit })
}

fn decode_node(body: &mut Reader<'_>) -> Result<Record, RecordError> {
    let (node, epoch) = (NodeId(body.i32()?), body.i64()?);
    let rack = body.optional_text()?.map(str::to_owned);
    let count = usize::from(body.u16()?);
    if count > ENDPOINTS_MAX {
        return Err(RecordError::Value("the number of a node's endpoints"));
    }
    let mut endpoints = Vec::new();
    for _ in 0..count {
        endpoints.push(Endpoint {
            listener: body.text()?.to_owned(),
            host: body.text()?.to_owned(),
            port: body.u16()?,
            security: body.i16()?,
        });
    }
    Ok(Record::Node { node, epoch, rack, endpoints })
}

impl PartitionRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.topic.0);
        for number in [self.partition.0, self.leader.0, self.leader_epoch, self.partition_epoch] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for nodes in [&self.replicas, &self.isr] {
            out.extend_from_slice(&(nodes.len() as u16).to_le_bytes());
            for node in nodes.iter() {
                out.extend_from_slice(&node.0.to_le_bytes());
            }
        }
    }

    fn decode(body: &mut Reader<'_>) -> Result<PartitionRecord, RecordError> {
        let topic = TopicId(body.array()?);
        let partition = PartitionId(body.i32()?);
        let leader = NodeId(body.i32()?);
        let (leader_epoch, partition_epoch) = (body.i32()?, body.i32()?);
        let replicas = decode_nodes(body)?;
        // The same nodes nearly always: then one list serves for both.
        let isr = decode_nodes(body)?;
        let isr = if isr == replicas { replicas.clone() } else { isr };
        Ok(PartitionRecord { topic, partition, leader, leader_epoch, partition_epoch, replicas, isr })
    }
}

fn decode_nodes(body: &mut Reader<'_>) -> Result<Arc<[NodeId]>, RecordError> {
    let count = usize::from(body.u16()?);
    if count > REPLICAS_MAX {
        return Err(RecordError::Value("the number of a partition's replicas"));
    }
    let bytes = body.take(count * 4)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    Ok(numbers.iter().map(|number| NodeId(i32::from_le_bytes(*number))).collect())
}
