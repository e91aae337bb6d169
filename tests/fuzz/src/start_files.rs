//! The small files that a start reads: the configuration file and `node.toml`, which are text, and those of the data
//! directory that have a checksum.

use model::config::{BrokerConfig, Layers, Listener, Settings, read_properties};
use model::{NodeFile, NodeFileError};
use storage::inspect::{self, Checkpoint};

const INPUT_BYTES_MAX: usize = 8 << 10;
/// What is said of a line is for one line of a log, whatever was in the file's.
const SAID_BYTES_MAX: usize = 4096;

/// One byte for the file, then the file.
///
/// A refusal must say something and, of a text, where; what is taken must be the same when it was written and read.
pub fn run(data: &[u8]) {
    let Some((which, file)) = data.split_first() else { return };
    if file.len() > INPUT_BYTES_MAX {
        return;
    }
    // What is no text is refused before it comes to these decoders.
    let text = std::str::from_utf8(file).unwrap_or_default();
    match which % 5 {
        0 => configuration(text),
        1 => node(text),
        2 => checkpoint(file),
        3 => producers(&sealed(file)),
        _ => cleaner_state(&sealed(file)),
    }
}

fn is_line(said: &str) -> bool {
    !said.is_empty() && !said.contains(char::is_control)
}

fn configuration(text: &str) {
    let settings = match read_properties(text) {
        Ok(settings) => settings,
        Err(error) => {
            let said = error.to_string();
            let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count();
            assert!((1..=lines).contains(&error.line), "{said}");
            assert!(said.starts_with(&format!("{}: ", error.line)), "{said}");
            assert!(is_line(&said) && said.len() <= SAID_BYTES_MAX, "{said:?}");
            return;
        }
    };
    assert_eq!(read_properties(&written(&settings)).as_ref(), Ok(&settings));
    match BrokerConfig::resolve(&Layers::fixed(&settings)) {
        Ok(config) => {
            for listener in &config.listeners {
                assert_eq!(Listener::parse(&listener.to_string()).as_ref(), Some(listener));
            }
        }
        Err(error) => assert!(is_line(&error.to_string()), "{error:?}"),
    }
}

/// A file of these settings, with a backslash before whatever could be taken for something else.
fn written(settings: &Settings) -> String {
    settings.iter().map(|(key, value)| format!("{}={}\n", escaped(key), escaped(value))).collect()
}

fn escaped(text: &str) -> String {
    let one = |c: char| match c {
        '\t' => r"\t".to_owned(),
        '\n' => r"\n".to_owned(),
        '\r' => r"\r".to_owned(),
        '\u{c}' => r"\f".to_owned(),
        ' ' | '=' | ':' | '#' | '!' | '\\' => format!("\\{c}"),
        '!'..='~' => c.to_string(),
        _ => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    text.chars().map(one).collect()
}

fn node(text: &str) {
    match text.parse::<NodeFile>() {
        Ok(node) => {
            assert!(node.node.0 >= 0, "{node:?}");
            assert_eq!(node.to_string().parse::<NodeFile>(), Ok(node));
        }
        Err(error) => {
            let said = error.to_string();
            let named = match error {
                NodeFileError::Version(version) => format!("format version {version},"),
                NodeFileError::NoNumber(key) => format!("{key} is"),
            };
            assert!(is_line(&said) && said.starts_with(&named), "{said:?}");
        }
    }
}

/// The file with the checksum that it should have, which a fuzzer cannot guess: all of these have it behind four bytes
/// of magic, of everything that follows.
fn sealed(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    if let Some((head, rest)) = file.split_first_chunk_mut::<8>() {
        head[4..].copy_from_slice(&crc32c::crc32c(rest).to_le_bytes());
    }
    file
}

fn checkpoint(file: &[u8]) {
    let whole = sealed(file);
    match Checkpoint::decode(&whole) {
        Ok(checkpoint) => {
            let again = checkpoint.encode();
            assert_eq!(again.len(), whole.len());
            assert_eq!(Checkpoint::decode(&again).as_ref(), Ok(&checkpoint));
            // Tools show it with a wrong checksum, too.
            assert_eq!(inspect::checkpoint(file).0, Some(checkpoint));
        }
        Err(what) => assert!(is_line(what)),
    }
}

fn producers(file: &[u8]) {
    match inspect::producer_snapshot(file) {
        Ok((producers, next)) => {
            assert_eq!(&file[16..24], next.0.to_le_bytes());
            let grow = producers.windows(2).all(|pair| pair[0].producer_id < pair[1].producer_id);
            assert!(grow, "{producers:?}");
            let mut starts = producers.iter().filter_map(|one| one.current_transaction_start);
            assert!(starts.all(|first| first.0 >= 0), "{producers:?}");
        }
        Err(flaw) => assert!(is_line(flaw.what)),
    }
}

fn cleaner_state(file: &[u8]) {
    match inspect::cleaner_state(file) {
        Ok((boundary, first_dirty)) => {
            let said = [boundary.0.to_le_bytes(), first_dirty.0.to_le_bytes()].concat();
            assert_eq!(said, &file[16..]);
        }
        Err(flaw) => assert!(is_line(flaw.what)),
    }
}
