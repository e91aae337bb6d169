//! What the driver remembers of each handle, by its number; and registered files.
//!
//! A registered file spares the kernel looking the descriptor up in the process's table and counting a reference with
//! each request. Ours keep their descriptors too, and have the same number in the ring's table, so
//! that nothing above has to know.

use io_uring::Submitter;
use std::io;

/// Files in the ring's table at most; descriptors above are used unregistered. Eight bytes each in the kernel.
const TABLE_MAX: u64 = 65_536;
/// No stream.
pub(crate) const NONE: u32 = u32::MAX;

/// One handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    /// The armed accept on it.
    pub(crate) accepting: u32,
    /// The armed receive on it.
    pub(crate) receiving: u32,
    /// Large sends that are still to be made with a copy, before one without is tried again.
    pub(crate) copied_sends: u16,
    /// Receives in a row that brought little.
    pub(crate) small_receives: u8,
    /// In the ring's table.
    registered: bool,
}

const UNKNOWN: Info =
    Info { accepting: NONE, receiving: NONE, copied_sends: 0, small_receives: 0, registered: false };

/// All handles of a driver.
pub(crate) struct Handles {
    infos: Vec<Info>,
    /// Size of the ring's table; zero without one.
    table: usize,
}

impl Handles {
    pub(crate) fn new() -> Handles {
        Handles { infos: Vec::new(), table: 0 }
    }

    /// Gives the ring a table of files.
    pub(crate) fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the kernel fills the local structure.
        if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let size = limit.rlim_cur.min(TABLE_MAX);
        submitter.register_files_sparse(size as u32)?;
        self.table = size as usize;
        Ok(())
    }

    /// A handle of ours from now on.
    pub(crate) fn opened(&mut self, handle: i32, submitter: &Submitter<'_>) {
        let Ok(index) = usize::try_from(handle) else { return };
        if self.infos.len() <= index {
            self.infos.resize(index + 1, UNKNOWN);
        }
        let registered = index < self.table
            && submitter
                .register_files_update(index as u32, &[handle])
                .inspect_err(|error| log::debug!("descriptor {handle} is not registered: {error}"))
                .is_ok();
        self.infos[index] = Info { registered, ..UNKNOWN };
    }

    /// About to be closed.
    pub(crate) fn closing(&mut self, handle: i32, submitter: &Submitter<'_>) {
        let Some(info) = self.get_mut(handle) else { return };
        let registered = info.registered;
        *info = UNKNOWN;
        if registered && let Err(error) = submitter.register_files_update(handle as u32, &[-1]) {
            log::error!("descriptor {handle} stays registered, and its file open: {error}");
        }
    }

    pub(crate) fn get(&self, handle: i32) -> Info {
        usize::try_from(handle).ok().and_then(|index| self.infos.get(index)).copied().unwrap_or(UNKNOWN)
    }

    pub(crate) fn get_mut(&mut self, handle: i32) -> Option<&mut Info> {
        usize::try_from(handle).ok().and_then(|index| self.infos.get_mut(index))
    }

    /// Whether requests may name it by its place in the ring's table.
    pub(crate) fn is_registered(&self, handle: i32) -> bool {
        self.get(handle).registered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::IoUring;
    use std::os::fd::AsRawFd;

    #[test]
    fn handles_are_registered_under_their_own_number_until_closed() {
        let ring = IoUring::new(8).expect("a ring");
        let mut handles = Handles::new();
        let file = std::fs::File::open("/proc/self/status").expect("opens");
        let fd = file.as_raw_fd();
        handles.opened(fd, &ring.submitter());
        assert!(!handles.is_registered(fd), "no table yet");
        handles.register(&ring.submitter()).expect("a table");
        handles.opened(fd, &ring.submitter());
        assert!(handles.is_registered(fd) && !handles.is_registered(fd + 1));
        handles.closing(fd, &ring.submitter());
        assert!(!handles.is_registered(fd));
        for nonsense in [-1, i32::MIN, i32::MAX] {
            handles.closing(nonsense, &ring.submitter());
            assert_eq!(handles.get(nonsense), UNKNOWN);
        }
    }
}
