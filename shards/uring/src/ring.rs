//! The driver: one ring, its operations under way, its turn.

use crate::armed::Act;
use crate::flight::{self, Flight, Kit, Next, State, Target};
use crate::handles::Handles;
use crate::lend::{LENT_BYTES, LendRing};
use crate::setup::{self, UringError, UringOptions};
use crate::slab::Slab;
use crate::socket;
use crate::streams::{Accepting, Piece, Receiving};
use crate::wake::{self, RingWake};
use crate::zero_copy::ZeroCopySend;
use base::Instant;
use driver::{
    Capabilities, Completion, DirectoryEntry, Driver, Errno, Handle, Metadata, Operation, Outcome, Token,
    Wait, Wake,
};
use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};
use memory::{Block, Pool, PoolUse};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Requests that wait for one hand-over to the kernel.
const SUBMISSIONS: u32 = 1024;
/// Completions that the kernel may queue; more are kept by the kernel and come later.
const COMPLETIONS: u32 = 8192;
/// Receives that one turn makes again because the lent blocks were used up: a few fillings of their ring.
pub(crate) const AGAIN_MAX: usize = 256;

/// User data of streams and of sends without a copy, beside their numbers; flights have their slots alone.
const KIND: u64 = 0xff << 40;
pub(crate) const ACCEPTS: u64 = 1 << 40;
pub(crate) const RECEIVES: u64 = 2 << 40;
pub(crate) const SENDS: u64 = 3 << 40;
/// User data of what belongs to no operation.
const WAKE: u64 = u64::MAX;
pub(crate) const CANCEL: u64 = u64::MAX - 1;
const MESSAGE: u64 = u64::MAX - 2;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// The argument of a bounded wait, as `io_uring_enter(2)` has it.
#[repr(C)]
struct WaitArgument {
    signals: u64,
    signals_bytes: u32,
    min_wait_micros: u32,
    time: u64,
}

/// Where an operation is, by its slot.
pub(crate) enum Place {
    Free,
    /// Under way for itself.
    Flight(Box<Flight>),
    /// Waiting at the armed accept of this number.
    Accept(Token, u32),
    /// Waiting at the armed receive of this number.
    Receive(Token, u32),
    /// The send without a copy of this number.
    ZeroCopy(Token, u32),
}

/// io_uring as a driver. Made on the thread that uses it, and stays there.
pub struct UringDriver {
    // The order matters: the ring goes first, then what the kernel was told of.
    pub(crate) ring: IoUring,
    lend: Option<LendRing>,
    /// Receives that this turn has made again.
    again: usize,
    places: Vec<Place>,
    pub(crate) accepting: Slab<Accepting>,
    pub(crate) receiving: Slab<Receiving>,
    pub(crate) zero_copies: Slab<Box<ZeroCopySend>>,
    /// Bytes in them.
    pub(crate) zero_copy_bytes: usize,
    pub(crate) handles: Handles,
    /// Kept for their room.
    pub(crate) accept_acts: Vec<Act<OwnedFd>>,
    pub(crate) receive_acts: Vec<Act<Piece>>,
    pub(crate) pool: Pool,
    pub(crate) pool_use: Arc<PoolUse>,
    wake: Arc<RingWake>,
    wake_count: Box<[u8; 8]>,
    messages: Vec<RawFd>,
    ready: Vec<Completion>,
    kit: Kit,
    multishot_accept: bool,
    multishot_receive: bool,
    send_zc: bool,
    no_iowait: bool,
    start: std::time::Instant,
    capabilities: Capabilities,
}

