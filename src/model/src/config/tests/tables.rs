use super::rows;
use crate::config::*;
use std::collections::BTreeSet;

const FACTS: &str = include_str!("kafka_4_3_1_keys.tsv");

fn kafka_brokers() -> impl Iterator<Item = &'static Key> {
    broker_keys().filter(|key| !key.name.starts_with("flumen."))
}

fn all() -> impl Iterator<Item = &'static Key> {
    TOPIC.iter().chain(GROUP).chain(CLIENT_METRICS).chain(broker_keys())
}

/// A key's rule as the facts write it.
fn rule(valid: &Valid) -> String {
    match valid {
        Valid::Any => "\\N".to_owned(),
        Valid::Range { min, max } => {
            let end = |end: &Option<i64>| end.map_or_else(String::new, |end| end.to_string());
            format!("{}..{}", end(min), end(max))
        }
        Valid::RangeOr { min, max, or } => format!("{min}..{max}|{or}"),
        Valid::Fraction { min, max } => format!("{min}..{max}"),
        Valid::OneOf(texts) => texts.join("|"),
        Valid::OneOfAnyCase(texts) => format!("anycase:{}", texts.join("|")),
        Valid::ListOf { entries, empty: true } => format!("any:{}", entries.join("|")),
        Valid::ListOf { entries, empty: false } => format!("some:{}", entries.join("|")),
        Valid::NonEmpty => "nonempty".to_owned(),
        Valid::ThrottledReplicas => "throttled".to_owned(),
        Valid::OffsetReset => "reset".to_owned(),
        Valid::Voters => "voters".to_owned(),
    }
}

/// A key's row as the facts write it.
fn row(scope: &str, key: &Key) -> String {
    let synonyms = key.synonyms.join(",");
    let rule = rule(&key.valid);
    let fields = [
        scope,
        key.name,
        key.kind.name(),
        key.default.unwrap_or("\\N"),
        key.importance.name(),
        key.update.name(),
        if synonyms.is_empty() { "\\N" } else { &synonyms },
        if key.listing == Listing::WhenSet { "w" } else { "\\N" },
        &rule,
    ];
    fields.join("\t")
}

#[test]
fn every_key_of_kafka_is_there_and_nothing_else() {
    let ours = (TOPIC.iter().map(|key| row("topic", key)))
        .chain(kafka_brokers().map(|key| row("broker", key)))
        .chain(GROUP.iter().map(|key| row("group", key)))
        .chain(CLIENT_METRICS.iter().map(|key| row("client-metrics", key)));
    let ours: BTreeSet<String> = ours.collect();
    let facts: BTreeSet<String> = rows(FACTS).iter().map(|row| row.join("\t")).collect();
    assert_eq!(facts.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new(), "missing or wrong");
    assert_eq!(ours.difference(&facts).collect::<Vec<_>>(), Vec::<&String>::new(), "unknown to Kafka");
}

#[test]
fn totals_are_those_that_kafka_lists() {
    let listed = |keys: &mut dyn Iterator<Item = &'static Key>| {
        keys.filter(|key| key.listing == Listing::Always).count()
    };
    assert_eq!(listed(&mut TOPIC.iter()), 33);
    assert_eq!(listed(&mut kafka_brokers()), 340);
    assert_eq!(listed(&mut GROUP.iter()), 17);
    assert_eq!(listed(&mut CLIENT_METRICS.iter()), 3);
    // Besides them: 20 internal broker keys, 3 throttles that exist at run time only, and an
    // internal topic key.
    assert_eq!(kafka_brokers().count(), 363);
    assert_eq!(TOPIC.len(), 34);
}

