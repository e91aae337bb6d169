//! What is counted and measured of a connection's requests.

use crate::rig;
use base::Instant;
use executor::{io, now, sleep};
use memory::Slice;
use network::{Answer, Crowd, Handling, Left, Limits, Requests, Traffic};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const WORK: Duration = Duration::from_millis(50);
/// Longer than a connection takes to look again whether it is still mute.
const MUTED: Duration = Duration::from_millis(2500);

/// A broker of one byte a request: `e` is echoed after [`WORK`], `o` too but not beside others, `m` at once and mutes
/// the connection for [`MUTED`], `k` mutes it after [`WORK`], `n` wants no answer, `x` closes. Capitals run alone.
#[derive(Default)]
struct Bytes {
    left: RefCell<Vec<(Left, Instant)>>,
    muted: Rc<Cell<Instant>>,
}

impl Requests for Bytes {
    fn begin(&self, frame: Slice) -> (u16, Handling) {
        let kind = frame[0];
        let handling: Handling = match kind.to_ascii_lowercase() {
            b'e' | b'o' => Box::pin(async move {
                sleep(WORK).await;
                Answer::Send(vec![Slice::from(vec![0, 0, 0, 1, kind])])
            }),
            b'm' => {
                self.muted.set(now() + MUTED);
                Box::pin(async move { Answer::Send(vec![Slice::from(vec![0, 0, 0, 1, kind])]) })
            }
            b'k' => {
                let muted = self.muted.clone();
                Box::pin(async move {
                    sleep(WORK).await;
                    muted.set(now() + MUTED);
                    Answer::Send(vec![Slice::from(vec![0, 0, 0, 1, kind])])
                })
            }
            b'n' => Box::pin(async { Answer::Nothing }),
            _ => Box::pin(async { Answer::Close("it said so".to_owned()) }),
        };
        (u16::from(kind), handling)
    }

    fn is_pipelined(&self, frame: &Slice) -> bool {
        frame[0].is_ascii_lowercase()
    }

    fn lane(&self, frame: &Slice) -> u8 {
        u8::from(frame[0] == b'o')
    }

    fn muted_until(&self) -> Instant {
        self.muted.get()
    }

    fn left(&self, request: &Left, sent: Instant) {
        self.left.borrow_mut().push((*request, sent));
    }
}

/// Sends the requests at once, takes `answer_bytes` of answers, and hands out what was counted.
fn exchange(requests: &'static [u8], answer_bytes: usize) -> (Vec<(Left, Instant)>, Arc<Traffic>) {
    exchange_within(Limits::default().idle_max, requests, answer_bytes)
}

/// The same with connections that may be silent for so long.
fn exchange_within(
    idle_max: Duration,
    requests: &'static [u8],
    answer_bytes: usize,
) -> (Vec<(Left, Instant)>, Arc<Traffic>) {
    let (crowd, limits) = (Crowd::default(), Limits { idle_max, ..Limits::default() });
    crowd.limit(1, usize::MAX, BTreeMap::new());
    let asking = move |site: rig::Site<Bytes>| async move {
        let socket = site.ask(requests).await;
        let mut received = 0;
        while received < answer_bytes {
            let Ok(Some((_, length))) = io::receive(socket).await else { break };
            received += length;
        }
        assert_eq!(received, answer_bytes);
        sleep(Duration::from_secs(1)).await;
        let open = site.traffic.connections.get();
        // A second one is one too many, while the first is open.
        let second = io::connect(site.address).await.expect("connects");
        sleep(Duration::from_secs(1)).await;
        let _ = io::close(second).await;
        let _ = io::close(socket).await;
        // The server notices both.
        sleep(Duration::from_secs(5)).await;
        (open, site.broker, site.traffic)
    };
    let (open, broker, traffic) = rig::run(7, crowd, limits, Bytes::default(), asking);
    assert_eq!(open, u64::from(!requests.contains(&b'x')));
    (broker.left.take(), traffic)
}

