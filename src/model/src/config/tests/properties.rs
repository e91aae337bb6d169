use super::settings;
use crate::config::*;

fn error(text: &str) -> String {
    read_properties(text).expect_err("refused").to_string()
}

#[test]
fn properties_are_read_as_kafka_writes_them() {
    let text =
        "# comment\n\nnum.partitions = 3\n! another\nlog.retention.ms:5\nlisteners=PLAINTEXT://\\\n  :9092\n";
    let expected =
        settings(&[("num.partitions", "3"), ("log.retention.ms", "5"), ("listeners", "PLAINTEXT://:9092")]);
    assert_eq!(read_properties(text), Ok(expected));
    let twice = read_properties("num.partitions=3\r\nnum.partitions=4\r\n");
    assert_eq!(twice, Ok(settings(&[("num.partitions", "4")])));
    assert_eq!(read_properties("broker.rack=a\\"), Ok(settings(&[("broker.rack", "a")])));
    assert_eq!(read_properties(""), Ok(Settings::new()));
}

#[test]
fn mistakes_name_their_line_and_the_nearest_key() {
    let unknown = error("\nnum.partition=3");
    assert!(unknown.starts_with("2: ") && unknown.contains("num.partitions"), "{unknown}");
    let value = error("num.partitions=many");
    assert!(value.starts_with("1: ") && value.contains("many"), "{value}");
    let second = error("listeners=\\\n\\\nPLAINTEXT://:1\nnum.partition=3");
    assert!(second.starts_with("4: "), "{second}");
    assert!(error("just words").contains("key=value"));
}

#[test]
fn mistakes_tell_no_secret_and_fit_into_a_line() {
    let pairless = error("ssl.key.password hush");
    assert!(pairless.contains("ssl.key.password") && !pairless.contains("hush"), "{pairless}");
    let long = error(&"\u{1b}x".repeat(1000));
    assert!(long.len() < 2000 && !long.contains('\u{1b}'), "{long}");
}

#[test]
fn a_key_that_is_refused_keeps_what_it_was_set_to() {
    let mut set = settings(&[("num.partitions", "3")]);
    assert!(set_broker(&mut set, "num.partitions", "many").is_err());
    assert!(set_broker(&mut set, "num.partition", "4").is_err());
    assert_eq!(set, settings(&[("num.partitions", "3")]));
    assert_eq!(set_broker(&mut set, "num.partitions", "4"), Ok(()));
    assert_eq!(set, settings(&[("num.partitions", "4")]));
}
