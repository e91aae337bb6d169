//! Too little locked memory: the pool stays unregistered, the start-up line says what to do, and all works.
//!
//! A program of its own: the limit is the process's.

#![allow(unsafe_code)] // Gives up rights and lowers a limit; see the notes at each block.

use driver::{Driver, OpenOptions};
use executor::{Executor, Options, io};
use memory::Pool;
use uring::{Features, UringDriver, UringOptions};

/// Takes the right to lock more than the limit from this thread, and lowers the limit.
fn lower_the_limit() {
    // As linux/capability.h has them: version 3, two words of 32 capabilities each; all are given up.
    let header: [u32; 2] = [0x2008_0522, 0];
    let data = [0u32; 6];
    // SAFETY: the kernel reads eight and 24 bytes of local arrays, as the version says.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    assert_eq!(result, 0, "gives up its capabilities");
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: the kernel reads the local structure.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0, "lowers the limit");
}

#[test]
fn a_pool_that_may_not_be_locked_is_used_unregistered() {
    lower_the_limit();
    let pool = Pool::new(64 << 20).expect("maps");
    let features = Features::new(&["registered_buffers".to_owned()], &[]).expect("known");
    let options = UringOptions { features, data: None };
    let driver = UringDriver::new(&options, pool.clone()).expect("a ring all the same");
    let named = |name: &str| driver.capabilities().features.iter().find(|(one, _)| *one == name);
    let (_, off) = named("registered_buffers").expect("named");
    let why = off.as_deref().expect("off");
    assert!(why.contains("ulimit -l") && why.contains("LimitMEMLOCK"), "{why}");
    assert_eq!(named("buffer_ring"), Some(&("buffer_ring", None)));

    let path = std::env::temp_dir().join(format!("flumen-memlock-{}", std::process::id()));
    let executor = Executor::new(Box::new(driver), Options::default());
    let read = executor.run({
        let (path, pool) = (path.clone(), pool.clone());
        async move {
            let file = io::open(path, OpenOptions::CREATE).await.expect("creates");
            let mut block = pool.take(8192).expect("free");
            block.fill(7);
            io::write(file, 0, block.freeze(8192), true).await.0.expect("writes");
            let (result, block) = io::read(file, 0, pool.take(8192).expect("free"), 8192).await;
            io::close(file).await.expect("closes");
            (result, block.iter().all(|byte| *byte == 7))
        }
    });
    std::fs::remove_file(path).expect("removes");
    assert_eq!(read, (Ok(8192), true));
}
