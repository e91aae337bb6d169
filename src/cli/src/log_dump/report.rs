//! What a dump prints.
//!
//! JSON is one object a line: `{"file":…}`, then what is in it, `{"damage":…}` among it, then `{"end":…}`.

use crate::failure::Failure;
use crate::output::{Output, byte_size, thousands};
use crate::progress::Progress;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

/// Prints, and counts what is wrong.
pub(super) struct Report {
    output: Box<dyn Sink>,
    json: bool,
    file: PathBuf,
    flaws_of_file: u64,
    flaws: u64,
    files_with_flaws: u64,
    progress: Progress,
    /// Records and bytes of the files before, and those of this one so far.
    passed: (u64, u64),
    here: (u64, u64),
}

/// Where lines go.
pub(super) trait Sink {
    fn line(&mut self, text: &str) -> Result<(), Failure>;
    fn flush(&mut self) -> Result<(), Failure>;
}

impl Sink for Output {
    fn line(&mut self, text: &str) -> Result<(), Failure> {
        Output::line(self, text)
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Output::flush(self)
    }
}

impl Report {
    pub fn new(json: bool) -> Report {
        // Between lines on a terminal it would disturb.
        let progress = Progress::new(!io::stdout().is_terminal());
        Report { progress, ..Report::to(Box::new(Output::stdout()), json) }
    }

    /// A report that is printed somewhere else.
    pub fn to(output: Box<dyn Sink>, json: bool) -> Report {
        Report {
            output,
            json,
            file: PathBuf::new(),
            flaws_of_file: 0,
            flaws: 0,
            files_with_flaws: 0,
            progress: Progress::new(false),
            passed: (0, 0),
            here: (0, 0),
        }
    }

    /// A file comes.
    pub fn begin(&mut self, path: &Path, kind: &str, length: u64) -> Result<(), Failure> {
        self.file = path.to_owned();
        self.flaws_of_file = 0;
        self.print(
            || format!("{}: {kind}, {} bytes", path.display(), thousands(length)),
            || json!({ "file": path.to_string_lossy(), "kind": kind, "bytes": length }),
        )
    }

    /// So many records and bytes of the file are read. Shows that where it disturbs nobody.
    pub fn progress(&mut self, records: u64, bytes: u64) {
        self.here = (records, bytes);
        self.progress.show(self.passed.0 + records, self.passed.1 + bytes);
    }

    /// Something in the file, as text or as JSON.
    pub fn print(
        &mut self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Value,
    ) -> Result<(), Failure> {
        let line = if self.json { json().to_string() } else { text() };
        self.output.line(&line)
    }

    /// What a reader should know that is no damage.
    pub fn note(&mut self, position: u64, what: &str) -> Result<(), Failure> {
        self.print(
            || format!("  at byte {position}: {what}"),
            || json!({ "note": { "position": position, "what": what } }),
        )
    }

    /// Something is wrong with the file.
    pub fn damage(&mut self, position: u64, what: impl Display, then: &str) -> Result<(), Failure> {
        self.flaws_of_file += 1;
        let file = self.file.clone();
        self.print(
            || format!("  DAMAGE in {} at byte {position}: {what}; {then}", file.display()),
            || {
                let file = file.to_string_lossy();
                let what = what.to_string();
                json!({ "damage": { "file": file, "position": position, "what": what, "then": then } })
            },
        )
    }

    /// A file that is not printed at all.
    pub fn unreadable(&mut self, path: &Path, what: &str) -> Result<(), Failure> {
        self.flaws += 1;
        self.files_with_flaws += 1;
        self.print(
            || format!("{}: not printed: {what}", path.display()),
            || json!({ "file": path.to_string_lossy(), "error": what }),
        )
    }

    /// The file is done.
    pub fn end(&mut self) -> Result<(), Failure> {
        let (records, bytes) = std::mem::take(&mut self.here);
        self.passed = (self.passed.0 + records, self.passed.1 + bytes);
        self.flaws += self.flaws_of_file;
        self.files_with_flaws += u64::from(self.flaws_of_file > 0);
        let (file, flaws) = (self.file.clone(), self.flaws_of_file);
        match self.json {
            true => self.output.line(&json!({ "end": file.to_string_lossy(), "flaws": flaws }).to_string()),
            false => Ok(()),
        }
    }

    /// All files are done.
    ///
    /// # Errors
    /// If any was damaged or unreadable.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.output.flush()?;
        let what = match self.flaws {
            0 => return Ok(()),
            1 => "1 flaw in 1 of the files".to_owned(),
            flaws => format!("{flaws} flaws in {} of the files", self.files_with_flaws),
        };
        Err(Failure::other(what, "each is printed where it was found"))
    }
}

/// A count of bytes for text.
pub(super) fn size(bytes: u64) -> String {
    byte_size(bytes)
}
