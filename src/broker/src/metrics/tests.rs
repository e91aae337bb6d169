use super::*;
use base::exposition::{Family, Kind};
use network::Times;
use std::collections::{BTreeMap, BTreeSet};

/// A label and its value.
type Label = (String, String);

fn busy_core() -> Arc<CoreMetrics> {
    let core = CoreMetrics::default();
    let at = Instant::from_nanos;
    let times = Times { arrived: at(1_000), begun: at(2_000), executed: at(5_000), ready: at(205_000) };
    let produce = SERVED.iter().position(|(api, _)| *api == ApiKey::Produce).expect("served") as u16;
    core.request_left(&Left { kind: produce, times, closed: false }, at(215_000));
    core.request_left(&Left { kind: produce, times, closed: true }, at(215_000));
    // Of an API that is not served: counted nowhere, and no harm.
    core.request_left(&Left { kind: u16::MAX, times, closed: true }, at(215_000));
    core.errors(ApiKey::Produce, ErrorCode::NotLeaderOrFollower.code(), 3);
    core.errors(ApiKey::Produce, ErrorCode::None.code(), 1);
    let store = StoreStats::default();
    store.flush_latency.buckets[8].store(3, Ordering::Relaxed);
    store.flush_latency.sum_nanos.store(600_000, Ordering::Relaxed);
    core.store.set(Arc::new(store)).expect("not set yet");
    core.executor
        .set(ExecutorMetrics { stats: Arc::default(), sleeping: Sleeping::default() })
        .expect("not set yet");
    core.pool.set((Arc::default(), 1 << 20)).expect("not set yet");
    Arc::new(core)
}

/// A sample: name, labels in order, value.
type Sample = (String, Vec<Label>, f64);

fn name_length(text: &str, colon: bool) -> usize {
    let inside = |at: usize, letter: char| {
        letter.is_ascii_alphabetic()
            || letter == '_'
            || (colon && letter == ':')
            || (at > 0 && letter.is_ascii_digit())
    };
    text.char_indices().find(|&(at, letter)| !inside(at, letter)).map_or(text.len(), |(at, _)| at)
}

/// One sample line, after the grammar of the text format; nothing may be left over.
fn sample(line: &str) -> Sample {
    let split = name_length(line, true);
    assert!(split > 0, "no name: {line}");
    let (name, mut rest) = line.split_at(split);
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_at(name_length(rest, false));
            assert!(!label.is_empty(), "no label: {line}");
            let mut letters = after.strip_prefix("=\"").expect("a quoted value").char_indices();
            let mut value = String::new();
            let end = loop {
                match letters.next().expect("an end quote") {
                    (_, '\\') => match letters.next().expect("an escaped letter").1 {
                        'n' => value.push('\n'),
                        letter @ ('\\' | '"') => value.push(letter),
                        other => panic!("\\{other} is no escape: {line}"),
                    },
                    (at, '"') => break at,
                    (_, letter) => value.push(letter),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[2 + end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').expect("an end of labels");
    }
    let number = rest.strip_prefix(' ').expect("one space before the value");
    (name.to_owned(), labels, number.parse().unwrap_or_else(|_| panic!("{number} is no number: {line}")))
}

/// Reads a text strictly: each family once, HELP then TYPE then its samples, no sample twice.
fn parse(text: &str) -> BTreeMap<String, (String, Vec<Sample>)> {
    assert!(text.ends_with('\n'), "the last line must end");
    let mut families: BTreeMap<String, (String, Vec<Sample>)> = BTreeMap::new();
    let (mut helped, mut current) = (String::new(), String::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').expect("a help has words");
            assert!(!words.contains('\\') && !families.contains_key(name), "{line}");
            helped = name.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a kind");
            assert_eq!(name, helped, "HELP stands right before TYPE");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            current = name.to_owned();
            families.insert(current.clone(), (kind.to_owned(), Vec::new()));
        } else {
            let read = sample(line);
            let (kind, samples) = families.get_mut(&current).expect("a family was begun");
            let suffix = read.0.strip_prefix(&current).unwrap_or_else(|| panic!("not of {current}: {line}"));
            match kind.as_str() {
                "histogram" => assert!(["_bucket", "_sum", "_count"].contains(&suffix), "{line}"),
                _ => assert_eq!(suffix, "", "{line}"),
            }
            assert!(
                !samples.iter().any(|(name, labels, _)| *name == read.0 && *labels == read.1),
                "twice: {line}"
            );
            samples.push(read);
        }
    }
    families
}

#[test]
fn the_text_is_valid_and_says_what_happened() {
    let families = parse(&expose(&[busy_core(), Arc::default()]));
    let value = |family: &str, name: &str, wanted: &[(&str, &str)]| {
        let same = |labels: &[Label]| {
            labels.len() == wanted.len()
                && labels.iter().zip(wanted).all(|(one, other)| (&*one.0, &*one.1) == *other)
        };
        let found = families[family].1.iter().find(|(n, labels, _)| n == name && same(labels));
        found.unwrap_or_else(|| panic!("no {name} {wanted:?}")).2
    };
    let of_produce = |name| value(name, name, &[("core", "0"), ("api", "Produce")]);
    assert_eq!(of_produce("flumen_requests_total"), 2.0);
    assert_eq!(of_produce("flumen_requests_refused_total"), 1.0);
    let error = [("core", "0"), ("api", "Produce"), ("error", "NOT_LEADER_OR_FOLLOWER")];
    assert_eq!(value("flumen_request_errors_total", "flumen_request_errors_total", &error), 3.0);
    assert_eq!(families["flumen_request_errors_total"].1.len(), 1, "no error is no error");
    let stages = [("queue", 2e-6), ("execute", 6e-6), ("commit", 4e-4), ("send", 2e-5), ("total", 4.28e-4)];
    for (stage, sum) in stages {
        let labels = [("api", "Produce"), ("stage", stage)];
        let got = value("flumen_request_stage_seconds", "flumen_request_stage_seconds_sum", &labels);
        assert!((got - sum).abs() < 1e-12, "{stage}: {got}");
    }
    let flushed =
        |name, le: &[(&str, &str)]| value("flumen_flush_seconds", name, &[&[("core", "0")], le].concat());
    assert_eq!(flushed("flumen_flush_seconds_bucket", &[("le", "0.000128")]), 0.0);
    assert_eq!(flushed("flumen_flush_seconds_bucket", &[("le", "0.000256")]), 3.0);
    assert_eq!(flushed("flumen_flush_seconds_count", &[]), 3.0);
    assert_eq!(value("flumen_pool_bytes", "flumen_pool_bytes", &[("core", "0")]), 1_048_576.0);
}

#[test]
fn histograms_grow_to_their_count() {
    for (name, (kind, samples)) in parse(&expose(&[busy_core()])) {
        if kind != "histogram" {
            continue;
        }
        let mut series: BTreeMap<Vec<Label>, Vec<(f64, f64)>> = BTreeMap::new();
        for (of, labels, value) in &samples {
            if *of == format!("{name}_bucket") {
                let (le, others) = labels.split_last().expect("a bucket has a bound");
                assert_eq!(le.0, "le");
                let bound = if le.1 == "+Inf" { f64::INFINITY } else { le.1.parse().expect("a number") };
                series.entry(others.to_vec()).or_default().push((bound, *value));
            }
        }
        assert!(!series.is_empty(), "{name}");
        for (labels, buckets) in series {
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name} {labels:?}: {buckets:?}");
            let last = *buckets.last().expect("a bucket");
            assert_eq!(last.0, f64::INFINITY);
            let count =
                samples.iter().find(|(of, others, _)| *of == format!("{name}_count") && *others == labels);
            assert_eq!(count.expect("a count").2, last.1);
        }
    }
}

