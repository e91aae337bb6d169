//! `flumen consume`: records to lines.

mod in_group;
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
  flumen consume users --from beginning --until-end --output json | jq .key
  flumen consume orders --group billing --from beginning    # goes on where the group has left off")]
pub struct ConsumeArgs {
    /// Topic to read
    topic: String,
    /// Where to begin: `beginning`, `end`, an offset such as 42 (in every partition that is read), a time such
    /// as 2026-01-31T12:00:00Z (UTC if no zone is given), or an age such as 90s, 15m, 2h or 7d. With --group: where
    /// to begin in partitions in which the group has committed nothing that is still there
    #[arg(short, long, value_name = "PLACE", default_value = "end")]
    from: From,
    /// Stop after so many records; else reading goes on until it is interrupted
    #[arg(short = 'n', long, value_name = "N")]
    count: Option<u64>,
    /// Read only this partition; may be given several times
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..),
        conflicts_with = "group")]
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
    /// Read as a member of this consumer group: the partitions are shared with its other members, and what was
    /// printed is committed
    #[arg(short, long, value_name = "GROUP")]
    group: Option<String>,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(crate) fn run(args: &ConsumeArgs) -> Result<(), Failure> {
    if args.count == Some(0) {
        return Ok(());
    }
    if let Some(group) = &args.group {
        return in_group::run(args, group);
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
    let mut printing = Printing::new(args);
    loop {
        printing.poll(&args.topic, &mut client, &mut consumer, &mut until)?;
        if until.left == Some(0) || until.drop_finished(&mut consumer) {
            return Ok(());
        }
    }
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

/// Records on their way to stdout.
struct Printing {
    output: Output,
    printer: Printer,
    progress: Progress,
    records: u64,
    bytes: u64,
}

impl Printing {
    fn new(args: &ConsumeArgs) -> Printing {
        let printer = match args.output {
            Format::Json => Printer::Json,
            Format::Text if args.details => Printer::Details,
            Format::Text => Printer::Value { key_separator: args.key_separator.clone() },
        };
        // Where records scroll by, a line of progress would be in their way.
        let progress = Progress::new(!std::io::stdout().is_terminal());
        Printing { output: Output::stdout(), printer, progress, records: 0, bytes: 0 }
    }

    /// Asks once for records and prints them. After [`Failure::Client`] all is printed up to where the consumer
    /// stands, as it is without a failure.
    fn poll(
        &mut self,
        topic: &str,
        client: &mut Client,
        consumer: &mut Consumer,
        until: &mut Until,
    ) -> Result<(), Failure> {
        let mut failure = None;
        let polled = consumer.poll(client, |record| {
            if until.is_behind(record.partition, record.offset) {
                return ControlFlow::Continue(());
            }
            if let Err(error) = self.printer.print(&mut self.output, topic, record) {
                failure = Some(error);
                return ControlFlow::Break(());
            }
            self.records += 1;
            self.bytes += (record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len)) as u64;
            until.count()
        });
        // What was read is shown, whatever comes next.
        let flushed = self.output.flush();
        if let Some(failure) = failure {
            return Err(failure);
        }
        // Before what the cluster says: what is not printed does not count as read.
        flushed?;
        polled?;
        self.progress.show(self.records, self.bytes);
        Ok(())
    }
}
