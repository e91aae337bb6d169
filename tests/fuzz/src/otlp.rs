//! The metrics that clients push, as protobuf.

use telemetry::otlp::{ATTRIBUTES_MAX, POINTS_MAX, decode};
use telemetry::{Owner, SeriesSet};

/// Any bytes, as what a push was decompressed to.
///
/// No more may be shown than the bounds say, and every number must fit into a line of Prometheus' text.
pub fn run(data: &[u8]) {
    let (mut count, mut set) = (0, SeriesSet::new(&Owner { instance: "i", client_id: "c" }));
    let read = decode(data, &mut |sample| {
        count += 1;
        assert!(sample.attributes.len() <= ATTRIBUTES_MAX && sample.resource.len() <= ATTRIBUTES_MAX);
        set.add(sample);
    });
    assert!(count <= POINTS_MAX, "{count} numbers");
    if read.is_ok() {
        for one in set.iter() {
            let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
            assert!(
                one.name.chars().all(fits) && !one.name.starts_with(|first: char| first.is_ascii_digit())
            );
            assert!(!one.labels.contains('\n'), "{:?}", one.labels);
        }
    }
}
