//! Share groups on this core (KIP-932): records in flight of its partitions, sessions of members, durable state.
//!
//! - [`leader`]: [`Leader`](leader::Leader), a partition as one group reads it: loading, handing out, acknowledging.
//! - [`found`]: batches in what was read, and the part of it that is sent.
//! - [`shell`]: [`StateShell`], one partition of `__share_group_state`; [`keep`]: asking for it.
//! - [`question`]: what cores ask each other about all this. [`ask`]: from a handler to the cores, and back.
//! - [`fetching`]: a fetch over all cores; [`acking`]: acknowledgements likewise.
//! - [`settings`]: what of the configuration holds for a group.
//! - [`positions`]: positions of groups, for tools.
//! - [`seat`]: sessions end with their connections. [`clock`]: locks that are up, and partitions that nobody reads.
//!
//! A share partition lives on the core that owns the partition, its state on the core that owns its partition of
//! `__share_group_state`, and a member's session on a core that its name says. `docs/share-groups.md` says what is
//! durable before which answer.

pub(crate) mod acking;
pub(crate) mod ask;
mod clock;
pub(crate) mod fetching;
mod found;
pub(crate) mod keep;
mod leader;
pub(crate) mod positions;
mod question;
pub(crate) mod seat;
pub(crate) mod settings;
mod shell;

pub(crate) use clock::keep_time;
pub(crate) use question::answer;
pub use question::{AckItem, FetchWish, Fetched, ShareQuestion, ShareReply, StateAsk, StateGiven};

use crate::broker::Broker;
use controller::Image;
use controller::changes::names::SHARE_GROUP_STATE;
use executor::Event;
use leader::Leader;
use model::TopicPartition;
use seat::Seated;
use share::sessions::Sessions;
use shell::StateShell;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// Share partitions that a core has loaded at most; more are refused until others were not used for a while.
const LEADERS_MAX: usize = 20_000;

/// The leaders of this core by group and partition.
type Leaders = BTreeMap<(Arc<str>, TopicPartition), Rc<Leader>>;

/// A core's part of all share groups.
pub(crate) struct ShareCore {
    pub(crate) sessions: RefCell<Sessions>,
    /// Partitions of this core as groups read them.
    leaders: RefCell<Leaders>,
    /// By partition of `__share_group_state`.
    states: RefCell<BTreeMap<i32, Rc<StateShell>>>,
    /// Sessions whose connections have ended.
    gone: RefCell<Vec<Seated>>,
    /// Something is due earlier than was thought.
    sooner: Event,
    stopped: Cell<bool>,
}

impl ShareCore {
    /// With room for so many sessions.
    pub(crate) fn new(sessions_max: usize) -> ShareCore {
        ShareCore {
            sessions: RefCell::new(Sessions::new(sessions_max)),
            leaders: RefCell::default(),
            states: RefCell::default(),
            gone: RefCell::default(),
            sooner: Event::new(),
            stopped: Cell::new(false),
        }
    }

    /// Ends everything: the broker stops.
    pub(crate) fn stop(&self) {
        self.stopped.set(true);
        let leaders = std::mem::take(&mut *self.leaders.borrow_mut());
        leaders.values().for_each(|leader| leader.end());
        let states = std::mem::take(&mut *self.states.borrow_mut());
        states.values().for_each(|shell| shell.end());
        self.sooner.notify();
    }

    fn all(&self) -> Vec<Rc<Leader>> {
        self.leaders.borrow().values().cloned().collect()
    }

    /// A share partition as this core has it loaded, if it has.
    fn known(&self, group: &Arc<str>, partition: TopicPartition) -> Option<Rc<Leader>> {
        self.leaders.borrow().get(&(group.clone(), partition)).cloned()
    }

    /// Forgets a share partition, if it is still this one.
    fn forget(&self, leader: &Rc<Leader>) {
        let key = leader.key();
        let mut leaders = self.leaders.borrow_mut();
        if leaders.get(&key).is_some_and(|known| Rc::ptr_eq(known, leader)) {
            leaders.remove(&key);
        }
        leader.end();
    }
}

impl Broker {
    /// A share partition of this core, made if it is not there; it is not loaded yet.
    fn share_leader(&self, group: &Arc<str>, partition: TopicPartition) -> Option<Rc<Leader>> {
        let mut leaders = self.share.leaders.borrow_mut();
        let key = (group.clone(), partition);
        if let Some(leader) = leaders.get(&key) {
            return Some(leader.clone());
        }
        let image = self.image();
        let found = image.topic_by_id(partition.topic)?.partition(partition.partition)?;
        if self.share.stopped.get() || leaders.len() >= LEADERS_MAX {
            return None;
        }
        let leader = Rc::new(Leader::new(group.clone(), partition, found.leader_epoch));
        leaders.insert(key, leader.clone());
        self.share.sooner.notify();
        Some(leader)
    }

    /// Brings share groups to an image that is this core's now.
    pub(crate) fn share_coordinate(self: &Rc<Self>, image: &Image, topics_deleted: bool) {
        if self.share.stopped.get() {
            return;
        }
        let wanted = self.wanted(image, SHARE_GROUP_STATE);
        {
            let mut states = self.share.states.borrow_mut();
            states.retain(|number, shell| {
                let stays = wanted.get(number).is_some_and(|(id, _)| *id == shell.id());
                if !stays {
                    shell.end();
                }
                stays
            });
            for (number, (id, _)) in wanted {
                states.entry(number).or_insert_with(|| StateShell::start(self, id));
            }
        }
        let is_there = |id: TopicPartition| {
            image.topic_by_id(id.topic).is_some_and(|topic| topic.partition(id.partition).is_some())
        };
        for leader in self.share.all().iter().filter(|leader| !is_there(leader.partition())) {
            self.share.forget(leader);
        }
        if topics_deleted {
            let states: Vec<Rc<StateShell>> = self.share.states.borrow().values().cloned().collect();
            states.iter().for_each(|shell| shell.topics_deleted(self, image));
        }
    }

    /// Brings share groups to the configuration in force.
    pub(crate) fn share_configure(&self) {
        let updates_max = self.config().share_updates_per_snapshot;
        self.share.states.borrow().values().for_each(|shell| shell.configure(updates_max));
    }

    /// Tells how much there is of share groups.
    pub(crate) fn share_count(&self) {
        let (mut acquired, mut window) = (0, 0);
        for leader in self.share.all() {
            let (one_acquired, one_window) = leader.usage();
            acquired += one_acquired;
            window += one_window;
        }
        let metrics = &self.metrics;
        metrics.share_sessions.set(self.share.sessions.borrow().len() as u64);
        metrics.share_partitions.set(self.share.leaders.borrow().len() as u64);
        metrics.share_acquired.set(acquired);
        metrics.share_window.set(window);
        let kept: usize = self.share.states.borrow().values().map(|shell| shell.len()).sum();
        metrics.share_states.set(kept as u64);
    }
}
