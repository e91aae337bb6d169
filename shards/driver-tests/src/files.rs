//! Files and directories.

use crate::{Bed, checks, pattern, slice};
use driver::{DirectoryEntry, Errno, Handle, Metadata, OpenOptions};
use executor::{io, join_all};

checks![
    opening,
    reading_and_writing,
    sizes,
    space_that_was_only_reserved,
    many_at_once,
    direct,
    names,
    open_files_outlive_their_names,
    errors_of_names,
    errors_of_handles,
    operations_given_up,
];

const NEW: OpenOptions = OpenOptions { exclusive: true, ..OpenOptions::CREATE };

async fn create(bed: &Bed, name: &str) -> Handle {
    io::open(bed.path(name), NEW).await.expect("creates")
}

async fn write(file: Handle, offset: u64, bytes: &[u8]) {
    io::write(file, offset, slice(bytes), false).await.0.expect("writes");
}

/// Up to `length` bytes at an offset.
async fn read(bed: &Bed, file: Handle, offset: u64, length: usize) -> Vec<u8> {
    read_in_units(bed, file, offset, length, 1).await
}

/// The same from a file whose reads may write to the end of the unit that they end in.
async fn read_in_units(bed: &Bed, file: Handle, offset: u64, length: usize, unit: usize) -> Vec<u8> {
    let mut block = bed.pool.take(length).expect("free");
    // What the driver does not write must not look like zeros that it read.
    block.fill(0xee);
    let (result, block) = io::read(file, offset, block, length).await;
    let count = result.expect("reads");
    let end = count.next_multiple_of(unit);
    assert!(block[end..].iter().all(|byte| *byte == 0xee), "written past what was read");
    block[..count].to_vec()
}

async fn opening(bed: Bed) {
    let path = bed.path("f");
    for options in [OpenOptions::READ, OpenOptions::WRITE] {
        assert_eq!(io::open(&path, options).await, Err(Errno::NOENT));
    }
    let file = io::open(&path, NEW).await.expect("creates");
    write(file, 0, b"content").await;
    assert_eq!(io::open(&path, NEW).await, Err(Errno::EXIST));
    for options in [OpenOptions::READ, OpenOptions::WRITE, OpenOptions::CREATE] {
        let again = io::open(&path, options).await.expect("opens");
        assert_eq!(read(&bed, again, 0, 100).await, b"content", "{options:?}");
        io::close(again).await.expect("closes");
    }
    let cut = OpenOptions { truncate: true, ..OpenOptions::WRITE };
    let cut = io::open(&path, cut).await.expect("opens");
    assert_eq!(read(&bed, file, 0, 100).await, b"", "cut under the other handle too");
    for handle in [cut, file] {
        io::close(handle).await.expect("closes");
    }
}

async fn reading_and_writing(bed: Bed) {
    let file = create(&bed, "f").await;
    assert_eq!(read(&bed, file, 0, 10).await, b"", "empty");
    assert_eq!(read(&bed, file, 4096, 10).await, b"", "past the end");
    let long = pattern(0, 3 << 20);
    let (result, back) = io::write(file, 0, slice(long.clone()), false).await;
    assert!(result.is_ok() && back[..] == long[..], "the data comes back");
    let found = read(&bed, file, 0, 1 << 20).await;
    assert!(found == long[..1 << 20]);
    assert_eq!(read(&bed, file, 1_000_001, 1000).await, long[1_000_001..1_001_001]);
    assert_eq!(read(&bed, file, (3 << 20) - 5, 100).await, long[(3 << 20) - 5..], "fewer at the end");
    write(file, 10, b"over").await;
    assert_eq!(read(&bed, file, 8, 8).await, [&long[8..10], b"over", &long[14..16]].concat());
    // A hole reads as zeros.
    write(file, 4 << 20, b"end").await;
    assert_eq!(read(&bed, file, (4 << 20) - 4, 100).await, b"\0\0\0\0end");
    io::sync(file).await.expect("syncs");
    io::write(file, 5 << 20, slice("durable"), true).await.0.expect("writes");
    assert_eq!(read(&bed, file, 5 << 20, 100).await, b"durable");
    assert_eq!(io::stat(bed.path("f")).await.map(|found| found.bytes), Ok((5 << 20) + 7));
    io::close(file).await.expect("closes");
}

async fn sizes(bed: Bed) {
    let file = create(&bed, "f").await;
    let size = async || io::stat(bed.path("f")).await.expect("there").bytes;
    write(file, 0, b"0123456789").await;
    io::allocate(file, 0, 8192).await.expect("allocates");
    assert_eq!(size().await, 8192);
    assert_eq!(read(&bed, file, 0, 12).await, b"0123456789\0\0", "what is there stays");
    io::allocate(file, 0, 100).await.expect("allocates");
    assert_eq!(size().await, 8192, "allocating never shrinks");
    io::truncate(file, 5).await.expect("cuts");
    assert_eq!(read(&bed, file, 0, 100).await, b"01234");
    io::truncate(file, 8).await.expect("grows");
    assert_eq!(read(&bed, file, 0, 100).await, b"01234\0\0\0", "what was cut off does not come back");
    io::truncate(file, 0).await.expect("cuts");
    assert_eq!(size().await, 0);
    io::close(file).await.expect("closes");
}

