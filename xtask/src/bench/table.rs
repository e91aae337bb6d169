//! The comparison as Markdown: figures, ratios, targets, met or missed.

use super::{
    measure::Figures,
    rows::{Against, Bound, Row, Target},
    system::System,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// What the machine can do at most, measured in the same run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ceilings {
    /// Durable writes of 1 MiB, MB/s.
    pub device_mb_per_s: f64,
    /// A lone durable write of 4 KiB, µs.
    pub device_p50: f64,
    pub device_p99: f64,
    /// Loopback, MB/s, at the best size.
    pub loopback_mb_per_s: f64,
    /// Echoes of 100 B a second by the executor that Flumen runs on, at the best depth.
    pub echo_per_s: f64,
    /// An echo of 1.1 KB by that executor, one at a time over one connection, µs.
    pub lone_echo_p50: f64,
    pub lone_echo_p99: f64,
}

/// A column: a figure of a row as a share of a ceiling.
struct Share {
    name: &'static str,
    metric: &'static str,
    ceiling: f64,
    /// The systems of which it says something.
    of: fn(System) -> bool,
}

/// The ceilings that a row's figures are set beside. Latency is set beside the device's own durable write: how many
/// times that it is; and where one record of 1 KB is sent at a time and memory acknowledges it, beside a lone echo.
fn shares(row: &Row, ceilings: &Ceilings) -> Vec<Share> {
    let share = |name, metric, ceiling| Share { name, metric, ceiling, of: |_| true };
    let mut all = vec![
        share("share of the device", "mb_per_s", ceilings.device_mb_per_s),
        share("share of loopback", "mb_per_s", ceilings.loopback_mb_per_s),
        share("read, share of loopback", "consumed_mb_per_s", ceilings.loopback_mb_per_s),
        share("share of the echoes", "requests_per_s", ceilings.echo_per_s),
        share("p50 : a lone durable write", "p50", ceilings.device_p50),
        share("p50 : a lone durable write", "transaction_p50", ceilings.device_p50),
    ];
    if row.command == "produce" && row.connections * row.inflight == 1 && row.rate == 0 {
        let of = System::acknowledges_from_memory;
        all.push(Share { of, ..share("p50 : a lone echo", "p50", ceilings.lone_echo_p50) });
    }
    all.retain(|share| row.shown.contains(&share.metric));
    all
}

/// Medians of all rounds.
pub type Results = BTreeMap<(&'static str, System), Figures>;

/// The median of a figure over the rounds, and the last round's curves.
pub fn median(rounds: &[Figures]) -> Figures {
    let mut by_name: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, value) in rounds.iter().flat_map(|f| &f.values) {
        by_name.entry(name).or_default().push(*value);
    }
    let mut result = rounds.last().cloned().unwrap_or_default();
    for (name, mut values) in by_name {
        values.sort_by(f64::total_cmp);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        result.values.insert(name.to_owned(), f64::midpoint(low, high));
    }
    result
}

/// A target judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// What is compared, in words.
    pub what: String,
    pub value: f64,
    pub bound: Bound,
    pub met: bool,
}

/// Judges a target, if what it needs was measured.
pub fn judge(row: &Row, target: &Target, results: &Results, ceilings: &Ceilings) -> Option<Judged> {
    let figure = |system| results.get(&(row.name, system))?.values.get(target.metric).copied();
    let ours = figure(target.ours)?;
    let (value, against) = match target.against {
        Against::Other(theirs) => (ours / figure(theirs).filter(|v| *v > 0.0)?, theirs.title()),
        Against::DeviceBandwidth => {
            (ours / Some(ceilings.device_mb_per_s).filter(|v| *v > 0.0)?, "the device's durable writes")
        }
        Against::DeviceLatency => {
            let device = Some(ceilings.device_p50).filter(|v| *v > 0.0)?;
            (ours - device, "the device's own durable write, µs above it")
        }
        Against::Nothing => (ours, ""),
    };
    let (metric, system) = (label(target.metric), target.ours.title());
    let what = if against.is_empty() {
        format!("{metric}, {system}")
    } else {
        format!("{metric}, {system} : {against}")
    };
    Some(Judged { what, value, bound: target.bound, met: target.bound.met(value) })
}

