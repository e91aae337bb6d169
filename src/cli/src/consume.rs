//! `flumen consume`: records to lines.

mod print;
mod start;

use crate::args::{BrokerArgs, Format};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use clap::Args;
use client::{Client, Consumer, FetchOptions, OffsetAt};
use print::Printer;
pub use start::From;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;

/// `flumen consume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen consume greetings --from beginning --count 10
  flumen consume logs --from 15m            # the last quarter of an hour, and what follows
  flumen consume users --from beginning --until-end --output json | jq .key")]
pub struct ConsumeArgs {
    /// Topic to read
    topic: String,
    /// Where to begin: `beginning`, `end`, an offset such as 42 (in every partition that is read), a time such
    /// as 2026-01-31T12:00:00Z (UTC if no zone is given), or an age such as 90s, 15m, 2h or 7d
    #[arg(short, long, value_name = "PLACE", default_value = "end")]
    from: From,
    /// Stop after so many records; else reading goes on until it is interrupted
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Read only this partition; may be given several times
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Stop at what is the end of each partition when reading begins
    #[arg(short = 'e', long)]
    until_end: bool,
    /// How to print a record: its value, or a JSON object with everything, one a line
    #[arg(long, visible_alias = "format", value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
    /// Text: print the key as well, and this between key and value
    #[arg(short, long, value_name = "TEXT")]
    key_separator: Option<String>,
    /// Text: print partition, offset, timestamp, key and headers before the value
    #[arg(short, long, conflicts_with = "key_separator")]
    details: bool,
    /// Read as a member of a consumer group (not in this version)
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(crate) fn run(args: &ConsumeArgs) -> Result<(), Failure> {
    if args.group.is_some() {
        return Err(Failure::Usage(
            "--group is not supported yet; leave it out to read without a group, from where --from says"
                .to_owned(),
        ));
    }
    if args.count == Some(0) {
        return Ok(());
    }
    let mut client = args.broker.connect()?;
    let partitions = partitions(&mut client, args)?;
    let offsets = args.from.resolve(&mut client, &args.topic, &partitions)?;
    let mut consumer = Consumer::new(&args.topic, offsets, FetchOptions::default());
    let mut until = Until { left: args.count, ends: BTreeMap::new() };
    if args.until_end {
        let ends = client.offsets(&args.topic, &partitions, OffsetAt::End)?;
        until.ends = ends.iter().map(|end| (end.partition, end.offset)).collect();
        if until.drop_finished(&mut consumer) {
            return Ok(());
        }
    }
    follow(args, &mut client, &mut consumer, &mut until)
}

/// The partitions to read: those that were named, or all.
fn partitions(client: &mut Client, args: &ConsumeArgs) -> Result<Vec<i32>, Failure> {
    let topic = client.topic(&args.topic)?;
    let mut partitions = args.partitions.clone();
    partitions.sort_unstable();
    partitions.dedup();
    if partitions.is_empty() {
        return Ok(topic.partitions.iter().map(|partition| partition.partition).collect());
    }
    match partitions.iter().find(|&&partition| topic.partition(partition).is_none()) {
        None => Ok(partitions),
        Some(&partition) => {
            let (topic, partitions) = (topic.name.clone(), topic.partitions.len());
            Err(client::ClientError::NoSuchPartition { topic, partition, partitions }.into())
        }
    }
}

/// When to stop.
struct Until {
    /// Records that are still to be printed.
    left: Option<u64>,
    /// Where each partition ends, if that is the end.
    ends: BTreeMap<i32, i64>,
}

impl Until {
    /// True if a record is behind the end of its partition.
    fn is_behind(&self, partition: i32, offset: i64) -> bool {
        self.ends.get(&partition).is_some_and(|&end| offset >= end)
    }

    /// Takes note of a printed record; breaks after the last.
    fn count(&mut self) -> ControlFlow<()> {
        match &mut self.left {
            None => ControlFlow::Continue(()),
            Some(left) => {
                *left -= 1;
                if *left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            }
        }
    }

    /// Reads no further in partitions that have reached their end; true if none is left.
    fn drop_finished(&self, consumer: &mut Consumer) -> bool {
        let finished = consumer.positions().iter().filter(|at| self.is_behind(at.partition, at.offset));
        let finished: Vec<i32> = finished.map(|at| at.partition).collect();
        finished.iter().for_each(|&partition| consumer.drop_partition(partition));
        consumer.positions().is_empty()
    }
}

fn follow(
    args: &ConsumeArgs,
    client: &mut Client,
    consumer: &mut Consumer,
    until: &mut Until,
) -> Result<(), Failure> {
    let mut output = Output::stdout();
    let printer = match args.output {
        Format::Json => Printer::Json,
        Format::Text if args.details => Printer::Details,
        Format::Text => Printer::Value { key_separator: args.key_separator.clone() },
    };
    // Where records scroll by, a line of progress would be in their way.
    let mut progress = Progress::new(!std::io::stdout().is_terminal());
    let (mut records, mut bytes) = (0, 0);
    loop {
        let mut failure = None;
        let polled = consumer.poll(client, |record| {
            if until.is_behind(record.partition, record.offset) {
                return ControlFlow::Continue(());
            }
            if let Err(error) = printer.print(&mut output, &args.topic, record) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            records += 1;
            bytes += (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
            until.count()
        });
        // What was read is shown, whatever comes next.
        let flushed = output.flush();
        if let Some(failure) = failure {
            return Err(failure);
        }
        polled?;
        flushed?;
        progress.show(records, bytes);
        if until.left == Some(0) || until.drop_finished(consumer) {
            return Ok(());
        }
    }
}
