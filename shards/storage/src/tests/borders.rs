//! Batches that lie over the ends of cached chunks: delivered in parts, checked as a whole, not copied.

use super::*;
use crate::ReadError;
use crate::batch::{BatchError, BatchHeader};
use crate::read_cache::CHUNK_BYTES;
use memory::Slice;

const SEGMENT: &str = "/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/0/00000000000000000000.log";
const CHUNK: usize = CHUNK_BYTES as usize;

/// Bytes of batches: within a chunk, over the end of one, over the ends of two, up to the end of one, and behind it.
static SIZES: [usize; 5] = [200_000, 100_000, 600_000, 4 * CHUNK - 900_000, 5_000];
/// Of the chunk that the last one lies in, so much is read.
const LAST_BYTES: usize = 8192;

/// The header of the second one lies over the end of a chunk.
static CUT_HEADER: [usize; 3] = [CHUNK - 30, 10_000, 10_000];

fn value(number: usize, bytes: usize) -> Vec<u8> {
    vec![number as u8 + 1; bytes - batch::HEADER_BYTES]
}

fn position(sizes: &[usize], number: usize) -> usize {
    sizes[..number].iter().sum()
}

/// Runs a body over a partition with batches of these sizes, of one record each, that are on the device and not in
/// memory; the bit of a byte of their segment is turned before.
fn stored<F: Future<Output = ()> + 'static>(
    seed: u64,
    sizes: &'static [usize],
    hurt: Option<usize>,
    tune: fn(&mut StoreOptions),
    body: impl FnOnce(Partition) -> F + 'static,
) {
    let mut rig = Rig::new(seed);
    rig.tune = tune;
    rig.leave(move |store, partition| async move {
        for (number, bytes) in sizes.iter().enumerate() {
            append(&store, &partition, &batch_of(1, &value(number, *bytes))).await.expect("appends");
        }
    });
    if let Some(at) = hurt {
        rig.world.rot(rig.node, Path::new(SEGMENT), Some(at as u64)).expect("a byte of the segment");
    }
    rig.find(move |_, partition, _| body(partition));
}

async fn read(partition: &Partition, from: usize, most: usize) -> Result<crate::ReadResult, ReadError> {
    partition.read(Offset(from as i64), most, true, ReadBound::HighWatermark).await
}

/// The slices hold the batches from one on, as many as `most` bytes can be, as they were appended.
fn check(slices: &[Slice], sizes: &[usize], from: usize, most: usize) {
    let (mut sum, mut count) = (0, 0);
    while from + count < sizes.len() && (count == 0 || sum + sizes[from + count] <= most) {
        sum += sizes[from + count];
        count += 1;
    }
    let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
    let found = batches(&bytes);
    assert_eq!(found.len(), count, "{most} bytes from {from} on");
    for (number, (header, found)) in (from..).zip(found) {
        assert_eq!(header.base_offset, number as i64);
        assert!(found == value(number, sizes[number]), "batch {number}");
    }
}

#[test]
fn batches_over_the_ends_of_chunks_are_delivered_where_they_lie() {
    stored(
        900,
        &SIZES,
        None,
        |_| {},
        |partition| async move {
            let all = read(&partition, 0, usize::MAX).await.expect("reads");
            assert_eq!(all.slices.len(), 5, "a slice of each chunk: {:?}", all.slices);
            for from in 0..SIZES.len() {
                for most in [1, 100_000, 300_000, 699_999, 700_000, usize::MAX] {
                    let read = read(&partition, from, most).await.expect("reads");
                    check(&read.slices, &SIZES, from, most);
                    let are_chunks = |slice: &Slice| [CHUNK, LAST_BYTES].contains(&slice.held_bytes());
                    assert!(read.slices.iter().all(are_chunks), "copied: {:?}", read.slices);
                }
            }
        },
    );
}