/// A figure's name and unit for a reader.
pub fn label(metric: &str) -> &str {
    match metric {
        "requests_per_s" => "requests/s",
        "records_per_s" => "records/s",
        "average" => "average µs",
        "cpu_us_per_record" => "CPU µs/record",
        "mb_per_s" => "MB/s",
        "consumed_mb_per_s" => "MB/s read",
        "mb_per_s_without" => "MB/s without",
        "mb_per_s_ratio" => "MB/s, with : without",
        "transactions_per_s" => "transactions/s",
        "transaction_p50" => "p50 µs of a transaction",
        "transaction_p99" => "p99 µs of a transaction",
        "cpu_us_per_transaction" => "CPU µs/transaction",
        "classic_ms" => "classic protocol, median ms",
        "classic_max_ms" => "classic protocol, longest ms",
        "consumer_ms" => "consumer protocol, median ms",
        "consumer_max_ms" => "consumer protocol, longest ms",
        "p99_without" => "p99 µs without",
        "p99_ratio" => "p99, with : without",
        "deleted_records" => "records deleted",
        "cleaned_mb" => "MB read by the cleaner",
        "cpu_s_per_gb" => "CPU s/GB",
        "cpu_us_per_request" => "CPU µs/request",
        "written_per_byte" => "bytes written per byte received",
        "read_per_byte" => "bytes read from the device per byte consumed",
        "resident_mb" => "MB resident",
        "s_after_kill" => "s after kill -9",
        "s_after_stop" => "s after a clean stop",
        "cheaper_us" => "CPU µs/request, one partition",
        "dearer_us" => "CPU µs/request, the other",
        "dearer_to_cheaper" => "dearer : cheaper",
        "kib_per_partition" => "KiB a partition",
        "p50" => "p50 µs",
        "p99" => "p99 µs",
        "p99.9" => "p99.9 µs",
        "max" => "max µs",
        other => other,
    }
}

