//! `flumen log dump`: what is in the files of a data directory, without a broker.
//!
//! A file is known by its first bytes, or else by its name and place. Damage is printed where it is found, with the
//! position and what is wrong; then reading goes on behind it where that can be done, and the command ends with
//! exit code 1. A file is read in pieces: a segment needs no more memory than its largest batch.
//!
//! - `segment`: `.log`, Kafka record batches (Kafka's own segments, too); also of segments that are to be removed or put
//!   in place.
//! - `index`: `.index` and `.timeindex`.
//! - `metadata`: the metadata log and its snapshots, by `controller::inspect`.
//! - `file`: bytes at positions.
//! - `journal`: a shard's journal files and checkpoints, by `storage::inspect`.
//! - `small`: what lies beside segments: aborted transactions, producers, leader epochs, how far a log was compacted; and
//!   whether `node.toml` is whole.
//! - `report`: what is printed, as text or JSON.
//!
//! Of other files that belong to a data directory (`docs/formats/directory.md`) one line says what they are.

mod file;
mod index;
mod journal;
mod metadata;
mod report;
mod segment;
mod small;

use crate::args::OutputArgs;
use crate::failure::Failure;
use clap::{Args, Subcommand};
use file::DumpFile;
use report::Report;
use std::path::{Path, PathBuf};

/// What to do with files.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Print what is in segments, indexes, journals, checkpoints and metadata files, and what is damaged
    Dump(DumpArgs),
}

/// `flumen log dump`.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 1 if anything is damaged. A running broker writes to the end of its newest files: what looks \
cut off there may be on its way.

