//! Pages: their links lead somewhere, every decision is in the index, every crate opens with what it is.

use super::at;
use super::tree::Tree;

const DECISIONS: &str = "docs/decisions/";
const INDEX: &str = "docs/decisions/index.md";

pub fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        for (line, target) in links(text) {
            let target = target.split('#').next().unwrap_or_default();
            let elsewhere = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
            if !elsewhere && !resolve(path, target).is_some_and(|file| tree.has(&file)) {
                findings.push(at(path, line, format_args!("the link to {target} leads nowhere")));
            }
        }
    }
    let linked: Vec<String> =
        links(tree.text(INDEX)).into_iter().filter_map(|(_, target)| resolve(INDEX, &target)).collect();
    for page in tree.files.keys().filter(|path| path.starts_with(DECISIONS) && *path != INDEX) {
        if !linked.contains(page) {
            findings.push(at(INDEX, 1, format_args!("{page} is not linked from here")));
        }
    }
    for (path, text) in tree.ending(".rs") {
        let opens = path.ends_with("/src/lib.rs") || path.ends_with("/src/main.rs");
        let first = text.lines().find(|line| !line.starts_with("#!["));
        if opens && !first.is_some_and(|line| line.starts_with("//! ")) {
            findings.push(at(path, 1, "opens without a `//!` that says what the crate is"));
        }
    }
    findings
}

/// The targets of `[…](target)`, each with its line; code is passed over.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        found.extend(ends.map(|(target, _)| (index + 1, target.to_owned())));
    }
    found
}

/// A relative link's file, as a path from the root; `None` when it leads out of the repository.
fn resolve(page: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    #[test]
    fn broken_links_and_forgotten_pages_are_found() {
        let tree = tree(&[
            (
                "README.md",
                "[a](docs/decisions/index.md#x) [b](none.md) [c](https://x) `[d](none)`\n```\n[e](none)\n```",
            ),
            (INDEX, "# All\n- [one](one.md)\n- [up](../../README.md)\n- [out](../../../x.md)\n"),
            ("docs/decisions/one.md", "x"),
            ("docs/decisions/two.md", "x"),
            ("src/a/src/lib.rs", "#![x]\n//! A.\n"),
            ("src/b/src/lib.rs", "pub mod x;\n"),
        ]);
        let found = check(&tree);
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[0].contains("none.md") && found[1].contains("x.md"));
        assert!(found[2].contains("two.md") && found[3].starts_with("src/b"));
    }
}
