//! Clients that are slow to read their answers, or do not read them at all; and what becomes of answers when a request
//! closes the connection.

use crate::rig::{self, Site};
use base::Instant;
use driver::Handle;
use executor::{io, now, sleep};
use memory::{Block, Slice};
use network::{Answer, Crowd, Handling, Left, Limits, Requests};
use std::cell::Cell;
use std::time::Duration;

/// More than a connection may have unsent.
const LARGE_BYTES: usize = 2 << 20;
/// More than the simulated network takes of a connection, and less than one may have unsent.
const MIDDLE_BYTES: usize = 600 << 10;
/// As much as goes out whole, and a part of what the simulated network takes of a connection without a remainder.
const SMALL_BYTES: usize = 16 << 10;
/// So many of these fill it.
const SMALL_TAKEN: usize = 16;
/// Less than goes out whole; of one of these the simulated network takes a part when others have filled it.
const ODD_BYTES: usize = 10_000;
/// The number of that one.
const ODD_CUT: usize = 27;
const MOMENT: Duration = Duration::from_secs(5);
const WORK: Duration = Duration::from_millis(50);

/// A broker of one byte a request: answers `l` with [`LARGE_BYTES`], `w` with as many after [`WORK`], `m` with
/// [`MIDDLE_BYTES`], `T` with [`SMALL_BYTES`], `O` with [`ODD_BYTES`], all else with a few; `x` closes the connection,
/// `q` mutes it for good. A capital does not run beside others, so that each answer goes out by itself.
#[derive(Default)]
struct Sizes {
    begun: Cell<usize>,
    muted: Cell<Instant>,
}

fn content(kind: u8) -> Vec<u8> {
    let bytes = match kind {
        b'l' | b'w' => LARGE_BYTES,
        b'm' => MIDDLE_BYTES,
        b'T' => SMALL_BYTES,
        b'O' => ODD_BYTES,
        _ => 10,
    };
    // A prime: no two places a part's length apart are alike.
    (0..bytes).map(|at| (at % 251) as u8 ^ kind).collect()
}

impl Requests for Sizes {
    fn begin(&self, frame: Slice) -> (u16, Handling) {
        self.begun.set(self.begun.get() + 1);
        let kind = frame[0];
        if kind == b'q' {
            self.muted.set(Instant::NEVER);
        }
        // In several pieces, one of them small, as answers with records are.
        let (whole, split) = (Slice::from(content(kind)), 7);
        let slices = vec![whole.slice(0..split), whole.slice(split..whole.len())];
        let handling = async move {
            match kind {
                b'x' => return Answer::Close("it said so".to_owned()),
                b'w' => sleep(WORK).await,
                _ => {}
            }
            Answer::Send(slices)
        };
        (u16::from(kind), Box::pin(handling))
    }

    fn is_pipelined(&self, frame: &Slice) -> bool {
        frame[0].is_ascii_lowercase()
    }

    fn muted_until(&self) -> Instant {
        self.muted.get()
    }

    fn left(&self, _request: &Left, _sent: Instant) {}
}

async fn read(socket: Handle, bytes: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < bytes {
        let Ok(Some((block, length))) = io::receive(socket).await else { break };
        received.extend_from_slice(&block[..length]);
    }
    received
}

/// Runs a client against a broker with these limits.
fn run<T: 'static, F>(limits: Limits, client: impl FnOnce(Site<Sizes>) -> F) -> T
where
    F: Future<Output = T> + 'static,
{
    rig::run(11, Crowd::default(), limits, Sizes::default(), client)
}

/// Takes all of the broker's memory until it has closed its connection, which must be soon.
async fn outlast(site: &Site<Sizes>) {
    let began = now();
    let held: Vec<Block> = std::iter::from_fn(|| site.pool.take(4096)).collect();
    while site.traffic.connections.get() > 0 {
        sleep(Duration::from_millis(100)).await;
        assert!(now().since(began) < MOMENT, "it still holds what others need");
    }
    drop(held);
}

/// Takes so much of the broker's memory that it is short, and leaves it enough to receive requests.
fn make_short(site: &Site<Sizes>) -> Vec<Block> {
    let mut held = Vec::new();
    while site.pool.free_bytes() > site.pool.budget_bytes() / 32 {
        held.push(site.pool.take(4096).expect("some is free"));
    }
    held
}

/// Asks for more memory than [`make_short`] leaves.
fn miss_memory(site: &Site<Sizes>) {
    assert!(site.pool.take(site.pool.budget_bytes() / 16).is_none());
}

