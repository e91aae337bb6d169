//! What it costs a broker of several cores when a partition lives on another core than the connection.
//!
//! A connection belongs to one core of the broker, which the client neither chooses nor is told. So each connection
//! sends to two partitions that live on different cores, first to one, then to the other: one of the two is its
//! own core's. The dearer over the cheaper is the cost of crossing, or more than that, never less.
//!
//! This thread waits for answers asleep, not spinning: on a machine of two cores it shares one with the broker. Many
//! requests travel together, so that waking up is no part of what is compared.

use crate::{
    admin::{Admin, Layout, LogEnd},
    args::CrossArgs,
    batch::Batch,
    connection::connect,
    error::Error,
    os,
    requests::{ProduceTemplate, parse_produce},
    run,
    stats::round,
};
use serde_json::{Value, json};
use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

/// Patience for partitions to be served.
const PATIENCE: Duration = Duration::from_secs(60);
/// An answer to Produce is far shorter.
const LONGEST_ANSWER: usize = 64 << 10;
/// Requests in flight that surely fit into the buffers between the two ends.
const INFLIGHT_MAX: usize = 256;

/// CPU of the broker for a request, in µs, at each of the two partitions.
type Costs = [f64; 2];

/// Measures one connection after the other and returns one object.
pub fn run(args: &CrossArgs) -> Result<Value, Error> {
    if args.topics.topics != 1 || args.topics.partitions != 2 {
        return Err(Error::Usage(
            "--partitions must be 2: one on the connection's core, one on another".into(),
        ));
    }
    if args.connections == 0 || args.inflight == 0 || args.inflight > INFLIGHT_MAX {
        return Err(Error::Usage(format!(
            "--connections must be above 0, --inflight from 1 to {INFLIGHT_MAX}"
        )));
    }
    let mut admin = Admin::new(&args.common.bootstrap);
    let layout = run::prepare(&mut admin, &args.topics)?;
    let before = admin.settled_offsets(&layout, LogEnd::Latest, PATIENCE)?;
    let batch = run::build_batch(&args.records)?;
    let windows: Vec<Vec<u8>> = (0..2).map(|i| window(&layout, i, &batch, args.inflight)).collect();
    let (start, own) = (Instant::now(), os::usage(std::process::id())?);
    let (mut all, mut answered) = (Vec::new(), 0);
    for number in 0..args.connections {
        let stream = connect(&layout.nodes[layout.targets[0].node])?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::io("setting a time limit"))?;
        let mut costs: Costs = [0.0; 2];
        for step in 0..2 {
            // Every other connection begins with the second: what grows with time must not look like a cost.
            let partition = (number + step) % 2;
            let (cost, requests) = measure(&stream, &windows[partition], args)?;
            costs[partition] = cost;
            answered += requests;
        }
        all.push(costs);
    }
    let busy = (os::usage(std::process::id())?.cpu_s - own.cpu_s) / start.elapsed().as_secs_f64();
    let after = admin.offsets(&layout, LogEnd::Latest)?;
    let arrived = after.iter().zip(&before).map(|(a, b)| a - b).sum::<i64>().max(0) as u64;
    let due = answered * args.records.records_per_batch as u64;
    if arrived != due {
        return Err(Error::Timeout(format!("proof: {due} records were acknowledged, {arrived} are there")));
    }
    let mut report = summary(&all);
    report["requests"] = json!(answered);
    report["client_busy"] = json!(round(busy));
    Ok(report)
}

/// As many requests for one partition as travel together.
fn window(layout: &Layout, target: usize, batch: &Batch, inflight: usize) -> Vec<u8> {
    let target = layout.targets[target];
    let template = ProduceTemplate::new(&layout.topics[target.topic], target.partition, -1, batch);
    let tail = ProduceTemplate::tail(batch);
    let (mut window, mut head) = (Vec::new(), Vec::new());
    for correlation in 0..inflight as i32 {
        template.write(&mut head, correlation);
        window.extend_from_slice(&head);
        window.extend_from_slice(&tail);
    }
    window
}

/// The broker's CPU for a request, in µs, and how many requests were answered, those not measured included.
fn measure(stream: &TcpStream, window: &[u8], args: &CrossArgs) -> Result<(f64, u64), Error> {
    let mut answers = BufReader::new(stream);
    let mut send_for = |time: Duration| {
        let until = Instant::now() + time;
        let mut requests = 0;
        while Instant::now() < until {
            let mut stream = stream;
            stream.write_all(window).map_err(Error::io("sending requests"))?;
            for _ in 0..args.inflight {
                read_answer(&mut answers)?;
            }
            requests += args.inflight as u64;
        }
        Ok::<u64, Error>(requests)
    };
    let unmeasured = send_for(args.seconds / 10)?;
    let before = os::usage(args.broker_pid)?;
    let requests = send_for(args.seconds)?;
    let after = os::usage(args.broker_pid)?;
    Ok(((after.cpu_s - before.cpu_s) / requests.max(1) as f64 * 1e6, unmeasured + requests))
}

fn read_answer(answers: &mut BufReader<&TcpStream>) -> Result<(), Error> {
    let mut length = [0; 4];
    answers.read_exact(&mut length).map_err(Error::io("waiting for an answer"))?;
    let length = i32::from_be_bytes(length);
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= LONGEST_ANSWER) else {
        return Err(Error::Protocol("an answer of an impossible length"));
    };
    let mut frame = vec![0; length];
    answers.read_exact(&mut frame).map_err(Error::io("reading an answer"))?;
    match parse_produce(&frame)?.code {
        0 => Ok(()),
        code => Err(Error::Broker { request: "Produce", subject: "a partition".into(), code }),
    }
}

/// Medians over the connections.
fn summary(all: &[Costs]) -> Value {
    let of = |figure: fn(&Costs) -> f64| {
        let mut values: Vec<f64> = all.iter().map(figure).filter(|v| v.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().map(round)
    };
    json!({
        "workload": "cross",
        "connections": all.len(),
        "cheaper_us": of(|c| c[0].min(c[1])),
        "dearer_us": of(|c| c[0].max(c[1])),
        "dearer_to_cheaper": of(|c| c[0].max(c[1]) / c[0].min(c[1])),
        "each_us": all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dearer_is_set_against_the_cheaper_of_the_same_connection() {
        // The first connection belongs to the first partition's core, the others to the second's.
        let report = summary(&[[10.0, 12.0], [13.0, 10.0], [22.0, 20.0]]);
        assert_eq!(report["dearer_to_cheaper"], 1.2);
        assert_eq!((&report["cheaper_us"], &report["dearer_us"]), (&json!(10.0), &json!(13.0)));
        // A broker that used no time that could be measured gives no ratio.
        assert_eq!(summary(&[[0.0, 0.0]])["dearer_to_cheaper"], Value::Null);
    }
}