#[test]
fn without_a_cache_they_are_delivered_as_well() {
    for sizes in [&SIZES[..], &CUT_HEADER[..]] {
        stored(
            910,
            sizes,
            None,
            |options| options.cache_bytes = 0,
            move |partition| async move {
                for most in [1, 300_000, usize::MAX] {
                    for from in 0..sizes.len() {
                        let read = read(&partition, from, most).await.expect("reads");
                        check(&read.slices, sizes, from, most);
                    }
                }
            },
        );
    }
}

#[test]
fn a_header_may_lie_over_the_end_of_a_chunk() {
    stored(
        920,
        &CUT_HEADER,
        None,
        |_| {},
        |partition| async move {
            for (from, most) in [(0, usize::MAX), (0, CHUNK), (1, 1), (1, 20_000), (2, 1)] {
                let read = read(&partition, from, most).await.expect("reads");
                check(&read.slices, &CUT_HEADER, from, most);
            }
        },
    );
}

#[test]
fn who_needs_batches_in_one_piece_gets_them_so() {
    for sizes in [&SIZES[..], &CUT_HEADER[..]] {
        stored(
            930,
            sizes,
            None,
            |_| {},
            move |partition| async move {
                let read = partition.read_whole(Offset(0), usize::MAX, ReadBound::LogEnd).await;
                let read = read.expect("reads");
                // Each slice by itself is whole batches.
                let count: usize = read.slices.iter().map(|slice| batches(slice).len()).sum();
                assert_eq!(count, sizes.len());
                check(&read.slices, sizes, 0, usize::MAX);
            },
        );
    }
}

#[test]
fn damage_in_any_part_is_told_and_hits_nothing_else() {
    let cut = [CHUNK - 10, CHUNK + 10].map(|at| (&CUT_HEADER[..], 1, at));
    let over_one = [200_018, CHUNK - 1, CHUNK, 299_999].map(|at| (&SIZES[..], 1, at));
    let over_two = [300_018, 2 * CHUNK - 1, 2 * CHUNK + 7, 3 * CHUNK, 899_999].map(|at| (&SIZES[..], 2, at));
    let all = cut.into_iter().chain(over_one).chain(over_two);
    for (seed, (sizes, number, at)) in (940..).zip(all) {
        stored(
            seed,
            sizes,
            Some(at),
            |_| {},
            move |partition| async move {
                let before = read(&partition, 0, usize::MAX).await.expect("reads what is before");
                check(&before.slices, &sizes[..number], 0, usize::MAX);
                match read(&partition, number, usize::MAX).await {
                    Err(ReadError::Damaged(damage)) => {
                        let offsets = (Offset(number as i64), Offset(number as i64 + 1));
                        assert_eq!(damage.offsets, Some(offsets), "byte {at}");
                        assert_eq!(damage.position, position(sizes, number) as u64, "byte {at}");
                    }
                    other => panic!("byte {at}: {other:?}"),
                }
                let behind = read(&partition, number + 1, usize::MAX).await.expect("reads what is behind");
                check(&behind.slices, sizes, number + 1, usize::MAX);
            },
        );
    }
}

#[test]
fn a_batch_in_parts_is_checked_as_a_whole() {
    let whole = batch_of(3, b"some records");
    let header = BatchHeader::verify(&whole).expect("a batch");
    let mut hurt = whole.clone();
    hurt[40] ^= 1;
    for first in 0..=whole.len() {
        for second in first..=whole.len() {
            let cut = |bytes: &[u8]| {
                let parts = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                parts.map(|part| Slice::from(part.to_vec()))
            };
            let parts = cut(&whole);
            assert_eq!(BatchHeader::verify_parts(&parts), Ok(header));
            let more = [&parts[..], &[Slice::from(vec![7; 9])][..]].concat();
            assert_eq!(BatchHeader::verify_parts(&more), Ok(header), "what is behind it does not count");
            assert_eq!(BatchHeader::verify_parts(&cut(&hurt)), Err(BatchError::Crc));
            if second < whole.len() {
                assert_eq!(BatchHeader::verify_parts(&parts[..2]), Err(BatchError::Short));
            }
        }
    }
    assert_eq!(BatchHeader::verify_parts(&[]), Err(BatchError::Short));
}