#[test]
fn large_answers_arrive_whole_and_in_order() {
    let requests = b"lsmLls";
    let wanted: Vec<u8> = requests.iter().flat_map(|kind| content(*kind)).collect();
    let bytes = wanted.len();
    let (got, sent, unsent) = run(Limits::default(), move |site| async move {
        let socket = site.ask(requests).await;
        let got = read(socket, bytes).await;
        sleep(MOMENT).await;
        (got, site.traffic.sent_bytes.get(), site.traffic.unsent_bytes.get())
    });
    assert!(got == wanted, "{} of {bytes} bytes, or others", got.len());
    assert_eq!((sent, unsent), (bytes as u64, 0));
}

#[test]
fn who_reads_nothing_is_worked_for_no_further_until_it_does() {
    run(Limits::default(), |site| async move {
        let socket = site.ask(&[b'l'; 8]).await;
        sleep(MOMENT).await;
        assert_eq!(site.broker.begun.get(), 1, "one answer is more than enough");
        let unsent = site.traffic.unsent_bytes.get() as usize;
        assert!((LARGE_BYTES / 2..LARGE_BYTES).contains(&unsent), "{unsent} bytes");
        assert_eq!(read(socket, 8 * LARGE_BYTES).await.len(), 8 * LARGE_BYTES);
        assert_eq!(site.broker.begun.get(), 8);
    });
}

#[test]
fn what_is_in_work_already_does_not_pile_up_either() {
    run(Limits::default(), |site| async move {
        let socket = site.ask(&[b'w'; 8]).await;
        sleep(MOMENT).await;
        assert_eq!(site.broker.begun.get(), 8, "none had an answer when they came");
        let unsent = site.traffic.unsent_bytes.get() as usize;
        assert!((LARGE_BYTES / 2..LARGE_BYTES).contains(&unsent), "{unsent} bytes");
        assert_eq!(read(socket, 8 * LARGE_BYTES).await.len(), 8 * LARGE_BYTES);
    });
}

#[test]
fn who_reads_nothing_is_idle_whatever_it_sends() {
    let limits = Limits { idle_max: Duration::from_secs(2), ..Limits::default() };
    run(limits, |site| async move {
        let socket = site.ask(b"ml").await;
        for _ in 0..20 {
            sleep(Duration::from_millis(500)).await;
            let more = io::send_all(socket, vec![Slice::from(vec![0, 0, 0, 1, b's'])]);
            if more.await.is_err() {
                break;
            }
        }
        assert_eq!((site.traffic.idle_closed.get(), site.traffic.connections.get()), (1, 0));
        assert_eq!(site.traffic.unsent_bytes.get(), 0, "what it had is free");
    });
}

#[test]
fn who_reads_slowly_is_not_idle() {
    let limits = Limits { idle_max: Duration::from_secs(2), ..Limits::default() };
    run(limits, |site| async move {
        let socket = site.ask(b"l").await;
        let mut left = LARGE_BYTES;
        while left > 0 {
            sleep(Duration::from_millis(500)).await;
            let part = read(socket, left.min(128 << 10)).await.len();
            assert!(part > 0, "closed with {left} bytes unread");
            left = left.saturating_sub(part);
        }
        assert_eq!(site.traffic.idle_closed.get(), 0);
    });
}

#[test]
fn who_reads_nothing_is_closed_early_only_when_memory_is_short() {
    let limits = Limits { memory_wait_max: Duration::from_secs(1), ..Limits::default() };
    run(limits, |site| async move {
        let _socket = site.ask(b"l").await;
        sleep(MOMENT).await;
        assert_eq!((site.traffic.unread_closed.get(), site.traffic.connections.get()), (0, 1));
        outlast(&site).await;
        assert_eq!((site.traffic.unread_closed.get(), site.traffic.idle_closed.get()), (1, 0));
    });
}

#[test]
fn who_reads_nothing_of_small_answers_is_closed_as_early() {
    let cases = [
        // Of the last one nothing is taken; no other is behind it.
        vec![b'T'; SMALL_TAKEN + 1],
        // Others wait for it.
        vec![b'T'; 2 * SMALL_TAKEN],
        // A part of the last one is taken.
        vec![b'O'; ODD_CUT],
        vec![b'O'; 2 * ODD_CUT],
        // The connection is mute.
        [&[b'T'; SMALL_TAKEN + 1][..], b"q"].concat(),
    ];
    let limits = Limits { memory_wait_max: Duration::from_secs(1), ..Limits::default() };
    for requests in cases {
        run(limits.clone(), move |site| async move {
            let _socket = site.ask(&requests).await;
            sleep(MOMENT).await;
            assert!(site.traffic.unsent_bytes.get() > 0, "something is unread");
            assert_eq!((site.traffic.unread_closed.get(), site.traffic.connections.get()), (0, 1));
            outlast(&site).await;
            assert_eq!((site.traffic.unread_closed.get(), site.traffic.idle_closed.get()), (1, 0));
            assert_eq!(site.traffic.unsent_bytes.get(), 0, "what it had is free");
        });
    }
}

