//! A request that is armed once and completes many times: its state, without the kernel under it.
//!
//! What arrives goes to who waits, or into a short queue. A queue that is full takes the request back, so that the
//! rest waits in the kernel and whoever sends it slows down; the next who asks arms it again.

use driver::{Errno, Token};
use std::collections::VecDeque;

/// What the kernel has of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Armed,
    /// Taken back; its last completion has not come.
    Ending,
}

/// What is to be done after a change of state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Act<T> {
    /// Hand the request to the kernel.
    Arm,
    /// Take it back.
    Cancel,
    /// The operation has come to this.
    Give(Token, Result<T, Errno>),
    /// Nothing of ours holds the handle any more: close it, for this operation.
    Close(Token),
}

/// An armed request on one handle. `T` is what one completion brings; dropping it gives up what it stands for.
#[derive(Debug)]
pub(crate) struct Armed<T> {
    queue: VecDeque<Result<T, Errno>>,
    queue_max: usize,
    waiting: VecDeque<Token>,
    phase: Phase,
    /// The handle is closed, or will be at the end: what arrives and is not waited for is dropped.
    closed: bool,
    close: Option<Token>,
}

impl<T> Armed<T> {
    /// Idle; takes its request back when `queue_max` completions wait to be asked for.
    pub(crate) fn new(queue_max: usize) -> Armed<T> {
        Armed {
            queue: VecDeque::new(),
            queue_max,
            waiting: VecDeque::new(),
            phase: Phase::Idle,
            closed: false,
            close: None,
        }
    }

    /// The kernel has nothing of it, and nothing has arrived that was not asked for.
    pub(crate) fn is_idle(&self) -> bool {
        self.phase == Phase::Idle && self.queue.is_empty()
    }

    /// The handle is closed, and the kernel is done with it.
    pub(crate) fn is_over(&self) -> bool {
        self.closed && self.phase == Phase::Idle && self.waiting.is_empty() && self.close.is_none()
    }

    /// What has arrived and was not asked for, to be taken in another way than by [`wait`](Armed::wait).
    pub(crate) fn queue(&mut self) -> &mut VecDeque<Result<T, Errno>> {
        &mut self.queue
    }

    /// An operation asks for the next.
    pub(crate) fn wait(&mut self, token: Token, acts: &mut Vec<Act<T>>) {
        if let Some(arrived) = self.queue.pop_front() {
            acts.push(Act::Give(token, arrived));
            return;
        }
        self.waiting.push_back(token);
        self.arm(acts);
    }

