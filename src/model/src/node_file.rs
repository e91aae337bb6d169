//! What `node.toml`, at the top of a data directory, says: whose the directory is, and in which format.

use crate::NodeId;
use std::fmt;
use std::str::FromStr;

/// A data directory's node, and its cluster if the file names it. The text is lines of `key = value`: `format_version`,
/// `node_id`, `cluster_id`; a value may stand in quotes, other lines are passed over, and of a key that is there twice
/// the first counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFile {
    /// The node; 0 or more.
    pub node: NodeId,
    /// The cluster; `None` where only the metadata log names it.
    pub cluster_id: Option<String>,
}

impl NodeFile {
    /// The format of everything in the data directory.
    pub const FORMAT_VERSION: u32 = 1;
}

/// Why a `node.toml` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeFileError {
    /// The directory is in another format than [`NodeFile::FORMAT_VERSION`].
    Version(u32),
    /// The value of this key is missing, or no number from 0 on.
    NoNumber(&'static str),
}

impl std::error::Error for NodeFileError {}

impl fmt::Display for NodeFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeFileError::Version(version) => write!(
                out,
                "format version {version}, this program knows {}: start it with the version of flumen that \
                 wrote it, or a newer one",
                NodeFile::FORMAT_VERSION
            ),
            NodeFileError::NoNumber(key) => {
                write!(out, "{key} is missing or no number from 0 on; restore the file")
            }
        }
    }
}

impl fmt::Display for NodeFile {
    /// The file's text.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "# Written by flumen; do not edit.")?;
        writeln!(out, "format_version = {}", NodeFile::FORMAT_VERSION)?;
        writeln!(out, "node_id = {}", self.node)?;
        match &self.cluster_id {
            Some(id) => writeln!(out, "cluster_id = \"{id}\""),
            None => Ok(()),
        }
    }
}

impl FromStr for NodeFile {
    type Err = NodeFileError;

    fn from_str(text: &str) -> Result<NodeFile, NodeFileError> {
        let version = value(text, "format_version").and_then(|version| version.parse::<u32>().ok());
        let version = version.ok_or(NodeFileError::NoNumber("format_version"))?;
        if version != NodeFile::FORMAT_VERSION {
            return Err(NodeFileError::Version(version));
        }
        let node = value(text, "node_id").and_then(|node| node.parse::<i32>().ok());
        // Below 0 is no node: it is how clients are told that there is none.
        let node = node.filter(|node| *node >= 0).ok_or(NodeFileError::NoNumber("node_id"))?;
        Ok(NodeFile { node: NodeId(node), cluster_id: value(text, "cluster_id").map(str::to_owned) })
    }
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_comes_back_from_its_text() {
        for cluster_id in [None, Some("4L6g3nShT-eMCtK--X86sw"), Some("a = b"), Some("")] {
            let node = NodeFile { node: NodeId(7), cluster_id: cluster_id.map(str::to_owned) };
            assert_eq!(node.to_string().parse::<NodeFile>(), Ok(node));
        }
        let plain = NodeFile { node: NodeId(7), cluster_id: None };
        assert_eq!(
            plain.to_string(),
            "# Written by flumen; do not edit.\nformat_version = 1\nnode_id = 7\n",
            "as directories have it"
        );
    }

    #[test]
    fn what_is_no_node_is_refused_and_named() {
        let refused = |text: &str| text.parse::<NodeFile>().expect_err("refused");
        assert_eq!(refused(""), NodeFileError::NoNumber("format_version"));
        assert_eq!(refused("# format_version = 1\nnode_id = 1\n"), NodeFileError::NoNumber("format_version"));
        assert_eq!(refused("format_version = 2\n"), NodeFileError::Version(2));
        for node in ["", "node_id\n", "node_id = x\n", "node_id = -1\n", "node_id = 2147483648\n"] {
            let error = refused(&format!("format_version = 1\n{node}"));
            assert_eq!(error, NodeFileError::NoNumber("node_id"), "{node}");
            assert!(error.to_string().contains("node_id"), "{error}");
        }
    }
}
