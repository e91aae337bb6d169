//! Letting the kernel's own workers in.
//!
//! An asynchronous durable write ends in a kernel worker: it flushes the device, on whichever core the device's
//! interrupt came to. A thread that never sleeps keeps such a worker waiting until its time slice is over, 3 to 4 ms as
//! a rule, and the acknowledgement with it. Since Linux 6.12 a thread may ask for a slice of its own; one with a longer
//! slice than the worker's is interrupted by it at once. The long slice costs the thread nothing: what it is
//! interrupted for is a few microseconds of work that it waits for.

use std::io;
use std::mem::size_of;
use std::time::Duration;

/// The longest slice that the kernel grants.
pub const SLICE_MAX: Duration = Duration::from_millis(100);

/// `struct sched_attr` of `sched_setattr(2)`, without the utilization clamps.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for a time slice for the calling thread, which keeps its policy and nice value. Kernels before 6.12 take
/// the call and change nothing.
pub fn set_slice(slice: Duration) -> io::Result<()> {
    let mut attributes = Attributes::default();
    let size = size_of::<Attributes>() as u32;
    // SAFETY: thread 0 is the caller; the kernel writes at most `size` bytes into the local struct.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    attributes.size = size;
    attributes.runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    // SAFETY: the kernel reads `size` bytes of the local struct.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_slice_needs_no_privilege() {
        super::set_slice(super::SLICE_MAX).expect("granted");
    }
}