async fn space_that_was_only_reserved(bed: Bed) {
    let file = create(&bed, "f").await;
    write(file, 0, &[1; 5000]).await;
    io::allocate(file, 0, 1 << 20).await.expect("allocates");
    let found = async |from: u64| io::find_written(file, from).await.expect("looks");
    assert_eq!(found(100).await, Some(100), "it is right there");
    // A file system that does not tell the two apart calls what is reserved written.
    assert!([None, Some(8192)].contains(&found(8192).await));
    write(file, 600_000, &[2; 10]).await;
    let next = found(8192).await.expect("there is something behind");
    assert!((8192..=600_000).contains(&next), "{next}: what is written is not passed over");
    assert_eq!(found(600_005).await, Some(600_005));
    assert_eq!(found(1 << 20).await, None, "the end of the file");
    io::truncate(file, 5000).await.expect("cuts");
    io::allocate(file, 0, 1 << 20).await.expect("allocates");
    assert!([None, Some(8192)].contains(&found(8192).await), "what was cut off does not come back");
    io::close(file).await.expect("closes");
}

async fn many_at_once(bed: Bed) {
    let file = create(&bed, "f").await;
    let writes = (0..300u64).map(|at| {
        let bytes = slice(pattern(at as usize * 1000, 1000));
        io::write(file, at * 1000, bytes, at % 7 == 0)
    });
    for (result, _) in join_all(writes.collect()).await {
        result.expect("writes");
    }
    let reads = (0..300u64).map(|at| {
        let bed = bed.clone();
        async move { read(&bed, file, at * 1000, 1000).await == pattern(at as usize * 1000, 1000) }
    });
    assert!(join_all(reads.collect()).await.into_iter().all(|same| same));
    io::close(file).await.expect("closes");
}

async fn direct(bed: Bed) {
    let align = bed.executor.with_driver(|driver| driver.capabilities().direct_alignment);
    assert!(matches!(align, 512 | 4096), "{align}");
    let file = io::open(bed.path("f"), NEW.direct()).await.expect("creates");
    let mut block = bed.pool.take(16 * 4096).expect("free");
    block.copy_from_slice(&pattern(0, 16 * 4096));
    let whole = block.freeze(16 * 4096);
    io::allocate(file, 0, 16 * 4096).await.expect("allocates");
    let durable = |at: usize, count: usize| {
        io::write(file, (at * align) as u64, whole.slice(at * align..(at + count) * align), true)
    };
    for (result, _) in join_all(vec![durable(0, 1), durable(1, 3), durable(4, 12)]).await {
        result.expect("writes");
    }
    assert_eq!(read(&bed, file, 0, 16 * align).await, whole[..16 * align]);
    assert_eq!(read(&bed, file, align as u64, align).await, whole[align..2 * align]);
    // A size that is no multiple: the last read is short.
    io::truncate(file, 4096 + 100).await.expect("cuts");
    assert_eq!(read_in_units(&bed, file, 4096, 4096, 4096).await, whole[4096..4196]);
    io::close(file).await.expect("closes");
}

fn entry(name: &str, is_directory: bool) -> DirectoryEntry {
    DirectoryEntry { name: name.to_owned(), is_directory }
}

async fn names(bed: Bed) {
    assert_eq!(io::list_directory(&bed.directory).await, Ok(Vec::new()));
    io::make_directory(bed.path("b")).await.expect("makes");
    for name in ["c", "a", "b/x"] {
        let file = create(&bed, name).await;
        write(file, 0, name.as_bytes()).await;
        io::close(file).await.expect("closes");
    }
    let all = [entry("a", false), entry("b", true), entry("c", false)];
    assert_eq!(io::list_directory(&bed.directory).await, Ok(all.to_vec()), "sorted");
    assert_eq!(io::stat(bed.path("a")).await, Ok(Metadata { bytes: 1, is_directory: false }));
    assert_eq!(io::stat(bed.path("b")).await.map(|found| found.is_directory), Ok(true));
    io::rename(bed.path("a"), bed.path("b/x")).await.expect("replaces");
    assert_eq!(io::stat(bed.path("a")).await, Err(Errno::NOENT));
    let file = io::open(bed.path("b/x"), OpenOptions::READ).await.expect("opens");
    assert_eq!(read(&bed, file, 0, 10).await, b"a");
    io::close(file).await.expect("closes");
    io::rename(bed.path("b"), bed.path("d")).await.expect("renames a directory");
    assert_eq!(io::list_directory(bed.path("d")).await, Ok(vec![entry("x", false)]));
    io::make_directories(&bed.path("d/e/f")).await.expect("makes all");
    io::make_directories(&bed.path("d/e/f")).await.expect("they may be there");
    for directory in ["d/e/f", "d/e"] {
        io::sync_directory(bed.path(directory)).await.expect("syncs");
        io::remove_directory(bed.path(directory)).await.expect("removes");
    }
    io::remove(bed.path("d/x")).await.expect("removes");
    io::remove_directory(bed.path("d")).await.expect("removes");
    assert_eq!(io::list_directory(&bed.directory).await, Ok(vec![entry("c", false)]));
}

