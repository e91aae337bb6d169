//! Direct I/O: whether the data directory's file system has it, and the alignment that it asks for.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What is assumed where nothing is known, and the most that callers must be ready for.
pub(crate) const ALIGNMENT_MAX: usize = 4096;
const ALIGNMENT_MIN: usize = 512;

/// What direct I/O of a directory's files is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direct {
    /// With buffers, offsets and lengths that are multiples of this.
    Aligned(usize),
    /// Not at all, or only with more than callers give.
    None { asks_for: usize },
}

impl Direct {
    /// Asks the kernel, by a file without a name in the directory. What it does not know, 4,096 satisfies.
    pub(crate) fn probe(directory: &Path) -> Direct {
        match ask(directory) {
            Ok(Some((memory, offset))) => decide(memory, offset),
            Ok(None) => Direct::Aligned(ALIGNMENT_MAX),
            Err(error) => {
                log::debug!("the alignment of direct I/O in {} is not known: {error}", directory.display());
                Direct::Aligned(ALIGNMENT_MAX)
            }
        }
    }
}

fn decide(memory: u32, offset: u32) -> Direct {
    let asks_for = memory.max(offset) as usize;
    if asks_for == 0 || asks_for > ALIGNMENT_MAX {
        return Direct::None { asks_for };
    }
    Direct::Aligned(asks_for.next_power_of_two().max(ALIGNMENT_MIN))
}

/// Alignment of memory and of offsets, zeros where there is no direct I/O, nothing if the kernel does not tell.
fn ask(directory: &Path) -> io::Result<Option<(u32, u32)>> {
    let file = scratch(directory)?;
    let mut found = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the empty path is a constant string, and the kernel fills the local structure.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            found.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros is a value of it, and what the kernel writes is one too.
    let found = unsafe { found.assume_init() };
    let told = found.stx_mask & libc::STATX_DIOALIGN != 0;
    Ok(told.then_some((found.stx_dio_mem_align, found.stx_dio_offset_align)))
}

/// A file that is gone when it is closed.
fn scratch(directory: &Path) -> io::Result<File> {
    let unnamed = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(directory);
    if unnamed.is_ok() {
        return unnamed;
    }
    // A file system without such files.
    let path = directory.join(format!(".alignment-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let name = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the name is a string of ours.
    if unsafe { libc::unlink(name.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_device_asks_for_is_met_or_refused() {
        assert_eq!(decide(4, 512), Direct::Aligned(512));
        assert_eq!(decide(4, 4), Direct::Aligned(512), "no device has less");
        assert_eq!(decide(512, 4096), Direct::Aligned(4096));
        assert_eq!(decide(0, 0), Direct::None { asks_for: 0 });
        assert_eq!(decide(512, 16_384), Direct::None { asks_for: 16_384 });
    }

    #[test]
    fn a_directory_is_asked_and_left_as_it_was() {
        let directory = std::env::temp_dir().join(format!("flumen-alignment-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("makes a directory");
        let direct = Direct::probe(&directory);
        assert!(
            !matches!(direct, Direct::Aligned(alignment) if !(512..=4096).contains(&alignment)),
            "{direct:?}"
        );
        assert_eq!(std::fs::read_dir(&directory).expect("lists").count(), 0);
        std::fs::remove_dir(&directory).expect("removes");
        assert_eq!(Direct::probe(&directory), Direct::Aligned(4096), "no such directory");
    }
}
