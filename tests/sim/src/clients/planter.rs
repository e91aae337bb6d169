//! Makes topics while groups subscribe to patterns: some that match and some that do not, and a last one that matches
//! when everybody else rests. It alone changes metadata, so whatever is found can be told right or wrong.

use super::{Client, admin};
use crate::book::Exists;
use crate::check;
use crate::control::Phase;
use crate::patterns;
use crate::wire::Trouble;

/// Topics that it makes before the last one.
const TOPICS_MAX: u64 = 3;

/// Runs until the run ends.
pub(crate) async fn run(client: Client) {
    let mut client = client;
    let mut made = 0;
    client.control.settles(client.number, true);
    loop {
        let phase = client.control.gate(client.number, false).await;
        let done = match phase {
            Phase::Settle => last(&mut client, &mut made).await,
            _ if made < TOPICS_MAX && client.random.one_in(5) => {
                let matches = client.random.one_in(2);
                plant(&mut client, &mut made, matches).await
            }
            _ => check::metadata(&mut client, false).await,
        };
        if let Err(trouble) = done {
            client.trouble(trouble);
        }
        client.pause(60_000).await;
    }
}

async fn plant(client: &mut Client, made: &mut u64, matches: bool) -> Result<(), Trouble> {
    let name = patterns::name(matches, *made);
    *made += 1;
    let partitions = client.random.between(1, 2) as i32;
    admin::create(client, name, partitions, None, false).await
}

/// Makes the last topic; when it is there for certain, its work is done.
async fn last(client: &mut Client, made: &mut u64) -> Result<(), Trouble> {
    plant(client, made, true).await?;
    let is_there =
        client.control.book.borrow().topics.last().is_some_and(|topic| topic.exists == Exists::Yes);
    if is_there {
        client.control.planted.set(true);
        client.control.settles(client.number, false);
    }
    Ok(())
}
