//! Asking another core.
//!
//! A call is put into the target's queue when it is made, not when it is awaited: calls to one core are
//! carried out in the order in which they were made. A core's calls to another that wait for their answer
//! are bounded; what is above the bound waits on this side, in order. Because of that bound an answer always
//! finds room in the queue back. Calls to the own core take the same way without the queue.
//!
//! Dropping a [`Call`] cancels it: the other core's task is dropped where it waits.

use executor::{Either, Executor, JoinHandle, OneshotReceiver, OneshotSender, oneshot, race};
use mesh::{Bell, Port};
use model::ShardId;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Calls from one core to another that are unanswered. The queues must hold four times as many messages:
/// calls, their cancellations, and answers to the other's calls.
const UNANSWERED_MAX: usize = 1024;

/// What the mesh must hold between two shards for [`Calls`] to work.
pub const QUEUE_CAPACITY: usize = 4 * UNANSWERED_MAX;

/// What travels between cores.
pub enum Envelope<Q, R> {
    /// A question, and the number of its place with the asker.
    Call(u32, Q),
    /// The answer to the question of that place.
    Answer(u32, R),
    /// Nobody waits for the answer any more; it is still owed, without content.
    Cancel(u32),
    /// A cancelled question is done with.
    Cancelled(u32),
}

enum Place<R: 'static> {
    Free,
    Waiting(OneshotSender<R>),
    /// The call was dropped; the place is free when the other side says so.
    Dropped,
}

/// This core's state towards one other.
struct Peer<Q, R: 'static> {
    places: Vec<Place<R>>,
    free: Vec<u32>,
    unanswered: usize,
    queue: VecDeque<(u32, Q)>,
    /// Tasks that work on this peer's questions.
    work: HashMap<u32, JoinHandle<()>>,
}

type Handler<Q, R> = Box<dyn Fn(ShardId, Q, Reply<Q, R>)>;

struct Inner<Q: 'static, R: 'static> {
    port: Port<Envelope<Q, R>>,
    peers: Vec<RefCell<Peer<Q, R>>>,
    handler: RefCell<Option<Rc<Handler<Q, R>>>>,
}

/// One core's way to ask the others, and to be asked. Cloning shares it.
pub struct Calls<Q: 'static, R: 'static> {
    inner: Rc<Inner<Q, R>>,
}

impl<Q: 'static, R: 'static> Clone for Calls<Q, R> {
    fn clone(&self) -> Calls<Q, R> {
        Calls { inner: self.inner.clone() }
    }
}

/// The duty to answer one question. Dropping it unanswered tells the asker that there is no answer.
pub struct Reply<Q: 'static, R: 'static> {
    way: Option<Way<Q, R>>,
}

enum Way<Q: 'static, R: 'static> {
    Local(OneshotSender<R>),
    Remote(Rc<Inner<Q, R>>, ShardId, u32),
}

/// A call under way; awaiting it gives the answer, or `None` when the other core dropped the question, which
/// it does only at its end.
pub struct Call<Q: 'static, R: 'static> {
    answer: OneshotReceiver<R>,
    place: Option<Asked<Q, R>>,
}

/// Where a call waits for its answer: this core's calls, the other core, the call's number there.
type Asked<Q, R> = (Rc<Inner<Q, R>>, ShardId, u32);

impl<Q: 'static, R: 'static> Calls<Q, R> {
    /// Puts a port to work on this executor. Questions wait until [`serve`](Calls::serve) names a handler.
    pub fn attach(executor: &Executor, port: Port<Envelope<Q, R>>) -> Calls<Q, R> {
        let wake = executor.with_driver(|driver| driver.waker());
        port.bind(Bell::new(executor.sleeping(), wake));
        let peers = (0..port.shards()).map(|_| RefCell::new(Peer::new())).collect();
        let inner = Rc::new(Inner { port, peers, handler: RefCell::new(None) });
        let weak = Rc::downgrade(&inner);
        executor.add_inbox(move || weak.upgrade().is_some_and(|inner| inner.look()));
        Calls { inner }
    }

    /// Names who answers this core's questions. It is called at once for each, and must not wait; what takes
    /// longer it spawns, and hands to [`Reply::on_cancel`].
    pub fn serve(&self, handler: impl Fn(ShardId, Q, Reply<Q, R>) + 'static) {
        *self.inner.handler.borrow_mut() = Some(Rc::new(Box::new(handler)));
    }

    /// This core.
    pub fn shard(&self) -> ShardId {
        self.inner.port.shard()
    }

