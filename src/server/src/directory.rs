//! The data directory: one broker at a time, and only a format that this program knows.
//!
//! `node.toml` says whose it is ([`NodeFile`]). It is written once, durably, when the directory is first used. A lock
//! on the file `lock` is held while the broker runs; the system frees it when the process ends, however it ends.

use model::{NodeFile, NodeFileError, NodeId};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A data directory that is ours until dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) path: PathBuf,
    pub(crate) node_id: i32,
    pub(crate) cluster_id: Option<String>,
    _lock: File,
}

impl Directory {
    /// Takes the directory, making it if it is not there. `node_id` is what the configuration says, if it does.
    pub(crate) fn open(path: &Path, node_id: Option<i32>, default_node_id: i32) -> Result<Directory, String> {
        fs::create_dir_all(path).map_err(|error| cannot("make the data directory", path, &error))?;
        let path = path.canonicalize().map_err(|error| cannot("find", path, &error))?;
        let lock = lock(&path)?;
        let (node_id, cluster_id) = match read(&path)? {
            Some(node) => {
                if let Some(wanted) = node_id.filter(|wanted| *wanted != node.node.0) {
                    return Err(format!(
                        "{} belongs to node {}, but node.id is {wanted}: use another --data, or the old node.id",
                        path.display(),
                        node.node
                    ));
                }
                (node.node.0, node.cluster_id)
            }
            None => {
                let node_id = node_id.unwrap_or(default_node_id);
                write(&path, node_id)?;
                (node_id, None)
            }
        };
        Ok(Directory { path, node_id, cluster_id, _lock: lock })
    }
}

fn cannot(action: &str, path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; give this user the right to write there, or choose another --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "; the file system is read-only: remount it, or choose another --data"
        }
        io::ErrorKind::StorageFull => "; free some space first",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; a file is in the way: remove it, or choose another --data"
        }
        _ => "",
    };
    format!("cannot {action} {}: {error}{remedy}", path.display())
}

fn lock(path: &Path) -> Result<File, String> {
    let file = path.join("lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(|error| cannot("write", &file, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(format!("another broker uses {}: stop it, or choose another --data", path.display()))
        }
        Err(TryLockError::Error(error)) => Err(cannot("lock", &file, &error)),
    }
}

fn read(path: &Path) -> Result<Option<NodeFile>, String> {
    let file = path.join("node.toml");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot("read", &file, &error)),
    };
    text.parse::<NodeFile>().map(Some).map_err(|error| match error {
        NodeFileError::Version(_) => format!("{} has {error}", path.display()),
        NodeFileError::NoNumber(_) => format!("{}: {error}", file.display()),
    })
}

/// Written under another name, synced, renamed, and the directory synced: it is there whole or not at all.
fn write(path: &Path, node_id: i32) -> Result<(), String> {
    let (new, file) = (path.join("node.toml.new"), path.join("node.toml"));
    let text = NodeFile { node: NodeId(node_id), cluster_id: None }.to_string();
    let written = File::create(&new)
        .and_then(|mut created| created.write_all(text.as_bytes()).and_then(|()| created.sync_all()))
        .and_then(|()| fs::rename(&new, &file))
        .and_then(|()| File::open(path).and_then(|directory| directory.sync_all()));
    written.map_err(|error| cannot("write", &file, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("flumen-directory-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_directory_is_made_locked_and_remembered() {
        let path = scratch("locked");
        let first = Directory::open(&path, Some(7), 1).expect("a new directory");
        let second = Directory::open(&path, None, 1).expect_err("locked");
        assert!(second.contains("another broker uses"), "{second}");
        drop(first);
        assert_eq!(Directory::open(&path, None, 1).expect("free again").node_id, 7);
        let other = Directory::open(&path, Some(8), 1).expect_err("another node's");
        assert!(other.contains("belongs to node 7"), "{other}");
        fs::remove_dir_all(&path).expect("ours");
    }

    #[test]
    fn a_newer_format_is_refused() {
        let path = scratch("newer");
        fs::create_dir_all(&path).expect("made");
        fs::write(path.join("node.toml"), "format_version = 2\nnode_id = 1\n").expect("written");
        let error = Directory::open(&path, None, 1).expect_err("newer");
        assert!(error.contains("format version 2"), "{error}");
        fs::write(path.join("node.toml"), "node_id = 1\n").expect("written");
        let error = Directory::open(&path, None, 1).expect_err("broken");
        assert!(error.contains("format_version is missing"), "{error}");
        let text = "format_version = 1\nnode_id = -1\n";
        fs::write(path.join("node.toml"), text).expect("written");
        let error = Directory::open(&path, None, 1).expect_err("no node");
        assert!(error.contains("node.toml: node_id is"), "{error}");
        assert_eq!(fs::read_to_string(path.join("node.toml")).expect("left alone"), text);
        fs::remove_dir_all(&path).expect("ours");
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let path = scratch("file");
        fs::write(&path, "x").expect("written");
        let error = Directory::open(&path, None, 1).expect_err("a file");
        assert!(error.contains("choose another --data"), "{error}");
        fs::remove_file(&path).expect("ours");
    }
}
