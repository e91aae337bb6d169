//! The life of one connection.

use crate::frames::{FrameError, FrameReader};
use crate::gathering::Gathering;
use crate::limits::Limits;
use crate::outgoing::Outgoing;
use crate::pipeline::{Handling, Over, Pipeline};
use crate::sending::Sender;
use crate::traffic::{Left, Traffic};
use crate::watch::Watch;
use base::Instant;
use driver::Handle;
use executor::{Either, io, now, race, recently, sleep_until, spawn};
use memory::Slice;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How often a connection that must wait looks whether it still must.
const MUTED_LOOK: Duration = Duration::from_secs(1);
/// How long answers may take to leave a connection that is ended by this side.
const GRACE: Duration = Duration::from_secs(1);

/// What the broker does with frames.
pub trait Requests {
    /// Begins work on a request, and says of which kind it is, by a number that only the broker understands.
    fn begin(&self, frame: Slice) -> (u16, Handling);

    /// Whether this request may be worked on beside others; else it waits until all before it are answered, and
    /// those after it wait for it.
    fn is_pipelined(&self, frame: &Slice) -> bool;

    /// Which of these it may be worked on beside: those with the same number. Before it begins, all others are
    /// answered.
    fn lane(&self, _frame: &Slice) -> u8 {
        0
    }

    /// Until when nothing more of this connection is begun: its client has used more than it may.
    /// [`Instant::ZERO`] for no wait. It may change while the wait lasts, either way.
    fn muted_until(&self) -> Instant {
        Instant::ZERO
    }

    /// A request's answer was sent, or it needs none, or it closes its connection.
    fn left(&self, request: &Left, sent: Instant);
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer closed it, or its network failed.
    ByPeer,
    /// It was silent for too long, or took nothing of its answers.
    Idle,
    /// It took nothing of its answers for too long while others waited for memory.
    Unread,
    /// It sent what cannot be answered.
    Refused(String),
}

/// Serves one connection until it ends. The socket is closed afterwards.
pub async fn serve(
    socket: Handle,
    gathering: Gathering,
    outgoing: Outgoing,
    limits: Rc<Limits>,
    traffic: Arc<Traffic>,
    requests: Rc<dyn Requests>,
) -> Ended {
    let pipeline = Pipeline::new(outgoing.clone(), limits.unsent_bytes_max);
    let active = Rc::new(Cell::new(now()));
    let sender = Sender {
        socket,
        pipeline: pipeline.clone(),
        outgoing,
        limits: limits.clone(),
        active: active.clone(),
        traffic: traffic.clone(),
        requests: requests.clone(),
    };
    let mut sender = spawn("connection sender", sender.run());
    let reader = FrameReader::new(socket, gathering, active.clone());
    let ended = receive(reader, &limits, &traffic, &*requests, &pipeline, &active).await;
    pipeline.end();
    let ended = match (pipeline.closed(), pipeline.over()) {
        (Some(reason), _) => Ended::Refused(reason),
        (None, Some(Over::Idle)) => Ended::Idle,
        (None, Some(Over::Unread)) => Ended::Unread,
        (None, Some(Over::Failed | Over::Closed) | None) => ended,
    };
    match ended {
        Ended::ByPeer => {}
        Ended::Idle => traffic.idle_closed.increment(),
        Ended::Unread => traffic.unread_closed.increment(),
        Ended::Refused(_) => traffic.refused.increment(),
    }
    // What was asked by a peer that has gone is still worked on, but nobody is there to read the answers. Who has given
    // up sending is about to end.
    if ended != Ended::ByPeer || pipeline.over().is_some() {
        let _ = race(&mut sender, sleep_until(now() + GRACE)).await;
    }
    // A sender that ran on would send to whose socket has this one's number next.
    sender.abort();
    // Both are best effort: the peer may be gone.
    let _ = io::shutdown(socket).await;
    let _ = io::close(socket).await;
    ended
}

