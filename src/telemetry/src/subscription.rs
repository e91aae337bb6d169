//! Subscriptions: what clients that match are asked to push, and how often.

use model::config::{Settings, Value, lookup_client_metrics};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

/// What stands for all metrics in a subscription's list.
pub const ALL_METRICS: &str = "*";
/// Milliseconds between two pushes of a client that no subscription matches; none asks for less often.
pub const INTERVAL_MS_DEFAULT: i32 = 300_000;
/// The most memory of a compiled pattern, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// What a subscription can select clients by.
const ATTRIBUTES: [(&str, Attribute); 6] = [
    ("client_id", Attribute::ClientId),
    ("client_instance_id", Attribute::Instance),
    ("client_software_name", Attribute::SoftwareName),
    ("client_software_version", Attribute::SoftwareVersion),
    ("client_source_address", Attribute::Address),
    ("client_source_port", Attribute::Port),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attribute {
    ClientId,
    Instance,
    SoftwareName,
    SoftwareVersion,
    Address,
    Port,
}

/// A client as subscriptions see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// What it calls itself in its requests; `None` matches no pattern.
    pub client_id: Option<&'a str>,
    /// Its instance id, as text.
    pub instance: &'a str,
    /// The name of its software, of ApiVersions.
    pub software_name: &'a str,
    /// The version of its software, of ApiVersions.
    pub software_version: &'a str,
    /// Where it comes from, without the port.
    pub address: &'a str,
    /// Its port, as text.
    pub port: &'a str,
}

impl<'a> Client<'a> {
    fn attribute(&self, attribute: Attribute) -> Option<&'a str> {
        match attribute {
            Attribute::ClientId => self.client_id,
            Attribute::Instance => Some(self.instance),
            Attribute::SoftwareName => Some(self.software_name),
            Attribute::SoftwareVersion => Some(self.software_version),
            Attribute::Address => Some(self.address),
            Attribute::Port => Some(self.port),
        }
    }
}

/// Why a text selects no clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorError(String);

impl fmt::Display for SelectorError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for SelectorError {}

/// One `name=pattern` of a subscription's `match`.
#[derive(Clone, Debug)]
pub struct Selector {
    attribute: Attribute,
    pattern: Regex,
}

impl Selector {
    /// Reads one. The pattern is a regular expression that has to match the whole attribute.
    ///
    /// # Errors
    /// If it has not this form, there is no such attribute, or the pattern cannot be compiled. Kafka's patterns are
    /// Java's: those that look around or refer back are refused here.
    pub fn parse(text: &str) -> Result<Selector, SelectorError> {
        let shown: String = text.chars().take(128).collect();
        let parts = text.split_once('=').filter(|(_, pattern)| !pattern.is_empty() && !pattern.contains('='));
        let found = parts.and_then(|(name, pattern)| {
            let attribute = ATTRIBUTES.iter().find(|(known, _)| *known == name.trim())?;
            Some((attribute.1, pattern.trim()))
        });
        let Some((attribute, pattern)) = found else {
            let known: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
            return Err(SelectorError(format!(
                "'{shown}' selects no clients: it must be name=pattern, the name one of {}.",
                known.join(", ")
            )));
        };
        let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build();
        // The pattern on its own has to be one too: "a)(b" is not.
        let compiled = compile(pattern).and_then(|_| compile(&format!("^(?:{pattern})$")));
        match compiled {
            Ok(pattern) => Ok(Selector { attribute, pattern }),
            Err(_) => Err(SelectorError(format!("the pattern of '{shown}' is no regular expression."))),
        }
    }

    fn matches(&self, client: &Client<'_>) -> bool {
        client.attribute(self.attribute).is_some_and(|value| self.pattern.is_match(value))
    }
}

/// One subscription.
#[derive(Debug)]
struct Subscription {
    metrics: Vec<Rc<str>>,
    interval_ms: i32,
    /// All have to match; of two on the same attribute the later counts, as in Kafka.
    selectors: Vec<Selector>,
}

impl Subscription {
    /// What does not parse was refused when it was set; if a newer version has set it, the default holds, and of
    /// a selector that cannot be read nobody is selected.
    fn read(settings: &Settings) -> Option<Subscription> {
        let list = |name: &str| match value(settings, name) {
            Some(Value::List(entries)) => entries,
            _ => Vec::new(),
        };
        let interval_ms = match value(settings, "interval.ms") {
            Some(Value::Int(interval)) => interval.max(1),
            _ => INTERVAL_MS_DEFAULT,
        };
        let mut selectors: Vec<Selector> = Vec::new();
        for text in list("match") {
            let selector = Selector::parse(&text).ok()?;
            selectors.retain(|one| one.attribute != selector.attribute);
            selectors.push(selector);
        }
        let metrics: Vec<Rc<str>> = list("metrics").into_iter().map(Rc::from).collect();
        Some(Subscription { metrics, interval_ms, selectors })
    }
}

fn value(settings: &Settings, name: &str) -> Option<Value> {
    let key = lookup_client_metrics(name)?;
    settings.get(name).and_then(|text| key.parse(text).ok())
}

/// What a client is asked for by all subscriptions that match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribed {
    /// Prefixes of names, in order; [`ALL_METRICS`] alone for all, none for no metrics.
    pub metrics: Vec<Rc<str>>,
    /// The shortest of the intervals, in milliseconds.
    pub interval_ms: i32,
}

