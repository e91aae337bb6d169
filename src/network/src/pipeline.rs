//! Requests of one connection: worked on side by side, answered in the order in which they came.

use crate::outgoing::{Outgoing, Unsent};
use crate::traffic::{Left, Times};
use base::Instant;
use executor::{Event, now};
use memory::Slice;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What becomes of one request.
#[derive(Debug)]
pub enum Answer {
    /// The slices of a whole frame, length prefix included.
    Send(Vec<Slice>),
    /// It wants no answer.
    Nothing,
    /// It cannot be answered: the connection is closed after the answers before it, for this reason.
    Close(String),
}

impl Answer {
    /// Bytes to be sent.
    fn bytes(&self) -> usize {
        match self {
            Answer::Send(slices) => slices.iter().map(|slice| slice.len()).sum(),
            Answer::Nothing | Answer::Close(_) => 0,
        }
    }
}

/// Why nothing more is sent on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Its socket failed.
    Failed,
    /// Its peer took nothing for longer than a connection may be idle.
    Idle,
    /// Its peer took nothing for too long while others waited for memory.
    Unread,
    /// A request closed it, and all before that one is sent.
    Closed,
}

/// A request that is being worked on.
pub type Handling = Pin<Box<dyn Future<Output = Answer>>>;

enum State {
    Working(Handling),
    Done(Answer),
}

struct Entry {
    state: State,
    kind: u16,
    times: Times,
}

impl Entry {
    /// Bytes of its answer, if that is there.
    fn answer_bytes(&self) -> usize {
        match &self.state {
            State::Done(answer) => answer.bytes(),
            State::Working(_) => 0,
        }
    }
}

struct Inner {
    entries: RefCell<VecDeque<Entry>>,
    /// A request was added, or none will be.
    added: Event,
    /// A request left the pipeline, a part of its answer did, or nothing more will.
    left: Event,
    ended: Cell<bool>,
    closed: RefCell<Option<String>>,
    over: Cell<Option<Over>>,
    unsent: Unsent,
    unsent_bytes_max: usize,
    /// Odd while a socket has answers to take; it moves whenever it takes some.
    pulse: Cell<u64>,
    /// What the socket has to take was given to it without a timer.
    watched: Cell<bool>,
    /// Requests that left and were not reported yet; reused, so that a request costs no allocation here.
    reports: RefCell<Vec<Left>>,
}

/// The requests of one connection that are not answered yet. Cloning shares it.
#[derive(Clone)]
pub struct Pipeline {
    inner: Rc<Inner>,
}

impl Pipeline {
    /// An empty one of a connection whose answers go this way out, `unsent_bytes_max` of them at a time and one more.
    pub fn new(outgoing: Outgoing, unsent_bytes_max: usize) -> Pipeline {
        Pipeline {
            inner: Rc::new(Inner {
                entries: RefCell::default(),
                added: Event::new(),
                left: Event::new(),
                ended: Cell::new(false),
                closed: RefCell::default(),
                over: Cell::new(None),
                unsent: Unsent::new(outgoing),
                unsent_bytes_max,
                pulse: Cell::new(0),
                watched: Cell::new(false),
                reports: RefCell::default(),
            }),
        }
    }

    /// Begins a request: it runs as far as it can at once, so that what it sends to other cores leaves in the
    /// order of requests. `kind` and the times are for the report when it leaves.
    pub async fn begin(&self, kind: u16, mut handling: Handling, arrived: Instant, begun: Instant) {
        let answer = poll_fn(|context| {
            Poll::Ready(match handling.as_mut().poll(context) {
                Poll::Ready(answer) => Some(answer),
                Poll::Pending => None,
            })
        })
        .await;
        let executed = now();
        if let Some(answer) = &answer {
            self.inner.unsent.add(answer.bytes());
        }
        let state = answer.map_or_else(|| State::Working(handling), State::Done);
        let times = Times { arrived, begun, executed, ready: executed };
        self.inner.entries.borrow_mut().push_back(Entry { state, kind, times });
        self.inner.added.notify();
    }

    /// How many are unanswered.
    pub fn len(&self) -> usize {
        self.inner.entries.borrow().len()
    }

    /// None is unanswered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// So many bytes of answers are ready, and not taken by the socket, that no more are to be made.
    pub(crate) fn is_full(&self) -> bool {
        self.inner.unsent.bytes() >= self.inner.unsent_bytes_max
    }

    /// How often requests or parts of their answers have left.
    pub(crate) fn left_count(&self) -> u64 {
        self.inner.left.count()
    }

    /// Waits until that was more often than `seen`.
    pub(crate) async fn left_after(&self, seen: u64) {
        self.inner.left.after(seen).await;
    }

    /// The socket is given answers, or has taken all that it was given.
    pub(crate) fn begin_or_end_sending(&self) {
        self.inner.pulse.set(self.inner.pulse.get() + 1);
    }