Examples:
  flumen log dump flumen-data/topics/*/0/*.log
  flumen log dump --records 00000000000000000000.log
  flumen log dump flumen-data/checkpoint flumen-data/shard-0/journal/*.journal
  flumen log dump --output json *.index *.timeindex")]
pub struct DumpArgs {
    /// Files of a data directory
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the records of each batch or commit, too
    #[arg(short, long)]
    records: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Segment,
    OffsetIndex,
    TimeIndex,
    MetadataLog,
    MetadataSnapshot,
    Journal,
    Checkpoint,
    Aborted,
    Producers,
    Epochs,
    Cleaner,
    /// `node.toml`.
    Node,
    Lock,
    Reserve,
    /// Another name of a file that was being written.
    Unfinished,
}

/// The first bytes of Flumen's own files, and what they are.
const MAGICS: [(&[u8], Kind); 6] = [
    (b"FLUMETAL", Kind::MetadataLog),
    (b"FLUMETAS", Kind::MetadataSnapshot),
    (b"FLMK", Kind::Checkpoint),
    (b"FLMF", Kind::Journal),
    (b"FLMP", Kind::Producers),
    (b"FLMC", Kind::Cleaner),
];

impl Kind {
    fn of(path: &Path, file: &DumpFile) -> std::io::Result<Option<Kind>> {
        let mut head = [0; 8];
        let have = file.read_up_to(0, &mut head)?;
        let of_magic = MAGICS.iter().find(|(magic, _)| head[..have].starts_with(magic));
        if let Some((_, kind)) = of_magic {
            return Ok(Some(*kind));
        }
        Ok(Kind::of_name(path))
    }

    fn of_name(path: &Path) -> Option<Kind> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("checkpoint") => return Some(Kind::Checkpoint),
            Some("leader-epoch-checkpoint") => return Some(Kind::Epochs),
            Some("cleaner-state") => return Some(Kind::Cleaner),
            Some("node.toml") => return Some(Kind::Node),
            Some("lock") if lies_with_node(path) => return Some(Kind::Lock),
            Some("reserve") if lies_with_node(path) => return Some(Kind::Reserve),
            _ => {}
        }
        let of_metadata = lies_with_metadata(path);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") if of_metadata => Some(Kind::MetadataLog),
            Some("snapshot") if of_metadata => Some(Kind::MetadataSnapshot),
            Some("log" | "deleted" | "cleaned" | "swap") => Some(Kind::Segment),
            Some("index") => Some(Kind::OffsetIndex),
            Some("timeindex") => Some(Kind::TimeIndex),
            Some("txnindex") => Some(Kind::Aborted),
            Some("snapshot") => Some(Kind::Producers),
            // Zeros, until it is used.
            Some("journal") => Some(Kind::Journal),
            Some(ending @ ("new" | "tmp")) => {
                let whole = Kind::of_name(&path.with_extension(""));
                whole.filter(|kind| kind.is_written_as(ending)).map(|_| Kind::Unfinished)
            }
            _ => None,
        }
    }

    /// Whether files of this kind are written under a name with this ending, and then renamed.
    fn is_written_as(self, ending: &str) -> bool {
        match self {
            Kind::MetadataSnapshot => ending == "tmp",
            Kind::OffsetIndex
            | Kind::TimeIndex
            | Kind::Aborted
            | Kind::Producers
            | Kind::Checkpoint
            | Kind::Epochs
            | Kind::Cleaner
            | Kind::Node => ending == "new",
            _ => false,
        }
    }
}

pub(crate) fn run(command: LogCommand) -> Result<(), Failure> {
    let LogCommand::Dump(args) = command;
    let mut report = Report::new(args.output.is_json());
    for path in &args.files {
        dump(path, args.records, &mut report)?;
    }
    report.finish()
}

/// Prints a file. What is wrong with it is in the report; an error is about the output.
fn dump(path: &Path, records: bool, report: &mut Report) -> Result<(), Failure> {
    let opened = DumpFile::open(path).and_then(|file| Ok((Kind::of(path, &file)?, file)));
    let (kind, file) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            return report.unreadable(path, &error.to_string());
        }
    };
    let name = match kind {
        Some(Kind::Segment) => "segment",
        Some(Kind::OffsetIndex) => "offset index",
        Some(Kind::TimeIndex) => "time index",
        Some(Kind::MetadataLog) => "metadata log",
        Some(Kind::MetadataSnapshot) => "metadata snapshot",
        Some(Kind::Journal) => "journal",
        Some(Kind::Checkpoint) => "checkpoint",
        Some(Kind::Aborted) => "aborted transactions",
        Some(Kind::Producers) => "producers",
        Some(Kind::Epochs) => "leader epochs",
        Some(Kind::Cleaner) => "cleaner state",
        Some(Kind::Node) => "whose the data directory is",
        Some(Kind::Lock) => "lock for one broker at a time",
        Some(Kind::Reserve) => "space kept for a full disk",
        Some(Kind::Unfinished) => "unfinished file that no start reads",
        None => {
            let what =
                "neither its name and place nor its first bytes are those of a file of a data directory";
            return report.unreadable(path, what);
        }
    };
    report.begin(path, name, file.length())?;
    let result = match kind {
        Some(Kind::OffsetIndex) => index::dump_offsets(&file, report),
        Some(Kind::TimeIndex) => index::dump_times(&file, report),
        Some(Kind::Journal) => journal::dump(&file, records, report),
        Some(Kind::Checkpoint) => journal::dump_checkpoint(&file, report),
        Some(Kind::Aborted) => small::dump_aborted(path, &file, report),
        Some(Kind::Producers) => small::dump_producers(path, &file, report),
        Some(Kind::Epochs) => small::dump_epochs(&file, report),
        Some(Kind::Cleaner) => small::dump_cleaner(&file, report),
        Some(Kind::Node) => small::check_node(&file, report),
        // There is nothing to be read in them.
        Some(Kind::Lock | Kind::Reserve | Kind::Unfinished) => Ok(()),
        Some(Kind::MetadataLog | Kind::MetadataSnapshot) => metadata::dump(&file, records, report),
        _ => segment::dump(path, &file, records, report),
    };
    match result {
        Ok(()) => report.end(),
        Err(DumpError::Output(failure)) => Err(failure),
        Err(DumpError::Read { position, error }) => {
            report.damage(position, format!("cannot be read: {error}"), "the rest is left out")?;
            report.end()
        }
    }
}

/// Whether a file lies where the metadata's do, which have the names of segments and of snapshots of producers: if its
/// first bytes are damaged, nothing else tells.
fn lies_with_metadata(path: &Path) -> bool {
    let absolute = std::path::absolute(path).ok();
    let directory = absolute.as_deref().and_then(Path::parent).and_then(Path::file_name);
    directory.is_some_and(|name| name == "metadata")
}

/// Whether a file lies at the top of a data directory.
fn lies_with_node(path: &Path) -> bool {
    path.with_file_name("node.toml").is_file()
}

/// The offset in a file's name, behind which there may be more than one extension.
fn base_offset(path: &Path) -> Option<i64> {
    path.file_name()?.to_str()?.split(['.', '-']).next()?.parse().ok()
}

/// Why a dump ends early.
#[derive(Debug)]
enum DumpError {
    /// The device does not give the bytes.
    Read { position: u64, error: std::io::Error },
    /// Nobody takes what is printed.
    Output(Failure),
}

impl From<Failure> for DumpError {
    fn from(failure: Failure) -> DumpError {
        DumpError::Output(failure)
    }
}

#[cfg(test)]
mod tests;
