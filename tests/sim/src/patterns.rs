//! Groups that subscribe with a regular expression (KIP-848), and the topics that come to match it in the run.

use crate::book::{Exists, Place};
use crate::control::Control;
use crate::coordination::Group;

/// What the names of topics begin with that match all patterns.
const MATCHES: &str = "seen-";
/// The same of those that match none, though a part of each would.
const OTHERS: &str = "unseen-";

/// The name of a topic that is made in the run.
pub(crate) fn name(matches: bool, number: u64) -> String {
    format!("{}{number}", if matches { MATCHES } else { OTHERS })
}

/// The pattern of groups that read one of the judged topics.
pub(crate) fn pattern(source: usize) -> String {
    format!("judged-{source}|{MATCHES}.*")
}

/// Whether a topic, beside the judged one, matches the patterns.
pub(crate) fn matches(name: &str) -> bool {
    name.starts_with(MATCHES)
}

/// What of the topics that match its pattern nobody in a group has; `None` if all of them are assigned.
pub(crate) fn missing(control: &Control, group: &Group) -> Option<String> {
    if !control.planted.get() {
        return Some("the last topic is not made".to_owned());
    }
    let (book, shares) = (control.book.borrow(), control.shares.borrow());
    let has = |place: &Place| {
        shares.values().any(|(number, owned)| *number == group.number && owned.contains(place))
    };
    let topics = book.topics.iter().enumerate();
    let wanted = topics.filter(|(_, topic)| topic.exists == Exists::Yes && group.reads(topic));
    let mut places = wanted.flat_map(|(number, topic)| (0..topic.partitions).map(move |p| (number, p)));
    let place = places.find(|place| !has(place))?;
    Some(format!("nobody in {} has {}, which matches", group.name(), book.name(place)))
}
