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

const SIZE: u32 = size_of::<Attributes>() as u32;

/// What holds for the calling thread.
fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: thread 0 is the caller; the kernel writes at most `SIZE` bytes into the local struct.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    if got == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
}

/// Asks for a time slice for the calling thread, which keeps its policy and nice value. Whether it has exactly this one
/// now: kernels before 6.12 take the call and change nothing, later ones keep to [`SLICE_MAX`].
pub fn set_slice(slice: Duration) -> io::Result<bool> {
    let runtime = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    let wanted = Attributes { size: SIZE, runtime, ..attributes()? };
    // SAFETY: the kernel reads `SIZE` bytes of the local struct.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(attributes()?.runtime == runtime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_needs_no_privilege_and_what_holds_is_told() {
        let kept = set_slice(SLICE_MAX).expect("granted");
        assert_eq!(set_slice(SLICE_MAX / 2).expect("granted"), kept, "a kernel keeps all of them, or none");
        assert!(!set_slice(2 * SLICE_MAX).expect("granted"), "more than there is");
    }
}
