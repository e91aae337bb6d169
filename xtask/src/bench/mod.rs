//! `cargo xtask bench`: the comparison with Kafka, and single pieces.
//!
//! `versus` starts Kafka and Flumen side by side, each on an empty directory, pinned to one core, with the
//! load on another, lets them take turns, and writes what came out: `docs/benchmarks/versus.md`, pictures
//! beside it, and a line in `bench/history/versus.jsonl`. Only ratios within one run mean
//! anything; a figure alone is about the machine.
//!
//! `clients` sets the same two beside each other under tools that others wrote: Kafka's own and librdkafka's, which say
//! what such a client gets, and that the figures of `versus` are not made by its load tool. It writes
//! `docs/benchmarks/clients.md` and a line in `bench/history/clients.jsonl`.
//!
//! `micro` runs the benchmarks of single pieces and adds a line for each to `bench/history/micro.jsonl`.

mod beside;
mod clients;
mod history;
mod kafka;
mod measure;
mod micro;
mod page;
mod page_rows;
mod picture;
mod plan;
mod rows;
mod stage;
mod system;
mod table;
mod tools;
mod turns;
mod versus;

const USAGE: &str = "\
usage: cargo xtask bench versus [options]
  --rows A,B        only these rows (--list names them)
  --systems A,B     only these of kafka, kafka-flush, flumen, flumen-relaxed
  --rounds N        turns of each system at each row (2)
  --seconds S       seconds measured in a turn (10)
  --warmup S        seconds of full load on Kafka before its first turn (120)
  --flumen-warmup S the same for Flumen (5)
  --disk-gb N       what the topics of a row may keep on the disk between rounds (24)
  --scratch DIR     where jars, data and logs go (target/versus)
  --no-build        use the binaries that are in target/release
  --no-write        print the table; leave docs/ and bench/history/ alone
  --list            name the rows, how long each takes, and end

usage: cargo xtask bench clients [options]
  --tools A,B       only these of java-produce, java-consume, rdkafka-produce, rdkafka-consume, java-end-to-end
  --systems A,B     only these of kafka, kafka-flush, flumen, flumen-relaxed
  --rounds N        turns of each system with each tool (2)
  --warmup S        seconds of full load on Kafka before its first turn (120)
  --scratch DIR     where jars, sources, data and logs go (target/versus)
  --no-build        use the binaries that are in target/release
  --no-write        print the tables; leave docs/ and bench/history/ alone

usage: cargo xtask bench micro [options]
  --comparators     also the others: crc-fast, glommio, tokio (compiled for this alone)
  --bench NAME      only this file of bench/micro/benches
  --no-write        leave bench/history/ alone";

/// The command's entry.
pub fn run(args: &[String]) -> Result<(), String> {
    match args.split_first() {
        Some((command, rest)) if command == "versus" => versus::run(rest),
        Some((command, rest)) if command == "clients" => clients::run(rest),
        Some((command, rest)) if command == "micro" => micro::run(rest),
        _ => Err(USAGE.to_owned()),
    }
}
