//! What is known of one configuration key: its name, type, default, range and effect.

/// A table of keys: `"name" Type = "default" [Importance what-else...] "documentation";`, where
/// what else holds of the key is named by the methods of [`Key`].
macro_rules! keys {
    (
        $(#[$meta:meta])* $vis:vis static $table:ident: &[Key];
        $($name:literal $kind:ident $(= $default:literal)?
            [$importance:ident $($method:ident $(($($argument:tt)*))?)*] $doc:literal;)*
    ) => {
        $(#[$meta])*
        $vis static $table: &[Key] = &[$(
            Key::new($name, $crate::config::Kind::$kind, $crate::config::Importance::$importance, $doc)
                $(.default($default))?
                $(.$method($($($argument)*)?))*,
        )*];
    };
}
pub(super) use keys;

/// The type of a key's value, with the codes of the DescribeConfigs response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i8)]
pub enum Kind {
    /// `true` or `false`, in any case.
    Boolean = 1,
    /// Any text, trimmed.
    String = 2,
    /// A signed 32-bit number.
    Int = 3,
    /// A signed 16-bit number.
    Short = 4,
    /// A signed 64-bit number.
    Long = 5,
    /// A floating-point number.
    Double = 6,
    /// Texts between commas, each trimmed; a repeated one counts once.
    List = 7,
    /// The name of a Java class. Flumen stores it and loads nothing.
    Class = 8,
    /// A secret. Never shown in a response or a message.
    Password = 9,
}

impl Kind {
    /// The code of this type in a DescribeConfigs response.
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// The type's name as the documentation writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        }
    }
}

/// When a change of a key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Update {
    /// At the next start: the key is set in the file or on the command line only.
    ReadOnly,
    /// At once, and only for the broker that it is set on.
    PerBroker,
    /// At once, for one broker or as the default of all. Keys of topics, groups and client
    /// metrics are always of this kind: what they configure belongs to the whole cluster.
    ClusterWide,
}

impl Update {
    /// The mode's name as Kafka's documentation writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Update::ReadOnly => "read-only",
            Update::PerBroker => "per-broker",
            Update::ClusterWide => "cluster-wide",
        }
    }
}

/// Whether Flumen acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Flumen does what the key says.
    Honoured,
    /// The key is accepted, checked and shown, so that tools and files written for Kafka
    /// work; it changes nothing.
    Stored,
}

/// How much a key matters to somebody who sets up a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    /// For special cases.
    Low,
    /// Worth knowing.
    Medium,
    /// To be looked at in every installation.
    High,
}

impl Importance {
    /// The importance in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Importance::Low => "low",
            Importance::Medium => "medium",
            Importance::High => "high",
        }
    }
}

/// Whether a key appears in a listing of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Listing {
    /// Always.
    Always,
    /// Only where somebody has set it: Kafka's internal keys, and the three throttles that
    /// exist as dynamic settings alone.
    WhenSet,
}

/// What a value must satisfy beyond its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Valid {
    /// Nothing more.
    Any,
    /// A number between two bounds, both included.
    Range {
        /// The smallest value allowed.
        min: Option<i64>,
        /// The largest value allowed.
        max: Option<i64>,
    },
    /// A number between two bounds, both included, or one more value outside of them.
    RangeOr {
        /// The smallest value allowed.
        min: i64,
        /// The largest value allowed.
        max: i64,
        /// The value outside.
        or: i64,
    },
    /// A floating-point number between two bounds, both included. Not-a-number is refused.
    Fraction {
        /// The smallest value allowed.
        min: f64,
        /// The largest value allowed.
        max: f64,
    },
    /// One of these texts exactly.
    OneOf(&'static [&'static str]),
    /// One of these texts in any mix of cases.
    OneOfAnyCase(&'static [&'static str]),
    /// A list of these texts only.
    ListOf {
        /// The entries allowed; none means any entry that is not empty.
        entries: &'static [&'static str],
        /// Whether the list may be empty.
        empty: bool,
    },
    /// A text that is not empty.
    NonEmpty,
    /// `*`, or `partition:broker` pairs, or nothing.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a positive ISO 8601 duration.
    OffsetReset,
    /// `id@host:port` entries, or nothing.
    Voters,
}

