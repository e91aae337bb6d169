//! What a dump prints.
//!
//! JSON is one object a line: `{"file":…}`, then what is in it, `{"damage":…}` among it, then `{"end":…}`.

use crate::failure::Failure;
use crate::output::{Output, byte_size, thousands};
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Prints, and counts what is wrong.
pub(super) struct Report {
    output: Box<dyn Sink>,
    json: bool,
    file: PathBuf,
    flaws_of_file: u64,
    flaws: u64,
    files_with_flaws: u64,
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
        Report::to(Box::new(Output::stdout()), json)
    }

    /// A report that is printed somewhere else.
    pub fn to(output: Box<dyn Sink>, json: bool) -> Report {
        Report { output, json, file: PathBuf::new(), flaws_of_file: 0, flaws: 0, files_with_flaws: 0 }
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
        match self.flaws {
            0 => Ok(()),
            flaws => Err(Failure::other(
                format!("{flaws} flaws in {} of the files", self.files_with_flaws),
                "each is printed where it was found",
            )),
        }
    }
}

/// A count of bytes for text.
pub(super) fn size(bytes: u64) -> String {
    byte_size(bytes)
}
