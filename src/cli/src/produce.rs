//! `flumen produce`: lines to records.
//!
//! One thread reads stdin in large pieces; this one cuts them into lines and talks to the brokers. When no
//! input comes for a moment, what there is is sent, so that a pipe that trickles is not held up.

mod lines;

use crate::args::{BrokerArgs, OutputArgs};
use crate::failure::Failure;
use crate::output::{Output, byte_size, thousands};
use crate::progress::Progress;
use crate::timestamp::now_ms;
use clap::{Args, ValueEnum};
use client::{Acks, Client, ProduceOptions, Producer};
use kafka_wire::record_batch::Compression;
use lines::{Line, LineReader, Next};
use serde_json::json;
use std::time::Duration;

/// So long may a line wait for more to come.
const LINGER: Duration = Duration::from_millis(20);

/// When a record counts as written.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AcksArg {
    /// When every replica in sync has it
    All,
    /// When the leader has it
    #[value(name = "1")]
    Leader,
    /// When it is sent: it may be lost, and nobody will know
    #[value(name = "0")]
    None,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[allow(missing_docs)]
pub enum CompressionArg {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// `flumen produce`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  echo hello | flumen produce greetings
  flumen produce users --key-separator : < users.txt    # lines such as 17:Ada
  tail -f app.log | flumen produce logs --compression lz4")]
pub struct ProduceArgs {
    /// Topic to write to; it must exist
    topic: String,
    /// What stands between key and value in a line; a line without it is refused. Without this option
    /// records have no key
    #[arg(short, long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    key_separator: Option<String>,
    /// Write to this partition; else records with equal keys share one, and others go wherever there is room
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// A header that every record gets, as in source=import; may be given several times
    #[arg(short = 'H', long = "header", value_name = "KEY=VALUE", value_parser = crate::args::key_value)]
    headers: Vec<(String, String)>,
    /// When a record counts as written
    #[arg(short, long, value_enum, default_value = "all", value_name = "WHEN")]
    acks: AcksArg,
    /// How to compress batches
    #[arg(short = 'z', long, value_enum, default_value = "none", value_name = "CODEC")]
    compression: CompressionArg,
    #[command(flatten)]
    broker: BrokerArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl ProduceArgs {
    fn options(&self) -> ProduceOptions {
        ProduceOptions {
            acks: match self.acks {
                AcksArg::All => Acks::All,
                AcksArg::Leader => Acks::Leader,
                AcksArg::None => Acks::None,
            },
            compression: match self.compression {
                CompressionArg::None => Compression::None,
                CompressionArg::Gzip => Compression::Gzip,
                CompressionArg::Snappy => Compression::Snappy,
                CompressionArg::Lz4 => Compression::Lz4,
                CompressionArg::Zstd => Compression::Zstd,
            },
            ..ProduceOptions::default()
        }
    }
}

pub(crate) fn run(args: &ProduceArgs) -> Result<(), Failure> {
    let mut client = args.broker.connect()?;
    let mut producer = Producer::open(&mut client, &args.topic, args.options())?;
    let mut progress = Progress::new(true);
    let result = produce_lines(args, &mut client, &mut producer, &mut progress);
    let elapsed = progress.elapsed();
    drop(progress);
    let totals = producer.totals();
    if let Err(failure) = result {
        return Err(with_count(failure, totals.records));
    }
    let mut output = Output::stdout();
    if args.output.is_json() {
        output.json(&json!({
            "topic": args.topic,
            "records": totals.records,
            "bytes": totals.bytes,
            "batches": totals.batches,
            "batches_retried": totals.retried,
            "seconds": elapsed.as_secs_f64(),
        }))?;
    } else {
        let rate = totals.bytes as f64 / elapsed.as_secs_f64().max(1e-9);
        output.line(format!(
            "Wrote {} records ({}) to {} in {:.1} s, {}/s.",
            thousands(totals.records),
            byte_size(totals.bytes),
            args.topic,
            elapsed.as_secs_f64(),
            byte_size(rate as u64),
        ))?;
    }
    output.flush()
}

/// Says how much was written before it failed.
fn with_count(failure: Failure, written: u64) -> Failure {
    match failure.line() {
        Some(line) if written > 0 => {
            Failure::other(line, format!("{} records were written before", thousands(written)))
        }
        _ => failure,
    }
}

fn produce_lines(
    args: &ProduceArgs,
    client: &mut Client,
    producer: &mut Producer,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let headers: Vec<(&str, Option<&[u8]>)> =
        args.headers.iter().map(|(key, value)| (key.as_str(), Some(value.as_bytes()))).collect();
    let separator = args.key_separator.as_deref().map(str::as_bytes);
    let mut reader = LineReader::stdin();
    let mut unsent = false;
    loop {
        let piece = match reader.next(if unsent { LINGER } else { Duration::MAX })? {
            Next::Piece(piece) => piece,
            Next::Idle => {
                producer.flush(client)?;
                unsent = false;
                continue;
            }
            Next::End => break,
        };
        // One look at the clock is enough for what arrived together.
        let timestamp = now_ms();
        for line in piece.lines() {
            let Some(Line { key, value }) = Line::split(line.bytes, separator) else {
                // The lines before it are good.
                producer.flush(client)?;
                let what = format!("line {} has no key separator", line.number);
                return Err(Failure::other(what, "mend the line, or leave out --key-separator"));
            };
            producer.send(client, args.partition, timestamp, key, Some(value), &headers)?;
        }
        unsent = true;
        let totals = producer.totals();
        progress.show(totals.records, totals.bytes);
    }
    Ok(producer.flush(client)?)
}
