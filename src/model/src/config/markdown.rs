//! The catalogue as a page for people.

use super::key::{Effect, Key, Listing};
use super::{BROKER_TABLES, CLIENT_METRICS, GROUP, TOPIC};
use std::fmt::Write;

const INTRO: &str = "\
# Configuration

Flumen takes Kafka's configuration keys with Kafka's names, types, ranges and defaults (those of
4.3.1), and a few of its own that begin with `flumen.`. Broker keys stand in the file given to
`flumen start --config`, or on the command line as `--set key=value`; an unknown one is refused.
Topic keys are given when a topic is created or altered.

The file is UTF-8, in the format of Java's properties as Kafka's `server.properties` is: a backslash at
a line's end goes on in the next, and one that is part of a value is written twice.

A topic's value is the one set on the topic, else that of the broker key named beside it,
set at run time for the broker, for all brokers, or in the file, else the default.

**Update** says what a change needs: `read-only` a restart; `per-broker` and `cluster-wide` take
effect at once. **Effect** says whether Flumen acts on the key: `honoured`, or `stored`, which means
that it is accepted, checked and shown, and changes nothing.

";

/// The text of `docs/configuration.md`. A test compares the file with it.
pub fn render_markdown() -> String {
    let mut page = INTRO.to_owned();
    summary(&mut page);
    section(&mut page, "Topics", TOPIC, Columns::Inherited);
    for (title, keys) in BROKER_TABLES {
        section(&mut page, &format!("Broker: {title}"), keys, Columns::Broker);
    }
    section(&mut page, "Groups", GROUP, Columns::Inherited);
    section(&mut page, "Client metrics", CLIENT_METRICS, Columns::Inherited);
    page
}

/// The two shapes of a table.
#[derive(Clone, Copy)]
enum Columns {
    /// With the update mode.
    Broker,
    /// Without it, as every such key is cluster-wide, but with the broker's keys behind it.
    Inherited,
}

fn summary(page: &mut String) {
    push(page, format_args!("| keys of | all | honoured | stored |\n| --- | --- | --- | --- |\n"));
    let mut line = |what: &str, keys: &mut dyn Iterator<Item = &Key>| {
        let (honoured, stored): (Vec<&Key>, Vec<&Key>) = keys.partition(|key| key.effect == Effect::Honoured);
        let (honoured, stored) = (honoured.len(), stored.len());
        push(page, format_args!("| {what} | {} | {honoured} | {stored} |\n", honoured + stored));
    };
    line("topics", &mut TOPIC.iter());
    line("brokers", &mut BROKER_TABLES.iter().flat_map(|(_, keys)| keys.iter()));
    line("groups", &mut GROUP.iter());
    line("client metrics", &mut CLIENT_METRICS.iter());
}

fn section(page: &mut String, title: &str, keys: &[Key], columns: Columns) {
    push(page, format_args!("\n## {title}\n\n"));
    let last = match columns {
        Columns::Broker => "Update",
        Columns::Inherited => "Broker keys",
    };
    push(page, format_args!("| Key | Type | Default | Allowed | Effect | {last} | Meaning |\n"));
    push(page, format_args!("| --- | --- | --- | --- | --- | --- | --- |\n"));
    for key in keys {
        row(page, key, columns);
    }
}

fn row(page: &mut String, key: &Key, columns: Columns) {
    let default = match key.default {
        None => "unset".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    };
    let effect = match key.effect {
        Effect::Honoured => "honoured",
        Effect::Stored => "stored",
    };
    let last = match columns {
        Columns::Broker => key.update.name().to_owned(),
        Columns::Inherited => {
            key.synonyms.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        }
    };
    let listing = match key.listing {
        Listing::Always => "",
        Listing::WhenSet => " Listed only where it is set.",
    };
    push(
        page,
        format_args!(
            "| `{}` | {} | {default} | {} | {effect} | {last} | {}{listing} |\n",
            key.name,
            key.kind.name(),
            escaped(&key.allowed()),
            escaped(key.doc)
        ),
    );
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

fn push(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = page.write_fmt(text);
}
