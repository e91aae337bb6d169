//! `flumen group reset`.

use super::find;
use crate::args::{BrokerArgs, OutputArgs};
use crate::consume::From;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use client::{Client, OffsetAt};
use serde_json::{Value, json};
use std::str::FromStr;

/// `flumen group reset`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  flumen group reset billing --topic orders --to earliest             # only shows what would happen
  flumen group reset billing --topic orders --to 15m --execute        # reads the last quarter of an hour again
  flumen group reset billing --topic orders --to 42 -p 0 --execute")]
pub struct ResetArgs {
    /// Id of the group; it is made if there is none
    group: String,
    /// Topic to go on elsewhere in
    #[arg(short, long, value_name = "TOPIC")]
    topic: String,
    /// Where to go on: `earliest`, `latest`, an offset such as 42, a time such as 2026-01-31T12:00:00Z (UTC if no
    /// zone is given), or an age such as 90s, 15m, 2h or 7d
    #[arg(long, value_name = "PLACE")]
    to: To,
    /// A partition; may be given several times, all of them if left out
    #[arg(short, long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Do it, and not only show what would happen
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Where to go on, as given by `--to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct To(From);

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<To, String> {
        match text {
            "earliest" => Ok(To(From::Beginning)),
            "latest" => Ok(To(From::End)),
            other => other.parse().map(To).map_err(|_| {
                "expected `earliest`, `latest`, an offset such as 42, a time such as 2026-01-31T12:00:00Z, or an \
                 age such as 15m"
                    .to_owned()
            }),
        }
    }
}

pub(super) fn run(args: &ResetArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    // Only members may commit for a group that has some.
    if let Some(group) = find(&mut client, &args.group)?
        && !matches!(group.state.as_str(), "" | "Empty" | "Dead")
    {
        let what = format!("group {} is in use: its state is {}", group.group, group.state);
        return Err(Failure::other(what, "stop its consumers first, or wait until their sessions end"));
    }
    let targets = targets(&mut client, args)?;
    if args.execute {
        client.commit_group_offsets(&args.group, &args.topic, &targets)?;
    }
    let mut output = Output::stdout();
    if args.output.is_json() {
        let offsets =
            targets.iter().map(|(partition, offset)| json!({ "partition": partition, "offset": offset }));
        output.json(&json!({
            "group": args.group,
            "topic": args.topic,
            "executed": args.execute,
            "offsets": Value::Array(offsets.collect()),
        }))?;
    } else {
        let rows = targets
            .iter()
            .map(|(partition, offset)| vec![args.topic.clone(), partition.to_string(), offset.to_string()]);
        output.table(&["TOPIC", "PARTITION", "NEW OFFSET"], &rows.collect::<Vec<_>>())?;
        output.line(match args.execute {
            true => format!("Group {} goes on there.", args.group),
            false => "Nothing was changed; --execute does it.".to_owned(),
        })?;
    }
    output.flush()
}

/// The new offset of each partition, within what it has.
fn targets(client: &mut Client, args: &ResetArgs) -> Result<Vec<(i32, i64)>, Failure> {
    let mut partitions = args.partitions.clone();
    if partitions.is_empty() {
        partitions = client.topic(&args.topic)?.partitions.iter().map(|one| one.partition).collect();
    }
    partitions.sort_unstable();
    partitions.dedup();
    let mut targets = args.to.0.resolve(client, &args.topic, &partitions)?;
    targets.sort_unstable();
    let first = client.offsets(&args.topic, &partitions, OffsetAt::Beginning)?;
    let end = client.offsets(&args.topic, &partitions, OffsetAt::End)?;
    for ((_, offset), (first, end)) in targets.iter_mut().zip(first.iter().zip(&end)) {
        *offset = within(*offset, first.offset, end.offset);
    }
    Ok(targets)
}

/// An offset that is gone, or not there yet, becomes the nearest that is.
fn within(offset: i64, first: i64, end: i64) -> i64 {
    offset.min(end).max(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        assert_eq!("earliest".parse(), Ok(To(From::Beginning)));
        assert_eq!("latest".parse(), Ok(To(From::End)));
        assert_eq!("42".parse(), Ok(To(From::Offset(42))));
        assert_eq!("2026-01-31".parse(), Ok(To(From::Time(1_769_817_600_000))));
        assert!("-1".parse::<To>().is_err() && "soon".parse::<To>().is_err());
    }

    #[test]
    fn offsets_stay_within_the_partition() {
        let offsets = [0, 5, 7, 10, 11].map(|offset| within(offset, 5, 10));
        assert_eq!(offsets, [5, 5, 7, 10, 10]);
    }
}
