//! Batches of another codec than the log keeps.

use super::more::put_varint;
use super::*;
use crate::batch::{BatchHeader, HEADER_BYTES};
use crate::{AppendError, Compression, CompressionTarget, TimestampType};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn keeping(codec: Compression) -> LogConfig {
    let compression = Some(CompressionTarget { codec, gzip_level: None });
    LogConfig { compression, ..LogConfig::default() }
}

/// A record of less than 64 bytes but for its value: time, offset, no key, a value, no headers.
fn record(timestamp_delta: u8, number: u8, value: &[u8]) -> Vec<u8> {
    let mut body = vec![0, timestamp_delta * 2, number * 2, 1];
    put_varint(&mut body, value.len() as i64);
    body.extend_from_slice(value);
    body.push(0);
    let mut bytes = Vec::new();
    put_varint(&mut bytes, body.len() as i64);
    bytes.extend_from_slice(&body);
    bytes
}

fn records(values: &[Vec<u8>]) -> Vec<u8> {
    // The one in the middle is the youngest.
    let time = |number: usize| if number == 1 { 30 } else { 0 };
    values.iter().enumerate().flat_map(|(number, value)| record(time(number), number as u8, value)).collect()
}

/// A batch of producer 9 in its epoch 3; its header tells too early a largest timestamp.
fn batch_in(codec: Compression, (count, sequence): (i32, i32), records: &[u8]) -> Vec<u8> {
    let payload = compression::compress(codec, records).expect("compresses");
    let mut bytes = batch_of(count, &payload);
    bytes[22] = codec as u8;
    by_producer(bytes, 9, 3, sequence)
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let header = BatchHeader::verify(bytes).expect("a batch");
    let codec = compression::codec(header.compression()).expect("a codec");
    let mut records = Vec::new();
    compression::decompress(codec, &bytes[HEADER_BYTES..header.bytes], &mut records).expect("decompresses");
    records
}

/// Runs a body with a partition of this configuration.
fn with<F: Future<Output = ()> + 'static>(
    seed: u64,
    config: LogConfig,
    body: impl FnOnce(Store, Partition) -> F + 'static,
) {
    let mut rig = Rig::new(seed);
    let run = rig.begin();
    let options = rig.options(&run);
    rig.run(&run, async move {
        let (store, _) = start(options).await;
        let partition = store.create_partition(spec_with(0, config)).await.expect("creates");
        body(store.clone(), partition).await;
        store.stop().await.expect("stops");
    });
}

#[test]
fn every_codec_becomes_every_other_and_the_rest_stays() {
    let values = [b"a".repeat(20), Vec::new(), b"lines\n".repeat(30_000)];
    let plain = records(&values);
    for (seed, kept) in (800..).zip(CODECS) {
        let plain = plain.clone();
        with(seed, keeping(kept), move |store, partition| async move {
            for (number, codec) in CODECS.into_iter().enumerate() {
                let sent = batch_in(codec, (3, 70 + 3 * number as i32), &plain);
                let made = match codec == kept {
                    true => sent.clone(),
                    false => {
                        assert_eq!(partition.append(&sent, &context()).err(), Some(AppendError::OtherCodec));
                        partition.recompress(&sent, &context()).await.expect("becomes another")
                    }
                };
                let (was, is) = (BatchHeader::parse(&sent).unwrap(), BatchHeader::verify(&made).unwrap());
                assert_eq!((is.compression(), is.bytes), (kept as i16, made.len()), "{codec:?} {kept:?}");
                assert_eq!((is.count, is.last_offset_delta), (3, 2));
                assert_eq!((is.producer_id, is.producer_epoch), (9, 3));
                assert_eq!(is.base_sequence, was.base_sequence);
                assert_eq!(is.base_timestamp, NOW);
                let newest = if codec == kept { NOW } else { NOW + 30 };
                assert_eq!(is.max_timestamp, newest, "what the records say");
                assert!(unpacked(&made) == plain, "{codec:?} {kept:?}");
                let base = append(&store, &partition, &made).await.expect("appends");
                assert_eq!(base, Offset(3 * number as i64));
            }
            let read = read_all(&partition, Offset(0), 1 << 20).await.expect("reads");
            let mut all = &read[..];
            while !all.is_empty() {
                let header = BatchHeader::verify(all).expect("a batch");
                assert_eq!(header.compression(), kept as i16);
                assert!(unpacked(all) == plain);
                all = &all[header.bytes..];
            }
            assert_eq!(partition.offsets().log_end, Offset(15));
        });
    }
}