/// Some figures of a turn in one line.
pub fn brief(shown: &[&str], figures: &Figures) -> String {
    let shown = shown.iter().filter_map(|metric| {
        let value = figures.values.get(*metric)?;
        Some(format!("{} {}", label(metric), digits(*value)))
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// A number and its noun.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Three significant digits, with thousands apart.
pub fn digits(value: f64) -> String {
    let decimals = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).max(0) };
    let step = 10f64.powf(2.0 - value.abs().max(1e-9).log10().floor());
    let value = if decimals == 0 && value.abs() >= 1000.0 { (value * step).round() / step } else { value };
    let plain = format!("{value:.*}", decimals as usize);
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut out = String::new();
    for (i, c) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left.is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(c);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// Everything between the page's introduction and its end.
pub fn markdown(rows: &[&Row], results: &Results, ceilings: &Ceilings) -> String {
    let mut out = String::from("## What was measured\n\nMedians of the rounds.\n");
    for row in rows {
        row_table(&mut out, row, results, ceilings);
    }
    out.push_str("\n## Targets\n\n| workload | what | measured | target | |\n|---|---|---|---|---|\n");
    for row in rows {
        for target in row.targets {
            let Some(judged) = judge(row, target, results, ceilings) else { continue };
            let bound = match judged.bound {
                Bound::AtLeast(bound) => format!("≥ {}", digits(bound)),
                Bound::AtMost(bound) => format!("≤ {}", digits(bound)),
            };
            let verdict = if judged.met { "met" } else { "**missed**" };
            let value = digits(judged.value);
            let _ = writeln!(out, "| {} | {} | {value} | {bound} | {verdict} |", row.name, judged.what);
        }
    }
    out
}

fn row_table(out: &mut String, row: &Row, results: &Results, ceilings: &Ceilings) {
    let present: Vec<System> =
        row.systems.iter().copied().filter(|s| results.contains_key(&(row.name, *s))).collect();
    if present.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n### {}\n", row.title);
    let rate = present.iter().find_map(|s| results[&(row.name, *s)].values.get("rate"));
    if let Some(rate) = rate {
        let _ = writeln!(out, "Rate: {} requests/s.\n", digits(*rate));
    }
    let shares = shares(row, ceilings);
    let mut head = String::from("| |");
    let mut rule = String::from("|---|");
    let names = row.shown.iter().map(|m| label(m)).chain(shares.iter().map(|s| s.name));
    for name in names.chain(["broker's core in use", "load's core in use", "others' cores"]) {
        let _ = write!(head, " {name} |");
        rule.push_str("---|");
    }
    let _ = writeln!(out, "{head}\n{rule}");
    for system in present {
        let values = &results[&(row.name, system)].values;
        let mut line = format!("| {} |", system.title());
        let mut cell = |value: Option<f64>| {
            let _ = write!(line, " {} |", value.map(digits).unwrap_or_default());
        };
        row.shown.iter().for_each(|metric| cell(values.get(*metric).copied()));
        for share in &shares {
            let told = share.ceiling > 0.0 && (share.of)(system);
            cell(values.get(share.metric).filter(|_| told).map(|v| v / share.ceiling));
        }
        cell(values.get("broker_cores").copied());
        cell(values.get("client_busy").copied());
        cell(values.get("other_cores").copied());
        let _ = writeln!(out, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::rows::ROWS;

    fn figures(pairs: &[(&str, f64)]) -> Figures {
        let values = pairs.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Figures { values, ..Figures::default() }
    }

    #[test]
    fn targets_are_judged_by_ratio_and_by_share() {
        let row = ROWS.iter().find(|r| r.name == "bulk").unwrap();
        let results = Results::from([
            (("bulk", System::Kafka), figures(&[("mb_per_s", 1000.0), ("cpu_s_per_gb", 1.0)])),
            (("bulk", System::FlumenDurable), figures(&[("mb_per_s", 1200.0), ("cpu_s_per_gb", 0.6)])),
        ]);
        let ceilings = Ceilings { device_mb_per_s: 1250.0, ..Ceilings::default() };
        let judged: Vec<_> = row.targets.iter().map(|t| judge(row, t, &results, &ceilings)).collect();
        let short: Vec<_> = judged.iter().map(|j| j.as_ref().map(|j| (digits(j.value), j.met))).collect();
        assert_eq!(short[0], Some(("1.20".to_owned(), true)));
        assert_eq!(short[1], Some(("0.960".to_owned(), true)));
        assert_eq!(short[2], Some(("0.600".to_owned(), false)));
        // Nothing was measured for these: no verdict.
        assert_eq!((&short[3], &short[4]), (&None, &None));
        let page = markdown(&[row], &results, &ceilings);
        assert!(
            page.contains("**missed**") && page.contains("| Kafka, default (page cache) | 1,000 | 1.00 |")
        );
    }

    #[test]
    fn a_lone_echo_stands_beside_what_memory_acknowledges() {
        let row = ROWS.iter().find(|r| r.name == "one").unwrap();
        let results: Results =
            System::ALL.iter().map(|s| ((row.name, *s), figures(&[("p50", 50.0)]))).collect();
        let cells = |ceilings: &Ceilings, system: System| {
            let page = markdown(&[row], &results, ceilings);
            assert!(page.contains("| p50 : a lone durable write | p50 : a lone echo |"));
            let start = format!("| {} |", system.title());
            let line = page.lines().find(|line| line.starts_with(&start)).unwrap();
            let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
            // Behind the name and four figures of latency.
            (cells[6].clone(), cells[7].clone())
        };
        let mut ceilings = Ceilings { device_p50: 100.0, lone_echo_p50: 20.0, ..Ceilings::default() };
        for system in System::ALL {
            let echo = if system.acknowledges_from_memory() { "2.50" } else { "" };
            assert_eq!(cells(&ceilings, system), ("0.500".to_owned(), echo.to_owned()), "{system:?}");
        }
        ceilings.lone_echo_p50 = 0.0;
        assert_eq!(cells(&ceilings, System::Kafka).1, "");
        let has = |row: &&Row| shares(row, &ceilings).iter().any(|share| share.name == "p50 : a lone echo");
        assert_eq!(ROWS.iter().filter(has).map(|row| row.name).collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    fn medians_and_digits() {
        let rounds = [figures(&[("a", 1.0)]), figures(&[("a", 9.0)]), figures(&[("a", 2.0)])];
        assert_eq!(median(&rounds).values["a"], 2.0);
        assert_eq!(median(&rounds[..2]).values["a"], 5.0);
        let shown = [0.0, 0.01234, 1.0, 98.76, 123.4, 45_678.0, 1_234_567.0].map(digits);
        assert_eq!(shown, ["0", "0.0123", "1.00", "98.8", "123", "45,700", "1,230,000"].map(str::to_owned));
    }
}
