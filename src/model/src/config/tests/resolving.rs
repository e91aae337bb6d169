use super::settings;
use crate::config::*;

fn nothing() -> Settings {
    Settings::new()
}

fn broker_error(pairs: &[(&str, &str)]) -> String {
    BrokerConfig::resolve(&Layers::fixed(&settings(pairs))).unwrap_err().to_string()
}

#[test]
fn defaults_are_kafkas() {
    let topic = TopicConfig::default();
    assert_eq!(topic.cleanup_policy, CleanupPolicy { delete: true, compact: false });
    assert_eq!(topic.retention_ms, Some(7 * 24 * 3_600_000));
    assert_eq!(topic.retention_bytes, None);
    assert_eq!(topic.segment_bytes, 1 << 30);
    assert_eq!(topic.segment_ms, 7 * 24 * 3_600_000);
    assert_eq!(topic.max_message_bytes, 1_048_588);
    assert_eq!(topic.message_timestamp_type, TimestampType::CreateTime);
    assert_eq!(topic.message_timestamp_before_max_ms, i64::MAX);
    assert_eq!(topic.message_timestamp_after_max_ms, 3_600_000);
    assert_eq!(topic.compression_type, Compression::Producer);

    let broker = BrokerConfig::default();
    assert_eq!(broker.node_id, None);
    assert_eq!((broker.num_partitions, broker.default_replication_factor), (1, 1));
    assert!(broker.auto_create_topics && broker.delete_topics);
    assert_eq!(broker.listeners, [Listener { name: "PLAINTEXT".into(), host: String::new(), port: 9092 }]);
    assert_eq!(broker.advertised_listeners, None);
    assert_eq!(broker.socket_request_max_bytes, 100 << 20);
    assert_eq!(broker.connections_max_idle_ms, Some(600_000));
    assert_eq!(broker.fetch_max_bytes, 55 << 20);
    assert_eq!((broker.offsets_topic_partitions, broker.transaction_log_partitions), (50, 50));
    assert_eq!((broker.durability, broker.idle), (Durability::Device, Idle::Park));
    assert_eq!((broker.data.as_str(), broker.large_append_bytes), ("./flumen-data", 32768));
    assert!(broker.cores.is_empty() && broker.io_features_disable.is_empty());
}

#[test]
fn topic_goes_before_broker_before_all_brokers_before_file() {
    let (topic, own) =
        (settings(&[("segment.bytes", "5000000")]), settings(&[("log.segment.bytes", "4000000")]));
    let (all, file) =
        (settings(&[("log.segment.bytes", "3000000")]), settings(&[("log.segment.bytes", "2000000")]));
    let none = nothing();
    let resolve = |topic: &Settings, broker, default, fixed| {
        TopicConfig::resolve(topic, &Layers { broker, default, fixed }).unwrap().segment_bytes
    };
    assert_eq!(resolve(&topic, &own, &all, &file), 5_000_000);
    assert_eq!(resolve(&none, &own, &all, &file), 4_000_000);
    assert_eq!(resolve(&none, &none, &all, &file), 3_000_000);
    assert_eq!(resolve(&none, &none, &none, &file), 2_000_000);
    assert_eq!(resolve(&none, &none, &none, &none), 1 << 30);
}

#[test]
fn what_is_set_holds_even_where_it_contradicts_itself_or_is_not_known() {
    let topic = settings(&[
        ("cleanup.policy", "compact"),
        ("max.compaction.lag.ms", "5"),
        ("of.a.newer.version", "1"),
    ]);
    let all = settings(&[("log.cleaner.min.compaction.lag.ms", "10")]);
    let none = nothing();
    let layers = Layers { broker: &none, default: &all, fixed: &none };
    assert!(TopicConfig::resolve(&topic, &layers).is_err());
    let config = TopicConfig::in_force(&topic, &layers).unwrap();
    assert_eq!(config.cleanup_policy, CleanupPolicy { delete: false, compact: true });
    assert_eq!((config.min_compaction_lag_ms, config.max_compaction_lag_ms), (10, 5));
    let wrong = settings(&[("max.compaction.lag.ms", "soon")]);
    assert!(TopicConfig::in_force(&wrong, &layers).is_err());
}

#[test]
fn synonyms_are_asked_in_order_and_in_their_unit() {
    let resolve =
        |pairs: &[(&str, &str)]| TopicConfig::resolve(&nothing(), &Layers::fixed(&settings(pairs))).unwrap();
    assert_eq!(resolve(&[("log.retention.hours", "2")]).retention_ms, Some(7_200_000));
    let two = [("log.retention.hours", "2"), ("log.retention.minutes", "3")];
    assert_eq!(resolve(&two).retention_ms, Some(180_000));
    let three = [two[0], two[1], ("log.retention.ms", "4")];
    assert_eq!(resolve(&three).retention_ms, Some(4));
    assert_eq!(resolve(&[("log.retention.ms", "-5")]).retention_ms, None);
    assert_eq!(resolve(&[("log.retention.hours", "-1")]).retention_ms, None);
    assert_eq!(resolve(&[("log.roll.hours", "1")]).segment_ms, 3_600_000);
    assert_eq!(resolve(&[("log.roll.jitter.hours", "1")]).segment_jitter_ms, 3_600_000);
    assert_eq!(resolve(&[("message.max.bytes", "99")]).max_message_bytes, 99);
    let both = resolve(&[("log.cleanup.policy", "compact,delete")]).cleanup_policy;
    assert_eq!(both, CleanupPolicy { delete: true, compact: true });
}