#[test]
fn topic_keys_are_exactly_these() {
    let names: Vec<&str> =
        TOPIC.iter().filter(|key| key.listing == Listing::Always).map(|key| key.name).collect();
    let expected = "cleanup.policy compression.gzip.level compression.lz4.level compression.type \
        compression.zstd.level delete.retention.ms file.delete.delay.ms flush.messages flush.ms \
        follower.replication.throttled.replicas index.interval.bytes leader.replication.throttled.replicas \
        local.retention.bytes local.retention.ms max.compaction.lag.ms max.message.bytes \
        message.timestamp.after.max.ms message.timestamp.before.max.ms message.timestamp.type \
        min.cleanable.dirty.ratio min.compaction.lag.ms min.insync.replicas preallocate \
        remote.log.copy.disable remote.log.delete.on.disable remote.storage.enable retention.bytes \
        retention.ms segment.bytes segment.index.bytes segment.jitter.ms segment.ms \
        unclean.leader.election.enable";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn tables_are_sorted_without_repetition() {
    let sorted = |keys: &[Key]| keys.windows(2).all(|pair| pair[0].name < pair[1].name);
    assert!(sorted(TOPIC) && sorted(GROUP) && sorted(CLIENT_METRICS));
    for (title, keys) in BROKER_TABLES {
        assert!(sorted(keys), "{title}");
    }
    let names: BTreeSet<&str> = broker_keys().map(|key| key.name).collect();
    assert_eq!(names.len(), broker_keys().count(), "a broker key is in two tables");
}

#[test]
fn every_key_is_found_by_its_name() {
    for (scope, keys) in [
        (Scope::Topic, TOPIC.iter().collect::<Vec<_>>()),
        (Scope::Broker, broker_keys().collect()),
        (Scope::Group, GROUP.iter().collect()),
        (Scope::ClientMetrics, CLIENT_METRICS.iter().collect()),
    ] {
        for key in keys {
            assert_eq!(lookup(scope, key.name).map(|found| found.name), Some(key.name));
        }
        assert!(lookup(scope, "no.such.key").is_none() && lookup(scope, "").is_none());
    }
}

#[test]
fn every_default_parses_and_shows_as_it_is_written() {
    for key in all() {
        let Some(text) = key.default else { continue };
        let value = key.parse(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(value.to_string(), text, "{}", key.name);
    }
}

#[test]
fn every_synonym_is_a_broker_key_of_a_fitting_type() {
    for key in TOPIC.iter().chain(GROUP).chain(broker_keys()) {
        for name in key.synonyms {
            let synonym = lookup_broker(name).unwrap_or_else(|| panic!("{} names {name}", key.name));
            let whole = |kind| matches!(kind, Kind::Int | Kind::Long);
            assert!(
                synonym.kind == key.kind
                    || whole(synonym.kind) && key.kind == Kind::Long
                    || whole(synonym.kind) && name.ends_with(".ms"),
                "{name} for {}",
                key.name
            );
        }
    }
}

#[test]
fn every_topic_default_is_that_of_its_broker_key() {
    for key in TOPIC.iter().chain(GROUP) {
        let Ok(Some(inherited)) = Layers::empty().inherited(key) else { continue };
        let broker = key.synonyms.iter().rev().find_map(|name| lookup_broker(name)?.default_value());
        let Some(broker) = broker else { continue };
        let hours = broker.as_i64().and_then(|hours| hours.checked_mul(3_600_000));
        let same = inherited == broker || hours.is_some() && inherited.as_i64() == hours;
        assert!(same, "{}: {inherited:?} and {broker:?}", key.name);
    }
}

/// That what is read is also used is for `reading`.
#[test]
fn honoured_are_exactly_the_keys_that_are_read() {
    let honoured = |keys: &mut dyn Iterator<Item = &'static Key>| -> BTreeSet<&'static str> {
        keys.filter(|key| key.effect == Effect::Honoured).map(|key| key.name).collect()
    };
    let topic: BTreeSet<&str> = TopicConfig::KEYS.iter().copied().collect();
    assert_eq!(honoured(&mut TOPIC.iter()), topic);

    let inherited = TopicConfig::KEYS.iter().filter_map(|name| lookup_topic(name));
    let mut broker: BTreeSet<&str> = inherited.flat_map(|key| key.synonyms.iter().copied()).collect();
    broker.extend(BrokerConfig::KEYS);
    broker.extend(BrokerConfig::ALSO);
    let groups: Vec<&'static Key> = GROUP_KEYS.iter().filter_map(|name| lookup_group(name)).collect();
    for key in &groups {
        let (min, max) = group_value::group_bounds(key, &Layers::empty()).expect("defaults parse");
        broker.extend([min, max].into_iter().flatten().map(|(name, _)| name));
    }
    assert_eq!(honoured(&mut broker_keys()), broker);
    let groups: BTreeSet<&str> = groups.iter().map(|key| key.name).collect();
    assert_eq!(honoured(&mut GROUP.iter()), groups);
    assert_eq!(honoured(&mut CLIENT_METRICS.iter()).len(), CLIENT_METRICS.len());
}

#[test]
fn every_key_is_documented_in_sentences() {
    for key in all() {
        assert!(key.doc.len() >= 15 && key.doc.ends_with('.'), "{}: {:?}", key.name, key.doc);
        assert!(key.doc.starts_with(|c: char| c.is_uppercase() || c == '`'), "{}", key.name);
        assert!(!key.doc.contains("  "), "{}", key.name);
    }
}

#[test]
fn the_page_is_the_catalogue() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let page = render_markdown();
    if std::env::var_os("FLUMEN_BLESS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(file == page, "docs/configuration.md is out of date: run this test with FLUMEN_BLESS=1");
    for key in all() {
        assert!(page.contains(&format!("| `{}` |", key.name)), "{}", key.name);
    }
}

#[test]
fn a_mistyped_name_finds_the_nearest_key() {
    let near = |name| nearest(name, Scope::Topic);
    assert_eq!(near("retention.mss"), Some("retention.ms"));
    assert_eq!(near("retnetion.ms"), Some("retention.ms"));
    assert_eq!(near("Retention.Ms"), Some("retention.ms"));
    assert_eq!(near("segment_bytes"), Some("segment.bytes"));
    assert_eq!(near("cleanup.polcy"), Some("cleanup.policy"));
    assert_eq!(near("colour.of.the.logo"), None);
    assert_eq!(near(""), None);
    assert_eq!(near(&"retention.ms".repeat(100)), None);
    assert_eq!(nearest("num.partition", Scope::Broker), Some("num.partitions"));
    assert_eq!(nearest("flumen.durabilty", Scope::Broker), Some("flumen.durability"));
    assert_eq!(nearest("interval.m", Scope::ClientMetrics), Some("interval.ms"));
    assert_eq!(nearest("share.isolation", Scope::Group), Some("share.isolation.level"));

    let error = require(Scope::Broker, "log.retention.hour").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown configuration key 'log.retention.hour', did you mean log.retention.hours?"
    );
}

#[test]
fn names_of_single_listeners_lead_to_their_key() {
    let found = |name| lookup_listener(name).map(|(listener, key)| (listener, key.name));
    assert_eq!(
        found("listener.name.external.ssl.keystore.location"),
        Some(("external", "ssl.keystore.location"))
    );
    assert_eq!(found("listener.name.a.scram-sha-256.sasl.jaas.config"), Some(("a", "sasl.jaas.config")));
    assert_eq!(found("listener.name.a.max.connections"), Some(("a", "max.connections")));
    for wrong in [
        "listener.name.a.num.partitions",
        "listener.name.a.no.such.key",
        "listener.name..ssl.protocol",
        "listener.name.a..sasl.jaas.config",
        "ssl.protocol",
    ] {
        assert_eq!(found(wrong), None, "{wrong}");
    }
    assert!(require(Scope::Broker, "listener.name.a.ssl.protocol").is_ok());
    assert!(require(Scope::Topic, "listener.name.a.ssl.protocol").is_err());
}
