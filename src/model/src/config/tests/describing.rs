use super::{rows, settings};
use crate::config::describe::{self, Described};
use crate::config::*;

const ANSWERS: &str = include_str!("kafka_4_3_1_describe.tsv");

/// A row as the recorded answers write it.
fn row(resource: &str, key: &Described) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "\\N".to_owned());
    let synonyms: Vec<String> = (key.synonyms.iter())
        .map(|synonym| format!("{}={}:{}", synonym.name, text(&synonym.value), synonym.source.code()))
        .collect();
    let synonyms = synonyms.join(" ");
    let fields = [
        resource.to_owned(),
        key.name.to_string(),
        text(&key.value),
        key.source.code().to_string(),
        key.read_only.to_string(),
        key.sensitive.to_string(),
        key.kind.code().to_string(),
        if synonyms.is_empty() { "\\N".to_owned() } else { synonyms },
    ];
    fields.join("\t")
}

#[test]
fn listings_are_those_that_kafka_gives() {
    let file = settings(&[
        ("node.id", "1"),
        ("process.roles", "broker,controller"),
        ("controller.listener.names", "CONTROLLER"),
        ("controller.quorum.voters", "1@localhost:9093"),
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("log.dirs", "/tmp/x"),
        ("log.segment.bytes", "2000000"),
        ("log.retention.hours", "10"),
        ("min.insync.replicas", "2"),
        ("num.partitions", "7"),
        ("ssl.key.password", "pw"),
    ]);
    let all = settings(&[
        ("log.segment.bytes", "3000000"),
        ("background.threads", "11"),
        ("log.roll.ms", "77777777"),
    ]);
    let own = settings(&[("log.segment.bytes", "4000000")]);
    let layers = Layers { broker: &own, default: &all, fixed: &file };
    let topic = settings(&[("segment.bytes", "5000000"), ("max.message.bytes", "99")]);
    let none = Settings::new();

    let listings = [
        ("topic", describe::topic(&topic, &layers)),
        ("broker", describe::broker(&layers)),
        ("defaults", describe::broker_defaults(&layers)),
        ("group", describe::group(&none, &layers)),
        ("client-metrics", describe::client_metrics(&none)),
    ];
    let ours: Vec<String> = listings
        .iter()
        .flat_map(|(resource, keys)| keys.iter().map(move |key| row(resource, key)))
        .filter(|row| !row.starts_with("broker\tflumen."))
        .collect();
    let answers: Vec<String> = rows(ANSWERS).iter().map(|row| row.join("\t")).collect();
    for (ours, answer) in ours.iter().zip(&answers) {
        assert_eq!(ours, answer);
    }
    assert_eq!(ours.len(), answers.len());
}

#[test]
fn what_is_set_for_a_group_or_a_subscription_comes_first() {
    let group = describe::group(&settings(&[("consumer.session.timeout.ms", "50000")]), &Layers::empty());
    let key = group.iter().find(|key| key.name == "consumer.session.timeout.ms").unwrap();
    assert_eq!(
        row("", key),
        "\tconsumer.session.timeout.ms\t50000\t8\tfalse\tfalse\t3\t\
         consumer.session.timeout.ms=50000:8 group.consumer.session.timeout.ms=45000:5"
    );
    let metrics = describe::client_metrics(&settings(&[("interval.ms", "100")]));
    assert_eq!(row("", &metrics[0]), "\tinterval.ms\t100\t7\tfalse\tfalse\t3\tinterval.ms=100:7");
}

#[test]
fn keys_that_are_listed_only_when_set() {
    let has = |keys: &[Described], name: &str| keys.iter().any(|key| key.name == name);
    let name = "log.initial.task.delay.ms";
    assert!(!has(&describe::broker(&Layers::empty()), name));
    assert!(has(&describe::broker(&Layers::fixed(&settings(&[(name, "5")]))), name));
    let own = settings(&[("internal.segment.bytes", "100")]);
    assert!(!has(&describe::topic(&Settings::new(), &Layers::empty()), "internal.segment.bytes"));
    assert!(has(&describe::topic(&own, &Layers::empty()), "internal.segment.bytes"));
}

#[test]
fn settings_of_one_listener_are_listed_and_their_secrets_hidden() {
    let name = "listener.name.a.ssl.key.password";
    let (file, all) = (settings(&[("ssl.key.password", "pw")]), settings(&[(name, "swordfish")]));
    let layers = Layers { broker: &Settings::new(), default: &all, fixed: &file };
    let listed = describe::broker(&layers);
    let key = listed.iter().find(|key| key.name == name).unwrap();
    assert_eq!((key.value.as_deref(), key.sensitive, key.source), (None, true, Source::DynamicDefaultBroker));
    let names: Vec<&str> = key.synonyms.iter().map(|synonym| synonym.name.as_ref()).collect();
    assert_eq!(names, [name, "ssl.key.password"]);
    let everything = format!("{:?} {:?}", listed, describe::broker_defaults(&layers));
    assert!(!everything.contains("swordfish") && !everything.contains("\"pw\""));
}