/// A stronger layer wins with any of the names, though a weaker one has a stronger name.
#[test]
fn the_layer_goes_before_the_synonym() {
    let (own, file) = (settings(&[("log.roll.hours", "1")]), settings(&[("log.roll.ms", "5")]));
    let layers = Layers { broker: &own, default: &nothing(), fixed: &file };
    assert_eq!(TopicConfig::resolve(&nothing(), &layers).unwrap().segment_ms, 3_600_000);
}

#[test]
fn a_topic_with_bad_settings_is_refused() {
    let refuse = |pairs: &[(&str, &str)]| {
        TopicConfig::resolve(&settings(pairs), &Layers::empty()).unwrap_err().to_string()
    };
    assert_eq!(
        refuse(&[("retention.sm", "1")]),
        "unknown configuration key 'retention.sm', did you mean retention.ms?"
    );
    // Stored only, and checked all the same.
    assert!(refuse(&[("remote.storage.enable", "perhaps")]).contains("true or false"));
    assert_eq!(
        refuse(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]),
        "invalid value '10' for min.compaction.lag.ms: must be no more than max.compaction.lag.ms, which is 5"
    );
    // A broker's value must suit the topic's key too.
    let file = settings(&[("log.roll.ms", "0")]);
    let error = TopicConfig::resolve(&nothing(), &Layers::fixed(&file)).unwrap_err().to_string();
    assert_eq!(error, "invalid value '0' for 'log.roll.ms': must be a whole number of 64 bits, 1 or more");
}

#[test]
fn the_node_number_has_two_names() {
    let id =
        |pairs: &[(&str, &str)]| BrokerConfig::resolve(&Layers::fixed(&settings(pairs))).unwrap().node_id;
    assert_eq!(id(&[("node.id", "0")]), Some(0));
    assert_eq!(id(&[("node.id", "1")]), Some(1));
    assert_eq!(id(&[("broker.id", "0")]), Some(0));
    assert_eq!(id(&[("broker.id", "-1")]), None);
    assert_eq!(id(&[("node.id", "7"), ("broker.id", "7")]), Some(7));
    assert_eq!(id(&[("node.id", "7"), ("broker.id", "-1")]), Some(7));
    assert!(broker_error(&[("node.id", "7"), ("broker.id", "8")]).contains("the same as node.id"));
}

#[test]
fn the_data_directory_has_three_names() {
    let data = |pairs: &[(&str, &str)]| BrokerConfig::resolve(&Layers::fixed(&settings(pairs))).unwrap().data;
    let all = [("flumen.data", "/a"), ("log.dirs", "/b"), ("log.dir", "/c")];
    assert_eq!(data(&all), "/a");
    assert_eq!(data(&all[1..]), "/b");
    assert_eq!(data(&all[2..]), "/c");
    assert!(broker_error(&[("log.dirs", "/b,/c")]).contains("one directory"));
}

#[test]
fn listeners_are_taken_apart() {
    let parse = |text| Listener::parse(text).map(|l| (l.name, l.host, l.port));
    let some = |name: &str, host: &str, port| Some((name.to_owned(), host.to_owned(), port));
    assert_eq!(parse("plaintext://localhost:9092"), some("PLAINTEXT", "localhost", 9092));
    assert_eq!(parse("A://:0"), some("A", "", 0));
    assert_eq!(parse("A://[::1]:1"), some("A", "::1", 1));
    for wrong in [
        "",
        "A",
        "A://",
        "A://h",
        "A://h:",
        "A://h:70000",
        "A://h:-1",
        "A://h:+1",
        "://h:1",
        "A://::1:1",
        "A://[::1:1",
        "A://h/x:1",
        "A b://h:1",
    ] {
        assert_eq!(parse(wrong), None, "{wrong}");
    }
    assert!(broker_error(&[("listeners", "A://:1,a://:2")]).contains("a name of its own"));
    assert!(broker_error(&[("advertised.listeners", "A://0.0.0.0:1")]).contains("can reach"));
    for text in ["A://h:1", "A://[::1]:0", "A-B.c_d://:9"] {
        let shown = Listener::parse(text).expect("good").to_string();
        assert_eq!(Listener::parse(&shown), Listener::parse(text), "{shown}");
    }
}

#[test]
fn cores_are_numbers_and_ranges() {
    let cores = |text: &str| BrokerConfig::resolve(&Layers::fixed(&settings(&[("flumen.cores", text)])));
    assert_eq!(cores("0,2-5").unwrap().cores, [0, 2, 3, 4, 5]);
    assert_eq!(cores("3,1-3, 0").unwrap().cores, [0, 1, 2, 3]);
    for wrong in ["5-2", "a", "1-", "-1", "0-8192", "99999", "1--2"] {
        assert!(cores(wrong).unwrap_err().to_string().contains("core numbers"), "{wrong}");
    }
}

