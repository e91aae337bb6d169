use super::settings;
use crate::config::*;

fn resolve(pairs: &[(&str, &str)]) -> Result<BrokerConfig, String> {
    BrokerConfig::resolve(&Layers::fixed(&settings(pairs))).map_err(|error| error.to_string())
}

/// What clients are listened for on, and what they are told.
fn clients(pairs: &[(&str, &str)]) -> (String, Option<String>) {
    let config = resolve(pairs).unwrap_or_else(|error| panic!("{error}"));
    let shown = |listener: &Listener| listener.to_string();
    (config.client_listener().map(shown).expect("one"), config.client_address().map(shown))
}

#[test]
fn clients_have_one_listener() {
    assert_eq!(clients(&[]), ("PLAINTEXT://:9092".to_owned(), None));
    assert_eq!(clients(&[("listeners", "plaintext://h:1")]).0, "PLAINTEXT://h:1");
    let named = [
        ("listeners", "INTERNAL://:1"),
        ("listener.security.protocol.map", "internal:plaintext, OTHER:SSL"),
        ("advertised.listeners", "INTERNAL://h:2"),
    ];
    assert_eq!(clients(&named), ("INTERNAL://:1".to_owned(), Some("INTERNAL://h:2".to_owned())));
}

/// As in the `server.properties` that comes with Kafka.
#[test]
fn listeners_of_controllers_are_left_out() {
    let file = [
        ("listeners", "CONTROLLER://:9093,PLAINTEXT://:9092"),
        ("advertised.listeners", "CONTROLLER://localhost:9093,PLAINTEXT://localhost:9092"),
        ("controller.listener.names", "CONTROLLER"),
        ("listener.security.protocol.map", "CONTROLLER:SASL_SSL,PLAINTEXT:PLAINTEXT"),
    ];
    let (listened, told) = ("PLAINTEXT://:9092".to_owned(), Some("PLAINTEXT://localhost:9092".to_owned()));
    assert_eq!(clients(&file), (listened.clone(), told));
    let controllers: Vec<String> =
        resolve(&file).unwrap().controller_listeners().map(Listener::to_string).collect();
    assert_eq!(controllers, ["CONTROLLER://:9093"]);
    let untold = [file[0], ("advertised.listeners", "CONTROLLER://localhost:9093"), file[2], file[3]];
    assert_eq!(clients(&untold), (listened, None));
}

#[test]
fn others_are_refused_with_what_to_do() {
    let map = "listener.security.protocol.map";
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("listeners", "SASL_SSL://0.0.0.0:9093")], "listen on PLAINTEXT://0.0.0.0:9093"),
        (&[("listeners", "SSL://[::1]:1")], "listen on PLAINTEXT://[::1]:1"),
        (&[("listeners", "PLAINTEXT://:1"), (map, "PLAINTEXT:SASL_PLAINTEXT")], "not SASL_PLAINTEXT"),
        (&[("listeners", "A://:1")], "add A:PLAINTEXT"),
        (&[("listeners", "PLAINTEXT://:1,SSL://:2")], "one listener for clients"),
        (&[("listeners", "A://:1,B://:2"), (map, "A:PLAINTEXT,B:PLAINTEXT")], "one listener for clients"),
        (&[("listeners", "C://:1"), ("controller.listener.names", "C")], "one listener for clients"),
        (&[("advertised.listeners", "A://h:1")], "of the listener PLAINTEXT"),
        (&[("advertised.listeners", "PLAINTEXT://h:1,A://h:2")], "of the listener PLAINTEXT"),
        (&[(map, "PLAINTEXT")], "NAME:PROTOCOL pairs"),
        (&[(map, "PLAINTEXT:TLS")], "SASL_SSL"),
        (&[(map, ":PLAINTEXT")], "NAME:PROTOCOL pairs"),
        (&[(map, "PLAINTEXT:PLAINTEXT,plaintext:SSL")], "each name once"),
    ];
    for (pairs, words) in cases {
        let error = resolve(pairs).expect_err("refused");
        assert!(error.contains(words), "{pairs:?}: {error}");
    }
}

#[test]
fn addresses_have_limits_of_their_own() {
    let limits = |text: &str| {
        let config = resolve(&[("max.connections.per.ip.overrides", text)])?;
        let limits = config.max_connections_per_ip_overrides.iter();
        let shown: Vec<String> = limits.map(|(address, most)| format!("{address}={most}")).collect();
        Ok::<_, String>(shown.join(" "))
    };
    assert_eq!(limits("").as_deref(), Ok(""));
    assert_eq!(limits("10.0.0.2:5, 10.0.0.1:0").as_deref(), Ok("10.0.0.1=0 10.0.0.2=5"));
    assert_eq!(limits("[::1]:7,::2:8").as_deref(), Ok("::1=7 ::2=8"));
    for wrong in ["10.0.0.1", "a.host:1", "10.0.0.1:-1", "10.0.0.1:x", "10.0.0.1:1,::ffff:10.0.0.1:2"] {
        assert!(limits(wrong).expect_err(wrong).contains("address:count"), "{wrong}");
    }
    let none = ("max.connections.per.ip", "0");
    assert!(resolve(&[none]).expect_err("nobody").contains("max.connections.per.ip.overrides"));
    assert!(resolve(&[none, ("max.connections.per.ip.overrides", "10.0.0.1:1")]).is_ok());
}

#[test]
fn what_changes_nothing_is_told_by_name() {
    let file =
        settings(&[("listeners", "PLAINTEXT://:1"), ("ssl.protocol", "TLSv1.3"), ("num.io.threads", "9")]);
    let all = settings(&[("num.io.threads", "8"), ("log.retention.ms", "5")]);
    let own = settings(&[("listener.name.a.max.connections", "5"), ("max.connections", "6")]);
    let layers = Layers { broker: &own, default: &all, fixed: &file };
    let names = ["listener.name.a.max.connections", "num.io.threads", "ssl.protocol"];
    assert_eq!(layers.without_effect(), names);
    assert!(Layers::empty().without_effect().is_empty());
}

#[test]
fn the_listener_of_clients_may_have_limits_of_its_own() {
    let limits = |pairs: &[(&str, &str)]| {
        let config = resolve(pairs).unwrap_or_else(|error| panic!("{error}"));
        (config.max_connections, config.max_connection_creation_rate)
    };
    let own = ("listener.name.plaintext.max.connections", "5");
    let pace = "listener.name.plaintext.max.connection.creation.rate";
    assert_eq!(limits(&[own]), (5, i32::MAX));
    assert_eq!(limits(&[own, ("max.connections", "6")]).0, 5);
    assert_eq!(limits(&[own, ("max.connections", "4")]).0, 4, "both hold");
    assert_eq!(limits(&[(pace, "7")]), (i32::MAX, 7));
    assert_eq!(limits(&[("listener.name.other.max.connections", "5")]).0, i32::MAX);
    assert!(resolve(&[(own.0, "-1")]).is_err());
    let named = settings(&[
        ("listeners", "INTERNAL://:1"),
        ("listener.security.protocol.map", "INTERNAL:PLAINTEXT"),
        ("listener.name.internal.max.connections", "5"),
        (pace, "7"),
    ]);
    assert_eq!(Layers::fixed(&named).without_effect(), [pace], "there is no such listener");
}
