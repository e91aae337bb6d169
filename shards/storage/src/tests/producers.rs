//! What is kept of idempotent producers, and what becomes of it.

use super::{Rig, append, batch_of, by_producer, spec, start};

#[test]
fn batches_that_nobody_has_validated_are_given_up_without_a_panic() {
    let mut rig = Rig::new(1201);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec(0)).await.expect("creates");
        let first = by_producer(batch_of(1, &[7; 50]), 9, 0, 0);
        // What waits behind others is whatever a client has sent.
        for length in 0..first.len() {
            partition.gave_up(&first[..length]);
        }
        let mut longer = first.clone();
        longer[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        partition.gave_up(&longer);
        let second = by_producer(batch_of(1, &[7; 50]), 9, 0, 1);
        append(&store, &partition, &second).await.expect("none of these was a first batch of the producer");
        store.stop().await.expect("stops");
    });
}
