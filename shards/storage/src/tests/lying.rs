//! A header that lies about how long its batch is: damage like any other, however much memory it asks for.

use super::*;
use crate::ReadError;
use driver::OpenOptions;
use executor::io;
use memory::Slice;

const SEGMENT: &str = "/data/topics/topic.BwcHBwcHBwcHBwcHBwcHBw/0/00000000000000000000.log";
const BYTES: usize = 200_000;
/// Of so many bytes each: more than there is memory.
const COUNT: usize = 48;

/// The second batch's header says that it has so many bytes.
async fn lie(bytes: usize) {
    let length = (bytes - batch::OVERHEAD_BYTES) as i32;
    let file = io::open(SEGMENT, OpenOptions::CREATE).await.expect("it is there");
    let place = (BYTES + 8) as u64;
    let (written, _) = io::write(file, place, Slice::from(length.to_be_bytes().to_vec()), false).await;
    written.expect("writes");
    io::close(file).await.expect("closes");
}

#[test]
fn a_length_that_lies_is_told_as_damage_and_hits_nothing_else() {
    // As much as the memory may give, and more than that; both end inside of a batch.
    for (seed, lying) in [(980, 3_100_000), (981, 8_700_000)] {
        let mut rig = Rig::new(seed);
        rig.leave(|store, partition| async move {
            for number in 0..COUNT {
                let value = vec![number as u8 + 1; BYTES - batch::HEADER_BYTES];
                append(&store, &partition, &batch_of(1, &value)).await.expect("appends");
            }
        });
        let run = rig.begin();
        let options = rig.options(&run);
        rig.run(&run, async move {
            lie(lying).await;
            let (store, _) = start(options).await;
            let partition = store.open_partition(spec(0)).await.expect("opens");
            let read = async |from, most| partition.read(from, most, true, ReadBound::HighWatermark).await;
            let before = read(Offset(0), usize::MAX).await.expect("reads what is before");
            assert_eq!((before.bytes, before.end), (BYTES, Offset(1)));
            match read(Offset(1), usize::MAX).await {
                Err(ReadError::Damaged(damage)) => {
                    let offsets = Some((Offset(1), Offset(2)));
                    assert_eq!((damage.offsets, damage.position), (offsets, BYTES as u64), "{lying}");
                }
                other => panic!("{lying}: {other:?}"),
            }
            let behind = read(Offset(2), 2 * BYTES).await.expect("reads what is behind");
            assert_eq!((behind.bytes, behind.end), (2 * BYTES, Offset(4)));
            store.stop().await.expect("stops");
        });
    }
}
