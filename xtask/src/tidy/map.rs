//! The table in ARCHITECTURE.md against the workspace.

use super::at;
use super::tree::Tree;
use std::collections::BTreeSet;

const PAGE: &str = "ARCHITECTURE.md";
/// What may bring the io_uring driver into a program: the broker's binary, and the load tool, whose ceilings are those
/// of the same driver. All else must run under the simulator.
const CHOOSE_THE_DRIVER: &[&str] = &["src/server", "bench/load", "bench/micro"];
const DRIVER: &str = "uring";

/// A line of the table.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub line: usize,
    pub layer: u32,
    /// `src/broker`
    pub path: String,
    /// Whether it is marked as one with unsafe code.
    pub has_unsafe: bool,
}

/// The table's rows: a number, a path in backticks, and what the crate is.
pub fn rows(tree: &Tree) -> Vec<Row> {
    let lines = tree.text(PAGE).lines().enumerate();
    let rows = lines.filter_map(|(index, line)| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let layer = cells.next()?.parse().ok()?;
        let path = cells.next()?.trim_matches('`').to_owned();
        let has_unsafe = cells.next()?.contains("**(unsafe)**");
        Some(Row { line: index + 1, layer, path, has_unsafe })
    });
    rows.collect()
}

/// Every package has its line, every line its package, and every other path that the page names is there.
pub fn members(tree: &Tree) -> Vec<String> {
    let rows = rows(tree);
    let crates = tree.crates();
    let mut findings = Vec::new();
    if rows.is_empty() || crates.is_empty() {
        return vec![at(PAGE, 1, "no table of crates was found, or no workspace")];
    }
    let mut seen = BTreeSet::new();
    for row in &rows {
        if !seen.insert(&row.path) {
            findings.push(at(PAGE, row.line, format_args!("`{}` has two lines", row.path)));
        }
        if !crates.iter().any(|one| one.path == row.path) {
            findings.push(at(PAGE, row.line, format_args!("`{}` is no package of the workspace", row.path)));
        }
    }
    for one in crates.iter().filter(|one| !seen.contains(&one.path)) {
        findings.push(at(PAGE, 1, format_args!("`{}` has no line in the map", one.path)));
    }
    for (index, line) in tree.text(PAGE).lines().enumerate() {
        let quoted = line.split('`').skip(1).step_by(2);
        let paths = quoted
            .filter(|word| ["src/", "shards/", "docs/", "tests/"].iter().any(|top| word.starts_with(top)));
        for path in paths.filter(|path| !tree.has(path)) {
            findings.push(at(PAGE, index + 1, format_args!("`{path}` is not there")));
        }
    }
    findings
}

/// A package depends only on packages of earlier lines, and never on a higher layer.
pub fn dependencies(tree: &Tree) -> Vec<String> {
    let rows = rows(tree);
    let crates = tree.crates();
    let row_of = |path: &str| rows.iter().find(|row| row.path == path);
    let mut findings = Vec::new();
    for one in &crates {
        let manifest = format!("{}/Cargo.toml", one.path);
        let Some(own) = row_of(&one.path) else { continue };
        for dependency in crates.iter().filter(|other| one.dependencies.contains(&other.name)) {
            let Some(row) = row_of(&dependency.path) else { continue };
            if row.line >= own.line || row.layer > own.layer {
                let (path, line) = (&dependency.path, row.line);
                let what = format_args!("depends on `{path}`, which stands below it in {PAGE} (line {line})");
                findings.push(at(&manifest, 1, what));
            }
        }
        if one.dependencies.contains(DRIVER) && !CHOOSE_THE_DRIVER.contains(&one.path.as_str()) {
            let what = format_args!(
                "depends on `{DRIVER}`; only {} choose the driver",
                CHOOSE_THE_DRIVER.join(", ")
            );
            findings.push(at(&manifest, 1, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    const WORKSPACE: &str = "[workspace]\nmembers = [\"src/*\"]\n";
    const MAP: &str = "| layer | crate | what |\n|---|---|---|\n| 0 | `src/a` | one **(unsafe)** | x |\n| 1 | `src/b` | two | |\n";

    fn with(a: &str, b: &str, map: &str) -> Tree {
        let manifest =
            |name: &str, rest: &str| format!("[package]\nname = \"{name}\"\n[dependencies]\n{rest}");
        tree(&[
            ("Cargo.toml", WORKSPACE),
            (PAGE, map),
            ("src/a/Cargo.toml", &manifest("a", a)),
            ("src/b/Cargo.toml", &manifest("b", b)),
        ])
    }

    #[test]
    fn a_map_that_is_the_tree() {
        let tree = with("", "a.workspace = true\n", MAP);
        assert_eq!(members(&tree), [""; 0]);
        assert_eq!(dependencies(&tree), [""; 0]);
        assert!(rows(&tree)[0].has_unsafe && !rows(&tree)[1].has_unsafe);
    }

    #[test]
    fn what_is_missing_or_too_much_is_found() {
        let more = format!("{MAP}| 2 | `src/c` | three | |\n| 2 | `src/a` | again | |\nSee `docs/none`.\n");
        assert_eq!(
            members(&with("", "", &more)).len(),
            4,
            "no package (twice: as a line, as a path), two lines, no page"
        );
        let less = MAP.replace("| 1 | `src/b` | two | |\n", "");
        assert_eq!(members(&with("", "", &less)), ["ARCHITECTURE.md:1: `src/b` has no line in the map"]);
        assert_eq!(members(&with("", "", "")).len(), 1);
    }

    #[test]
    fn a_dependency_the_wrong_way_is_found() {
        assert_eq!(dependencies(&with("b.workspace = true\n", "", MAP)).len(), 1);
        assert_eq!(dependencies(&with("uring = \"1\"\n", "", MAP)).len(), 1);
    }
}