impl UringDriver {
    /// A driver for this thread that lends blocks of `pool` for receiving.
    pub fn new(options: &UringOptions, pool: Pool) -> Result<UringDriver, UringError> {
        let mut ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)
            .map_err(UringError::Setup)?;
        // Whoever forbids less than the whole may let a ring be made that cannot be entered.
        ring.submit().map_err(UringError::Setup)?;
        let found = setup::find(options, &mut ring, &pool);
        // SAFETY: makes a descriptor; touches no memory of ours.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if event < 0 {
            return Err(UringError::Event(io::Error::last_os_error()));
        }
        // SAFETY: it was just made and nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(event) };
        if found.messages {
            wake::begin_messages();
        }
        let wake = Arc::new(RingWake { event, ring: found.messages.then(|| ring.as_raw_fd()) });
        let mut driver = UringDriver {
            ring,
            lend: found.lend,
            again: 0,
            places: Vec::new(),
            accepting: Slab::new(),
            receiving: Slab::new(),
            zero_copies: Slab::new(),
            zero_copy_bytes: 0,
            handles: found.handles,
            accept_acts: Vec::new(),
            receive_acts: Vec::new(),
            pool_use: pool.usage(),
            pool,
            wake,
            wake_count: Box::new([0; 8]),
            messages: Vec::new(),
            ready: Vec::new(),
            kit: found.kit,
            multishot_accept: found.multishot_accept,
            multishot_receive: found.multishot_receive,
            send_zc: found.send_zc,
            no_iowait: found.no_iowait,
            start: std::time::Instant::now(),
            capabilities: found.capabilities,
        };
        driver.listen_for_wakes();
        driver.fill_lending();
        Ok(driver)
    }

    fn listen_for_wakes(&mut self) {
        let event = types::Fd(self.wake.event.as_raw_fd());
        let entry = opcode::Read::new(event, self.wake_count.as_mut_ptr(), 8).build().user_data(WAKE);
        self.push(entry);
    }

    fn fill_lending(&mut self) {
        if let Some(lend) = &mut self.lend
            && lend.wants_blocks()
        {
            lend.fill(&self.pool);
        }
    }

    /// Whether a receive found the ring of lent blocks empty only because one turn brought more receives than it has
    /// blocks: then it is full again now, and the receive may be made once more. Else the pool is used up, or there are
    /// so many that most would find the ring empty time and again, and those that do not would take the pool's blocks
    /// before any request is worked on: these are told, and look again later.
    pub(crate) fn was_short_of_lent(&mut self, code: i32) -> bool {
        if code != -Errno::NOBUFS.0 || self.again >= AGAIN_MAX {
            return false;
        }
        self.fill_lending();
        let short = self.lend.as_ref().is_some_and(|lend| !lend.wants_blocks());
        self.again += usize::from(short);
        short
    }

    /// Queues an entry for the kernel; if the queue is full, hands it over first.
    pub(crate) fn push(&mut self, entry: Entry) {
        loop {
            // SAFETY: what the entry points to belongs to a flight, or to this driver, and stays where it is
            // until its completion has come.
            if unsafe { self.ring.submission().push(&entry) }.is_ok() {
                return;
            }
            if let Err(error) = self.ring.submit() {
                // EBUSY and EAGAIN: the kernel wants completions taken first. Nothing else is expected.
                log::debug!("handing over a full queue: {error}");
                self.gather();
            }
        }
    }

    /// Begins an operation for itself.
    pub(crate) fn begin(&mut self, token: Token, operation: Operation) {
        match &operation {
            Operation::Read { block, length, .. } => {
                self.kit.arena.prepare(&self.ring.submitter(), &block[..block.len().min(*length)]);
            }
            Operation::Write { data, .. } => self.kit.arena.prepare(&self.ring.submitter(), data),
            _ => {}
        }
        let (target, handle) = (flight::target(&operation), flight::handle(&operation));
        match flight::begin(token, operation, &self.kit) {
            Ok(mut flight) => {
                flight.registered = handle.is_some_and(|handle| self.handles.is_registered(handle.0));
                let entry = flight.entry(target, &self.kit);
                self.fly(flight, entry);
            }
            Err(outcome) => self.ready.push(Completion { token, outcome }),
        }
    }

    fn fly(&mut self, flight: Box<Flight>, entry: Entry) {
        let entry = if flight.registered { entry.flags(Flags::FIXED_FILE) } else { entry };
        let token = flight.token;
        self.put(token, Place::Flight(flight));
        self.push(entry.user_data(u64::from(token.0 as u32)));
    }

    /// Notes where an operation is.
    pub(crate) fn put(&mut self, token: Token, place: Place) {
        let index = token.0 as u32 as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || Place::Free);
        }
        assert!(matches!(self.places[index], Place::Free), "slot {index} is under way already");
        self.places[index] = place;
    }

    /// An operation is in its place no more.
    pub(crate) fn free(&mut self, token: Token) {
        self.places[token.0 as u32 as usize] = Place::Free;
    }

    /// An operation that was in a place has come to its end.
    pub(crate) fn land(&mut self, token: Token, outcome: Outcome) {
        self.free(token);
        self.ready.push(Completion { token, outcome });
    }

    /// Closes a handle that nothing is armed on.
    pub(crate) fn close_now(&mut self, token: Token, handle: Handle) {
        self.handles.closing(handle.0, &self.ring.submitter());
        self.begin(token, Operation::Close { handle });
    }

    pub(crate) fn cancel_entry(&mut self, user_data: u64) {
        self.push(opcode::AsyncCancel::new(user_data).build().user_data(CANCEL));
    }

    /// Asks the kernel for completions, and hands over what is queued.
    pub(crate) fn enter(&mut self, wait: Wait) {
        let queued = self.ring.submission().len() as u32;
        let sleeps =
            matches!(wait, Wait::Until(_)) && self.ready.is_empty() && self.ring.completion().is_empty();
        if !sleeps {
            let (task_work, overflow) = {
                let queue = self.ring.submission();
                (queue.taskrun(), queue.cq_overflow())
            };
            if queued > 0 || task_work || overflow {
                // SAFETY: no argument is passed; the entries were pushed under `push`'s promise.
                let entered = unsafe {
                    self.ring.submitter().enter::<libc::sigset_t>(queued, 0, ENTER_GETEVENTS, None)
                };
                note_enter(entered);
            }
            return;
        }
        let Wait::Until(until) = wait else { return };
        let left = until.since(self.now());
        let time = types::Timespec::new().sec(left.as_secs()).nsec(left.subsec_nanos());
        let bounded = until != Instant::NEVER;
        let argument = WaitArgument {
            signals: 0,
            signals_bytes: 0,
            min_wait_micros: 0,
            time: if bounded { (&raw const time) as u64 } else { 0 },
        };
        let flags = ENTER_GETEVENTS | ENTER_EXT_ARG | if self.no_iowait { ENTER_NO_IOWAIT } else { 0 };
        // SAFETY: the argument and the time that it points to are locals that outlive the call.
        let entered = unsafe { self.ring.submitter().enter(queued, 1, flags, Some(&argument)) };
        note_enter(entered);
    }

    /// Takes the completions that are there.
    fn gather(&mut self) {
        loop {
            let Some(entry) = self.ring.completion().next() else { return };
            match entry.user_data() {
                WAKE => self.listen_for_wakes(),
                CANCEL => {}
                // From another core, which has woken us; or one of ours, delivered. A ring that is gone
                // has nobody left to wake.
                MESSAGE => {}
                data => {
                    let (number, code, flags) = (data as u32, entry.result(), entry.flags());
                    match data & KIND {
                        ACCEPTS => self.accepted(number, code, flags),
                        RECEIVES => {
                            let lent = self.lent(flags);
                            self.received(number, code, flags, lent);
                        }
                        SENDS => self.sent(number, code, flags),
                        _ => self.complete(number as usize, code, flags),
                    }
                }
            }
        }
    }

    /// The block that the kernel chose for a receive, if it did.
    fn lent(&mut self, flags: u32) -> Option<Block> {
        let number = io_uring::cqueue::buffer_select(flags)?;
        self.lend.as_mut()?.take(number)
    }

    fn complete(&mut self, index: usize, code: i32, flags: u32) {
        let lent = self.lent(flags);
        let place = self.places.get_mut(index).map(|place| std::mem::replace(place, Place::Free));
        let Some(Place::Flight(mut flight)) = place else {
            log::error!("the kernel completed an operation in slot {index} that is not under way");
            return;
        };
        // The order to cancel it may have come to the kernel before this completion did, and would find nothing.
        if matches!(flight.state, State::Receive { block: None, .. })
            && !flight.cancelled
            && self.was_short_of_lent(code)
        {
            let entry = flight.entry(Target::None, &self.kit);
            return self.fly(flight, entry);
        }
        if self.multishot_receive
            && let State::Receive { socket, .. } = &flight.state
        {
            self.note_receive(*socket, code);
        }
        let pool = &self.pool;
        match flight.complete(code, lent, &self.kit, || pool.take(LENT_BYTES)) {
            Next::Land(outcome) => {
                if let Outcome::Opened(Ok(handle)) | Outcome::Accepted(Ok((handle, _))) = &outcome {
                    self.handles.opened(handle.0, &self.ring.submitter());
                }
                self.ready.push(Completion { token: flight.token, outcome });
            }
            Next::Go(entry) => self.fly(flight, entry),
        }
    }

    /// The kernel still has something of an operation.
    fn is_under_way(&self) -> bool {
        self.places.iter().any(|place| matches!(place, Place::Flight(_)))
            || self.accepting.iter().any(|(_, accepting)| !accepting.armed.is_idle())
            || self.receiving.iter().any(|(_, receiving)| !receiving.armed.is_idle())
            || self.zero_copies.iter().next().is_some()
    }

    fn send_messages(&mut self) {
        wake::take_messages(&mut self.messages);
        while let Some(ring) = self.messages.pop() {
            let entry = opcode::MsgRingData::new(types::Fd(ring), 0, MESSAGE, None).build();
            self.push(entry.user_data(MESSAGE));
        }
    }
}

