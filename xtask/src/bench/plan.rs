//! How long a run will take, so that whoever starts it knows.

use super::{
    beside,
    measure::{BEFORE_RESTART, CROSS_CONNECTIONS, CROSS_SECONDS, FILL, FIRST},
    rows::{Kind, Row},
    stage::{MORE_PART, SECOND_TOPIC, Warm, warm_for},
    system::System,
    turns::Asked,
};
use std::collections::BTreeSet;

/// Seconds that the ceilings take, before and after.
pub const CEILINGS: u32 = 81;
/// Seconds around a load: its start, its proof, the disk's rest.
const AROUND: u32 = 2;
/// Seconds to start a broker on an empty directory.
const KAFKA_START: u32 = 8;
const FLUMEN_START: u32 = 1;
/// Seconds in which a broker is back with a thousand partitions, after a kill and after a stop together.
const KAFKA_RESTARTS: u32 = 60;
const FLUMEN_RESTARTS: u32 = 3;

/// Each row, and the seconds that it takes; those that a group shares are counted at its first row.
pub fn of(asked: &Asked<'_>) -> Vec<(&'static Row, u32)> {
    let mut plan = Vec::new();
    for rows in asked.groups() {
        let hosts: BTreeSet<System> =
            rows.iter().flat_map(|row| asked.systems_of(row)).map(|system| system.host()).collect();
        let mut started: u32 = match rows.iter().any(|row| row.kind.starts_anew()) {
            true => 0,
            false => hosts.iter().map(|host| start(*host)).sum(),
        };
        let mut warm: BTreeSet<Warm> = BTreeSet::new();
        for row in rows {
            let seconds = started
                + if row.kind.starts_anew() { anew(asked, row) } else { warmed(asked, row, &mut warm) };
            plan.push((*row, seconds));
            started = 0;
        }
    }
    plan
}

fn start(host: System) -> u32 {
    if host.is_kafka() { KAFKA_START } else { FLUMEN_START }
}

/// A row on brokers that are started for every turn.
fn anew(asked: &Asked<'_>, row: &Row) -> u32 {
    let turn = |system: System| {
        let restarts = if system.is_kafka() { KAFKA_RESTARTS } else { FLUMEN_RESTARTS };
        let work = match row.kind {
            Kind::First => FIRST,
            Kind::Restart => BEFORE_RESTART + restarts,
            Kind::Cross => 2 * CROSS_CONNECTIONS * CROSS_SECONDS,
            _ => 2,
        };
        start(system) + work + AROUND
    };
    asked.rounds * asked.systems_of(row).into_iter().map(turn).sum::<u32>()
}

/// A row on brokers that are warm, or get so: see [`Stage::warm_up`](super::stage::Stage::warm_up).
fn warmed(asked: &Asked<'_>, row: &Row, warm: &mut BTreeSet<Warm>) -> u32 {
    let spans = asked.spans;
    let mut seconds = 0;
    let systems = asked.systems_of(row);
    // Kafka's process is warmed up by its first system, whether that is asked for or not.
    let also = systems.contains(&System::KafkaFlush).then_some(System::Kafka);
    for system in also.into_iter().chain(systems.iter().copied()) {
        let started = warm.iter().any(|(one, ..)| one.host() == system.host());
        if !warm.insert(warm_for(row, system)) {
            continue;
        }
        seconds += AROUND
            + match system {
                System::Kafka if !started => spans.kafka_warmup,
                System::Kafka => spans.kafka_warmup / MORE_PART,
                System::KafkaFlush => SECOND_TOPIC.min(spans.kafka_warmup),
                System::FlumenDurable | System::FlumenRelaxed => spans.flumen_warmup,
            };
    }
    let turn = AROUND
        + match row.kind {
            // What is filled is read about as fast.
            Kind::Cold => 2 * spans.seconds.min(FILL),
            Kind::Beside(what) => beside::seconds(what, spans.seconds, spans.settle()),
            // Both protocols, each with a group to form.
            Kind::Rebalance => 2 * (spans.seconds + AROUND),
            _ => spans.seconds + spans.settle(),
        };
    let full = if row.kind == Kind::Half && !systems.is_empty() { spans.seconds + AROUND } else { 0 };
    seconds + full + turn * asked.rounds * systems.len() as u32
}

/// Seconds as minutes and seconds.
pub fn clock(seconds: u32) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{measure::Spans, rows::ROWS, system::Places};

    fn plan(names: &[&str], rounds: u32) -> Vec<u32> {
        let rows: Vec<&'static Row> = ROWS.iter().filter(|row| names.contains(&row.name)).collect();
        let spans = Spans { seconds: 10, kafka_warmup: 120, flumen_warmup: 5, disk: 24 << 30 };
        let places = Places { root: "root".into(), scratch: "scratch".into() };
        let (rows, systems) = (&rows[..], &System::ALL[..]);
        of(&Asked { rows, systems, rounds, spans: &spans, places: &places }).iter().map(|(_, s)| *s).collect()
    }

    #[test]
    fn a_start_and_a_warm_up_are_counted_once() {
        let turns = |rounds: u32| rounds * 4 * (10 + 1 + AROUND);
        let start = KAFKA_START + 2 * FLUMEN_START + 120 + SECOND_TOPIC + 2 * 5 + 4 * AROUND;
        assert_eq!(plan(&["keyed"], 2), [start + turns(2)]);
        assert_eq!(plan(&["keyed", "keyed5"], 3), [start + turns(3), turns(3)]);
        assert_eq!(clock(start), "2:36");
    }

    #[test]
    fn what_starts_anew_starts_in_every_turn() {
        let turn = KAFKA_START + FLUMEN_START + 2 * (FIRST + AROUND);
        assert_eq!(plan(&["first"], 1), [turn]);
        assert_eq!(plan(&["first"], 4), [4 * turn]);
    }
}