    /// An operation is not to wait any longer. False if it does not.
    pub(crate) fn give_up(&mut self, token: Token, acts: &mut Vec<Act<T>>) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != token);
        let found = self.waiting.len() < before;
        if found {
            acts.push(Act::Give(token, Err(Errno::CANCELED)));
        }
        if found && self.waiting.is_empty() {
            self.stop(acts);
        }
        found
    }

    /// Takes the request back; what arrives meanwhile is kept.
    pub(crate) fn stop(&mut self, acts: &mut Vec<Act<T>>) {
        if self.phase == Phase::Armed {
            self.phase = Phase::Ending;
            acts.push(Act::Cancel);
        }
    }

    /// A completion brought something; `last` if it was the request's last.
    pub(crate) fn arrived(&mut self, arrived: T, last: bool, acts: &mut Vec<Act<T>>) {
        self.hand_out(Ok(arrived), acts);
        if last {
            self.ended(acts);
        } else if self.queue.len() >= self.queue_max || (self.closed && self.waiting.is_empty()) {
            self.stop(acts);
        }
    }

    /// The last completion brought an error. `keep`: it will not come a second time, so that it must not be lost.
    pub(crate) fn failed(&mut self, errno: Errno, keep: bool, acts: &mut Vec<Act<T>>) {
        let ours = errno == Errno::CANCELED && self.phase == Phase::Ending;
        if !ours && (keep || !self.waiting.is_empty()) {
            self.hand_out(Err(errno), acts);
        }
        self.ended(acts);
    }

    /// The last completion brought nothing that anybody need hear of: who waits goes on waiting.
    pub(crate) fn interrupted(&mut self, acts: &mut Vec<Act<T>>) {
        self.ended(acts);
    }

    /// Closes the handle: at once if nobody is at it or if somebody waits, who then keeps it open below; else when
    /// the kernel has let go of it.
    pub(crate) fn close(&mut self, token: Token, acts: &mut Vec<Act<T>>) {
        self.closed = true;
        self.queue.clear();
        if self.phase == Phase::Idle || !self.waiting.is_empty() || self.close.is_some() {
            acts.push(Act::Close(token));
            return;
        }
        self.close = Some(token);
        self.stop(acts);
    }

    /// Ends it, whoever waits: the driver goes.
    pub(crate) fn end(&mut self, acts: &mut Vec<Act<T>>) {
        self.closed = true;
        self.queue.clear();
        self.waiting.clear();
        self.stop(acts);
    }

    fn hand_out(&mut self, arrived: Result<T, Errno>, acts: &mut Vec<Act<T>>) {
        match self.waiting.pop_front() {
            Some(token) => acts.push(Act::Give(token, arrived)),
            None if self.closed => {}
            None => self.queue.push_back(arrived),
        }
    }

    fn ended(&mut self, acts: &mut Vec<Act<T>>) {
        self.phase = Phase::Idle;
        if let Some(token) = self.close.take() {
            acts.push(Act::Close(token));
        }
        if !self.waiting.is_empty() {
            self.arm(acts);
        }
    }

    fn arm(&mut self, acts: &mut Vec<Act<T>>) {
        if self.closed {
            // The handle's number may be another's by now.
            acts.extend(self.waiting.drain(..).map(|token| Act::Give(token, Err(Errno::BADF))));
        } else if self.phase == Phase::Idle {
            self.phase = Phase::Armed;
            acts.push(Act::Arm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Token = Token(1);
    const B: Token = Token(2);

    fn acts(of: impl FnOnce(&mut Vec<Act<u32>>)) -> Vec<Act<u32>> {
        let mut acts = Vec::new();
        of(&mut acts);
        acts
    }

    #[test]
    fn one_arming_serves_many_who_ask() {
        let mut armed = Armed::new(2);
        assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Arm]);
        assert_eq!(acts(|acts| armed.arrived(7, false, acts)), [Act::Give(A, Ok(7))]);
        assert_eq!(acts(|acts| armed.wait(B, acts)), [], "armed still");
        assert_eq!(acts(|acts| armed.arrived(8, false, acts)), [Act::Give(B, Ok(8))]);
        assert_eq!(acts(|acts| armed.arrived(9, false, acts)), []);
        assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Give(A, Ok(9))], "from the queue");
    }

    #[test]
    fn a_full_queue_takes_it_back_and_who_asks_arms_it_again() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        acts(|acts| armed.arrived(1, false, acts));
        assert_eq!(acts(|acts| armed.arrived(2, false, acts)), []);
        assert_eq!(acts(|acts| armed.arrived(3, false, acts)), [Act::Cancel]);
        assert_eq!(acts(|acts| armed.arrived(4, false, acts)), [], "cancelled once");
        assert_eq!(acts(|acts| armed.failed(Errno::CANCELED, true, acts)), [], "nobody hears of it");
        for expected in [2, 3, 4] {
            assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Give(A, Ok(expected))]);
        }
        assert!(armed.is_idle());
        assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Arm]);
        assert!(!armed.is_idle());
    }

    #[test]
    fn who_asks_while_it_ends_is_served_after() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        let given_up = acts(|acts| assert!(armed.give_up(A, acts)));
        assert_eq!(given_up, [Act::Give(A, Err(Errno::CANCELED)), Act::Cancel]);
        assert_eq!(acts(|acts| assert!(!armed.give_up(A, acts))), [], "gone already");
        assert_eq!(acts(|acts| armed.wait(B, acts)), []);
        assert_eq!(acts(|acts| armed.failed(Errno::CANCELED, true, acts)), [Act::Arm]);
        assert_eq!(acts(|acts| armed.arrived(5, true, acts)), [Act::Give(B, Ok(5))]);
        assert!(armed.is_idle());
    }

    #[test]
    fn errors_that_come_once_are_kept() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        assert_eq!(acts(|acts| armed.failed(Errno::NOBUFS, false, acts)), [Act::Give(A, Err(Errno::NOBUFS))]);
        acts(|acts| armed.wait(A, acts));
        acts(|acts| armed.arrived(1, false, acts));
        assert_eq!(acts(|acts| armed.failed(Errno::NOBUFS, false, acts)), [], "it will come again");
        assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Arm]);
        acts(|acts| armed.arrived(2, false, acts));
        assert_eq!(acts(|acts| armed.failed(Errno::CONNRESET, true, acts)), []);
        assert_eq!(acts(|acts| armed.wait(A, acts)), [Act::Give(A, Err(Errno::CONNRESET))]);
    }

    #[test]
    fn after_an_interruption_it_is_armed_again_for_who_waits() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        assert_eq!(acts(|acts| armed.interrupted(acts)), [Act::Arm]);
        assert_eq!(acts(|acts| armed.arrived(1, false, acts)), [Act::Give(A, Ok(1))]);
        assert_eq!(acts(|acts| armed.interrupted(acts)), [], "nobody waits");
        assert!(armed.is_idle());
        assert_eq!(acts(|acts| armed.wait(B, acts)), [Act::Arm]);
    }

    #[test]
    fn closing_waits_for_the_kernel_to_let_go() {
        let mut armed = Armed::new(2);
        assert_eq!(acts(|acts| armed.close(B, acts)), [Act::Close(B)], "nothing is armed");
        assert!(armed.is_over());
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        acts(|acts| armed.arrived(1, false, acts));
        acts(|acts| armed.arrived(2, false, acts));
        assert_eq!(acts(|acts| armed.close(B, acts)), [Act::Cancel]);
        assert_eq!(acts(|acts| armed.arrived(3, false, acts)), [], "dropped");
        assert!(armed.queue().is_empty() && !armed.is_over());
        assert_eq!(acts(|acts| armed.failed(Errno::CANCELED, true, acts)), [Act::Close(B)]);
        assert!(armed.is_over());
    }

    #[test]
    fn who_waits_keeps_a_closed_handle_open_below() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        assert_eq!(acts(|acts| armed.close(B, acts)), [Act::Close(B)]);
        assert!(!armed.is_over());
        let last = acts(|acts| armed.arrived(1, false, acts));
        assert_eq!(last, [Act::Give(A, Ok(1)), Act::Cancel]);
        assert_eq!(acts(|acts| armed.failed(Errno::CANCELED, true, acts)), []);
        assert!(armed.is_over());
    }

    #[test]
    fn a_closed_handle_is_not_armed_again() {
        let mut armed = Armed::new(2);
        acts(|acts| armed.wait(A, acts));
        acts(|acts| armed.wait(B, acts));
        acts(|acts| armed.close(Token(3), acts));
        let last = acts(|acts| armed.arrived(1, true, acts));
        assert_eq!(last, [Act::Give(A, Ok(1)), Act::Give(B, Err(Errno::BADF))]);
        assert!(armed.is_over());
    }
}