#[test]
fn a_broker_with_bad_settings_is_refused() {
    assert_eq!(
        broker_error(&[("num.partition", "3")]),
        "unknown configuration key 'num.partition', did you mean num.partitions?"
    );
    assert!(broker_error(&[("num.partitions", "0")]).contains("1 or more"));
    assert!(broker_error(&[("log.cleaner.threads", "-1")]).contains("0 or more"));
    assert!(broker_error(&[("log.retention.minutes", "0")]).contains("-1 to keep records for ever"));
    assert!(broker_error(&[("group.min.session.timeout.ms", "9999999")]).contains("no more than 1800000"));
    assert!(
        broker_error(&[("group.consumer.heartbeat.interval.ms", "45000")]).contains("no more than 44999")
    );
    let secret = broker_error(&[("ssl.key.password", "swordfish"), ("zzz", "1")]);
    assert!(!secret.contains("swordfish"));
    let listener = settings(&[("listener.name.a.ssl.client.auth", "required")]);
    assert!(BrokerConfig::resolve(&Layers::fixed(&listener)).is_ok());
}

#[test]
fn flumens_own_keys_arrive() {
    let file = settings(&[
        ("flumen.durability", "memory"),
        ("flumen.idle", "spin"),
        ("flumen.idle.spin.us", "7"),
        ("flumen.pool.bytes", "33554432"),
        ("flumen.io.features.disable", "send_zc, msg_ring"),
        ("flumen.http.listen", ""),
        ("connections.max.idle.ms", "-1"),
        ("broker.rack", "r1"),
    ]);
    let config = BrokerConfig::resolve(&Layers::fixed(&file)).unwrap();
    assert_eq!((config.durability, config.idle, config.idle_spin_us), (Durability::Memory, Idle::Spin, 7));
    assert_eq!((config.pool_bytes, config.http_listen.as_str()), (32 << 20, ""));
    assert_eq!(config.io_features_disable, ["send_zc", "msg_ring"]);
    assert_eq!((config.connections_max_idle_ms, config.rack.as_deref()), (None, Some("r1")));
}

#[test]
fn a_group_has_its_own_value_within_the_brokers_bounds() {
    let file = settings(&[("group.consumer.session.timeout.ms", "46000")]);
    let narrow = settings(&[
        ("group.consumer.session.timeout.ms", "46000"),
        ("group.consumer.min.session.timeout.ms", "46000"),
        ("group.consumer.max.session.timeout.ms", "50000"),
    ]);
    let value = |name: &str, group: &[(&str, &str)], file: &Settings| {
        group_value(name, &settings(group), &Layers::fixed(file)).map(|value| value.to_string())
    };
    let session = "consumer.session.timeout.ms";
    for (set, file, expected) in [
        (None, &nothing(), "45000"),
        (None, &file, "46000"),
        (Some("55000"), &file, "55000"),
        (Some("55000"), &narrow, "50000"),
        (Some("45000"), &narrow, "46000"),
        (Some("soon"), &file, "46000"),
    ] {
        let group: Vec<(&str, &str)> = set.map(|text| (session, text)).into_iter().collect();
        assert_eq!(value(session, &group, file).as_deref(), Some(expected), "{set:?}");
        assert_eq!(group_override(session, &settings(&group), &Layers::fixed(file)).is_some(), {
            set.is_some_and(|text| text != "soon")
        });
    }
    let standby = "streams.num.standby.replicas";
    assert_eq!(value(standby, &[(standby, "9")], &nothing()).as_deref(), Some("2"), "there is no smallest");
    let reset = "share.auto.offset.reset";
    assert_eq!(value(reset, &[(reset, "earliest")], &nothing()).as_deref(), Some("earliest"));
    assert_eq!(value(reset, &[], &nothing()).as_deref(), Some("latest"));
    assert_eq!(value("no.such.key", &[("no.such.key", "1")], &nothing()), None);
}

#[test]
fn the_classic_protocol_cannot_be_left_out() {
    let protocols = |text: &str| {
        let file = settings(&[("group.coordinator.rebalance.protocols", text)]);
        BrokerConfig::resolve(&Layers::fixed(&file)).map(|config| config.protocols)
    };
    let of = |consumer, streams| Ok(Protocols { consumer, streams });
    assert_eq!(BrokerConfig::default().protocols, Protocols { consumer: true, streams: true });
    assert_eq!(protocols("classic"), of(false, false));
    assert_eq!(protocols("streams,classic"), of(false, true));
    assert_eq!(protocols("share,classic,consumer"), of(true, false), "share is taken, and decides nothing");
    assert_eq!(protocols("share,classic"), protocols("classic"));
    let refused = protocols("consumer").expect_err("no classic").to_string();
    assert!(refused.contains("classic"), "{refused}");
}
