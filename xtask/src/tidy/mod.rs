//! `cargo xtask tidy`: what words alone will not keep. A test of this crate runs it too, so `cargo test` does.
//!
//! - [`tree`]: the repository's files, and its crates.
//! - [`rust`]: Rust code without comments and literals, and where its functions and tests are.
//! - [`map`]: the table in ARCHITECTURE.md is the tree, and dependencies run upwards in it only.
//! - [`unsafety`]: unsafe code stays in the crates that the table marks.
//! - [`calls`]: calls that have their place elsewhere, with what to use instead.
//! - [`size`]: long files and functions need a reason in `xtask/tidy-exceptions.txt`.
//! - [`pages`]: links between pages, the index of decisions, how crates open.
//! - [`words`]: what does not belong into a repository.
//!
//! Each check is a function from the tree to a list of lines, `path:line: what, and what to do`.

mod calls;
mod map;
mod pages;
mod rust;
mod size;
mod tree;
mod unsafety;
mod words;

use std::path::Path;

use tree::Tree;

/// A check: its name, and what it finds.
type Check = (&'static str, fn(&Tree) -> Vec<String>);

const CHECKS: &[Check] = &[
    ("the map is the tree", map::members),
    ("dependencies run one way", map::dependencies),
    ("unsafe code stays in its place", unsafety::check),
    ("calls stay in their place", calls::check),
    ("files and functions are short", size::check),
    ("pages are linked, crates introduced", pages::check),
    ("nothing that does not belong here", words::check),
];

/// Runs every check over the repository.
pub fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask tidy".into());
    }
    let tree = Tree::read(crate::root())?;
    let mut failed = 0;
    for (name, check) in CHECKS {
        let findings = check(&tree);
        println!("{} {name}", if findings.is_empty() { "ok    " } else { "FAILED" });
        findings.iter().for_each(|finding| println!("  {finding}"));
        failed += usize::from(!findings.is_empty());
    }
    println!("{} passed, {failed} failed", CHECKS.len() - failed);
    if failed == 0 { Ok(()) } else { Err("the repository is not tidy".into()) }
}

/// A line of a file, for a finding.
fn at(path: &str, line: usize, what: impl std::fmt::Display) -> String {
    format!("{path}:{line}: {what}")
}

/// The name of a path's last part.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let tree = Tree::read(crate::root()).unwrap();
        assert!(tree.files.len() > 200, "only {} files were read", tree.files.len());
        let findings: Vec<String> = CHECKS.iter().flat_map(|(_, check)| check(&tree)).collect();
        assert!(findings.is_empty(), "{}", findings.join("\n"));
    }
}
