//! Segments: Kafka record batches of magic 2, one behind the other.

use super::file::DumpFile;
use super::report::{Report, size};
use super::{DumpError, base_offset};
use crate::output::{headers_json, put_bytes};
use crate::timestamp;
use client::compression;
use kafka_wire::record_batch::layout::{BASE_OFFSET, BATCH_LENGTH, HEADER_LENGTH, LENGTH_OVERHEAD, MAGIC};
use kafka_wire::record_batch::{Compression, MAGIC_V2, Record, RecordIter, TimestampType};
use kafka_wire::{RecordBatch, WireError};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A batch that claims more is not believed. Twice what a request may have in Kafka by default.
const BATCH_BYTES_MAX: usize = 200 << 20;
/// How much is searched at once for the next batch.
const SEARCH_BYTES: usize = 1 << 20;

/// What was found in a segment.
#[derive(Default)]
struct Totals {
    batches: u64,
    records: u64,
    bytes: u64,
}

/// Where a dump stands.
struct Cursor<'a> {
    file: &'a DumpFile,
    position: u64,
    /// The least offset that the next batch may have.
    next_offset: i64,
    totals: Totals,
    /// The memory for records that are decompressed.
    scratch: Vec<u8>,
}

/// Prints all batches, and with `records` what is in them.
pub(super) fn dump(
    path: &Path,
    file: &DumpFile,
    records: bool,
    report: &mut Report,
) -> Result<(), DumpError> {
    let mut cursor = Cursor {
        file,
        position: 0,
        next_offset: base_offset(path).unwrap_or(0),
        totals: Totals::default(),
        scratch: Vec::new(),
    };
    let mut bytes = Vec::new();
    while cursor.position < file.length() {
        report.progress(cursor.totals.records, cursor.position);
        match cursor.read_batch(&mut bytes)? {
            Ok(()) => cursor.print_batch(&bytes, records, report)?,
            Err(what) => cursor.skip_damage(&what, report)?,
        }
    }
    report.progress(cursor.totals.records, cursor.position);
    let Totals { batches, records, bytes } = cursor.totals;
    report.print(
        || format!("  {batches} batches, {records} records, {}", size(bytes)),
        || json!({ "totals": { "batches": batches, "records": records, "bytes": bytes } }),
    )?;
    Ok(())
}

