//! A look at all judged logs and all committed offsets, into the history: after every start, and at the end.

use super::Client;
use super::consumer::{LATEST, list_offset};
use super::coordinated::{OF_GROUPS, partition, time};
use super::member;
use super::polling::{as_poll, fetch};
use crate::book::Place;
use crate::check::unanswered;
use crate::coordination::Group;
use crate::wire::Trouble;
use checker::Action;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two looks at something that is not there yet.
const PAUSE: Duration = Duration::from_millis(20);

/// Reads everything. `settled`: waits until every transaction is decided.
pub(crate) async fn everything(client: &mut Client, groups: &[Group], settled: bool) -> Result<(), Trouble> {
    let places: Vec<Place> = {
        let book = client.control.book.borrow();
        [book.judged(0), book.judged(1)].concat()
    };
    for place in places {
        end(client, place).await?;
        read(client, place, (false, settled)).await?;
        client.did(time(), Action::Assign);
        read(client, place, (true, settled)).await?;
    }
    for group in groups {
        offsets(client, group, settled).await?;
    }
    Ok(())
}

async fn end(client: &mut Client, place: Place) -> Result<(), Trouble> {
    let since = time();
    let floor = client.control.book.borrow().end(place);
    let Some((end, _)) = list_offset(client, place, LATEST).await? else {
        return Err(unanswered("ListOffsets"));
    };
    client.control.book.borrow_mut().end_shown(place, end, floor);
    client.did(since, Action::End(partition(place), end));
    Ok(())
}

/// Reads a log from its beginning to its end, or to where readers of committed data end.
async fn read(client: &mut Client, place: Place, (committed, settled): (bool, bool)) -> Result<(), Trouble> {
    let mut position = BTreeMap::from([(place, 0)]);
    loop {
        let since = time();
        let given = fetch(client, &position, committed, 0).await?.ok_or_else(|| unanswered("Fetch"))?;
        let Some(one) = given.first() else { return Err(unanswered("Fetch")) };
        let (before, next) = (one.read.from, one.read.next);
        let (high_watermark, last_stable) = (one.high_watermark, one.last_stable);
        let count = one.read.values.len() as u64;
        client.control.book.borrow_mut().counts.verified += count;
        client.did(since, Action::Poll(as_poll(given, committed)));
        position.insert(place, next);
        let end = if committed { last_stable } else { high_watermark };
        let waits = committed && settled && last_stable < high_watermark;
        if next >= end && !waits {
            return Ok(());
        }
        if next >= end {
            executor::sleep(PAUSE).await;
        } else if next == before {
            let name = client.control.book.borrow().name(place);
            return Err(Trouble::Wrong(format!("{name}: nothing at {next}, and it ends at {end}")));
        }
    }
}

/// Asks for every committed offset of a group.
async fn offsets(client: &mut Client, group: &Group, settled: bool) -> Result<(), Trouble> {
    while !client.find(&group.name(), OF_GROUPS).await? {
        executor::sleep(PAUSE).await;
    }
    let mut places = client.control.book.borrow().judged(group.source);
    while !places.is_empty() {
        let told = member::committed(client, group, &places).await?;
        let is_left = |place: &Place| told.iter().all(|(known, _)| known != place);
        let is_answered = !told.is_empty();
        places.retain(is_left);
        if is_answered && !settled {
            // What a transaction still decides on is told later.
            break;
        }
        if !places.is_empty() {
            executor::sleep(PAUSE).await;
        }
    }
    Ok(())
}
