//! The order of work: which brokers are up when, who is warmed up how long, whose turn it is.
//!
//! Rows of one [group](super::rows::Row::group) share their brokers: each is started once, on an empty directory, and
//! warmed up; then the systems take turns, A B A B. A broker that has no turn is idle. Rows whose very matter is
//! a start have a broker of their own for every turn.

use super::{
    measure::{self, Figures, Spans},
    rows::Row,
    stage::Stage,
    system::{Places, System},
    table::{self, Results},
};
use std::collections::BTreeMap;

/// What a run was asked for.
#[derive(Debug)]
pub struct Asked<'a> {
    pub rows: &'a [&'static Row],
    pub systems: &'a [System],
    pub rounds: u32,
    pub spans: &'a Spans,
    pub places: &'a Places,
}

impl Asked<'_> {
    /// The systems of a row that were asked for, in the order of their turns.
    pub fn systems_of(&self, row: &Row) -> Vec<System> {
        row.systems.iter().copied().filter(|s| self.systems.contains(s)).collect()
    }

    /// The rows, those together that share their brokers.
    pub fn groups(&self) -> impl Iterator<Item = &[&'static Row]> {
        self.rows.chunk_by(|a, b| !a.group.is_empty() && a.group == b.group)
    }
}

/// Runs every turn. One that fails costs its own figures, not the run: what failed is in the second list.
pub fn all(asked: &Asked<'_>) -> (Results, Vec<String>) {
    let mut record = Record::default();
    for rows in asked.groups() {
        if rows.iter().any(|row| row.kind.starts_anew()) {
            rows.iter().for_each(|row| record.fresh(asked, row));
        } else {
            record.staged(asked, rows);
        }
    }
    let medians = record.rounds.iter().map(|(key, all)| (*key, table::median(all)));
    (medians.collect(), record.failures)
}

/// What came out so far.
#[derive(Default)]
struct Record {
    rounds: BTreeMap<(&'static str, System), Vec<Figures>>,
    failures: Vec<String>,
}

impl Record {
    /// A broker of its own for every turn.
    fn fresh(&mut self, asked: &Asked<'_>, row: &'static Row) {
        for round in 1..=asked.rounds {
            for system in asked.systems_of(row) {
                announce(row, round, system);
                let came = measure::fresh_turn(row, system, asked.spans, asked.places);
                self.note(row, system, came);
            }
        }
    }

    /// The brokers that the rows need, started once.
    fn staged(&mut self, asked: &Asked<'_>, rows: &[&'static Row]) {
        let mut systems: Vec<System> = rows.iter().flat_map(|row| asked.systems_of(row)).collect();
        systems.sort_unstable();
        systems.dedup();
        let (mut stage, failed) = Stage::start(&systems, asked.spans, asked.places);
        let names = rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        self.failures.extend(failed.into_iter().map(|why| format!("{names}: {why}")));
        for row in rows {
            let systems = asked.systems_of(row).into_iter().filter(|s| stage.has(*s)).collect::<Vec<_>>();
            let mut half = None;
            for system in &systems {
                println!("{} {}: warming up", row.name, system.name());
                if let Err(why) = stage.warm_up(row, *system) {
                    self.failures.push(format!("{} {}, warming up: {why}", row.name, system.name()));
                }
            }
            for round in 1..=asked.rounds {
                if let Err(why) = stage.make_room(row, &systems) {
                    self.failures.push(format!("{}, making room on the disk: {why}", row.name));
                }
                for &system in &systems {
                    announce(row, round, system);
                    let came = stage.turn(row, system, &mut half);
                    self.note(row, system, came);
                }
            }
        }
    }

    fn note(&mut self, row: &'static Row, system: System, came: Result<Figures, String>) {
        match came {
            Ok(figures) => {
                println!("{}", table::brief(row.shown, &figures));
                self.rounds.entry((row.name, system)).or_default().push(figures);
            }
            Err(why) => {
                println!("failed: {why}");
                self.failures.push(format!("{} {}: {why}", row.name, system.name()));
            }
        }
    }
}

fn announce(row: &Row, round: u32, system: System) {
    print!("{} round {round} {}: ", row.name, system.name());
    // The line is finished when its figures are there; that it is not shown before does no harm.
    let _ = std::io::Write::flush(&mut std::io::stdout());
}