async fn open_files_outlive_their_names(bed: Bed) {
    let file = create(&bed, "f").await;
    write(file, 0, b"one").await;
    io::rename(bed.path("f"), bed.path("g")).await.expect("renames");
    write(file, 3, b" two").await;
    io::remove(bed.path("g")).await.expect("removes");
    write(file, 7, b" three").await;
    assert_eq!(read(&bed, file, 0, 100).await, b"one two three");
    io::sync(file).await.expect("syncs");
    let other = create(&bed, "f").await;
    assert_eq!(read(&bed, other, 0, 100).await, b"", "a new file under the old name");
    for handle in [file, other] {
        io::close(handle).await.expect("closes");
    }
}

async fn errors_of_names(bed: Bed) {
    let file = create(&bed, "file").await;
    io::close(file).await.expect("closes");
    io::make_directory(bed.path("full")).await.expect("makes");
    let inner = create(&bed, "full/inner").await;
    io::close(inner).await.expect("closes");
    let none = Err(Errno::NOENT);
    assert_eq!(io::remove(bed.path("none")).await, none);
    assert_eq!(io::remove_directory(bed.path("none")).await, none);
    assert_eq!(io::rename(bed.path("none"), bed.path("x")).await, none);
    assert_eq!(io::sync_directory(bed.path("none")).await, none);
    assert_eq!(io::make_directory(bed.path("none/x")).await, none);
    assert_eq!(io::stat(bed.path("none")).await, Err(Errno::NOENT));
    assert_eq!(io::list_directory(bed.path("none")).await, Err(Errno::NOENT));
    assert_eq!(io::open(bed.path("none/x"), OpenOptions::CREATE).await, Err(Errno::NOENT));
    assert_eq!(io::make_directory(bed.path("file")).await, Err(Errno::EXIST));
    assert_eq!(io::make_directory(bed.path("full")).await, Err(Errno::EXIST));
    assert_eq!(io::remove(bed.path("full")).await, Err(Errno::ISDIR));
    assert_eq!(io::remove_directory(bed.path("full")).await, Err(Errno::NOTEMPTY));
    assert_eq!(io::remove_directory(bed.path("file")).await, Err(Errno::NOTDIR));
    assert_eq!(io::open(bed.path("full"), OpenOptions::WRITE).await, Err(Errno::ISDIR));
    assert_eq!(io::open(bed.path("file/x"), OpenOptions::CREATE).await, Err(Errno::NOTDIR));
    assert_eq!(io::list_directory(bed.path("file")).await, Err(Errno::NOTDIR));
    assert_eq!(io::sync_directory(bed.path("file")).await, Err(Errno::NOTDIR));
    assert_eq!(io::rename(bed.path("file"), bed.path("full")).await, Err(Errno::ISDIR));
    assert_eq!(io::rename(bed.path("full"), bed.path("file")).await, Err(Errno::NOTDIR));
    assert_eq!(io::rename(bed.path("full"), bed.path("full/x")).await, Err(Errno::INVAL));
}

async fn errors_of_handles(bed: Bed) {
    let file = create(&bed, "f").await;
    write(file, 0, b"text").await;
    let reader = io::open(bed.path("f"), OpenOptions::READ).await.expect("opens");
    let (result, back) = io::write(reader, 0, slice("other"), false).await;
    assert_eq!((result, &back[..]), (Err(Errno::BADF), &b"other"[..]), "the data comes back");
    assert_eq!(io::truncate(reader, 0).await, Err(Errno::INVAL));
    assert_eq!(io::allocate(reader, 0, 10).await, Err(Errno::BADF));
    assert_eq!(read(&bed, reader, 0, 10).await, b"text");
    assert_eq!(io::allocate(file, 0, 0).await, Err(Errno::INVAL));
    for handle in [reader, file] {
        io::close(handle).await.expect("closes");
    }
    let bad = Err(Errno::BADF);
    assert_eq!(io::close(file).await, bad);
    assert_eq!(io::sync(file).await, bad);
    assert_eq!(io::truncate(file, 0).await, bad);
    assert_eq!(io::find_written(file, 0).await, Err(Errno::BADF));
    assert_eq!(io::write(file, 0, slice("x"), false).await.0, bad);
    let (result, block) = io::read(file, 0, bed.pool.take(10).expect("free"), 10).await;
    assert_eq!((result, block.len()), (Err(Errno::BADF), 4096), "the block comes back");
}

async fn operations_given_up(bed: Bed) {
    let file = create(&bed, "f").await;
    // Nobody waits for them, yet they run to their ends.
    drop(io::write(file, 0, slice("unseen"), true));
    let block = bed.pool.take(4096).expect("free");
    drop(io::read(file, 0, block, 4096));
    bed.at_rest().await;
    assert_eq!(read(&bed, file, 0, 100).await, b"unseen");
    io::close(file).await.expect("closes");
}