    /// The socket has taken so many bytes of answers.
    pub(crate) fn taken(&self, bytes: usize) {
        self.inner.pulse.set(self.inner.pulse.get() + 2);
        self.inner.unsent.take(bytes);
        self.inner.left.notify();
    }

    /// Whether the socket has answers to take.
    pub(crate) fn is_sending(&self) -> bool {
        self.inner.pulse.get() % 2 == 1
    }

    /// No request is in work, and no answer under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_empty() && !self.is_sending()
    }

    /// A number that changes whenever the socket takes some of its answers, is given some, or has taken all.
    pub(crate) fn pulse(&self) -> u64 {
        self.inner.pulse.get()
    }

    /// What the socket is given from here on has no timer, or has one.
    pub(crate) fn set_watched(&self, watched: bool) {
        self.inner.watched.set(watched);
    }

    /// Whether who reads the requests must see to it that the socket takes what it was given.
    pub(crate) fn is_watched(&self) -> bool {
        self.inner.watched.get()
    }

    /// The way out that its answers go.
    pub(crate) fn outgoing(&self) -> &Outgoing {
        self.inner.unsent.outgoing()
    }

    /// Nothing more is sent.
    pub(crate) fn give_up(&self, over: Over) {
        self.inner.over.set(Some(over));
        self.inner.left.notify();
    }

    /// Why nothing more is sent, if that is so.
    pub(crate) fn over(&self) -> Option<Over> {
        self.inner.over.get()
    }

    /// Waits until a request leaves.
    pub(crate) async fn next_left(&self) {
        self.inner.left.next().await;
    }

    /// Why a request closed the connection, if one did.
    pub fn closed(&self) -> Option<String> {
        self.inner.closed.borrow().clone()
    }

    /// Whether a request closed the connection. What came behind it is not answered, and leaves no more.
    pub(crate) fn is_closed(&self) -> bool {
        self.inner.closed.borrow().is_some()
    }

    /// Reports the requests whose answers were taken since the last call.
    pub(crate) fn take_left(&self, mut report: impl FnMut(&Left)) {
        for left in self.inner.reports.borrow_mut().drain(..) {
            report(&left);
        }
    }

    /// No more requests will come: [`answers`](Pipeline::answers) ends after the last one.
    pub fn end(&self) {
        self.inner.ended.set(true);
        self.inner.added.notify();
    }

    /// The next answers that may be sent, in order, or nothing where requests left that want no answer; `None` when all
    /// are sent and no more will come, or when a request closed the connection.
    pub async fn answers(&self) -> Option<Vec<Slice>> {
        let mut added = self.inner.added.after(self.inner.added.count());
        poll_fn(|context| {
            loop {
                if self.is_closed() {
                    return Poll::Ready(None);
                }
                let slices = self.poll_entries(context);
                if !slices.is_empty() || !self.inner.reports.borrow().is_empty() {
                    return Poll::Ready(Some(slices));
                }
                if self.inner.ended.get() && self.is_empty() {
                    return Poll::Ready(None);
                }
                if Pin::new(&mut added).poll(context).is_pending() {
                    return Poll::Pending;
                }
                added = self.inner.added.after(self.inner.added.count());
            }
        })
        .await
    }

    fn poll_entries(&self, context: &mut Context<'_>) -> Vec<Slice> {
        let mut entries = self.inner.entries.borrow_mut();
        let mut first = true;
        for entry in entries.iter_mut() {
            let State::Working(handling) = &mut entry.state else { continue };
            // Others may be ready behind the first, and wait for it; the rest can wait until they have left.
            if !std::mem::take(&mut first) && self.is_full() {
                break;
            }
            if let Poll::Ready(answer) = handling.as_mut().poll(context) {
                self.inner.unsent.add(answer.bytes());
                entry.state = State::Done(answer);
                entry.times.ready = now();
            }
        }
        let mut slices = Vec::new();
        let mut left = false;
        while let Some(Entry { state: State::Done(_), .. }) = entries.front() {
            let Some(Entry { state: State::Done(answer), kind, times }) = entries.pop_front() else { break };
            let closed = matches!(answer, Answer::Close(_));
            self.inner.reports.borrow_mut().push(Left { kind, times, closed });
            match answer {
                // Nearly always there is one: its list will do.
                Answer::Send(answer) if slices.is_empty() => slices = answer,
                Answer::Send(answer) => slices.extend(answer),
                Answer::Nothing => {}
                Answer::Close(reason) => {
                    *self.inner.closed.borrow_mut() = Some(reason);
                    let gone: usize = entries.drain(..).map(|entry| entry.answer_bytes()).sum();
                    self.inner.unsent.take(gone);
                }
            }
            left = true;
        }
        drop(entries);
        if left {
            self.inner.left.notify();
        }
        slices
    }
}
