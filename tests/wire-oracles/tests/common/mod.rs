//! What both oracles are fed with.

use kafka_wire::{API_VERSIONS, ApiKey, fill};

/// Made-up messages of each API, version and direction.
const SEEDS: u64 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Request,
    Response,
}

/// One encoded message.
pub struct Sample {
    pub key: i16,
    pub version: i16,
    pub direction: Direction,
    pub bytes: Vec<u8>,
    /// How it came about, for the message of a failing test.
    pub origin: String,
}

/// Every API in every version that has messages.
pub fn every_version() -> impl Iterator<Item = (i16, i16)> {
    API_VERSIONS.iter().flat_map(|versions| {
        let (min, max) = match versions.key {
            // Advertised from 0, with messages from 3 on.
            ApiKey::Produce => (3, versions.max),
            // Version 6 is there, but not advertised yet.
            ApiKey::InitProducerId => (versions.min, 6),
            _ => (versions.min, versions.max),
        };
        (min..=max).map(|version| (versions.key as i16, version))
    })
}

/// All samples of one API and version.
pub fn samples(key: i16, version: i16, direction: Direction) -> Vec<Sample> {
    let encode = |seed: Option<u64>| {
        let encoded = match (direction, seed) {
            (Direction::Request, Some(seed)) => fill::request(key, version, seed),
            (Direction::Response, Some(seed)) => fill::response(key, version, seed),
            (Direction::Request, None) => fill::default_request(key, version),
            (Direction::Response, None) => fill::default_response(key, version),
        };
        let origin = seed.map_or("defaults".into(), |seed| format!("seed {seed}"));
        let bytes =
            encoded.unwrap_or_else(|error| panic!("{direction:?} {key} v{version} {origin}: {error}"));
        Sample { key, version, direction, bytes, origin }
    };
    (0..SEEDS).map(Some).chain([None]).map(encode).collect()
}

impl Sample {
    /// Fails unless the oracle took all bytes and gave back the same.
    pub fn compare(&self, left_over: usize, theirs: &[u8]) {
        let Sample { key, version, direction, origin, .. } = self;
        assert_eq!(left_over, 0, "{direction:?} {key} v{version} {origin}: not all was decoded");
        assert_eq!(theirs, self.bytes, "{direction:?} {key} v{version} {origin}");
    }
}