fn note_enter(result: io::Result<usize>) {
    match result {
        Ok(_) => {}
        // Time is up; a signal; completions must be taken first: all ordinary.
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN)
            ) => {}
        Err(error) => log::error!("io_uring_enter: {error}"),
    }
}

fn list(path: &Path) -> Result<Vec<DirectoryEntry>, Errno> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        if let Ok(name) = entry.file_name().into_string() {
            entries.push(DirectoryEntry { name, is_directory });
        }
    }
    entries.sort();
    Ok(entries)
}

fn stat(path: &Path) -> Result<Metadata, Errno> {
    let found = std::fs::metadata(path)?;
    Ok(Metadata { bytes: found.len(), is_directory: found.is_dir() })
}

/// A file system that does not know what was written calls everything before the end of the file written.
fn find_written(file: Handle, offset: u64) -> Result<Option<u64>, Errno> {
    let from = libc::off_t::try_from(offset).map_err(|_| Errno::INVAL)?;
    // SAFETY: no memory is passed. The place in the file that this moves is nobody's: all else names its offsets.
    let found = unsafe { libc::lseek(file.0, from, libc::SEEK_DATA) };
    match u64::try_from(found) {
        Ok(place) => Ok(Some(place)),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            error => Err(error.into()),
        },
    }
}

