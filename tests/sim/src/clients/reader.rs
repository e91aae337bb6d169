//! A reader of all judged partitions, of committed data or of all, whose polls go into the history.

use super::Client;
use super::polling::{as_poll, fetch};
use crate::book::Place;
use crate::wire::Trouble;
use checker::Action;
use std::collections::BTreeMap;

struct Reader {
    client: Client,
    committed: bool,
    positions: BTreeMap<Place, i64>,
    /// Where each log ended when it was last seen.
    ends: BTreeMap<Place, i64>,
}

/// Runs until the run ends.
pub(crate) async fn run(client: Client, committed: bool) {
    let mut reader = Reader { client, committed, positions: BTreeMap::new(), ends: BTreeMap::new() };
    loop {
        let unfinished = reader.is_behind() || !reader.client.control.producers_finished();
        reader.client.control.gate(reader.client.number, unfinished).await;
        if let Err(trouble) = reader.turn().await {
            reader.client.trouble(trouble);
        }
        reader.client.pause(8_000).await;
    }
}

impl Reader {
    /// Whether there is more; what is undecided is waited for.
    fn is_behind(&self) -> bool {
        self.ends.iter().any(|(place, end)| self.positions.get(place).is_none_or(|position| position < end))
    }

    async fn turn(&mut self) -> Result<(), Trouble> {
        let places: Vec<Place> = {
            let book = self.client.control.book.borrow();
            [book.judged(0), book.judged(1)].concat()
        };
        for place in places {
            self.positions.entry(place).or_insert(0);
        }
        if self.client.random.one_in(40) {
            self.begin_anew();
        }
        let wait_ms = self.client.random.below(15) as i32;
        let since = super::coordinated::time();
        let given = fetch(&mut self.client, &self.positions, self.committed, wait_ms).await?;
        let Some(given) = given else { return Ok(()) };
        for one in &given {
            self.positions.insert(one.place, one.read.next);
            self.ends.insert(one.place, one.high_watermark);
        }
        self.client.did(since, Action::Poll(as_poll(given, self.committed)));
        self.client.control.success(self.client.number);
        Ok(())
    }

    /// Reads everything again.
    fn begin_anew(&mut self) {
        self.positions.values_mut().for_each(|position| *position = 0);
        self.client.did(super::coordinated::time(), Action::Assign);
    }
}
