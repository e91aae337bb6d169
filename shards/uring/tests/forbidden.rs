//! Where io_uring is forbidden, the error says so and what to change, whichever way it is forbidden.
//!
//! The filter is that of a container, on a thread of its own: it goes with the thread, and other tests have none.

#![allow(unsafe_code)] // Puts a filter on the thread's system calls; see the notes at each block.

use memory::Pool;
use uring::{UringDriver, UringOptions};

const fn statement(code: u32, value: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k: value }
}

/// From now on this system call answers with this error on the calling thread.
fn forbid(call: libc::c_long, errno: i32) {
    let call = u32::try_from(call).expect("a number of a system call");
    // The number of the call is the first word of what the filter sees. If it is another, the error is jumped over.
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, call) },
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (no, yes): (libc::c_ulong, libc::c_ulong) = (0, 1);
    // SAFETY: no memory is passed.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, no, no, no) };
    assert_eq!(result, 0, "gives up new privileges: {}", std::io::Error::last_os_error());
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    // SAFETY: the kernel reads the filter and the program, which are locals, and keeps a copy.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const filter, no, no) };
    assert_eq!(result, 0, "sets the filter: {}", std::io::Error::last_os_error());
}

/// What a driver says where `io_uring_setup` gives this error.
fn refusal(errno: i32) -> String {
    refusal_of(libc::SYS_io_uring_setup, errno)
}

/// What a driver says where this system call gives this error.
fn refusal_of(call: libc::c_long, errno: i32) -> String {
    let refused = std::thread::spawn(move || {
        forbid(call, errno);
        let pool = Pool::new(64 << 20).expect("maps");
        UringDriver::new(&UringOptions::default(), pool).err().map(|error| error.to_string())
    });
    refused.join().expect("no panic").expect("refused")
}

fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "'{word}' is missing: {line}");
    }
}

#[test]
fn a_filter_that_forbids_io_uring_is_named_and_so_is_the_sysctl() {
    assert_says(&refusal(libc::EPERM), &["forbidden", "seccomp profile", "kernel.io_uring_disabled=0"]);
    assert_says(&refusal(libc::EACCES), &["forbidden", "seccomp profile", "kernel.io_uring_disabled=0"]);
}

/// A profile may name only the call that makes the ring.
#[test]
fn a_filter_that_lets_rings_be_made_and_not_entered_is_named_too() {
    let line = refusal_of(libc::SYS_io_uring_enter, libc::EPERM);
    assert_says(&line, &["forbidden", "seccomp profile", "io_uring_enter"]);
    let line = refusal_of(libc::SYS_io_uring_enter, libc::ENOSYS);
    assert_says(&line, &["seccomp profile", "io_uring_enter"]);
}

#[test]
fn a_filter_that_hides_io_uring_is_named_beside_a_kernel_without_it() {
    let line = refusal(libc::ENOSYS);
    assert_says(&line, &["kernel has none", "Linux 6.1", "seccomp profile", "io_uring_setup"]);
}

#[test]
fn a_thread_without_the_filter_has_its_ring() {
    refusal(libc::EPERM);
    let pool = Pool::new(64 << 20).expect("maps");
    let ring = UringDriver::new(&UringOptions::default(), pool);
    assert!(ring.is_ok(), "{:?}", ring.err());
}
