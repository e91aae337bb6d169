//! `flumen consume --group`: as a member of a consumer group.

use super::{ConsumeArgs, From, Printing, Until};
use crate::failure::Failure;
use client::{Client, Consumer, FetchOptions, Member, MemberOptions, OffsetAt, Part};
use kafka_wire::ErrorCode;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How long a member without partitions waits between two looks at its group.
const PAUSE: Duration = Duration::from_millis(200);
/// The exit code of a command that is interrupted a second time: what shells say of one that SIGINT has ended.
const INTERRUPTED: i32 = 130;

/// Reads as a member of a group until it is interrupted, or has read what was asked for, and leaves the group.
pub(super) fn run(args: &ConsumeArgs, group: &str) -> Result<(), Failure> {
    if let From::Offset(_) = args.from {
        return Err(Failure::Usage(
            "with --group, --from takes `beginning`, `end` or a time; `flumen group reset` lets a group go on at an \
             offset"
                .to_owned(),
        ));
    }
    let stop = stop_flag()?;
    let mut client = args.broker.connect()?;
    // A misspelt name is told of before there is a group.
    client.topic(&args.topic)?;
    let mut reading = Reading {
        args,
        group,
        consumer: Consumer::new(&args.topic, [], FetchOptions::default()),
        until: Until { left: args.count, ends: BTreeMap::new() },
        committed: BTreeMap::new(),
        member: Member::new(group, &args.topic, MemberOptions::default()),
    };
    let result = reading.read(&mut client, &stop);
    // If it cannot be said, the end of the session says it.
    let _ = reading.member.leave(&mut client);
    result
}

/// Set by SIGINT and SIGTERM; the second one ends the process at once.
fn stop_flag() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal must not find the flag set.
        flag::register_conditional_shutdown(signal, INTERRUPTED, stop.clone())
            .and_then(|_| flag::register(signal, stop.clone()))
            .map_err(|error| Failure::other(format!("cannot listen for signals: {error}"), "try again"))?;
    }
    Ok(stop)
}

/// A member and what it reads.
struct Reading<'a> {
    args: &'a ConsumeArgs,
    group: &'a str,
    consumer: Consumer,
    until: Until,
    /// By partition, as far as this member knows.
    committed: BTreeMap<i32, i64>,
    member: Member,
}

impl Reading<'_> {
    fn read(&mut self, client: &mut Client, stop: &AtomicBool) -> Result<(), Failure> {
        let mut printing = Printing::new(self.args);
        while !stop.load(Ordering::Relaxed) {
            match self.member.take_part(client)? {
                Part::Kept => {}
                Part::Outside => continue,
                Part::Assigned(partitions) => self.begin(client, &partitions)?,
            }
            if self.is_through() {
                return Ok(());
            }
            if self.consumer.positions().is_empty() {
                thread::sleep(PAUSE);
                continue;
            }
            let polled = printing.poll(&self.args.topic, client, &mut self.consumer, &mut self.until);
            if matches!(polled, Ok(()) | Err(Failure::Client(_))) {
                self.commit(client)?;
            }
            match polled {
                // What the group had committed was deleted meanwhile.
                Err(Failure::Client(error)) if error.code() == Some(ErrorCode::OffsetOutOfRange) => {
                    let partitions: Vec<i32> =
                        self.consumer.positions().iter().map(|position| position.partition).collect();
                    self.begin(client, &partitions)?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Begins to read these partitions, and no others any more.
    fn begin(&mut self, client: &mut Client, partitions: &[i32]) -> Result<(), Failure> {
        let places = self.places(client, partitions)?;
        self.committed = places.iter().copied().collect();
        if self.args.until_end {
            let ends = client.offsets(&self.args.topic, partitions, OffsetAt::End)?;
            for end in ends {
                // A partition that comes back keeps the end that it had.
                self.until.ends.entry(end.partition).or_insert(end.offset);
            }
        }
        self.consumer = Consumer::new(&self.args.topic, places, FetchOptions::default());
        Ok(())
    }

    /// Where to begin: where the group has left off, if that is still there, else where `--from` says.
    fn places(&self, client: &mut Client, partitions: &[i32]) -> Result<Vec<(i32, i64)>, Failure> {
        let topic = &self.args.topic;
        let committed = client.group_offsets(self.group)?;
        let begins = client.offsets(topic, partitions, OffsetAt::Beginning)?;
        let ends = client.offsets(topic, partitions, OffsetAt::End)?;
        let (mut places, mut fresh) = (Vec::new(), Vec::new());
        for (begin, end) in begins.iter().zip(&ends) {
            match committed.get(&(topic.clone(), begin.partition)) {
                Some(&offset) if (begin.offset..=end.offset).contains(&offset) => {
                    places.push((begin.partition, offset));
                }
                _ => fresh.push(begin.partition),
            }
        }
        places.extend(self.args.from.resolve(client, topic, &fresh)?);
        Ok(places)
    }

    /// Commits what was printed since the last time.
    fn commit(&mut self, client: &mut Client) -> Result<(), Failure> {
        let printed = self.consumer.positions().iter().map(|position| {
            // Records behind the end were passed over.
            let end = self.until.ends.get(&position.partition).copied().unwrap_or(i64::MAX);
            (position.partition, position.offset.min(end))
        });
        let fresh: Vec<(i32, i64)> =
            printed.filter(|(partition, offset)| self.committed.get(partition) != Some(offset)).collect();
        if self.member.commit(client, &fresh)? {
            self.committed.extend(fresh);
        }
        Ok(())
    }

    /// Whether everything that was asked for is printed.
    fn is_through(&mut self) -> bool {
        self.until.left == Some(0) || self.args.until_end && self.until.drop_finished(&mut self.consumer)
    }
}