    /// How many cores there are.
    pub fn shards(&self) -> usize {
        self.inner.port.shards()
    }

    /// Asks a core, in the order of calls.
    pub fn call(&self, to: ShardId, question: Q) -> Call<Q, R> {
        let (sender, receiver) = oneshot();
        if to == self.shard() {
            let handler = self.inner.handler();
            handler(to, question, Reply { way: Some(Way::Local(sender)) });
            return Call { answer: receiver, place: None };
        }
        let place = self.inner.ask(to, question, sender);
        Call { answer: receiver, place: Some((self.inner.clone(), to, place)) }
    }
}

impl<Q, R: 'static> Peer<Q, R> {
    fn new() -> Peer<Q, R> {
        Peer {
            places: Vec::new(),
            free: Vec::new(),
            unanswered: 0,
            queue: VecDeque::new(),
            work: HashMap::new(),
        }
    }

    fn begin(&mut self, sender: OneshotSender<R>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place::Free);
            (self.places.len() - 1) as u32
        });
        self.places[place as usize] = Place::Waiting(sender);
        place
    }

    fn end(&mut self, place: u32) -> Option<OneshotSender<R>> {
        self.unanswered -= 1;
        self.free.push(place);
        match std::mem::replace(&mut self.places[place as usize], Place::Free) {
            Place::Waiting(sender) => Some(sender),
            Place::Dropped => None,
            Place::Free => panic!("place {place} was answered twice"),
        }
    }
}

impl<Q: 'static, R: 'static> Inner<Q, R> {
    fn handler(&self) -> Rc<Handler<Q, R>> {
        self.handler.borrow().clone().expect("a core serves before it is asked")
    }

    fn ask(&self, to: ShardId, question: Q, sender: OneshotSender<R>) -> u32 {
        let mut peer = self.peers[to.index()].borrow_mut();
        let place = peer.begin(sender);
        peer.queue.push_back((place, question));
        self.flush(to, &mut peer);
        place
    }

    /// Sends what waits, as far as the bound allows.
    fn flush(&self, to: ShardId, peer: &mut Peer<Q, R>) {
        while peer.unanswered < UNANSWERED_MAX {
            let Some((place, question)) = peer.queue.pop_front() else { return };
            peer.unanswered += 1;
            self.send(to, Envelope::Call(place, question));
        }
    }

    fn send(&self, to: ShardId, envelope: Envelope<Q, R>) {
        let sent = self.port.try_send(to, envelope);
        assert!(sent.is_ok(), "the queue to shard {to} is full although calls are bounded");
    }

    /// Looks into the queues; true if there was something.
    fn look(self: &Rc<Self>) -> bool {
        if self.handler.borrow().is_none() {
            return false;
        }
        self.port.receive(|from, envelope| self.take_in(from, envelope)) > 0
    }

    fn take_in(self: &Rc<Self>, from: ShardId, envelope: Envelope<Q, R>) {
        match envelope {
            Envelope::Call(place, question) => {
                let handler = self.handler();
                handler(from, question, Reply { way: Some(Way::Remote(self.clone(), from, place)) });
            }
            Envelope::Answer(place, answer) => {
                let waiting = {
                    let mut peer = self.peers[from.index()].borrow_mut();
                    let waiting = peer.end(place);
                    self.flush(from, &mut peer);
                    waiting
                };
                if let Some(waiting) = waiting {
                    waiting.send(answer);
                }
            }
            Envelope::Cancel(place) => {
                let work = self.peers[from.index()].borrow_mut().work.remove(&place);
                if let Some(work) = work {
                    // Its reply is dropped with it, and says that the place is free.
                    work.abort();
                }
            }
            Envelope::Cancelled(place) => {
                let mut peer = self.peers[from.index()].borrow_mut();
                drop(peer.end(place));
                self.flush(from, &mut peer);
            }
        }
    }

    /// The asker has dropped its call.
    fn give_up(&self, to: ShardId, place: u32) {
        let mut peer = self.peers[to.index()].borrow_mut();
        match peer.places[place as usize] {
            Place::Waiting(_) => {}
            Place::Free | Place::Dropped => return,
        }
        if let Some(queued) = peer.queue.iter().position(|(queued, _)| *queued == place) {
            // It never left: take it back.
            peer.queue.remove(queued);
            peer.unanswered += 1;
            drop(peer.end(place));
            return;
        }
        peer.places[place as usize] = Place::Dropped;
        self.send(to, Envelope::Cancel(place));
    }
}

