//! Tests across modules; those of one module are in it.

mod fields;
mod hostile;
mod round_trip;
mod views;

use crate::{API_VERSIONS, ApiKey};

/// Every API in every version that has messages, with Produce from 3 and InitProducerId to 6.
fn every_version() -> impl Iterator<Item = (i16, i16)> {
    API_VERSIONS.iter().flat_map(|versions| {
        let (min, max) = match versions.key {
            ApiKey::Produce => (3, versions.max),
            ApiKey::InitProducerId => (versions.min, 6),
            _ => (versions.min, versions.max),
        };
        (min..=max).map(|version| (versions.key as i16, version))
    })
}
