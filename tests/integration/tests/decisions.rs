//! Transactions whose broker is killed between their decision and their markers.

use crate::setup;
use integration::records::{create, patient};
use integration::transactional::{Seen, Transactional, seen_committed};
use integration::{Scratch, eventually, host};
use kafka_wire::ErrorCode;
use std::time::Duration;

const PARTITIONS: i32 = 1_000;
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_decision_over_a_thousand_partitions_is_carried_out_by_the_next_broker() {
    let cores = host::cores();
    // With one core only the restarts are left of it.
    let one = cores[0].to_string();
    let two = cores.get(1).map_or(one.clone(), |second| format!("{one},{second}"));
    host::raise_descriptors();
    let scratch = Scratch::new("decisions");
    let mut flumen = setup(&scratch).cores(two.as_str()).start();
    create(&mut patient(flumen.address), "wide", PARTITIONS, &[]);
    let mut records = 0;
    // Each is decided on the cores before it, and carried out on these.
    for (committed, cores) in [(true, &one), (false, &two), (true, &two), (false, &one)] {
        let producer = Transactional::init(flumen.address, "wide-producer");
        producer.add_partitions("wide", 0..PARTITIONS);
        producer.produce("wide", 0..PARTITIONS);
        let open = seen_committed(flumen.address, "wide", PARTITIONS);
        let undecided = Seen { records, decided: false };
        assert!(open.iter().all(|seen| *seen == undecided), "nobody sees what is not decided");
        assert_eq!(producer.end(committed), ErrorCode::None);
        flumen.kill();

        flumen = setup(&scratch).cores(cores.as_str()).start();
        records += i32::from(committed);
        let decided = Seen { records, decided: true };
        eventually("all partitions have their markers", LONG, || {
            let seen = seen_committed(flumen.address, "wide", PARTITIONS);
            for (partition, seen) in seen.iter().enumerate() {
                let early = !seen.decided && (seen.records == records - i32::from(committed));
                assert!(early || *seen == decided, "partition {partition}: {seen:?}, committed: {committed}");
            }
            seen.iter().all(|seen| *seen == decided).then_some(())
        });
    }
    flumen.stop();
}
