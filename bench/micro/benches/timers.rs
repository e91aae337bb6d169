//! The executor's timers, many at a time: set, fired, cancelled. Over a driver that only keeps time.

use base::Instant;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use driver::{Capabilities, Completion, Driver, Handle, Operation, Token, Wait, Wake};
use executor::{Event, Executor, IdlePolicy, Options, sleep_until};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// Deadlines are spread over this time.
const SPREAD: Duration = Duration::from_secs(60);

/// A clock that is set by hand. No operation is ever submitted to it.
struct Clock {
    now: Rc<Cell<Instant>>,
    capabilities: Capabilities,
}

struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

impl Driver for Clock {
    fn submit(&mut self, _: Token, _: Operation) {
        unreachable!("timers submit nothing");
    }

    fn cancel(&mut self, _: Token) {
        unreachable!("nothing was submitted");
    }

    fn turn(&mut self, _: Wait, _: &mut Vec<Completion>) {}

    fn now(&self) -> Instant {
        self.now.get()
    }

    fn wall_clock_ms(&self) -> i64 {
        0
    }

    fn random(&mut self) -> u64 {
        4
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }

    fn listen(&mut self, _: SocketAddr, _: bool) -> io::Result<(Handle, SocketAddr)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

/// How long each step took, for all timers together.
struct Took {
    set: Duration,
    fire: Duration,
    cancel: Duration,
}

/// Sets so many timers; then they fire, or are cancelled.
fn once(count: usize, fire: bool) -> Took {
    let now = Rc::new(Cell::new(Instant::ZERO));
    let clock = Clock { now: now.clone(), capabilities: Capabilities::default() };
    let executor = Executor::new(Box::new(clock), Options { idle: IdlePolicy::Park, seed: None });
    let wait = Event::new();
    let waiting = wait.clone();
    let task = executor.spawn("timers", async move {
        // Deadlines in no order: a multiplier coprime to the modulus scatters them.
        let nanos = SPREAD.as_nanos() as u64;
        let deadline = |i: u64| Instant::ZERO + Duration::from_nanos(1 + i * 2_654_435_761 % nanos);
        let start = std::time::Instant::now();
        let mut sleeps: Vec<_> = (0..count as u64).map(|i| sleep_until(deadline(i))).collect();
        poll_fn(|context| {
            for sleep in &mut sleeps {
                assert!(Pin::new(sleep).poll(context).is_pending());
            }
            Poll::Ready(())
        })
        .await;
        let set = start.elapsed();
        waiting.after(0).await;
        let start = std::time::Instant::now();
        drop(sleeps);
        Took { set, fire: Duration::ZERO, cancel: start.elapsed() }
    });
    executor.turn();
    let mut fired = Duration::ZERO;
    if fire {
        now.set(Instant::ZERO + 2 * SPREAD);
        let start = std::time::Instant::now();
        executor.turn();
        fired = start.elapsed();
    }
    wait.notify();
    loop {
        if let Some(took) = task.take() {
            return Took { fire: fired, ..took };
        }
        executor.turn();
    }
}

/// A step's name, whether it fires, and which time counts.
type Step = (&'static str, bool, fn(&Took) -> Duration);

fn timers(c: &mut Criterion) {
    let steps: [Step; 3] = [
        ("set", false, |took| took.set),
        ("fire", true, |took| took.fire),
        ("cancel", false, |took| took.cancel),
    ];
    for (name, fire, step) in steps {
        let mut group = c.benchmark_group(format!("timers/{name}"));
        for count in [1_000, 100_000] {
            group.sample_size(if count > 10_000 { 20 } else { 100 });
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |b| {
                b.iter_custom(|rounds| (0..rounds).map(|_| step(&once(count, fire))).sum());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, timers);
criterion_main!(benches);
