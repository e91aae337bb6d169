//! One connection's answers on their way into its socket.

use crate::connection::Requests;
use crate::limits::Limits;
use crate::outgoing::{Outgoing, PART_BYTES, SMALL_BYTES};
use crate::pipeline::{Over, Pipeline};
use crate::traffic::Traffic;
use base::Instant;
use driver::Handle;
use executor::{Either, io, now, race, sleep_until};
use memory::Slice;
use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

/// Who sends a connection's answers.
pub(crate) struct Sender {
    pub(crate) socket: Handle,
    pub(crate) pipeline: Pipeline,
    pub(crate) outgoing: Outgoing,
    pub(crate) limits: Rc<Limits>,
    /// When bytes last passed, in either direction.
    pub(crate) active: Rc<Cell<Instant>>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) requests: Rc<dyn Requests>,
}

impl Sender {
    /// Sends until no more answers will come, a request closes the connection, or the socket takes no more.
    pub(crate) async fn run(self) {
        let pipeline = &self.pipeline;
        while let Some(slices) = pipeline.answers().await {
            let bytes: usize = slices.iter().map(|slice| slice.len()).sum();
            if bytes > 0 {
                pipeline.begin_or_end_sending();
                if let Err(over) = self.deliver(slices, bytes).await {
                    pipeline.give_up(over);
                    // The receiving side sees the end of the stream, and ends the connection.
                    let _ = io::shutdown(self.socket).await;
                    return;
                }
                pipeline.begin_or_end_sending();
            }
            let sent = now();
            self.traffic.sent_bytes.add(bytes as u64);
            pipeline.take_left(|left| self.requests.left(left, sent));
            self.active.set(sent);
        }
        if pipeline.is_closed() {
            pipeline.give_up(Over::Closed);
            let _ = io::shutdown(self.socket).await;
        }
    }

    /// Hands answers to the socket.
    async fn deliver(&self, slices: Vec<Slice>, bytes: usize) -> Result<(), Over> {
        let small = bytes <= SMALL_BYTES;
        let rest = if small { self.deliver_whole(slices, bytes).await? } else { slices.into() };
        if rest.is_empty() {
            return Ok(());
        }
        // Boxed: it would make the future of every connection larger.
        Box::pin(self.deliver_in_parts(rest)).await
    }

    /// Hands over small answers, without a timer: [`Watch`](crate::watch::Watch) looks whether they are taken. Where the
    /// socket has no room for all of them, the rest comes back, to go on in parts.
    async fn deliver_whole(&self, slices: Vec<Slice>, bytes: usize) -> Result<VecDeque<Slice>, Over> {
        self.pipeline.set_watched(true);
        let (sent, back) = io::send(self.socket, slices, 0).await;
        self.pipeline.set_watched(false);
        let count = sent.ok().filter(|count| *count > 0).ok_or(Over::Failed)?;
        self.pipeline.taken(count);
        if count == bytes {
            return Ok(VecDeque::new());
        }
        let mut rest: VecDeque<Slice> = back.into();
        drop(cut(&mut rest, count));
        Ok(rest)
    }

    async fn deliver_in_parts(&self, mut rest: VecDeque<Slice>) -> Result<(), Over> {
        loop {
            // What is sent is freed part by part: a slow reader must not hold what it already has.
            let (mut part, bytes) = cut(&mut rest, PART_BYTES);
            if bytes == 0 {
                return Ok(());
            }
            self.outgoing.turn(bytes).await;
            let mut skip = 0;
            while skip < bytes {
                let (count, back) = self.send(part, skip).await?;
                part = back;
                skip += count;
                self.pipeline.taken(count);
                self.active.set(now());
            }
        }
    }

    /// Sends as much as the socket takes, which must be something within the time that its peer has.
    async fn send(&self, part: Vec<Slice>, skip: usize) -> Result<(usize, Vec<Slice>), Over> {
        let (began, refused) = (now(), self.outgoing.refused());
        let (idle_max, patience) = (self.limits.idle_max, self.limits.memory_wait_max);
        let mut sending = pin!(io::send(self.socket, part, skip));
        loop {
            let look = now() + patience.min(idle_max);
            match race(sending.as_mut(), sleep_until(look)).await {
                Either::Left((Ok(count), back)) if count > 0 => return Ok((count, back)),
                Either::Left(_) => return Err(Over::Failed),
                Either::Right(()) => {}
            }
            let waited = now().since(began);
            if waited >= idle_max {
                return Err(Over::Idle);
            }
            if waited >= patience && self.outgoing.is_short(refused) {
                return Err(Over::Unread);
            }
        }
    }
}

/// Takes the first bytes off: whole slices, and at most the beginning of one.
fn cut(rest: &mut VecDeque<Slice>, bytes_max: usize) -> (Vec<Slice>, usize) {
    let (mut part, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max
        && let Some(slice) = rest.pop_front()
    {
        let room = bytes_max - bytes;
        if slice.len() <= room {
            bytes += slice.len();
            part.push(slice);
        } else {
            rest.push_front(slice.slice(room..slice.len()));
            part.push(slice.slice(0..room));
            bytes = bytes_max;
        }
    }
    (part, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_in_order() {
        let sizes: [usize; 6] = [3, 0, 10, 1, 6, 2];
        let whole: Vec<u8> = (0..22).collect();
        let mut at: usize = 0;
        let mut rest: VecDeque<Slice> = sizes
            .iter()
            .map(|size| {
                at += size;
                Slice::from(whole[at - size..at].to_vec())
            })
            .collect();
        let mut joined = Vec::new();
        loop {
            let (part, bytes) = cut(&mut rest, 5);
            if bytes == 0 {
                break;
            }
            assert_eq!(part.iter().map(|slice| slice.len()).sum::<usize>(), bytes);
            assert!(bytes == 5 || rest.is_empty(), "no part but the last is smaller");
            part.iter().for_each(|slice| joined.extend_from_slice(slice));
        }
        assert_eq!(joined, whole);
        assert!(rest.is_empty());
    }
}
