//! Reading lines from a stream, in a thread of its own.

use crate::failure::Failure;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// The most that is read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that wait to be taken.
const PIECES_MAX: usize = 4;
/// A longer line is refused: no broker takes it, and it would have to be held in memory.
const LINE_BYTES_MAX: usize = 100 << 20;

/// Whole lines, one after another.
pub(super) struct Piece {
    bytes: Vec<u8>,
    first_number: u64,
}

/// A line in a piece.
pub(super) struct NumberedLine<'a> {
    /// Counted from 1.
    pub number: u64,
    /// Without its end.
    pub bytes: &'a [u8],
}

impl Piece {
    /// The lines; `\r\n` ends one as `\n` does. What follows the last `\n` of the input is a line, too.
    pub fn lines(&self) -> impl Iterator<Item = NumberedLine<'_>> {
        let whole = self.bytes.strip_suffix(b"\n").unwrap_or(&self.bytes);
        let lines = whole.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        lines.zip(self.first_number..).map(|(bytes, number)| NumberedLine { number, bytes })
    }
}

/// Key and value of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
}

impl<'a> Line<'a> {
    /// Splits at the first separator; `None` if there must be one and is not.
    pub fn split(line: &'a [u8], separator: Option<&[u8]>) -> Option<Line<'a>> {
        let Some(separator) = separator else { return Some(Line { key: None, value: line }) };
        let at = line.windows(separator.len()).position(|window| window == separator)?;
        Some(Line { key: Some(&line[..at]), value: &line[at + separator.len()..] })
    }
}

/// What came next.
pub(super) enum Next {
    /// Lines.
    Piece(Piece),
    /// Nothing, in the time given.
    Idle,
    /// The end of the stream.
    End,
}

/// Gets pieces from the reading thread.
pub(super) struct LineReader {
    pieces: Receiver<io::Result<Piece>>,
}

impl LineReader {
    /// Reads standard input. The thread ends with the stream or with the process.
    pub fn stdin() -> LineReader {
        LineReader::new(io::stdin())
    }

    fn new(source: impl Read + Send + 'static) -> LineReader {
        let (sender, pieces) = sync_channel(PIECES_MAX);
        thread::spawn(move || {
            if let Err(error) = read_pieces(source, &sender) {
                // Nobody listens any more if this fails.
                let _ = sender.send(Err(error));
            }
        });
        LineReader { pieces }
    }

    /// The next piece, waited for no longer than `wait`.
    pub fn next(&mut self, wait: Duration) -> Result<Next, Failure> {
        match self.pieces.recv_timeout(wait) {
            Ok(Ok(piece)) => Ok(Next::Piece(piece)),
            Ok(Err(error)) => {
                let what = format!("cannot read standard input: {error}");
                Err(Failure::other(what, "check what it is redirected from"))
            }
            Err(RecvTimeoutError::Timeout) => Ok(Next::Idle),
            Err(RecvTimeoutError::Disconnected) => Ok(Next::End),
        }
    }
}

fn read_pieces(mut source: impl Read, sender: &SyncSender<io::Result<Piece>>) -> io::Result<()> {
    let (mut open, mut number) = (Vec::new(), 1);
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let begin = open.len();
        match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(0) => {
                if !open.is_empty() {
                    let _ = sender.send(Ok(Piece { bytes: open, first_number: number }));
                }
                return Ok(());
            }
            Ok(count) => open.extend_from_slice(&buffer[..count]),
        }
        let Some(last) = open[begin..].iter().rposition(|&byte| byte == b'\n') else {
            if open.len() > LINE_BYTES_MAX {
                let what = format!("line {number} is longer than {LINE_BYTES_MAX} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
            continue;
        };
        let rest = open.split_off(begin + last + 1);
        let bytes = std::mem::replace(&mut open, rest);
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        if sender.send(Ok(Piece { bytes, first_number: number })).is_err() {
            return Ok(());
        }
        number += lines;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle(Vec<u8>, usize);

    impl Read for Trickle {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0.drain(..count);
            Ok(count)
        }
    }

    fn read(input: &[u8], step: usize) -> Vec<(u64, Vec<u8>)> {
        let mut reader = LineReader::new(Trickle(input.to_vec(), step));
        let mut lines = Vec::new();
        loop {
            match reader.next(Duration::from_secs(10)).unwrap() {
                Next::Piece(piece) => {
                    lines.extend(piece.lines().map(|line| (line.number, line.bytes.to_vec())));
                }
                Next::End => return lines,
                Next::Idle => panic!("no input for ten seconds"),
            }
        }
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let input = b"one\n\ntwo\r\nthree\rfour\n\xff\xfe\nlast";
        let expected: Vec<(u64, Vec<u8>)> = [&b"one"[..], b"", b"two", b"three\rfour", b"\xff\xfe", b"last"]
            .iter()
            .zip(1..)
            .map(|(line, number)| (number, line.to_vec()))
            .collect();
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(read(input, step), expected, "{step} bytes at a time");
        }
        assert_eq!(read(b"", 1), []);
        assert_eq!(read(b"\n", 1), [(1, Vec::new())]);
        assert_eq!(read(b"a\n", 5), [(1, b"a".to_vec())]);
    }

    #[test]
    fn lines_longer_than_a_piece_come_whole() {
        let mut input = vec![b'x'; 3 * PIECE_BYTES + 17];
        input.extend_from_slice(b"\nshort\n");
        let lines = read(&input, usize::MAX);
        assert_eq!((lines.len(), lines[0].1.len()), (2, 3 * PIECE_BYTES + 17));
        assert_eq!(lines[1], (2, b"short".to_vec()));
    }

    #[test]
    fn keys_end_at_the_first_separator() {
        let line = |key: &'static str, value: &'static str| {
            Some(Line { key: Some(key.as_bytes()), value: value.as_bytes() })
        };
        assert_eq!(Line::split(b"k:v:w", Some(b":")), line("k", "v:w"));
        assert_eq!(Line::split(b"k::v", Some(b"::")), line("k", "v"));
        assert_eq!(Line::split(b":", Some(b":")), line("", ""));
        assert_eq!(Line::split(b"kv", Some(b":")), None);
        assert_eq!(Line::split(b"k:v", None), Some(Line { key: None, value: b"k:v" }));
    }
}
