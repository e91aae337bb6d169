//! The tests of the crate rdkafka; those inside it and of its lists of partitions need no broker.

use std::time::Duration;

use super::Suite;
use super::cargo_crate::Published;

const CRATE: Published = Published {
    name: "rdkafka",
    version: "0.39.0",
    tests: &[
        "test_admin",
        "test_high_consumers",
        "test_high_producers",
        "test_low_consumers",
        "test_low_producers",
        "test_metadata",
        "test_topic_partition_list",
        "test_transactions",
    ],
    unit_tests: true,
};

/// They fail now and then on any broker; the first two were seen to on Kafka. The first expects that
/// nothing is delivered within 100 ms to a topic that is created in that moment; the second that a
/// consumer which starts right after its topic was made hears nothing for a second, and a leader not
/// known yet is something. The third gives a new consumer a second until its first record. The last
/// asks no broker, and fails where a thread has to wait 20 ms for a processor.
const RACY: &[&str] = &[
    "test_low_producers::test_base_producer_timeout",
    "test_low_consumers::test_produce_consume_message_queue_nonempty_callback",
    "test_high_consumers::test_consume_partition_order",
    "test_high_producers::test_future_producer_send_full",
];

pub const SUITE: Suite = Suite {
    name: "rdkafka",
    about: "the tests of the crate rdkafka 0.39.0 (librdkafka 2.12.1)",
    // test_configs alters broker 0, and many tests expect three partitions.
    settings: &[("node.id", "0"), ("num.partitions", "3")],
    // Some tests ignore KAFKA_HOST, and test_metadata compares the port.
    fixed: Some(("localhost", 9092)),
    limit: Duration::from_secs(420),
    prepare: |place| CRATE.prepare(place),
    run: |job| CRATE.run(job, &[("KAFKA_HOST", &job.address), ("RUST_LOG", "off")], RACY),
};
