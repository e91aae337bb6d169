//! Static members (KIP-345): one that goes and comes back under its instance id has its place still, and whoever
//! had the id before it is fenced.

use super::member::Member;
use super::modern;
use crate::book::Place;
use crate::wire::Trouble;
use kafka_wire::ErrorCode;
use std::collections::BTreeSet;
use std::time::Duration;

/// What a member had when it went, and in which generation or epoch.
pub(crate) struct Before {
    epoch: i32,
    owned: BTreeSet<Place>,
}

/// The process ends, and another one begins under its instance id, which knows nothing: at once, or within about as
/// long as a session lasts.
pub(crate) async fn go(member: &mut Member) -> Result<(), Trouble> {
    let before = Before { epoch: member.epoch, owned: member.owned.clone() };
    // Of the consumer protocol nobody is let in before it said that it goes, or its session has lapsed.
    if member.is_modern() && !member.client.random.one_in(4) {
        modern::depart(member).await?;
    }
    if let Some(producer) = member.producer.as_mut() {
        producer.vanish(&member.client);
    }
    // Where the protocol changes, epochs may begin anew and mean something else.
    let is_comparable = member.settled && member.group.migrates.is_none();
    member.begin_anew();
    member.before = is_comparable.then_some(before);
    if member.group.is_shared(member.instance) || member.client.random.one_in(2) {
        let away = member.client.random.below(member.group.session_ms as u64);
        executor::sleep(Duration::from_millis(away)).await;
    }
    Ok(())
}

/// A process is refused because another one has its instance id: it gives up, and is started again later.
pub(crate) async fn give_way(member: &mut Member, code: i16) {
    let taken = [ErrorCode::FencedInstanceId, ErrorCode::UnreleasedInstanceId];
    if taken.iter().any(|one| one.code() == code) {
        let micros = member.client.random.between(20_000, 150_000);
        executor::sleep(Duration::from_micros(micros)).await;
    }
}

/// Why a member that has come back must not be given this, if so: in one generation, or at one epoch, an instance
/// has what it had.
pub(crate) fn missed(before: &Before, epoch: i32, given: &BTreeSet<Place>) -> Option<String> {
    let lost = before.owned.difference(given).next()?;
    (before.epoch == epoch).then(|| {
        format!("a static member came back at {epoch}, where it had {:?}, without {lost:?}", before.owned)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_back_in_time_has_all_that_it_had() {
        let before = Before { epoch: 4, owned: BTreeSet::from([(0, 1), (0, 2)]) };
        let all = BTreeSet::from([(0, 1), (0, 2), (0, 3)]);
        let some = BTreeSet::from([(0, 2)]);
        assert_eq!(missed(&before, 4, &all), None);
        assert_eq!(missed(&before, 5, &some), None, "others have come or gone");
        assert!(missed(&before, 4, &some).is_some());
    }
}
