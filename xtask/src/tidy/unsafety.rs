//! Unsafe code stays in the crates that the map marks with **(unsafe)**.

use super::rust::Source;
use super::tree::Tree;
use super::{at, map};

/// What lets unsafe code in, past the lint of the workspace.
const DOORS: &[&str] = &["allow(unsafe_code", "expect(unsafe_code", "warn(unsafe_code"];

pub fn check(tree: &Tree) -> Vec<String> {
    let rows = map::rows(tree);
    let marked = |path: &str| {
        let own = |row: &map::Row| path.strip_prefix(&row.path).is_some_and(|rest| rest.starts_with('/'));
        rows.iter().any(|row| row.has_unsafe && own(row))
    };
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !marked(path)) {
        let source = Source::new(text);
        for found in source.find("unsafe") {
            findings.push(at(path, source.line(found), "unsafe code outside the crates that may have it"));
        }
        for door in DOORS {
            for (found, _) in source.code.match_indices(door) {
                findings.push(at(
                    path,
                    source.line(found),
                    format_args!("{door}) outside the crates that may"),
                ));
            }
        }
    }
    for one in tree.crates() {
        let manifest = format!("{}/Cargo.toml", one.path);
        if !tree.text(&manifest).contains("[lints]\nworkspace = true") {
            findings.push(at(
                &manifest,
                1,
                "does not take the lints of the workspace: `[lints] workspace = true`",
            ));
        }
    }
    for row in rows.iter().filter(|row| row.has_unsafe) {
        let own = format!("{}/", row.path);
        let uses = |(path, text): (&str, &str)| {
            path.starts_with(&own) && Source::new(text).find("unsafe").next().is_some()
        };
        if !tree.ending(".rs").any(uses) {
            findings.push(at("ARCHITECTURE.md", row.line, format_args!("`{}` has no unsafe code", row.path)));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    #[test]
    fn it_is_found_outside_and_missed_inside() {
        let map =
            "| 1 | `src/a` | x **(unsafe)** | |\n| 1 | `src/b` | x | |\n| 1 | `src/c` | x **(unsafe)** | |\n";
        let manifest = "[package]\nname = \"x\"\n[lints]\nworkspace = true\n";
        let tree = tree(&[
            ("ARCHITECTURE.md", map),
            ("Cargo.toml", "members = [\"src/*\"]"),
            ("src/a/Cargo.toml", manifest),
            ("src/b/Cargo.toml", "[package]\nname = \"b\"\n"),
            ("src/c/Cargo.toml", manifest),
            ("src/a/src/lib.rs", "unsafe fn x() {}"),
            ("src/b/src/lib.rs", "#![allow(unsafe_code)]\n// unsafe\nfn x() { unsafe { y() } }"),
            ("src/c/src/lib.rs", "fn not_unsafe() {}"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].starts_with("src/b/src/lib.rs:3") && found[1].starts_with("src/b/src/lib.rs:1"));
        assert!(found[2].starts_with("src/b/Cargo.toml") && found[3].contains("`src/c` has no unsafe code"));
    }
}
