//! Many connections that do nothing.

use crate::{admin::ping, args::ConnectArgs, connection::connect, error::Error, os, stats::Latency};
use serde_json::{Value, json};
use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

/// How long one connection may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the connections one after the other, holds them, and asks each again at the end.
pub fn run(args: &ConnectArgs) -> Result<Value, Error> {
    let before = args.broker_pid.map(os::usage).transpose()?;
    let (mut opening, mut asking) = (Latency::new()?, Latency::new()?);
    let mut open = Vec::new();
    for _ in 0..args.connections {
        let start = Instant::now();
        let mut stream = connect(&args.common.bootstrap)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Error::io("setting a time limit"))?;
        ping(&mut stream)?;
        opening.record(start.elapsed().as_nanos() as u64);
        open.push(stream);
    }
    let held = args.broker_pid.map(os::usage).transpose()?;
    std::thread::sleep(args.seconds);
    let alive = open.iter_mut().map(|stream| answers(stream, &mut asking)).filter(|alive| *alive).count();
    let growth = before.zip(held).map(|(b, h)| h.resident.saturating_sub(b.resident));
    Ok(json!({
        "workload": "connect",
        "connections": open.len(),
        "alive_at_end": alive,
        "connect_us": opening.to_json(),
        "asked_at_end_us": asking.to_json(),
        "broker_resident_bytes": held.map(|h| h.resident),
        "broker_bytes_a_connection": growth.map(|g| g / open.len().max(1) as u64),
    }))
}

fn answers(stream: &mut TcpStream, latency: &mut Latency) -> bool {
    let start = Instant::now();
    let alive = ping(stream).is_ok();
    if alive {
        latency.record(start.elapsed().as_nanos() as u64);
    }
    alive
}