#[test]
fn every_family_is_exposed_with_its_labels() {
    let families = parse(&expose(&[busy_core()]));
    let names: BTreeSet<&str> = f_all().map(|family| family.name).collect();
    assert_eq!(families.keys().map(String::as_str).collect::<BTreeSet<_>>(), names);
    for family in f_all() {
        let (kind, samples) = &families[family.name];
        assert_eq!(kind, family.kind.name(), "{}", family.name);
        assert!(!samples.is_empty(), "{} has no sample", family.name);
        for (_, labels, _) in samples {
            let labels: Vec<&str> =
                labels.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "le").collect();
            assert_eq!(labels, family.labels, "{}", family.name);
        }
        assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
        for unit in ["bytes", "seconds"] {
            assert_eq!(family.name.contains(unit), family.unit == unit, "{} names its unit", family.name);
        }
    }
}

fn f_all() -> impl Iterator<Item = &'static Family> {
    families::ALL.iter().copied()
}

/// The page's table, in the order of the text.
fn table() -> String {
    let rows = f_all().map(|family| {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        format!(
            "| `{}` | {} | {} | {labels} | {} |\n",
            family.name,
            family.kind.name(),
            family.unit,
            family.help
        )
    });
    format!(
        "| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n{}",
        rows.collect::<String>()
    )
}

#[test]
fn the_page_names_every_metric() {
    let page = include_str!("../../../../docs/operations/metrics.md");
    let begin = page.find("| metric |").expect("the page has a table");
    let lines = page[begin..].lines().take_while(|line| line.starts_with('|'));
    let written: String = lines.map(|line| format!("{line}\n")).collect();
    assert!(written == table(), "docs/operations/metrics.md: its table must be\n\n{}", table());
}

#[test]
fn ready_is_said_when_all_listen_and_none_is_offline() {
    let cores: [Arc<CoreMetrics>; 2] = [busy_core(), Arc::default()];
    assert!(ready(&cores).expect_err("none listens").starts_with("core 0 "));
    cores[0].note_listening(true);
    assert!(ready(&cores).expect_err("one listens").starts_with("core 1 "));
    cores[1].note_listening(true);
    assert_eq!(ready(&cores), Ok(()));
    cores[0].store.get().expect("set").offline.store(true, Ordering::Relaxed);
    let why = ready(&cores).expect_err("a log is offline");
    assert!(why.starts_with("shard 0 is offline") && !why.contains('\n'), "{why}");
}