#[test]
fn stages_of_requests_side_by_side_and_alone() {
    let (left, traffic) = exchange(b"eeE", 15);
    let kinds: Vec<u16> = left.iter().map(|(left, _)| left.kind).collect();
    assert_eq!(kinds, [b'e', b'e', b'E'].map(u16::from));
    for (request, sent) in &left {
        let times = request.times;
        assert!(times.wait() >= WORK && times.wait() < 2 * WORK, "{times:?}");
        let stages = times.queue() + times.execute() + times.wait() + times.send(*sent);
        assert_eq!(stages, sent.since(times.arrived), "the stages are the whole");
        assert!(!request.closed);
    }
    assert_eq!(left[1].0.times.queue(), Duration::ZERO, "the second ran beside the first");
    assert!(left[2].0.times.queue() >= WORK / 2, "the third waited for both: {:?}", left[2].0.times);
    assert_eq!((traffic.received_bytes.get(), traffic.sent_bytes.get()), (15, 15));
    assert_eq!((traffic.accepted.get(), traffic.turned_away.get(), traffic.refused.get()), (1, 1, 0));
    assert_eq!(traffic.connections.get(), 0, "all are closed at the end");
}

#[test]
fn requests_run_beside_those_of_their_lane() {
    let (left, _) = exchange(b"eooe", 20);
    assert_eq!(left.len(), 4);
    let waited: Vec<bool> = left.iter().map(|(left, _)| left.times.queue() >= WORK / 2).collect();
    assert_eq!(waited, [false, true, false, true]);
}

#[test]
fn requests_without_answers_are_reported_as_they_go() {
    let (left, traffic) = exchange(b"nnnn", 0);
    assert_eq!(left.len(), 4);
    for (request, sent) in left {
        assert!(sent.since(request.times.arrived) < Duration::from_millis(1), "not at the connection's end");
    }
    assert_eq!((traffic.received_bytes.get(), traffic.sent_bytes.get()), (20, 0));
}

#[test]
fn a_request_that_closes_is_reported_so() {
    let (left, traffic) = exchange(b"enx", 5);
    let closed: Vec<(u16, bool)> = left.iter().map(|(left, _)| (left.kind, left.closed)).collect();
    assert_eq!(closed, [(u16::from(b'e'), false), (u16::from(b'n'), false), (u16::from(b'x'), true)]);
    assert_eq!((traffic.refused.get(), traffic.sent_bytes.get()), (1, 5));
}

#[test]
fn a_mute_connection_is_answered_at_once_and_asked_for_nothing_more() {
    let (left, _) = exchange(b"emee", 20);
    let at = |number: usize| (left[number].0.times, left[number].1);
    let ((working, worked), (muting, answered), (later, _)) = (at(0), at(1), at(2));
    assert!(muting.begun.since(working.begun) < WORK, "the second ran beside the first");
    assert!(
        answered.since(muting.begun) < 2 * WORK && answered >= worked,
        "after the first, without the wait"
    );
    assert!(later.begun.since(muting.begun) >= MUTED, "{later:?}");
    assert!(at(3).0.begun.since(later.begun) < WORK, "then all goes on as before");
}

#[test]
fn what_waited_for_a_request_that_mutes_the_connection_waits_on() {
    // Alone, and in another lane.
    for requests in [b"kE", b"ko"] {
        let (left, _) = exchange(requests, 10);
        let (muting, later) = (left[0].0.times, left[1].0.times);
        assert!(later.arrived.since(muting.begun) < WORK, "it was there before: {later:?}");
        assert!(later.begun.since(muting.begun) >= WORK + MUTED, "{later:?}");
    }
}

#[test]
fn a_mute_connection_that_is_silent_for_too_long_is_closed() {
    let (left, traffic) = exchange_within(Duration::from_millis(1500), b"me", 5);
    assert_eq!(left.len(), 1, "the second was never begun");
    assert_eq!(traffic.idle_closed.get(), 1);
}