#[test]
fn several_batches_of_one_append_stay_together() {
    with(810, keeping(Compression::Lz4), move |store, partition| async move {
        let plain = records(&[b"one".to_vec(), b"two".to_vec()]);
        let of_nobody = |codec: Compression| {
            let mut bytes = batch_of(2, &compression::compress(codec, &plain).expect("compresses"));
            bytes[22] = codec as u8;
            batch::seal(&mut bytes);
            bytes
        };
        let sent = [of_nobody(Compression::Lz4), of_nobody(Compression::None), of_nobody(Compression::Gzip)];
        let made = partition.recompress(&sent.concat(), &context()).await.expect("becomes another");
        assert!(made.starts_with(&sent[0]), "what has the codec stays to the byte");
        append(&store, &partition, &made).await.expect("appends");
        assert_eq!(partition.offsets().log_end, Offset(6));
    });
}

#[test]
fn the_brokers_time_and_the_coordinators_batches() {
    let config = LogConfig { timestamp_type: TimestampType::LogAppendTime, ..keeping(Compression::Snappy) };
    with(811, config, move |store, partition| async move {
        let plain = records(&[b"x".to_vec(), b"y".to_vec()]);
        let made = partition.recompress(&batch_in(Compression::Zstd, (2, 0), &plain), &context()).await;
        append(&store, &partition, &made.expect("becomes another")).await.expect("appends");
        let all = read_all(&partition, Offset(0), 1 << 20).await.expect("reads");
        let header = BatchHeader::verify(&all).expect("a batch with the right CRC");
        assert!(header.is_log_append_time() && header.max_timestamp == NOW);
        assert_eq!(header.compression(), Compression::Snappy as i16);
        let coordinator = AppendContext { origin: Origin::Coordinator, ..context() };
        partition.append(&batch_of(1, &record(0, 0, b"own")), &coordinator).expect("stays as it is");
    });
}

#[test]
fn what_is_no_batch_is_refused_and_nothing_grows_beyond_the_limit() {
    let config = LogConfig { max_message_bytes: 100_000, ..keeping(Compression::None) };
    with(812, config, move |_, partition| async move {
        let (one, two) = (record(0, 0, b"one"), record(0, 1, b"two"));
        let refused = |records: Vec<u8>| {
            let partition = partition.clone();
            async move {
                let sent = batch_in(Compression::Gzip, (2, 0), &records);
                partition.recompress(&sent, &context()).await.expect_err("refused")
            }
        };
        let wrong: [Vec<u8>; 5] = [
            [&two[..], &one].concat(),
            [&one[..], &two, &[0]].concat(),
            [&one[..], &two[..4]].concat(),
            one.clone(),
            vec![0x7f; 30],
        ];
        for records in wrong {
            assert!(matches!(refused(records.clone()).await, AppendError::InvalidRecord(_)), "{records:?}");
        }
        // 30 MB of zeros in some 30 KB.
        let bomb = [record(0, 0, &vec![0; 30 << 20]), two.clone()].concat();
        let error = refused(bomb).await;
        assert!(matches!(error, AppendError::MessageTooLarge { bytes, limit: 100_000 } if bytes < 250_000));
        let mut damaged = batch_in(Compression::Gzip, (2, 0), &[&one[..], &two].concat());
        damaged[HEADER_BYTES + 12] ^= 0xff;
        let error = partition.recompress(&damaged, &context()).await.expect_err("another CRC");
        assert!(matches!(error, AppendError::CorruptMessage(what) if what.contains("CRC")));
        batch::seal(&mut damaged);
        partition.recompress(&damaged, &context()).await.expect_err("no gzip");
    });
}
