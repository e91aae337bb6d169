use crate::config::*;

fn parse(scope: Scope, name: &str, text: &str) -> Result<String, ConfigError> {
    require(scope, name)?.parse(text).map(|value| value.to_string())
}

/// What Kafka 4.3.1 answers to the same texts: the value as it shows it, or a refusal.
#[test]
fn texts_are_read_as_kafka_reads_them() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("retention.ms", " 5 ", Some("5")),
        ("retention.ms", "+7", Some("7")),
        ("retention.ms", "-1", Some("-1")),
        ("retention.ms", "-2", None),
        ("retention.ms", "1e3", None),
        ("retention.ms", "", None),
        ("retention.ms", "9223372036854775807", Some("9223372036854775807")),
        ("retention.ms", "9223372036854775808", None),
        ("retention.bytes", "-5", Some("-5")),
        ("preallocate", "TRUE", Some("true")),
        ("preallocate", " false ", Some("false")),
        ("preallocate", "yes", None),
        ("cleanup.policy", "", Some("")),
        ("cleanup.policy", " ", Some("")),
        ("cleanup.policy", "compact , delete", Some("compact,delete")),
        ("cleanup.policy", "compact,compact", Some("compact")),
        ("cleanup.policy", "compact,,delete", None),
        ("cleanup.policy", "Compact", None),
        ("compression.type", "ZSTD", None),
        ("compression.type", " zstd ", Some("zstd")),
        ("compression.gzip.level", "0", None),
        ("compression.gzip.level", "-1", Some("-1")),
        ("compression.gzip.level", "9", Some("9")),
        ("compression.gzip.level", "10", None),
        ("min.cleanable.dirty.ratio", "1.5", None),
        ("min.cleanable.dirty.ratio", "-0.1", None),
        ("min.cleanable.dirty.ratio", ".5", Some("0.5")),
        ("min.cleanable.dirty.ratio", "5e-1", Some("0.5")),
        ("segment.bytes", "1048575", None),
        ("segment.bytes", "1048576", Some("1048576")),
        ("segment.bytes", "2147483648", None),
        ("message.timestamp.type", "createtime", None),
        ("min.insync.replicas", "0", None),
        ("leader.replication.throttled.replicas", "*", Some("*")),
        ("leader.replication.throttled.replicas", "0:1,1:2", Some("0:1,1:2")),
        ("leader.replication.throttled.replicas", "", Some("")),
        ("leader.replication.throttled.replicas", "0-1", None),
        ("leader.replication.throttled.replicas", "*,0:1", None),
    ];
    check(Scope::Topic, cases);
}