impl Cursor<'_> {
    /// Reads the batch at the position; or says why there is none. Its checksum is not looked at.
    fn read_batch(&self, bytes: &mut Vec<u8>) -> Result<Result<(), String>, DumpError> {
        self.file.read(self.position, HEADER_LENGTH, bytes)?;
        let length = match plausible_length(bytes, self.file.length() - self.position) {
            Ok(length) => length,
            Err(what) => return Ok(Err(what)),
        };
        self.file.read(self.position, length, bytes)?;
        Ok(match RecordBatch::split_first(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Prints a batch whose length can be believed, and what is wrong with it.
    fn print_batch(&mut self, bytes: &[u8], records: bool, report: &mut Report) -> Result<(), DumpError> {
        let Ok((batch, _)) = RecordBatch::split_first(bytes) else { return Ok(()) };
        let position = self.position;
        if batch.crc() != batch.compute_crc() {
            // Its length may be part of the damage: whole batches behind it decide.
            let what = format!(
                "checksum {:#010x} instead of {:#010x} in the batch of offset {}",
                batch.crc(),
                batch.compute_crc(),
                batch.base_offset()
            );
            return self.skip_damage(&what, report);
        }
        report.print(|| batch_text(position, &batch), || batch_json(position, &batch))?;
        if batch.base_offset() < self.next_offset {
            let what = format!("offset {} where {} is the least", batch.base_offset(), self.next_offset);
            report.damage(position, what, "going on with the next batch")?;
        }
        match self.print_records(&batch, records, report)? {
            Ok(()) => {}
            Err(what) => {
                let what = format!("records of the batch of offset {}: {what}", batch.base_offset());
                report.damage(position, what, "going on with the next batch")?;
            }
        }
        self.totals.batches += 1;
        self.totals.records += u64::try_from(batch.record_count()).unwrap_or(0);
        self.totals.bytes += bytes.len() as u64;
        self.next_offset = self.next_offset.max(batch.last_offset().saturating_add(1));
        self.position += bytes.len() as u64;
        Ok(())
    }

    /// Goes through the records, whether they are printed or not.
    fn print_records(
        &mut self,
        batch: &RecordBatch<'_>,
        print: bool,
        report: &mut Report,
    ) -> Result<Result<(), String>, DumpError> {
        let payload = match batch.compression() {
            Err(error) => return Ok(Err(error.to_string())),
            Ok(Compression::None) => batch.payload(),
            Ok(codec) => match compression::decompress(codec, batch.payload(), &mut self.scratch) {
                Ok(()) => &self.scratch,
                Err(error) => return Ok(Err(error.to_string())),
            },
        };
        let records = match RecordIter::new(payload, batch.record_count()) {
            Ok(records) => records,
            Err(error) => return Ok(Err(error.to_string())),
        };
        for record in records {
            match record {
                Ok(record) if print => {
                    report.print(|| record_text(batch, &record), || record_json(batch, &record))?;
                }
                Ok(_) => {}
                Err(error) => return Ok(Err(error.to_string())),
            }
        }
        Ok(Ok(()))
    }

    /// Says what is wrong here and goes on at the next batch that is whole, or at the end.
    fn skip_damage(&mut self, what: &str, report: &mut Report) -> Result<(), DumpError> {
        let position = self.position;
        let left = self.file.length() - position;
        // The first bytes of a batch are zeros as often as not: too few of them are a batch cut off.
        if left >= HEADER_LENGTH as u64 && self.is_zero_to_the_end()? {
            report
                .note(position, &format!("{} of zeros to the end of the file: room for more", size(left)))?;
            self.position = self.file.length();
            return Ok(());
        }
        match self.find_batch(position + 1)? {
            Some(next) => {
                let then = format!("going on with a whole batch {} bytes behind", next - position);
                report.damage(position, what, &then)?;
                self.position = next;
            }
            None => {
                report.damage(position, what, &format!("no whole batch in the {left} bytes to the end"))?;
                self.position = self.file.length();
            }
        }
        Ok(())
    }

    fn is_zero_to_the_end(&self) -> Result<bool, DumpError> {
        let (mut position, mut bytes) = (self.position, Vec::new());
        while position < self.file.length() {
            self.file.read(position, SEARCH_BYTES, &mut bytes)?;
            if bytes.is_empty() {
                break;
            }
            if bytes.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            position += bytes.len() as u64;
        }
        Ok(true)
    }

    /// The first position from `begin` on at which there is a batch whose checksum matches.
    fn find_batch(&self, begin: u64) -> Result<Option<u64>, DumpError> {
        let (mut window, mut batch) = (Vec::new(), Vec::new());
        let mut begin = begin;
        while begin < self.file.length() {
            self.file.read(begin, SEARCH_BYTES + HEADER_LENGTH, &mut window)?;
            for (at, header) in window.windows(HEADER_LENGTH).enumerate() {
                let position = begin + at as u64;
                let left = self.file.length() - position;
                if header[MAGIC] != MAGIC_V2 as u8 || header[BASE_OFFSET] & 0x80 != 0 {
                    continue;
                }
                let Ok(length) = plausible_length(header, left) else { continue };
                self.file.read(position, length, &mut batch)?;
                let found = RecordBatch::split_first(&batch);
                if found.is_ok_and(|(batch, _)| batch.crc() == batch.compute_crc()) {
                    return Ok(Some(position));
                }
            }
            begin += SEARCH_BYTES as u64;
        }
        Ok(None)
    }
}

/// The length of the batch with this header, if it can be one where `left` bytes are left.
fn plausible_length(header: &[u8], left: u64) -> Result<usize, String> {
    if header.len() < HEADER_LENGTH {
        return Err(format!("{left} bytes, of the {HEADER_LENGTH} of a batch's header"));
    }
    let magic = header[MAGIC] as i8;
    if magic != MAGIC_V2 {
        return Err(WireError::UnsupportedMagic(magic).to_string());
    }
    let length = i32::from_be_bytes(std::array::from_fn(|at| header[BATCH_LENGTH + at]));
    let length = usize::try_from(length).unwrap_or(0) + LENGTH_OVERHEAD;
    if !(HEADER_LENGTH..=BATCH_BYTES_MAX).contains(&length) {
        return Err(format!("a batch cannot have {length} bytes"));
    }
    if length as u64 > left {
        return Err(format!("a batch of {length} bytes is cut off after {left}"));
    }
    Ok(length)
}

/// What is special about a batch.
fn flags(batch: &RecordBatch<'_>) -> Vec<&'static str> {
    let flags = [
        (batch.is_transactional(), "transactional"),
        (batch.is_control(), "control"),
        (batch.timestamp_type() == TimestampType::LogAppendTime, "log-append-time"),
        (batch.has_delete_horizon(), "delete-horizon"),
    ];
    flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect()
}

fn codec_name(batch: &RecordBatch<'_>) -> &'static str {
    batch.compression().map_or("unknown", compression::name)
}

fn batch_text(position: u64, batch: &RecordBatch<'_>) -> String {
    let mut text = format!(
        "  byte {position}: offsets {}..{}, {} records, {} bytes, epoch {}, {}, {}",
        batch.base_offset(),
        batch.last_offset(),
        batch.record_count(),
        batch.bytes().len(),
        batch.leader_epoch(),
        timestamp::format(batch.max_timestamp()),
        codec_name(batch),
    );
    if batch.producer_id() >= 0 {
        text += &format!(
            ", producer {}:{} sequence {}",
            batch.producer_id(),
            batch.producer_epoch(),
            batch.base_sequence()
        );
    }
    for flag in flags(batch) {
        text += ", ";
        text += flag;
    }
    text
}

fn batch_json(position: u64, batch: &RecordBatch<'_>) -> Value {
    json!({ "batch": {
        "position": position,
        "bytes": batch.bytes().len(),
        "base_offset": batch.base_offset(),
        "last_offset": batch.last_offset(),
        "records": batch.record_count(),
        "leader_epoch": batch.leader_epoch(),
        "base_timestamp": batch.base_timestamp(),
        "max_timestamp": batch.max_timestamp(),
        "compression": codec_name(batch),
        "producer_id": batch.producer_id(),
        "producer_epoch": batch.producer_epoch(),
        "base_sequence": batch.base_sequence(),
        "flags": flags(batch),
        "crc": batch.crc(),
    }})
}

fn offset_of(batch: &RecordBatch<'_>, record: &Record<'_>) -> i64 {
    batch.base_offset().saturating_add(record.offset_delta.into())
}

fn timestamp_of(batch: &RecordBatch<'_>, record: &Record<'_>) -> i64 {
    match batch.timestamp_type() {
        TimestampType::CreateTime => batch.base_timestamp().saturating_add(record.timestamp_delta),
        TimestampType::LogAppendTime => batch.max_timestamp(),
    }
}

fn record_text(batch: &RecordBatch<'_>, record: &Record<'_>) -> String {
    let shown = |bytes: Option<&[u8]>| match bytes {
        None => "null".to_owned(),
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    };
    let mut text = format!(
        "    {} {} key={} value={}",
        offset_of(batch, record),
        timestamp::format(timestamp_of(batch, record)),
        shown(record.key),
        shown(record.value),
    );
    for header in record.headers {
        text += &format!(" {}={}", header.key.escape_ascii(), shown(header.value));
    }
    text
}

fn record_json(batch: &RecordBatch<'_>, record: &Record<'_>) -> Value {
    let mut object = Map::new();
    object.insert("offset".to_owned(), json!(offset_of(batch, record)));
    object.insert("timestamp".to_owned(), json!(timestamp_of(batch, record)));
    put_bytes(&mut object, "key", record.key);
    put_bytes(&mut object, "value", record.value);
    object.insert("headers".to_owned(), headers_json(record.headers));
    json!({ "record": object })
}