#[test]
fn who_reads_nothing_of_small_answers_gains_no_time_by_sending() {
    let limits = Limits { memory_wait_max: Duration::from_secs(1), ..Limits::default() };
    run(limits, |site| async move {
        let socket = site.ask(&[b'T'; SMALL_TAKEN + 1]).await;
        sleep(MOMENT).await;
        let _held = make_short(&site);
        miss_memory(&site);
        // Fewer than are worked on at a time, each sooner than the time is over.
        for _ in 0..20 {
            sleep(Duration::from_millis(300)).await;
            let more = io::send_all(socket, vec![Slice::from(vec![0, 0, 0, 1, b's'])]);
            if more.await.is_err() {
                break;
            }
        }
        assert_eq!((site.traffic.unread_closed.get(), site.traffic.connections.get()), (1, 0));
    });
}

#[test]
fn who_reads_small_answers_slowly_is_not_closed_when_memory_is_short() {
    let limits = Limits { memory_wait_max: Duration::from_secs(1), ..Limits::default() };
    for requests in [vec![b'T'; 4 * SMALL_TAKEN], vec![b'O'; 4 * ODD_CUT]] {
        let wanted: Vec<u8> = requests.iter().flat_map(|kind| content(*kind)).collect();
        run(limits.clone(), move |site| async move {
            let socket = site.ask(&requests).await;
            sleep(MOMENT).await;
            let _held = make_short(&site);
            let mut got = Vec::new();
            while got.len() < wanted.len() {
                sleep(Duration::from_millis(300)).await;
                miss_memory(&site);
                let part = read(socket, (wanted.len() - got.len()).min(64 << 10)).await;
                assert!(!part.is_empty(), "closed with {} bytes of {} read", got.len(), wanted.len());
                got.extend(part);
            }
            assert!(got == wanted, "others than were sent");
            assert_eq!((site.traffic.unread_closed.get(), site.traffic.connections.get()), (0, 1));
        });
    }
}

#[test]
fn who_vanishes_without_reading_leaves_nothing_behind() {
    // The last of these waits until those before it are answered, which will never be.
    for requests in [&b"mS"[..], b"lS", b"mmmm", b"l"] {
        run(Limits::default(), move |site| async move {
            let socket = site.ask(requests).await;
            sleep(MOMENT).await;
            assert_eq!(site.traffic.connections.get(), 1);
            io::close(socket).await.expect("closes");
            sleep(MOMENT).await;
            assert_eq!((site.traffic.connections.get(), site.traffic.unsent_bytes.get()), (0, 0));
        });
    }
}

#[test]
fn what_comes_behind_a_request_that_closes_keeps_no_connection() {
    // More than may be unsent, one that waits for those before it, and more than are worked on at a time.
    for behind in [&b"l"[..], b"S", &[b's'; 40]] {
        run(Limits::default(), move |site| async move {
            let socket = site.ask(&[&b"wx"[..], behind].concat()).await;
            let got = read(socket, LARGE_BYTES + 1).await;
            assert!(got == content(b'w'), "{} bytes, or others: what came before, no more", got.len());
            sleep(MOMENT).await;
            assert_eq!((site.traffic.refused.get(), site.traffic.connections.get()), (1, 0));
            assert_eq!(site.traffic.unsent_bytes.get(), 0);
        });
    }
}

#[test]
fn what_comes_before_a_request_that_closes_is_sent_whatever_comes_behind() {
    run(Limits::default(), |site| async move {
        let socket = site.ask(b"wx").await;
        sleep(2 * WORK).await;
        // Now the first answer is on its way, and the connection closed behind it. This is no request.
        io::send_all(socket, vec![Slice::from(vec![0xff; 4])]).await.expect("sent");
        sleep(WORK).await;
        let got = read(socket, LARGE_BYTES).await;
        assert!(got == content(b'w'), "{} bytes, or others", got.len());
        sleep(MOMENT).await;
        assert_eq!((site.traffic.refused.get(), site.traffic.connections.get()), (1, 0));
    });
}