#[test]
fn broker_group_and_metrics_texts_too() {
    check(
        Scope::Broker,
        &[
            ("group.consumer.migration.policy", "Upgrade", Some("Upgrade")),
            ("group.consumer.migration.policy", "sideways", None),
            ("controller.quorum.voters", "1@h:9", Some("1@h:9")),
            ("controller.quorum.voters", "x", None),
            ("controller.quorum.voters", "", Some("")),
            ("authorizer.class.name", "", Some("")),
            ("remote.log.metadata.manager.impl.prefix", "", None),
            ("log.cleanup.policy", "", Some("")),
            ("log.dirs", "", None),
            ("listeners", "", None),
            ("process.roles", "", None),
            ("process.roles", "broker,broker", Some("broker")),
            ("process.roles", "witness", None),
            ("group.coordinator.rebalance.protocols", "", None),
            ("offsets.topic.replication.factor", "40000", None),
            ("offsets.topic.replication.factor", "3", Some("3")),
            ("node.id", "0", Some("0")),
            ("node.id", "1", Some("1")),
            ("node.id", "-1", None),
            ("broker.id", "0", Some("0")),
            ("broker.id", "-1", Some("-1")),
            ("log.roll.hours", "0", None),
            ("log.flush.interval.ms", "0", Some("0")),
            ("log.cleaner.io.max.bytes.per.second", "1", Some("1.0")),
            ("log.cleaner.io.max.bytes.per.second", "20000000", Some("2.0E7")),
            ("flumen.durability", "memory", Some("memory")),
            ("flumen.durability", "never", None),
            ("flumen.data", " ", None),
            ("flumen.journal.files", "1", None),
        ],
    );
    check(
        Scope::Group,
        &[
            ("share.auto.offset.reset", "Latest", None),
            ("share.auto.offset.reset", "none", None),
            ("share.auto.offset.reset", "earliest", Some("earliest")),
            ("share.auto.offset.reset", "by_duration:PT1H", Some("by_duration:PT1H")),
            ("share.auto.offset.reset", "by_duration:P2DT3H4M5.5S", Some("by_duration:P2DT3H4M5.5S")),
            ("share.auto.offset.reset", "by_duration:-PT1H", None),
            ("share.auto.offset.reset", "by_duration:PT", None),
            ("share.auto.offset.reset", "by_duration:P", None),
            ("share.auto.offset.reset", "by_duration:PT1M1H", None),
            ("share.auto.offset.reset", "by_duration:PT1.5H", None),
            ("share.auto.offset.reset", "by_duration:PT5", None),
            ("share.isolation.level", "READ_COMMITTED", None),
        ],
    );
    check(
        Scope::ClientMetrics,
        &[
            ("interval.ms", "1", Some("1")),
            ("metrics", "", Some("")),
            ("metrics", "a,a", Some("a")),
            ("match", "client_id=x", Some("client_id=x")),
        ],
    );
}

fn check(scope: Scope, cases: &[(&str, &str, Option<&str>)]) {
    for (name, text, expected) in cases {
        let got = parse(scope, name, text);
        assert_eq!(got.as_deref().ok(), *expected, "{name}={text:?}: {got:?}");
    }
}

/// Kafka lets it through, and then no ratio is ever large enough.
#[test]
fn not_a_number_is_refused() {
    for text in ["NaN", "inf", "Infinity"] {
        assert!(parse(Scope::Topic, "min.cleanable.dirty.ratio", text).is_err(), "{text}");
        assert!(parse(Scope::Broker, "log.cleaner.io.max.bytes.per.second", text).is_err(), "{text}");
    }
}

#[test]
fn errors_say_key_value_and_what_is_allowed() {
    let message = |scope, name, text| parse(scope, name, text).unwrap_err().to_string();
    assert_eq!(
        message(Scope::Topic, "segment.bytes", "14"),
        "invalid value '14' for 'segment.bytes': must be a whole number of 32 bits, 1048576 or more"
    );
    assert_eq!(
        message(Scope::Topic, "compression.gzip.level", "x"),
        "invalid value 'x' for 'compression.gzip.level': must be a whole number of 32 bits from 1 to 9, or -1"
    );
    assert_eq!(
        message(Scope::Topic, "cleanup.policy", "shred"),
        "invalid value 'shred' for 'cleanup.policy': must be any of compact, delete, or empty"
    );
    assert_eq!(
        message(Scope::Broker, "flumen.idle", "nap"),
        "invalid value 'nap' for 'flumen.idle': must be one of park, spin, poll"
    );
}

#[test]
fn strange_and_long_texts_stay_harmless_in_messages() {
    let long = "9".repeat(100_000);
    let message = parse(Scope::Topic, "retention.ms", &long).unwrap_err().to_string();
    assert!(message.len() < 300 && message.contains("9..."), "{message}");
    let message = parse(Scope::Topic, "retention.ms", "1\n\u{1b}[31m").unwrap_err().to_string();
    assert!(!message.contains('\n') && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn a_password_is_never_printed() {
    let value = lookup_broker("ssl.key.password").unwrap().parse("swordfish").unwrap();
    assert_eq!(value, Value::Password("swordfish".to_owned()));
    assert!(!format!("{value} {value:?}").contains("swordfish"));
}
