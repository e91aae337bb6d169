use super::*;

/// A field that holds bytes.
fn bytes(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(content);
    field
}

fn fixed(number: u8, bits: u64) -> Vec<u8> {
    [&[number << 3 | 1][..], &bits.to_le_bytes()].concat()
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn attribute(number: u8, key: &str, value: &[u8]) -> Vec<u8> {
    bytes(number, &[bytes(1, key.as_bytes()), bytes(2, value)].concat())
}

fn point(parts: &[Vec<u8>]) -> Vec<u8> {
    bytes(1, &parts.concat())
}

fn metric(name: &str, data: Vec<u8>) -> Vec<u8> {
    bytes(2, &[bytes(1, name.as_bytes()), bytes(2, b"about"), data].concat())
}

fn push(metrics: &[Vec<u8>]) -> Vec<u8> {
    let resource = bytes(1, &attribute(1, "client_rack", &bytes(1, b"r1")));
    // The scope before the resource, as it may be.
    bytes(1, &[bytes(2, &metrics.concat()), resource].concat())
}

/// All that is shown, a line a number.
fn shown(push: &[u8]) -> Result<(Vec<String>, u64), OtlpError> {
    let mut lines = Vec::new();
    let dropped = decode(push, &mut |sample| {
        let attributes = sample.resource.iter().chain(sample.attributes);
        let attributes: Vec<String> = attributes.map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(format!("{} {:?} [{}] {}", sample.name, sample.kind, attributes.join(" "), sample.value));
    })?;
    Ok((lines, dropped))
}

#[test]
fn sums_and_gauges_are_shown_with_what_is_said_of_them() {
    let gauge = bytes(
        5,
        &[
            point(&[fixed(3, 99), fixed(4, 1.5f64.to_bits()), attribute(7, "topic", &bytes(1, b"t"))]),
            point(&[fixed(6, (-3i64) as u64), attribute(7, "partition", &varint(3, 7))]),
        ]
        .concat(),
    );
    let sum = |temporality, monotonic| {
        bytes(7, &[point(&[fixed(6, 5)]), varint(2, temporality), varint(3, monotonic)].concat())
    };
    let bools = bytes(5, &point(&[
        fixed(4, 0),
        attribute(7, "yes", &varint(2, 1)),
        attribute(7, "half", &fixed(4, 0.5f64.to_bits())),
        attribute(7, "list", &bytes(5, b"")),
    ]));
    let all =
        push(&[
            metric("g", gauge),
            metric("d", sum(1, 1)),
            metric("s", sum(2, 1)),
            metric("u", sum(2, 0)),
            metric("b", bools),
        ]);
    let expected = [
        "g Gauge [client_rack=r1 topic=t] 1.5",
        "g Gauge [client_rack=r1 partition=7] -3",
        "d Delta [client_rack=r1] 5",
        "s Sum [client_rack=r1] 5",
        "u Gauge [client_rack=r1] 5",
        "b Gauge [client_rack=r1 yes=true half=0.5] 0",
    ];
    assert_eq!(shown(&all), Ok((expected.map(str::to_owned).to_vec(), 0)));
    assert_eq!(shown(&[]), Ok((Vec::new(), 0)));
}

#[test]
fn what_is_not_shown_is_counted() {
    let empty = metric("e", bytes(5, &point(&[])));
    let flagged = metric("f", bytes(5, &point(&[fixed(4, 0), varint(8, 1)])));
    let histogram = metric("h", bytes(9, &point(&[fixed(4, 0)])));
    assert_eq!(shown(&push(&[empty, flagged, histogram])), Ok((Vec::new(), 3)));
    let many = metric("m", bytes(5, &point(&[fixed(4, 0)]).repeat(POINTS_MAX + 7)));
    let (lines, dropped) = shown(&push(&[many])).expect("readable");
    assert_eq!((lines.len(), dropped), (POINTS_MAX, 7));
}

#[test]
fn a_push_of_more_fields_than_is_read_is_too_much() {
    let nothing = varint(9, 0).repeat(FIELDS_MAX + 1);
    assert_eq!(shown(&nothing), Err(OtlpError::TooMuch));
    assert_eq!(shown(&varint(9, 0).repeat(FIELDS_MAX)), Ok((Vec::new(), 0)));
}

#[test]
fn what_is_cut_off_or_no_text_is_malformed() {
    let whole = push(&[metric("g", bytes(5, &point(&[fixed(4, 0), attribute(7, "topic", &bytes(1, b"t"))])))]);
    assert!(shown(&whole).is_ok());
    for end in 1..whole.len() {
        assert_eq!(shown(&whole[..end]), Err(OtlpError::Malformed), "cut at {end}");
    }
    let strange = bytes(2, &[bytes(1, &[0xff]), bytes(5, &point(&[fixed(4, 0)]))].concat());
    assert_eq!(shown(&push(&[strange])), Err(OtlpError::Malformed));
}
