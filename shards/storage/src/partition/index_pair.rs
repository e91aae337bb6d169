//! The two index files of a segment, put in place and read. They have no checksums and say nothing of each other, so it
//! is here that both are of one make.

use super::Log;
use crate::error::StorageError;
use crate::segment::index::Index;
use crate::segment::{file_name, index_files};
use crate::store::Shared;
use crate::window::{read_file, replace_file};
use driver::Errno;
use executor::io;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Puts a segment's index files in place. A file that is there must be whole: it is put in place when it is on the
/// device. And an index of now beside times of then would lead behind what is looked for: so the older index, without
/// which the times are not looked at, goes first, and the new one comes last.
pub(super) async fn put(log: &Log, base: i64, offsets: Vec<u8>, times: Vec<u8>) -> Result<(), StorageError> {
    let index = log.directory.join(file_name(base, "index"));
    match io::remove(&index).await {
        Ok(()) => {
            io::sync_directory(&log.directory).await.map_err(StorageError::io("sync", &log.directory))?;
        }
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(StorageError::io("remove", &index)(errno)),
    }
    // Whoever has read the older index began before this, and whoever will read the new times looks after it.
    log.index_makes.set(log.index_makes.get() + 1);
    replace_file(&log.directory.join(file_name(base, "timeindex")), times).await?;
    replace_file(&index, offsets).await
}

/// What a segment's index files say, if they are there and right. `written`: bytes of batches in the segment's file.
pub(super) async fn read(shared: &Shared, log: &Log, base: i64, written: u32) -> Option<Index> {
    let pool = &shared.options.pool;
    loop {
        let make = log.index_makes.get();
        let index = log.directory.join(file_name(base, "index"));
        let offsets = read_file(&index, pool, FILE_BYTES_MAX).await.ok()??;
        let timeindex = log.directory.join(file_name(base, "timeindex"));
        let times = read_file(&timeindex, pool, FILE_BYTES_MAX).await.ok()??;
        // Where the newer make was thinned out, its times lack some that an entry of the older one stands behind: what
        // comes next would be taken for newer than all before it.
        if log.index_makes.get() == make {
            return index_files::decode(&offsets, &times, written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::BatchHeader;
    use crate::segment::index::IndexEntry;
    use crate::tests::{NOW, Rig, batch_at, spec, start};
    use executor::sleep;
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;
    use std::time::Duration;

    const BYTES: u32 = 300;
    /// An entry for each batch but the first, and as many as an index may have.
    const OLDER: u32 = 8193;
    /// One more, and every second entry goes.
    const NEWER: u32 = OLDER + 1;

    /// The files of a segment of so many batches of two records, each newer than those before it.
    fn files(count: u32) -> (Vec<u8>, Vec<u8>) {
        let header = BatchHeader::parse(&batch_at(2, &[0; 100], NOW)).expect("a batch");
        let mut index = Index::default();
        for number in 0..count {
            let header = BatchHeader {
                base_offset: i64::from(number) * 2,
                bytes: BYTES as usize,
                max_timestamp: NOW + i64::from(number),
                ..header
            };
            index.push(0, number * BYTES, &header, 1);
        }
        index_files::encode(&index)
    }

    fn entries(files: &(Vec<u8>, Vec<u8>)) -> Vec<IndexEntry> {
        let index = index_files::decode(&files.0, &files.1, NEWER * BYTES).expect("whole");
        index.entries().to_vec()
    }

    #[test]
    fn the_two_makes_say_different_things() {
        let (then, now) = (files(OLDER), files(NEWER));
        assert_eq!((entries(&then).len(), entries(&now).len()), (8192, 4097));
        let mixed = entries(&(then.0.clone(), now.1.clone()));
        assert!(mixed != entries(&then) && mixed != entries(&now));
    }

    #[test]
    fn what_is_read_while_it_is_put_in_place_is_of_one_make() {
        for steps in 0..12 {
            let mut rig = Rig::new(800 + steps);
            let run = rig.begin();
            let options = rig.options(&run);
            rig.run(&run, async move {
                let (store, _) = start(options).await;
                let partition = store.create_partition(spec(0)).await.expect("creates");
                let log = partition.log.clone();
                let shared = log.shared().expect("it runs");
                log.make_directory(&shared).await.expect("makes");
                let (then, now) = (files(OLDER), files(NEWER));
                let known = [entries(&then), entries(&now)];
                put(&log, 0, then.0, then.1).await.expect("puts");
                let mut reading = pin!(read(&shared, &log, 0, NEWER * BYTES));
                let mut ended = None;
                for _ in 0..steps {
                    // A look lets it begin one more operation, which has ended when it is looked at again.
                    let look = poll_fn(|context| match reading.as_mut().poll(context) {
                        Poll::Ready(index) => Poll::Ready(Some(index)),
                        Poll::Pending => Poll::Ready(None),
                    });
                    ended = look.await;
                    if ended.is_some() {
                        break;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
                put(&log, 0, now.0, now.1).await.expect("puts");
                let index = match ended {
                    Some(index) => index,
                    None => reading.await,
                };
                let found = index.map(|index| index.entries().to_vec());
                assert!(found.is_some_and(|found| known.contains(&found)), "after {steps} operations");
                store.stop().await.expect("stops");
            });
        }
    }
}