impl<Q: 'static, R: 'static> Reply<Q, R> {
    /// Answers.
    pub fn send(mut self, answer: R) {
        match self.way.take() {
            Some(Way::Local(sender)) => sender.send(answer),
            Some(Way::Remote(inner, to, place)) => {
                inner.peers[to.index()].borrow_mut().work.remove(&place);
                inner.send(to, Envelope::Answer(place, answer));
            }
            None => {}
        }
    }

    /// Spawns the work whose end is the answer; a cancelled call drops it where it waits.
    pub fn work(self, name: &'static str, work: impl Future<Output = R> + 'static) {
        match &self.way {
            Some(Way::Remote(inner, to, place)) => {
                let (inner, to, place) = (inner.clone(), *to, *place);
                let task = executor::spawn(name, async move {
                    let answer = work.await;
                    self.send(answer);
                });
                inner.peers[to.index()].borrow_mut().work.insert(place, task);
            }
            Some(Way::Local(_)) => {
                drop(executor::spawn(name, async move {
                    let mut this = self;
                    let Some(Way::Local(sender)) = this.way.take() else { return };
                    if let Either::Left(answer) = race(work, sender.closed()).await {
                        sender.send(answer);
                    }
                }));
            }
            None => {}
        }
    }
}

impl<Q: 'static, R: 'static> Drop for Reply<Q, R> {
    fn drop(&mut self) {
        if let Some(Way::Remote(inner, to, place)) = self.way.take() {
            inner.peers[to.index()].borrow_mut().work.remove(&place);
            inner.send(to, Envelope::Cancelled(place));
        }
    }
}

impl<Q: 'static, R: 'static> Future for Call<Q, R> {
    type Output = Option<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        let polled = self.answer.poll_receive(context);
        if polled.is_ready() {
            self.place = None;
        }
        polled
    }
}

impl<Q: 'static, R: 'static> Drop for Call<Q, R> {
    fn drop(&mut self) {
        // An answer that is here gave the place back, even if nobody has looked at it: it may be another call's now.
        if let Some((inner, to, place)) = self.place.take().filter(|_| !self.answer.is_settled()) {
            inner.give_up(to, place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    type Replies = Rc<RefCell<Vec<(u32, Reply<u32, u32>)>>>;

    /// Two cores; the questions to the second are kept, to be answered by the test.
    fn two_cores() -> (Calls<u32, u32>, Calls<u32, u32>, Replies) {
        let mut cores = mesh::build(2, QUEUE_CAPACITY).into_iter().map(|port| {
            let peers = (0..port.shards()).map(|_| RefCell::new(Peer::new())).collect();
            Calls { inner: Rc::new(Inner { port, peers, handler: RefCell::new(None) }) }
        });
        let (Some(asker), Some(asked)) = (cores.next(), cores.next()) else { panic!("two cores") };
        let replies = Replies::default();
        let kept = replies.clone();
        asker.serve(|_, question, _| panic!("{question} was asked of the wrong core"));
        asked.serve(move |_, question, reply| kept.borrow_mut().push((question, reply)));
        (asker, asked, replies)
    }

    /// The asked core takes in what was sent to it, and answers each question with ten times its number.
    fn answer(asker: &Calls<u32, u32>, asked: &Calls<u32, u32>, replies: &Replies) {
        asked.inner.look();
        for (question, reply) in replies.take() {
            reply.send(10 * question);
        }
        asker.inner.look();
    }

    fn poll(call: &mut Call<u32, u32>) -> Poll<Option<u32>> {
        Pin::new(call).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn dropping_an_answered_call_leaves_the_next_call_alone() {
        let (asker, asked, replies) = two_cores();
        let first = asker.call(ShardId(1), 1);
        answer(&asker, &asked, &replies);
        // The answer is here, nobody has looked at it, and its place is taken again.
        let mut second = asker.call(ShardId(1), 2);
        drop(first);
        assert_eq!(poll(&mut second), Poll::Pending);
        answer(&asker, &asked, &replies);
        assert_eq!(poll(&mut second), Poll::Ready(Some(20)));
    }

    #[test]
    fn a_place_is_free_again_when_a_dropped_call_is_done_with() {
        let (asker, asked, replies) = two_cores();
        for question in 1..=3 {
            drop(asker.call(ShardId(1), question));
            answer(&asker, &asked, &replies);
        }
        let mut call = asker.call(ShardId(1), 4);
        answer(&asker, &asked, &replies);
        assert_eq!(poll(&mut call), Poll::Ready(Some(40)));
        let peer = asker.inner.peers[1].borrow();
        assert_eq!((peer.unanswered, peer.places.len(), peer.free.len()), (0, 1, 1));
    }
}
