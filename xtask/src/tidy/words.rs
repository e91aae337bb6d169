//! What does not belong into a repository: paths of one machine, hosts of a private registry, notes to oneself.

use super::at;
use super::tree::Tree;

/// What is written by tools and full of other people's words.
const NOT_OURS: &[&str] = &["Cargo.lock", "LICENSE", "go.sum"];

/// A text, in two halves so that this file does not hold it, and what is wrong with it.
const WORDS: &[(&str, &str, &str)] = &[
    ("/ro", "ot/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/wo", "rk/", "a path of one machine"),
    ("/tmp/bat", "on", "a path of one machine"),
    ("artifac", "tory", "the registry of one network"),
    ("/api/npm", "/", "the registry of one network"),
    ("/api/car", "go/", "the registry of one network"),
    ("TO", "DO", "do it, or write down elsewhere what is missing"),
    ("FIX", "ME", "do it, or write down elsewhere what is missing"),
    ("XX", "X:", "do it, or write down elsewhere what is missing"),
    ("<<<<", "<<< ", "a merge that was not ended"),
    (">>>>", ">>> ", "a merge that was not ended"),
];

pub fn check(tree: &Tree) -> Vec<String> {
    let words: Vec<(String, &str)> = WORDS.iter().map(|(a, b, why)| (format!("{a}{b}"), *why)).collect();
    let mut findings = Vec::new();
    let ours = tree.files.iter().filter(|(path, _)| !NOT_OURS.iter().any(|name| path.ends_with(name)));
    for (path, text) in ours {
        for (index, line) in text.lines().enumerate() {
            for (word, why) in words.iter().filter(|(word, _)| line.contains(word.as_str())) {
                findings.push(at(path, index + 1, format_args!("`{word}`: {why}")));
            }
            if line.ends_with([' ', '\t', '\r']) && !path.ends_with(".tsv") {
                findings.push(at(path, index + 1, "white space at the end of the line"));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            findings.push(at(path, text.lines().count(), "the last line does not end"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    #[test]
    fn each_word_is_found_and_what_tools_write_is_passed_over() {
        for (first, second, _) in WORDS {
            let text = format!("x {first}{second}x\n");
            assert_eq!(check(&tree(&[("a.rs", &text), ("Cargo.lock", &text)])).len(), 1, "{text}");
        }
        assert_eq!(check(&tree(&[("a.rs", "x \ny")])).len(), 2);
        assert_eq!(check(&tree(&[("a.rs", "x\n\n  y\n")])), [""; 0]);
    }
}
