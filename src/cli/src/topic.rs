//! `flumen topic`: create, list, describe, alter, delete.

mod describe;

use crate::args::{BrokerArgs, OutputArgs, key_value};
use crate::failure::Failure;
use crate::output::{Output, delete_each};
use clap::{Args, Subcommand};
use client::admin::{ConfigChange, NewTopic};
use client::{ClientError, TopicMetadata};
use serde_json::json;

pub use describe::DescribeArgs;

/// What to do with topics.
#[derive(Debug, Subcommand)]
pub enum TopicCommand {
    /// Create a topic
    Create(CreateArgs),
    /// List the topics
    List(ListArgs),
    /// Show partitions, leaders, replicas in sync, and what is configured
    Describe(DescribeArgs),
    /// Add partitions, change or reset configuration values
    Alter(AlterArgs),
    /// Delete topics and all of their records, for good
    Delete(DeleteArgs),
}

/// `flumen topic create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen topic create orders --partitions 3
  flumen topic create clicks -p 12 -c retention.ms=86400000 -c segment.bytes=16777216
  flumen topic create users --config cleanup.policy=compact --if-not-exists")]
pub struct CreateArgs {
    /// Name of the topic: up to 249 of a-z, A-Z, 0-9, '.', '_' and '-'
    name: String,
    /// How many partitions it gets; the broker's num.partitions if left out
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// How many brokers keep each partition; the broker's default.replication.factor if left out
    #[arg(short, long, value_name = "R", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// A configuration value of the topic, as in retention.ms=600000; may be given several times
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Succeed if a topic of this name is there already, whatever it looks like
    #[arg(long)]
    if_not_exists: bool,
    /// Only check whether the topic could be created
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `flumen topic list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen topic list
  flumen topic list --internal --output json")]
pub struct ListArgs {
    /// List the cluster's own topics, too
    #[arg(long)]
    internal: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `flumen topic alter`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen topic alter orders --partitions 6
  flumen topic alter orders --config retention.ms=600000
  flumen topic alter orders --delete-config retention.ms    # what the broker gives all topics holds again")]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["partitions", "configs", "delete_configs"]))]
pub struct AlterArgs {
    /// Name of the topic
    name: String,
    /// How many partitions it has from now on; more than before. Keys then fall into other partitions
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Set a configuration value, as in retention.ms=600000; may be given several times
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Reset a configuration key to its default; may be given several times
    #[arg(long = "delete-config", value_name = "KEY")]
    delete_configs: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// `flumen topic delete`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen topic delete orders
  flumen topic delete orders clicks")]
pub struct DeleteArgs {
    /// Names of the topics
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) fn run(command: TopicCommand) -> Result<(), Failure> {
    match command {
        TopicCommand::Create(args) => create(args),
        TopicCommand::List(args) => list(&args),
        TopicCommand::Describe(args) => describe::run(&args),
        TopicCommand::Alter(args) => alter(args),
        TopicCommand::Delete(args) => delete(&args),
    }
}

fn create(args: CreateArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    let topic = NewTopic {
        name: args.name,
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: args.configs,
    };
    let created = match client.create_topic(&topic, args.dry_run) {
        Ok(created) => Some(created),
        Err(error) if args.if_not_exists && is_there(&error) => None,
        Err(error) => return Err(error.into()),
    };
    let mut output = Output::stdout();
    if args.output.is_json() {
        let mut result = json!({ "topic": topic.name, "created": created.is_some() && !args.dry_run });
        if let Some(created) = &created {
            result["id"] = json!(created.id.to_string());
            result["partitions"] = json!(created.partitions);
            result["replication_factor"] = json!(created.replication_factor);
        }
        output.json(&result)?;
    } else {
        let name = &topic.name;
        output.line(match &created {
            None => format!("Topic {name} is there already."),
            Some(_) if args.dry_run => format!("Topic {name} could be created."),
            Some(created) => match (created.partitions, created.replication_factor) {
                (Some(partitions), Some(factor)) => format!(
                    "Created topic {name} with {} and {}.",
                    counted(partitions.into(), "partition"),
                    counted(factor.into(), "replica"),
                ),
                _ => format!("Created topic {name}."),
            },
        })?;
    }
    output.flush()
}

fn is_there(error: &ClientError) -> bool {
    error.code() == Some(kafka_wire::ErrorCode::TopicAlreadyExists)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let metadata = args.broker.connect()?.metadata(None)?;
    let topics = metadata.topics.values().filter(|topic| args.internal || !topic.internal);
    let mut output = Output::stdout();
    if args.output.is_json() {
        let topics = topics.map(|topic| {
            json!({
                "topic": topic.name,
                "id": topic.id.to_string(),
                "partitions": topic.partitions.len(),
                "replication_factor": replication_factor(topic),
                "internal": topic.internal,
            })
        });
        output.pretty_json(&topics.collect())?;
    } else {
        // Bare names, so that a shell can loop over them.
        topics.map(|topic| &topic.name).try_for_each(|name| output.line(name))?;
    }
    output.flush()
}

/// How many replicas the topic's first partition has.
fn replication_factor(topic: &TopicMetadata) -> usize {
    topic.partitions.first().map_or(0, |partition| partition.replicas.len())
}

fn alter(args: AlterArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    let set = args.configs.into_iter().map(|(key, value)| ConfigChange::Set(key, value));
    let deleted = args.delete_configs.into_iter().map(ConfigChange::Delete);
    let changes: Vec<ConfigChange> = set.chain(deleted).collect();
    // Values first: they are the likelier to be refused, and then nothing has happened.
    if !changes.is_empty() {
        client.alter_topic_configs(&args.name, &changes)?;
    }
    if let Some(partitions) = args.partitions {
        client.create_partitions(&args.name, partitions)?;
    }
    let mut output = Output::stdout();
    match args.output.is_json() {
        true => output.json(&json!({
            "topic": args.name,
            "configs_changed": changes.len(),
            "partitions": args.partitions,
        }))?,
        false => output.line(format!("Altered topic {}.", args.name))?,
    }
    output.flush()
}

fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    delete_each("topic", &args.names, args.output, |name| client.delete_topic(name))
}

/// A number and its noun.
fn counted(number: i64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
