//! Notes in the journal of what direct writes made durable.
//!
//! A direct write is acknowledged without the journal. Its segment alone cannot tell a start whether broken
//! bytes at the end were ever acknowledged; a note can. It goes along with the next commit, and when none comes
//! soon it gets one of its own: what is acknowledged in between, and damaged before the note, looks torn.

use super::Log;
use crate::checkpoint::LogPlace;
use crate::journal::Journal;
use crate::journal::format::Entry;
use crate::store::Shared;
use executor::{race, sleep};
use std::rc::Rc;
use std::time::Duration;

/// A note waits so long for a commit to go along with.
const WAIT: Duration = Duration::from_millis(100);
/// Or until so many bytes were written directly.
const WAIT_BYTES: u64 = 8 << 20;

/// A direct write of `bytes` made a log durable up to a place.
pub(crate) fn note(shared: &Shared, log: &Rc<Log>, place: LogPlace, bytes: u64) {
    if !shared.waits_for_device() {
        return;
    }
    let first = log.state.borrow_mut().note.replace(place).is_none();
    if first {
        shared.notes.borrow_mut().push(log.clone());
        shared.noted.notify();
    }
    let gathered = shared.note_bytes.get() + bytes;
    shared.note_bytes.set(gathered);
    if gathered >= WAIT_BYTES {
        shared.note_now.notify();
    }
}

impl Shared {
    /// Puts the notes into the commit that is being built, as many as it has room for.
    pub(crate) fn put_notes(&self, journal: &mut Journal) {
        let mut notes = self.notes.borrow_mut();
        while journal.building_room() >= Journal::bytes_needed(8) {
            let Some(log) = notes.pop() else { break };
            let note = log.state.borrow_mut().note.take();
            let Some(LogPlace { segment, position, offset }) = note else { continue };
            let number = log.number(journal, segment);
            journal.put(&Entry::Direct { number, position, next_offset: offset });
            self.noted_in_journal.set(true);
        }
        if notes.is_empty() {
            self.note_bytes.set(0);
        }
    }
}

/// The task that gives notes a commit of their own when no other comes; ends when the store does.
pub(crate) async fn run(shared: Rc<Shared>) {
    while !shared.stopping.get() && shared.offline.borrow().is_none() {
        let (seen, now, stop) = (shared.noted.count(), shared.note_now.count(), shared.stop.count());
        if shared.notes.borrow().is_empty() {
            race(shared.noted.after(seen), shared.stop.after(stop)).await;
            continue;
        }
        let force = race(shared.note_now.after(now), shared.stop.after(stop));
        race(sleep(WAIT), force).await;
        // Without room the notes wait on, as everything does.
        if !shared.notes.borrow().is_empty() && shared.make_room(Journal::bytes_needed(8)).is_ok() {
            shared.work.notify();
        }
    }
}
