//! The integration tests of the crate rskafka, with librdkafka and Java as its counterparts.

use std::time::Duration;

use super::Suite;
use super::cargo_crate::Published;

const CRATE: Published = Published {
    name: "rskafka",
    version: "0.6.0",
    tests: &["client", "consumer", "produce_consume", "producer"],
    unit_tests: false,
};

/// It expects that a record which lingers for 5 s is not sent in the 4 s after two others were answered, which began to
/// wait at almost the same time: where their answers take a second, it fails on any broker.
const RACY: &[&str] = &["producer::test_batch_producer"];

pub const SUITE: Suite = Suite {
    name: "rskafka",
    about: "the integration tests of the crate rskafka 0.6.0",
    // test_non_existing_partition needs topics to stay away.
    settings: &[("auto.create.topics.enable", "false")],
    fixed: None,
    limit: Duration::from_secs(300),
    prepare: |place| CRATE.prepare(place),
    run: |job| {
        // Without each of these variables tests return early and count as passed.
        let envs = [
            ("TEST_INTEGRATION", "1"),
            ("TEST_BROKER_IMPL", "kafka"),
            ("TEST_JAVA_INTEROPT", "1"),
            ("KAFKA_CONNECT", job.address.as_str()),
            // Left out as long as the broker has no SASL listener: test_sasl would fail.
            ("KAFKA_SASL_CONNECT", job.address.as_str()),
        ];
        CRATE.run(job, &envs, RACY)
    },
};