/// One configuration key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name, as Kafka spells it; Flumen's own begin with `flumen.`.
    pub name: &'static str,
    /// The type of the value.
    pub kind: Kind,
    /// The default as text; `None` where unset is a state of its own or a value is required.
    pub default: Option<&'static str>,
    /// What the value must satisfy.
    pub valid: Valid,
    /// How much the key matters.
    pub importance: Importance,
    /// When a change takes effect.
    pub update: Update,
    /// Whether Flumen acts on it.
    pub effect: Effect,
    /// Names whose values stand in for this one. For a key of a topic or a group: the broker
    /// keys, in the order they are asked. For a broker key: all names of the same setting,
    /// itself included, the strongest first; empty where there is only the one name. A name
    /// that ends in `.hours` or `.minutes` counts in that unit, all others in milliseconds.
    pub synonyms: &'static [&'static str],
    /// Whether a listing of everything shows it.
    pub listing: Listing,
    /// Unit and effect, in one or two sentences.
    pub doc: &'static str,
}

impl Key {
    /// A read-only key that has no default, is stored, always listed, and without further
    /// rules; the methods below change that.
    pub(super) const fn new(
        name: &'static str,
        kind: Kind,
        importance: Importance,
        doc: &'static str,
    ) -> Key {
        Key {
            name,
            kind,
            default: None,
            valid: Valid::Any,
            importance,
            update: Update::ReadOnly,
            effect: Effect::Stored,
            synonyms: &[],
            listing: Listing::Always,
            doc,
        }
    }

    pub(super) const fn default(mut self, text: &'static str) -> Key {
        self.default = Some(text);
        self
    }

    pub(super) const fn at_least(self, min: i64) -> Key {
        self.valid(Valid::Range { min: Some(min), max: None })
    }

    pub(super) const fn between(self, min: i64, max: i64) -> Key {
        self.valid(Valid::Range { min: Some(min), max: Some(max) })
    }

    pub(super) const fn one_of(self, texts: &'static [&'static str]) -> Key {
        self.valid(Valid::OneOf(texts))
    }

    /// A list that must have at least one entry.
    pub(super) const fn some_of(self, entries: &'static [&'static str]) -> Key {
        self.valid(Valid::ListOf { entries, empty: false })
    }

    /// A list that may be empty.
    pub(super) const fn any_of(self, entries: &'static [&'static str]) -> Key {
        self.valid(Valid::ListOf { entries, empty: true })
    }

    pub(super) const fn valid(mut self, valid: Valid) -> Key {
        self.valid = valid;
        self
    }

    pub(super) const fn cluster_wide(mut self) -> Key {
        self.update = Update::ClusterWide;
        self
    }

    pub(super) const fn per_broker(mut self) -> Key {
        self.update = Update::PerBroker;
        self
    }

    pub(super) const fn honoured(mut self) -> Key {
        self.effect = Effect::Honoured;
        self
    }

    pub(super) const fn synonyms(mut self, names: &'static [&'static str]) -> Key {
        self.synonyms = names;
        self
    }

    pub(super) const fn when_set(mut self) -> Key {
        self.listing = Listing::WhenSet;
        self
    }

    /// Whether the value is a secret, which responses leave out and messages hide.
    pub const fn sensitive(&self) -> bool {
        matches!(self.kind, Kind::Password)
    }

    /// Whether a change needs a restart.
    pub const fn read_only(&self) -> bool {
        matches!(self.update, Update::ReadOnly)
    }

    /// All names of this setting in the broker's own configuration, the strongest first.
    pub(super) fn broker_names(&self) -> impl Iterator<Item = &'static str> {
        let own = if self.synonyms.is_empty() { Some(self.name) } else { None };
        own.into_iter().chain(self.synonyms.iter().copied())
    }
}
