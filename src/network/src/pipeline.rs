//! Requests of one connection: worked on side by side, answered in the order in which they came.

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

struct Inner {
    entries: RefCell<VecDeque<Entry>>,
    /// A request was added, or none will be.
    added: Event,
    /// A request left the pipeline.
    left: Event,
    ended: Cell<bool>,
    closed: RefCell<Option<String>>,
    /// Requests that left and were not reported yet; reused, so that a request costs no allocation here.
    reports: RefCell<Vec<Left>>,
}

/// The requests of one connection that are not answered yet. Cloning shares it.
#[derive(Clone)]
pub struct Pipeline {
    inner: Rc<Inner>,
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline::new()
    }
}

impl Pipeline {
    /// An empty one.
    pub fn new() -> Pipeline {
        Pipeline {
            inner: Rc::new(Inner {
                entries: RefCell::default(),
                added: Event::new(),
                left: Event::new(),
                ended: Cell::new(false),
                closed: RefCell::default(),
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

    /// Waits until fewer than `count` are unanswered.
    pub async fn below(&self, count: usize) {
        loop {
            let seen = self.inner.left.count();
            if self.len() < count {
                return;
            }
            self.inner.left.after(seen).await;
        }
    }

    /// Waits until a request leaves.
    pub(crate) async fn next_left(&self) {
        self.inner.left.next().await;
    }

    /// Why a request closed the connection, if one did.
    pub fn closed(&self) -> Option<String> {
        self.inner.closed.borrow().clone()
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

    /// The next answers that may be sent, in order, or nothing where requests left that want no answer; `None` when all are sent and no more will come,
    /// or when a request closed the connection.
    pub async fn answers(&self) -> Option<Vec<Slice>> {
        let mut added = self.inner.added.after(self.inner.added.count());
        poll_fn(|context| {
            loop {
                let slices = self.poll_entries(context);
                if !slices.is_empty() || !self.inner.reports.borrow().is_empty() {
                    return Poll::Ready(Some(slices));
                }
                if self.inner.closed.borrow().is_some() || (self.inner.ended.get() && self.is_empty()) {
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
        for entry in entries.iter_mut() {
            if let State::Working(handling) = &mut entry.state
                && let Poll::Ready(answer) = handling.as_mut().poll(context)
            {
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
                Answer::Send(answer) => slices.extend(answer),
                Answer::Nothing => {}
                Answer::Close(reason) => {
                    *self.inner.closed.borrow_mut() = Some(reason);
                    entries.clear();
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
