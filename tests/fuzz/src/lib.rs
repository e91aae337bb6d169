//! What the fuzz targets do with their input: a module a target, so that `tests/corpus.rs` can run the committed
//! inputs through the same code without a fuzzer.
//!
//! Every target's first demand is that nothing panics, and that no memory is taken by a length that the input merely
//! claims: libFuzzer is told to refuse one allocation of 256 MiB. What else each demands stands at its function.

pub mod append;
pub mod compression;
pub mod config;
pub mod coordinator_records;
pub mod frames;
pub mod front_door;
pub mod inspect;
pub mod metadata;
pub mod otlp;
pub mod record_batch;
pub mod recovery;
pub mod request;
pub mod response;
pub mod start_files;

/// The API key and version in front of a message's bytes.
fn api(data: &[u8]) -> Option<(i16, i16, &[u8])> {
    let (head, body) = data.split_first_chunk::<4>()?;
    Some((i16::from_be_bytes([head[0], head[1]]), i16::from_be_bytes([head[2], head[3]]), body))
}