impl Subscribed {
    /// The number by which a client and the broker know that they speak of the same: a checksum, mixed with the
    /// client's instance id.
    pub fn id(&self, instance: [u8; 16]) -> i32 {
        let text = format!("[{}]{}", self.metrics.join(", "), self.interval_ms);
        let bits = u128::from_be_bytes(instance);
        let halves = (bits >> 64) as u64 ^ bits as u64;
        let mixed = (halves >> 32) as u32 ^ halves as u32;
        (crc32c::crc32c(text.as_bytes()) ^ mixed) as i32
    }
}

/// All subscriptions, compiled.
#[derive(Debug, Default)]
pub struct Subscriptions {
    all: Vec<Subscription>,
    version: u64,
}

impl Subscriptions {
    /// Those of these settings, each with what is set for one subscription. `version` must be higher than that of
    /// what they replace.
    pub fn compile<'a>(settings: impl Iterator<Item = &'a Settings>, version: u64) -> Subscriptions {
        Subscriptions { all: settings.filter_map(Subscription::read).collect(), version }
    }

    /// What tells these from those before.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What a client is asked for.
    pub fn of(&self, client: &Client<'_>) -> Subscribed {
        let mut metrics: BTreeSet<Rc<str>> = BTreeSet::new();
        let mut interval_ms = INTERVAL_MS_DEFAULT;
        let matching = self.all.iter().filter(|one| one.selectors.iter().all(|each| each.matches(client)));
        for one in matching {
            metrics.extend(one.metrics.iter().cloned());
            interval_ms = interval_ms.min(one.interval_ms);
        }
        if metrics.contains(ALL_METRICS) {
            metrics.retain(|name| &**name == ALL_METRICS);
        }
        Subscribed { metrics: metrics.into_iter().collect(), interval_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const CLIENT: Client<'static> = Client {
        client_id: Some("billing-7"),
        instance: "AAAAAAAAAAAAAAAAAAAAAQ",
        software_name: "apache-kafka-java",
        software_version: "4.3.1",
        address: "10.0.0.7",
        port: "50123",
    };

    #[test]
    fn a_pattern_matches_the_whole_attribute() {
        for (text, expected) in [
            ("client_id=billing-.*", true),
            ("client_id=billing", false),
            (" client_id = billing-\\d ", true),
            ("client_instance_id=A+Q", true),
            ("client_software_name=apache-kafka-java", true),
            ("client_software_version=4\\.3.*", true),
            ("client_source_address=10\\.0\\..*", true),
            ("client_source_address=10\\.1\\..*", false),
            ("client_source_port=50123|50124", true),
            ("client_source_port=5012", false),
        ] {
            assert_eq!(Selector::parse(text).expect(text).matches(&CLIENT), expected, "{text}");
        }
        let nameless = Client { client_id: None, ..CLIENT };
        assert!(!Selector::parse("client_id=.*").expect("a selector").matches(&nameless));
    }

    #[test]
    fn what_selects_nobody_is_refused() {
        for text in ["", "client_id", "client_id=", "id=a", "client_id=a=b", "client_id=[a", "client_id=a)(b"] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        let long = format!("client_id={}", "(a{1000}){1000}");
        assert!(Selector::parse(&long).is_err(), "a pattern that takes too much memory");
    }

    #[test]
    fn those_that_match_are_joined() {
        let all = [
            settings(&[("metrics", "b.,a."), ("match", "client_id=billing.*")]),
            settings(&[("metrics", "c."), ("interval.ms", "1000"), ("match", "client_source_port=1")]),
            settings(&[("metrics", "a.,d."), ("interval.ms", "60000")]),
        ];
        let told = |all: &[Settings]| {
            let subscribed = Subscriptions::compile(all.iter(), 1).of(&CLIENT);
            (subscribed.metrics.join(" "), subscribed.interval_ms)
        };
        assert_eq!(told(&all), ("a. b. d.".to_owned(), 60_000));
        assert_eq!(told(&[]), (String::new(), INTERVAL_MS_DEFAULT));
        let everything = [all[0].clone(), settings(&[("metrics", "*")])];
        assert_eq!(told(&everything), ("*".to_owned(), INTERVAL_MS_DEFAULT));
        let twice = [settings(&[("metrics", "a"), ("match", "client_id=x,client_id=billing-7")])];
        assert_eq!(told(&twice).0, "a", "the later one counts");
        let both = [settings(&[("metrics", "a"), ("match", "client_id=billing-7,client_source_port=1")])];
        assert_eq!(told(&both).0, "", "all have to match");
    }

    #[test]
    fn the_id_follows_from_metrics_interval_and_instance() {
        let one = Subscribed { metrics: vec!["*".into()], interval_ms: 1_000 };
        let instance = u128::to_be_bytes(5 << 96 | 7 << 64 | 1 << 32 | 2);
        let expected = crc32c::crc32c(b"[*]1000") ^ 5 ^ 7 ^ 1 ^ 2;
        assert_eq!(one.id(instance), expected as i32);
        let two = Subscribed { metrics: vec!["a".into(), "b".into()], interval_ms: 1_000 };
        assert_eq!(two.id([0; 16]), crc32c::crc32c(b"[a, b]1000") as i32);
        assert_ne!(one.id(instance), Subscribed { interval_ms: 2_000, ..one.clone() }.id(instance));
    }
}
