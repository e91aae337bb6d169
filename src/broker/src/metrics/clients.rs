//! What clients have pushed (KIP-714), below the broker's own metrics.

use super::CoreMetrics;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use telemetry::series::number;
use telemetry::{Series, SeriesKind};

/// Adds the numbers of all clients, a family a name. Where clients do not agree on what a metric is, it is untyped.
pub(super) fn add(text: &mut String, cores: &[Arc<CoreMetrics>]) {
    let sets: Vec<_> = cores.iter().flat_map(|core| core.client_series.all()).collect();
    let mut families: BTreeMap<&str, Vec<Series<'_>>> = BTreeMap::new();
    for one in sets.iter().flat_map(|set| set.iter()) {
        families.entry(one.name).or_default().push(one);
    }
    for (name, all) in families {
        let is_all = |kind| all.iter().all(|one| one.kind == kind);
        let kind = match (is_all(SeriesKind::Counter), is_all(SeriesKind::Gauge)) {
            (true, _) => "counter",
            (_, true) => "gauge",
            _ => "untyped",
        };
        // A String takes whatever is written to it.
        let _ = write!(text, "# HELP {name} Pushed by clients.\n# TYPE {name} {kind}\n");
        for one in &all {
            let _ = writeln!(text, "{name}{{{}}} {}", one.labels, number(one.value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_wire::Uuid;
    use telemetry::otlp::{Sample, SampleKind};
    use telemetry::{Owner, SeriesSet};

    fn pushed(instance: &str, samples: &[(&str, SampleKind, f64)]) -> Arc<SeriesSet> {
        let mut set = SeriesSet::new(&Owner { instance, client_id: "c" });
        for &(name, kind, value) in samples {
            set.add(&Sample { name, kind, resource: &[], attributes: &[("topic", "t".into())], value });
        }
        Arc::new(set)
    }

    #[test]
    fn a_name_is_one_family_whoever_pushes_it() {
        let cores: [Arc<CoreMetrics>; 2] = Default::default();
        let one = pushed("1", &[("a.rate", SampleKind::Gauge, 0.5), ("b", SampleKind::Sum, 3.0)]);
        let two = pushed("2", &[("a.rate", SampleKind::Gauge, 1.5), ("b.total", SampleKind::Gauge, 4.0)]);
        assert!(cores[0].client_series.try_put(Uuid([1; 16]), Some(&one)));
        assert!(cores[1].client_series.try_put(Uuid([2; 16]), Some(&two)));
        let mut text = String::new();
        add(&mut text, &cores);
        let labels = |instance: &str| {
            format!("{{client_instance_id=\"{instance}\",client_id=\"c\",topic=\"t\"}}")
        };
        let expected = format!(
            "# HELP a_rate Pushed by clients.\n# TYPE a_rate gauge\na_rate{0} 0.5\na_rate{1} 1.5\n\
             # HELP b_total Pushed by clients.\n# TYPE b_total untyped\nb_total{0} 3\nb_total{1} 4\n",
            labels("1"),
            labels("2")
        );
        assert_eq!(text, expected);
    }
}
