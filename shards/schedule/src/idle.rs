//! Work for time that nobody else wants.

use std::io;

/// Gives the calling thread the policy `SCHED_IDLE`: any other thread that wakes on its core goes before it. Not for a
/// thread that holds what others wait for.
pub fn set_idle() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: thread 0 is the caller; the kernel reads the local struct.
    let set = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
    if set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn to_be_idle_needs_no_privilege() {
        let policy = || {
            super::set_idle().expect("granted");
            // SAFETY: asks about the calling thread alone.
            unsafe { libc::sched_getscheduler(0) }
        };
        // In a thread of its own, which ends with it.
        assert_eq!(std::thread::spawn(policy).join().expect("ends"), libc::SCHED_IDLE);
    }
}
