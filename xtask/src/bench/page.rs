//! The page that a run writes: how it was measured, then the tables.

use super::{
    history::Origin,
    measure::{BEFORE_RESTART, CROSS_CONNECTIONS, CROSS_SECONDS, FILL, FIRST, SETTLE_NEW},
    page_rows,
    stage::{MORE_PART, SECOND_TOPIC},
    system::{BROKER_CORE, LOAD_CORE},
    table::{self, Ceilings, Results},
    turns::Asked,
};
use std::fmt::Write as _;

/// The whole page.
pub fn text(asked: &Asked<'_>, origin: &Origin, ceilings: &Ceilings, results: &Results) -> String {
    let mut out = String::from("# Flumen and Kafka\n\n");
    introduction(&mut out, asked, origin);
    method(&mut out, asked);
    the_ceilings(&mut out, ceilings);
    out + &table::markdown(asked.rows, results, ceilings)
}

fn the_ceilings(out: &mut String, ceilings: &Ceilings) {
    let _ = writeln!(
        out,
        "## Ceilings\n\nOf the same run, the best of several measurements before and after the rows, with no broker up: \
         durable direct writes of 1 MiB {} MB/s; a lone durable write of 4 KiB {} µs p50, {} µs p99; loopback {} MB/s; \
         echoes of 100 B over 100 connections by the executor that Flumen runs on, one core, {} a second; a lone echo \
         of 1.1 KB by that executor {} µs p50, {} µs p99. Beside the results stands their share of these; beside a p50, \
         how many times the lone write or the lone echo it is.\n",
        table::digits(ceilings.device_mb_per_s),
        table::digits(ceilings.device_p50),
        table::digits(ceilings.device_p99),
        table::digits(ceilings.loopback_mb_per_s),
        table::digits(ceilings.echo_per_s),
        table::digits(ceilings.lone_echo_p50),
        table::digits(ceilings.lone_echo_p99),
    );
    let _ = writeln!(
        out,
        "The lone echo is measured as the row one is, by the same code of the client: one connection, one frame with a \
         record of 1 KB in flight, the next when it is answered, the first tenth of the time left out. On core \
         {BROKER_CORE} the executor sends back what came and does nothing else; without work it sleeps at once, as \
         Flumen's cores do by default. The echo is as long as the frame, where a broker's answer has some 60 bytes. The \
         row one is set beside it for the two systems that acknowledge from memory; for Kafka, too, it is the echo of \
         Flumen's executor.\n",
    );
}

fn introduction(out: &mut String, asked: &Asked<'_>, origin: &Origin) {
    let _ = writeln!(
        out,
        "Written by `cargo xtask bench versus` on {}. The broker has core {BROKER_CORE}, the load core {LOAD_CORE}. \
         Each system has {} of {} s in each row; the figures are the medians of its turns. Latency is counted from \
         the time at which a request was due. Read the ratios: the absolute figures are about this machine.\n",
        origin.words(),
        table::counted(asked.rounds as usize, "turn"),
        asked.spans.seconds,
    );
}

/// What was done, exactly: who reads the figures must be able to judge them.
fn method(out: &mut String, asked: &Asked<'_>) {
    let spans = asked.spans;
    let _ = writeln!(out, "## How\n");
    let _ = writeln!(
        out,
        "- Within a row the brokers are started once, each on an empty directory, all on core {BROKER_CORE}. They take \
         turns, A B A B; who has no turn is idle. *Others' cores* is what all else took: idle brokers, other programs, \
         the kernel's own threads, the host. Near 0 in a run that counts.\n\
         - Kafka's default and Kafka with `flush.messages=1` are one process with a topic for each, for they differ by \
         the topic's configuration only. Flumen durable and Flumen relaxed are two processes.\n\
         - Before the first turn Kafka gets {} s of the row's load as fast as it goes, on the default topic; then \
         {SECOND_TOPIC} s on the topic with `flush.messages=1`, Flumen {} s on each of its topics. The topics that were \
         warmed up are measured; the first {} s of a turn are left out. Kafka's resident memory is that at the end of \
         its warm-up, when it has one topic.",
        spans.kafka_warmup,
        spans.flumen_warmup,
        spans.settle(),
    );
    for rows in asked.groups().filter(|rows| rows.len() > 1) {
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let _ = writeln!(
            out,
            "- The rows {} have loads of one shape and share one start of the brokers: for other topics or another kind \
             of load Kafka is warmed up for a further {} s.",
            names.join(", "),
            spans.kafka_warmup / MORE_PART,
        );
    }
    let _ = writeln!(
        out,
        "- Between two turns the file system is synced, and no turn begins while a broker still writes.\n\
         - Topics have limits of size, and segments of a quarter of that. Where the next round could take more than {} \
         GB on the disk, the topics of all systems are deleted and made anew, with {SETTLE_NEW} s of load that are not \
         measured.\n\
         - Started anew for every turn: the first {FIRST} s after the start; the restart, after {BEFORE_RESTART} s of \
         load; idle partitions; the row across cores. A cold read fills a new topic for {} s, has the kernel forget \
         the broker's files, and reads it from the start, beside a producer of 1,000 requests/s to another topic.\n\
         - Across cores: Flumen on cores 0 and 1; over {CROSS_CONNECTIONS} connections, one after the other, requests go \
         to one and then to the other of two partitions, which live on different cores, {CROSS_SECONDS} s each. One of \
         them is the connection's own: the ratio of the dearer to the cheaper is what crossing costs at most. The \
         median of the connections counts.\n\
         - At the end of every turn the log end offsets prove that all that was acknowledged is there, once.",
        spans.disk >> 30,
        spans.seconds.min(FILL),
    );
    page_rows::text(out, asked);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{
        measure::Spans,
        system::{Places, System},
    };

    #[test]
    fn one_turn_and_one_core_are_not_called_turns_and_cores() {
        let spans = Spans { seconds: 8, kafka_warmup: 120, flumen_warmup: 5, disk: 24 << 30 };
        let places = Places { root: "root".into(), scratch: "scratch".into() };
        for (number, turns, cores) in
            [(1, "has 1 turn of 8 s", ": 1 core of p,"), (2, "has 2 turns of 8 s", ": 2 cores of p,")]
        {
            let origin = Origin {
                date: "d".into(),
                commit: "c".into(),
                kernel: "k".into(),
                processor: "p".into(),
                cores: number,
                memory_gb: 1.0,
            };
            let (systems, rounds) = (&System::ALL[..], number as u32);
            let asked = Asked { rows: &[], systems, rounds, spans: &spans, places: &places };
            let page = text(&asked, &origin, &Ceilings::default(), &Results::new());
            assert!(page.contains(turns) && page.contains(cores), "{page}");
        }
    }
}
