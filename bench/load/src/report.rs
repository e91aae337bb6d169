//! What is printed at the end of a run.

use crate::{
    engine::Outcome,
    error::code_name,
    run::Finished,
    stats::{Flow, Latency, PERCENTILES, round},
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// One object with all that was counted.
pub fn to_json(run: &Finished) -> Value {
    let over = run.outcome.seconds;
    let mut out = Map::new();
    out.insert("workload".into(), json!(run.name));
    out.insert("good".into(), json!(run.good()));
    if let Some(p) = &run.producing {
        let mut flow = p.flow.to_json(over);
        flow["send_delay_us"] = p.send_delay.to_json();
        flow["overloaded"] = json!(p.overloaded);
        out.insert("produced".into(), flow);
    }
    if let Some(c) = &run.consuming {
        let mut flow = c.flow.to_json(over);
        flow["fetches"] = json!(c.fetches);
        flow["gaps"] = json!(c.gaps);
        flow["corrupt"] = json!(c.corrupt);
        out.insert("consumed".into(), flow);
        if let Some(latency) = &c.end_to_end {
            out.insert("end_to_end_us".into(), latency.to_json());
        }
    }
    for (name, proof) in [("arrived", run.arrived), ("to_read", run.to_read)] {
        if let Some((records, verdict)) = proof {
            out.insert(name.into(), json!({"records": records, "verdict": verdict.name()}));
        }
    }
    out.insert("deleted_records".into(), json!(run.deleted));
    put_outcome(&mut out, &run.outcome);
    Value::Object(out)
}

/// What is told of every run: how it went, and who used what.
pub(crate) fn put_outcome(out: &mut Map<String, Value>, outcome: &Outcome) {
    out.insert("seconds".into(), json!(round(outcome.seconds)));
    out.insert("lost_connections".into(), json!(outcome.lost_connections));
    out.insert("unanswered".into(), json!(outcome.unanswered));
    out.insert("unread".into(), json!(outcome.unread));
    out.insert("client_busy".into(), json!(round(outcome.busy)));
    out.insert("other_cores".into(), json!(round(outcome.others)));
    out.insert("stolen_cores".into(), json!(round(outcome.stolen)));
    out.insert("broker".into(), broker(outcome));
}

/// The broker's use over the measured span.
fn broker(outcome: &Outcome) -> Value {
    outcome.broker.map_or(Value::Null, |(before, after)| {
        json!({
            "cpu_s": round(after.cpu_s - before.cpu_s),
            "cores": round((after.cpu_s - before.cpu_s) / outcome.seconds.max(1e-9)),
            "written_bytes": after.written.saturating_sub(before.written),
            "read_bytes": after.read.saturating_sub(before.read),
            "resident_bytes": after.resident,
            "resident_peak_bytes": after.resident_peak,
        })
    })
}

/// A few lines for a reader.
pub fn to_text(run: &Finished) -> String {
    let mut out = String::new();
    let seconds = run.outcome.seconds;
    let _ = writeln!(out, "{}: {seconds:.2} s measured", run.name);
    if let Some(p) = &run.producing {
        flow_text(&mut out, "produced", &p.flow, seconds);
        latency_text(&mut out, "  latency", &p.flow.latency);
        if p.open_loop() {
            latency_text(&mut out, "  sent late by", &p.send_delay);
        }
        if p.overloaded {
            let _ = writeln!(out, "  OVERLOADED: the open loop was given up, too much was unanswered");
        }
    }
    if let Some(c) = &run.consuming {
        flow_text(&mut out, "consumed", &c.flow, seconds);
        let _ = writeln!(out, "  {} fetches, {} gaps, {} corrupt batches", c.fetches, c.gaps, c.corrupt);
        if let Some(latency) = &c.end_to_end {
            latency_text(&mut out, "  end to end", latency);
        }
    }
    broker_text(&mut out, run);
    if let Some((records, verdict)) = run.arrived {
        let _ = writeln!(out, "log end offsets grew by {records}: {}", verdict.name());
    }
    if run.deleted > 0 {
        let _ = writeln!(out, "deleted meanwhile: {} records", run.deleted);
    }
    if let Some((records, verdict)) = run.to_read {
        let _ = writeln!(out, "to be read {records}: {}", verdict.name());
    }
    let o = &run.outcome;
    if o.lost_connections > 0 || o.unanswered > 0 || o.unread {
        let unread = if o.unread { ", not all was read" } else { "" };
        let _ = writeln!(
            out,
            "{} connections lost, {} requests unanswered{unread}",
            o.lost_connections, o.unanswered
        );
    }
    let _ = writeln!(
        out,
        "this tool was busy {:.0} % of the time; others used {:.2} cores, {:.2} were stolen",
        o.busy * 100.0,
        o.others,
        o.stolen
    );
    out
}

fn flow_text(out: &mut String, what: &str, flow: &Flow, seconds: f64) {
    let v = flow.measured;
    let _ = writeln!(
        out,
        "{what}: {:.0} requests/s, {:.0} records/s, {:.1} MB/s",
        v.requests as f64 / seconds,
        v.records as f64 / seconds,
        v.bytes as f64 / 1e6 / seconds
    );
    for (code, n) in &flow.errors {
        let _ = writeln!(out, "  {n} × {} ({code})", code_name(*code));
    }
}

fn latency_text(out: &mut String, what: &str, latency: &Latency) {
    let _ = write!(out, "{what} µs:");
    for (name, quantile) in PERCENTILES {
        let _ = write!(out, " {name} {:.0}", latency.micros(quantile));
    }
    let _ = writeln!(out, " max {:.0}", latency.micros(1.0));
}

fn broker_text(out: &mut String, run: &Finished) {
    let Some((before, after)) = run.outcome.broker else { return };
    let cpu = after.cpu_s - before.cpu_s;
    let produced = run.producing.as_ref().map_or(0, |p| p.flow.measured.bytes);
    let consumed = run.consuming.as_ref().map_or(0, |c| c.flow.measured.bytes);
    let records = run.producing.as_ref().map_or(0, |p| p.flow.measured.records)
        + run.consuming.as_ref().map_or(0, |c| c.flow.measured.records);
    let per = |n: u64, unit: f64| if n == 0 { 0.0 } else { cpu / (n as f64 / unit) };
    let written = after.written.saturating_sub(before.written);
    let _ = writeln!(
        out,
        "broker: {cpu:.2} CPU s, {:.2} s/GB, {:.2} s per million records, {:.2} bytes written per byte \
         received, {} MB resident",
        per(produced + consumed, 1e9),
        per(records, 1e6),
        if produced == 0 { 0.0 } else { written as f64 / produced as f64 },
        after.resident >> 20
    );
}