async fn receive(
    mut reader: FrameReader,
    limits: &Limits,
    traffic: &Traffic,
    requests: &dyn Requests,
    pipeline: &Pipeline,
    active: &Rc<Cell<Instant>>,
) -> Ended {
    let mut counted = 0;
    // That of the requests in work.
    let mut lane = 0;
    let mut watch = Watch::new(pipeline, limits, now());
    loop {
        if !has_room(pipeline, limits) {
            // It may be long: what is at hand must not hold a whole block meanwhile.
            reader.settle();
            if let Err(ended) = wait_until(pipeline, &mut watch, || has_room(pipeline, limits)).await {
                return ended;
            }
        }
        if let Err(ended) = muted(requests, limits, pipeline, &mut watch).await {
            return ended;
        }
        let frame = next_frame(&mut reader, limits, pipeline, active, &mut watch).await;
        traffic.received_bytes.add(reader.received_bytes() - counted);
        counted = reader.received_bytes();
        let frame = match frame {
            Ok(frame) => frame,
            Err(ended) => return ended,
        };
        // A request that was in work while this one came may have been one too many.
        if let Err(ended) = muted(requests, limits, pipeline, &mut watch).await {
            return ended;
        }
        // Or it closed the connection: then there is no room for any more.
        if pipeline.is_closed() {
            continue;
        }
        let arrived = now();
        let alone = !requests.is_pipelined(&frame);
        let before = std::mem::replace(&mut lane, requests.lane(&frame));
        let waits = alone || lane != before;
        if waits && let Err(ended) = wait_until(pipeline, &mut watch, || pipeline.is_empty()).await {
            return ended;
        }
        // So may one that it waited for.
        if waits && let Err(ended) = muted(requests, limits, pipeline, &mut watch).await {
            return ended;
        }
        let begun = if waits { now() } else { arrived };
        let (kind, handling) = requests.begin(frame);
        pipeline.begin(kind, handling, arrived, begun).await;
        if alone && let Err(ended) = wait_until(pipeline, &mut watch, || pipeline.is_empty()).await {
            return ended;
        }
    }
}

/// Whether another request may be begun.
fn has_room(pipeline: &Pipeline, limits: &Limits) -> bool {
    !pipeline.is_closed() && pipeline.len() < limits.requests_in_progress_max && !pipeline.is_full()
}

/// Waits until something holds of the pipeline, which may change as requests and their answers leave. An end if none
/// will any more, or the socket takes no answers; where a request closed the connection, it comes when those before it
/// have left.
async fn wait_until(
    pipeline: &Pipeline,
    watch: &mut Watch<'_>,
    holds: impl Fn() -> bool,
) -> Result<(), Ended> {
    loop {
        let left = pipeline.left_count();
        if pipeline.over().is_some() {
            return Err(Ended::ByPeer);
        }
        if !pipeline.is_closed() && holds() {
            return Ok(());
        }
        let (time, change) = (now(), pipeline.left_after(left));
        let look = watch.next_look(time);
        if let Either::Right(()) = race(change, watch.alarm(look, time)).await
            && now() >= look
        {
            watch.look(now())?;
        }
    }
}

/// Waits while the client must (KIP-219). Its answers go out meanwhile; its socket is not read, so that it meets its
/// own full buffers. An end if that lasts longer than a connection may be silent, as in Kafka, or the socket takes no
/// answers.
async fn muted(
    requests: &dyn Requests,
    limits: &Limits,
    pipeline: &Pipeline,
    watch: &mut Watch<'_>,
) -> Result<(), Ended> {
    if requests.muted_until() == Instant::ZERO {
        return Ok(());
    }
    let began = now();
    loop {
        let until = requests.muted_until();
        // One that is being closed has nothing to wait for: the end of its stream is read next.
        if until <= now() || pipeline.is_closed() || pipeline.over().is_some() {
            return Ok(());
        }
        if now().since(began) >= limits.idle_max {
            return Err(Ended::Idle);
        }
        watch.look(now())?;
        let look = until.min(now() + MUTED_LOOK);
        let _ = race(pipeline.next_left(), sleep_until(look)).await;
    }
}

/// The next frame, within the time that a silent connection has, and while the socket takes answers.
async fn next_frame(
    reader: &mut FrameReader,
    limits: &Limits,
    pipeline: &Pipeline,
    active: &Rc<Cell<Instant>>,
    watch: &mut Watch<'_>,
) -> Result<Slice, Ended> {
    if reader.has_frame(limits) {
        return reader.next(limits).await.map_err(ended_by);
    }
    let mut time = recently();
    active.set(time);
    let mut next = std::pin::pin!(reader.next(limits));
    loop {
        let silent = active.get() + limits.idle_max;
        let look = if pipeline.is_at_rest() { silent } else { silent.min(watch.next_look(time)) };
        if let Either::Left(frame) = race(next.as_mut(), watch.alarm(look, time)).await {
            return frame.map_err(ended_by);
        }
        time = now();
        if time < look {
            continue;
        }
        watch.look(time)?;
        // Bytes that arrive set it themselves; answers that leave, or requests in work, are traffic too.
        if !pipeline.is_at_rest() {
            active.set(time);
        } else if active.get() + limits.idle_max <= time {
            return Err(Ended::Idle);
        }
    }
}

fn ended_by(error: FrameError) -> Ended {
    match error {
        FrameError::Closed | FrameError::Cut | FrameError::Socket(_) => Ended::ByPeer,
        FrameError::NegativeLength(_)
        | FrameError::TooLong { .. }
        | FrameError::NoMemory
        | FrameError::Stalled => Ended::Refused(error.to_string()),
    }
}
