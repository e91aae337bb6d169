//! `flumen topic describe`.

use super::{counted, replication_factor};
use crate::args::{BrokerArgs, OutputArgs};
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use client::admin::ConfigEntry;
use client::{Client, OffsetAt, PartitionMetadata, TopicMetadata};
use kafka_wire::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `flumen topic describe`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen topic describe orders
  flumen topic describe orders --all    # every configuration value, defaults too
  flumen topic describe orders --output json | jq '[.[].partitions[].end_offset] | add'")]
pub struct DescribeArgs {
    /// Names of the topics; all of them if left out
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Show every configuration value, not only those that were set
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is known of a topic.
struct Description {
    topic: TopicMetadata,
    /// First offset and end of each partition that has a leader.
    offsets: BTreeMap<i32, (i64, i64)>,
    configs: Vec<ConfigEntry>,
}

pub(super) fn run(args: &DescribeArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    let names = match args.names.is_empty() {
        false => args.names.clone(),
        true => {
            let topics = client.metadata(None)?.topics;
            topics.into_values().filter(|topic| !topic.internal).map(|topic| topic.name).collect()
        }
    };
    let mut output = Output::stdout();
    let mut all = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let mut description = look(&mut client, name)?;
        description.configs.retain(|config| args.all || config.differs_from_default());
        if args.output.is_json() {
            all.push(to_json(&description));
        } else {
            if at > 0 {
                output.line("")?;
            }
            print(&mut output, &description)?;
        }
    }
    if args.output.is_json() {
        output.pretty_json(&Value::Array(all))?;
    }
    output.flush()
}

fn look(client: &mut Client, name: &str) -> Result<Description, Failure> {
    let topic = client.topic(name)?.clone();
    let led = topic.partitions.iter().filter(|partition| partition.leader >= 0);
    let led: Vec<i32> = led.map(|partition| partition.partition).collect();
    let first = client.offsets(name, &led, OffsetAt::Beginning)?;
    let end = client.offsets(name, &led, OffsetAt::End)?;
    let offsets = first.iter().zip(&end).map(|(first, end)| (first.partition, (first.offset, end.offset)));
    let configs = client.topic_configs(name)?;
    Ok(Description { topic, offsets: offsets.collect(), configs })
}

fn print(output: &mut Output, description: &Description) -> Result<(), Failure> {
    let topic = &description.topic;
    output.line(format!("Topic {}", topic.name))?;
    let replicas = counted(replication_factor(topic) as i64, "replica");
    let partitions = counted(topic.partitions.len() as i64, "partition");
    output.line(format!("{partitions}, {replicas}, id {}", topic.id))?;
    for config in &description.configs {
        output.line(format!("  {} = {}  ({})", config.name, value_text(config), config.source_name()))?;
    }
    let header =
        ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC", "FIRST OFFSET", "END OFFSET", "STATE"];
    let rows = topic.partitions.iter().map(|partition| {
        let (first, end) = match description.offsets.get(&partition.partition) {
            Some((first, end)) => (first.to_string(), end.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let leader = if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() };
        vec![
            partition.partition.to_string(),
            leader,
            partition.leader_epoch.to_string(),
            nodes(&partition.replicas),
            nodes(&partition.isr),
            first,
            end,
            state(partition),
        ]
    });
    output.table(&header, &rows.collect::<Vec<_>>())
}

fn value_text(config: &ConfigEntry) -> &str {
    match &config.value {
        Some(value) => value,
        None if config.sensitive => "(hidden)",
        None => "(none)",
    }
}

fn nodes(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}

/// What is wrong with a partition, or `ok`.
fn state(partition: &PartitionMetadata) -> String {
    if partition.leader < 0 {
        return "no leader".to_owned();
    }
    if partition.isr.len() < partition.replicas.len() {
        return "under-replicated".to_owned();
    }
    match ErrorCode::try_from(partition.error_code) {
        Ok(ErrorCode::None) => "ok".to_owned(),
        Ok(code) => code.name().to_owned(),
        Err(unknown) => unknown.to_string(),
    }
}

fn to_json(description: &Description) -> Value {
    let topic = &description.topic;
    let partitions = topic.partitions.iter().map(|partition| {
        let offsets = description.offsets.get(&partition.partition);
        json!({
            "partition": partition.partition,
            "leader": (partition.leader >= 0).then_some(partition.leader),
            "leader_epoch": partition.leader_epoch,
            "replicas": partition.replicas,
            "isr": partition.isr,
            "offline": partition.offline,
            "first_offset": offsets.map(|offsets| offsets.0),
            "end_offset": offsets.map(|offsets| offsets.1),
            "state": state(partition),
        })
    });
    let configs = description.configs.iter().map(|config| {
        json!({
            "name": config.name,
            "value": config.value,
            "source": config.source_name(),
            "sensitive": config.sensitive,
        })
    });
    json!({
        "topic": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "replication_factor": replication_factor(topic),
        "partitions": partitions.collect::<Vec<_>>(),
        "configs": configs.collect::<Vec<_>>(),
    })
}