impl Driver for UringDriver {
    fn submit(&mut self, token: Token, operation: Operation) {
        // Listing and seeking have no operations in io_uring, and a stat of a cached name takes a microsecond:
        // all are rare, and done here and now.
        let outcome = match operation {
            Operation::FindWritten { file, offset } => Outcome::Found(find_written(file, offset)),
            Operation::ListDirectory { path } => Outcome::Listed(list(&path)),
            Operation::Stat { path } => Outcome::Stat(stat(&path)),
            Operation::Accept { listener } if self.multishot_accept => {
                return self.accept_next(token, listener);
            }
            Operation::Receive { socket } if self.multishot_receive && self.receive_next(token, socket) => {
                return;
            }
            operation @ Operation::ReceiveInto { .. } if self.multishot_receive => {
                if let Some(operation) = self.receive_into(token, operation) {
                    self.begin(token, operation);
                }
                return;
            }
            operation @ Operation::Send { .. } if self.send_zc => {
                if let Some(operation) = self.send_zero_copy(token, operation) {
                    self.begin(token, operation);
                }
                return;
            }
            Operation::Close { handle } => return self.close(token, handle),
            operation => return self.begin(token, operation),
        };
        self.ready.push(Completion { token, outcome });
    }

    fn cancel(&mut self, token: Token) {
        let slot = token.0 as u32;
        match self.places.get_mut(slot as usize) {
            Some(Place::Flight(flight)) if flight.token == token => {
                flight.cancelled = true;
                self.cancel_entry(u64::from(slot));
            }
            Some(&mut Place::Accept(held, number)) if held == token => {
                self.with_accepting(number, |accepting, acts| {
                    accepting.armed.give_up(token, acts);
                });
            }
            Some(&mut Place::Receive(held, number)) if held == token => self.give_up_receiving(token, number),
            Some(&mut Place::ZeroCopy(held, number)) if held == token => {
                self.cancel_entry(SENDS | u64::from(number));
            }
            _ => {}
        }
    }

    fn turn(&mut self, wait: Wait, completions: &mut Vec<Completion>) {
        self.again = 0;
        self.send_messages();
        self.fill_lending();
        self.enter(wait);
        self.gather();
        completions.append(&mut self.ready);
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    fn wall_clock_ms(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn random(&mut self) -> u64 {
        let mut bytes = [0u8; 8];
        // SAFETY: the kernel writes at most eight bytes into the local array.
        let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        assert_eq!(filled, 8, "getrandom of eight bytes never fails once the system has started");
        u64::from_ne_bytes(bytes)
    }

    fn waker(&self) -> Arc<dyn Wake> {
        self.wake.clone()
    }

    fn listen(&mut self, address: SocketAddr, share_port: bool) -> io::Result<(Handle, SocketAddr)> {
        let (socket, address) = socket::listen(address, share_port)?;
        let handle = Handle(socket.into_raw_fd());
        self.handles.opened(handle.0, &self.ring.submitter());
        Ok((handle, address))
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }
}

impl Drop for UringDriver {
    fn drop(&mut self) {
        if self.wake.ring.is_some() {
            wake::end_messages();
        }
        // The kernel may still look at what is under way. Cancel all and wait for the ends; what does not end
        // within a second is leaked rather than freed under the kernel's hands.
        self.end_streams();
        for slot in 0..self.places.len() {
            match &self.places[slot] {
                Place::Flight(_) => self.cancel_entry(slot as u64),
                Place::ZeroCopy(_, number) => self.cancel_entry(SENDS | u64::from(*number)),
                _ => {}
            }
        }
        let deadline = self.now() + std::time::Duration::from_secs(1);
        while self.is_under_way() && self.now() < deadline {
            self.ready.clear();
            self.enter(Wait::Until(deadline));
            self.gather();
        }
        if self.is_under_way() {
            std::mem::forget(self.lend.take());
        }
        for place in self.places.drain(..).filter(|place| matches!(place, Place::Flight(_))) {
            std::mem::forget(place);
        }
        for send in self.zero_copies.drain() {
            std::mem::forget(send);
        }
    }
}
