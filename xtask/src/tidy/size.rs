//! Long files and functions need a reason in [`LIST`], which only shrinks: an entry whose subject has become short
//! must go, and none may grow past its figure.
//!
//! A line of the list: `PATH LINES reason` for a file, `PATH FUNCTION LINES reason` for a function.

use super::at;
use super::rust::Source;
use super::tree::Tree;
use std::collections::BTreeMap;

const LIST: &str = "xtask/tidy-exceptions.txt";
const FILE_LINES_MAX: usize = 1000;
const FUNCTION_LINES_MAX: usize = 70;
/// How files begin that a program wrote.
const GENERATED: &str = "// @generated";

/// A file, or a function in it.
type Subject = (String, Option<String>);

pub fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    let mut allowed = exceptions(tree.text(LIST), &mut findings);
    let sources = tree.ending(".rs").filter(|(_, text)| !text.starts_with(GENERATED));
    for (path, text) in sources {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            let subject = (path.to_owned(), None);
            findings.extend(judge(&mut allowed, subject, at(path, 1, "the file"), lines, FILE_LINES_MAX));
        }
        for function in Source::new(text).functions().into_iter().filter(|f| f.lines > FUNCTION_LINES_MAX) {
            let name = at(path, function.line, format_args!("`{}`", function.name));
            let subject = (path.to_owned(), Some(function.name));
            findings.extend(judge(&mut allowed, subject, name, function.lines, FUNCTION_LINES_MAX));
        }
    }
    for ((path, function), (line, _)) in allowed {
        let what = function.map_or(path.clone(), |function| format!("`{function}` of {path}"));
        findings.push(at(LIST, line, format_args!("{what} needs no exception any more: delete the line")));
    }
    findings
}

fn judge(
    allowed: &mut BTreeMap<Subject, (usize, usize)>,
    subject: Subject,
    name: String,
    lines: usize,
    limit: usize,
) -> Option<String> {
    match allowed.remove(&subject) {
        None => {
            Some(format!("{name} has {lines} lines, more than {limit}: split it, or give a reason in {LIST}"))
        }
        Some((_, most)) if lines > most => {
            Some(format!("{name} has grown to {lines} lines; {LIST} allows {most}"))
        }
        Some(_) => None,
    }
}

/// Subject to the list's line and the lines that it allows.
fn exceptions(list: &str, findings: &mut Vec<String>) -> BTreeMap<Subject, (usize, usize)> {
    let mut allowed = BTreeMap::new();
    let lines =
        list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (index, line) in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at).and_then(|word| word.parse::<usize>().ok());
        let read = match (number(1), number(2)) {
            (Some(lines), _) if words.len() > 2 => Some(((words[0].to_owned(), None), lines)),
            (None, Some(lines)) if words.len() > 3 => {
                Some(((words[0].to_owned(), Some(words[1].to_owned())), lines))
            }
            _ => None,
        };
        match read {
            Some((subject, lines)) => drop(allowed.insert(subject, (index + 1, lines))),
            None => findings.push(at(LIST, index + 1, "not `PATH [FUNCTION] LINES reason`")),
        }
    }
    allowed
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    fn found(list: &str) -> Vec<String> {
        let long_file = "// x\n".repeat(1001);
        let long_function = format!("fn long() {{\n{}}}\n", "    x();\n".repeat(69));
        let fits = format!("fn fits() {{\n{}}}\n", "    x();\n".repeat(68));
        let generated = format!("{GENERATED}\n{long_file}");
        check(&tree(&[
            ("a.rs", &long_file),
            ("b.rs", &long_function),
            ("c.rs", &fits),
            ("d.rs", &generated),
            (LIST, list),
        ]))
    }

    #[test]
    fn what_is_long_needs_a_reason() {
        assert_eq!(found("").len(), 2, "{:#?}", found(""));
        assert_eq!(found("# list\na.rs 1001 one table\nb.rs long 71 one table\n"), [""; 0]);
    }

    #[test]
    fn the_list_only_shrinks() {
        let grown = found("a.rs 1000 one table\nb.rs long 70 one table\n");
        assert!(grown.len() == 2 && grown.iter().all(|one| one.contains("has grown")), "{grown:#?}");
        let stale = found("a.rs 1001 one table\nb.rs long 71 one table\nc.rs fits 80 why\ne.rs 2000 why\n");
        assert!(stale.len() == 2 && stale.iter().all(|one| one.contains("delete the line")), "{stale:#?}");
        assert_eq!(
            found("a.rs 1001\nb.rs long 71 why\n").len(),
            2,
            "no reason: the line is bad, the file is long"
        );
    }
}
