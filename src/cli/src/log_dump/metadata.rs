//! The metadata log and its snapshots, as `controller::inspect` reads them.

use super::DumpError;
use super::file::DumpFile;
use super::report::Report;
use controller::frame::{FILE_HEADER_BYTES, FileHeader, FileKind, HeaderError};
use controller::inspect::{self, Commit};
use controller::record::{Endpoint, PartitionRecord, ResourceKind};
use controller::{QuotaLimit, QuotaPart, Record};
use model::NodeId;
use serde_json::{Value, json};

/// A larger file is not read: the controller begins a new one long before.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Prints all commits, and with `records` what is in them.
pub(super) fn dump(file: &DumpFile, records: bool, report: &mut Report) -> Result<(), DumpError> {
    if file.length() > FILE_BYTES_MAX {
        let what = format!("no metadata file has more than {FILE_BYTES_MAX} bytes");
        report.damage(FILE_BYTES_MAX, what, "nothing of it is printed")?;
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.read(0, file.length() as usize, &mut bytes)?;
    let header = inspect::header(&bytes);
    match &header {
        Ok(header) => print_header(header, report)?,
        Err(HeaderError::Damaged) => {
            report.damage(0, "the file's header does not match its checksum", "going on behind it")?;
        }
        Err(HeaderError::Version(version)) => {
            let what = format!("format {version} is newer than this program");
            report.damage(0, what, "use a newer `flumen`")?;
            return Ok(());
        }
    }
    let (mut complete, mut end) = (false, FILE_HEADER_BYTES as u64);
    for commit in inspect::commits(&bytes) {
        match commit {
            Ok(commit) => {
                (complete, end) = (commit.record_count == 0, commit.end());
                print_commit(&commit, records, report)?;
            }
            Err(flaw) => {
                let then = match flaw.resumes_at {
                    Some(next) => format!("going on with a whole one at byte {next}"),
                    None => format!("no whole one in the {} bytes to the end", file.length() - flaw.position),
                };
                end = flaw.resumes_at.unwrap_or(file.length());
                report.damage(flaw.position, "no whole commit", &then)?;
            }
        }
    }
    let is_snapshot = header.is_ok_and(|header| header.kind == FileKind::Snapshot);
    if is_snapshot && !complete {
        report.damage(file.length(), "the snapshot lacks its end", "this is the end")?;
    } else if is_snapshot && end < file.length() {
        // Only a log has space that is reserved behind it. A start refuses this.
        report.damage(end, "zeros behind the snapshot's end", "this is the end")?;
    }
    Ok(())
}

fn print_header(header: &FileHeader, report: &mut Report) -> Result<(), DumpError> {
    let meaning = match header.kind {
        FileKind::Log => "from offset",
        FileKind::Snapshot => "all before offset",
    };
    report.print(
        || format!("  format {}, {meaning} {}, epoch {}", header.version, header.offset, header.epoch),
        || json!({ "header": { "format": header.version, "offset": header.offset, "epoch": header.epoch } }),
    )?;
    Ok(())
}

fn print_commit(commit: &Commit<'_>, records: bool, report: &mut Report) -> Result<(), DumpError> {
    let (position, base, count) = (commit.position, commit.base_offset, commit.record_count);
    report.print(
        || format!("  byte {position}: offset {base}, {count} records, epoch {}", commit.epoch),
        || {
            let bytes = commit.end() - position;
            let epoch = commit.epoch;
            json!({ "commit": {
                "position": position, "bytes": bytes, "base_offset": base, "records": count, "epoch": epoch,
            }})
        },
    )?;
    let mut found = 0u32;
    for (record, offset) in commit.records().zip(base..) {
        match record {
            Ok(record) => {
                found = found.saturating_add(1);
                if records {
                    report.print(|| text(offset, &record), || to_json(offset, &record))?;
                }
            }
            Err(error) => {
                let what = format!("record {offset} of a commit whose checksum matches: {error}");
                report.damage(position, what, "going on with the next commit")?;
                return Ok(());
            }
        }
    }
    if found != count {
        let what = format!("{found} records in a commit that says it has {count}");
        report.damage(position, what, "going on with the next commit")?;
    }
    Ok(())
}

fn text(offset: i64, record: &Record) -> String {
    let Value::Object(fields) = fields(record) else { return format!("    {offset} {}", record.kind_name()) };
    let fields = fields.iter().map(|(name, value)| format!("{name}={value}"));
    format!("    {offset} {}: {}", record.kind_name(), fields.collect::<Vec<_>>().join(" "))
}

fn to_json(offset: i64, record: &Record) -> Value {
    json!({ "record": { "offset": offset, "kind": record.kind_name(), "fields": fields(record) } })
}

/// What a record says, as an object.
fn fields(record: &Record) -> Value {
    match record {
        Record::Cluster { id } => json!({ "id": id }),
        Record::Node { node, epoch, rack, endpoints } => json!({
            "node": node.0,
            "epoch": epoch,
            "rack": rack,
            "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        }),
        Record::Topic { id, name } => json!({ "id": id.to_string(), "name": name }),
        Record::Partition(partition) => partition_fields(partition),
        Record::RemoveTopic { id } => json!({ "id": id.to_string() }),
        Record::Config { resource, key, value } => json!({
            "resource": resource_kind(resource.kind),
            "name": resource.name,
            "key": key,
            "value": value,
        }),
        Record::Feature { name, level } => json!({ "name": name, "level": level }),
        Record::ProducerIds { next } => json!({ "next": next }),
        Record::ClientQuota { entity, key, limit } => json!({
            "entity": entity.parts().map(quota_part).collect::<Vec<_>>(),
            "key": key.name(),
            "limit": limit.map(QuotaLimit::value),
        }),
    }
}

fn endpoint(endpoint: &Endpoint) -> String {
    format!("{}://{}:{}", endpoint.listener, endpoint.host, endpoint.port)
}

fn quota_part((part, name): (QuotaPart, Option<&str>)) -> Value {
    json!({ "type": part.name(), "name": name })
}

fn partition_fields(partition: &PartitionRecord) -> Value {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    json!({
        "topic": partition.topic.to_string(),
        "partition": partition.partition.0,
        "leader": partition.leader.0,
        "leader_epoch": partition.leader_epoch,
        "partition_epoch": partition.partition_epoch,
        "replicas": ids(&partition.replicas),
        "isr": ids(&partition.isr),
    })
}

fn resource_kind(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Topic => "topic",
        ResourceKind::Broker => "broker",
        ResourceKind::ClientMetrics => "client-metrics",
        ResourceKind::Group => "group",
    }
}
