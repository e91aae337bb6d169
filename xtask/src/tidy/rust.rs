//! Enough of Rust's grammar to look for calls and measure functions: comments and literals are blanked out, then
//! tokens and braces can be trusted.

use std::ops::Range;

/// A Rust file.
pub struct Source {
    /// The code, byte for byte at its place; comments and the content of literals are spaces.
    pub code: String,
    /// What is compiled for tests only.
    tests: Vec<Range<usize>>,
}

/// A function with a body.
#[derive(Debug, PartialEq)]
pub struct Function {
    pub name: String,
    /// The line of `fn`, from 1.
    pub line: usize,
    /// How many lines from there to the closing brace, both included.
    pub lines: usize,
}

impl Source {
    pub fn new(text: &str) -> Source {
        let code = blank(text);
        let tests = test_items(&code).filter_map(|item| item.body).collect();
        Source { code, tests }
    }

    /// Where a word, or a path of words, occurs as such.
    pub fn find<'a>(&'a self, what: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.code.as_bytes();
        let is_word = |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
        self.code.match_indices(what).map(|(at, _)| at).filter(move |at| {
            let end = at + what.len();
            let open = what.ends_with(|last: char| !last.is_alphanumeric());
            !is_word(at.checked_sub(1).and_then(|before| bytes.get(before)))
                && (open || !is_word(bytes.get(end)))
        })
    }

    pub fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The line of a position, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// The functions that have a body.
    pub fn functions(&self) -> Vec<Function> {
        let found = self.find("fn").filter_map(|at| {
            let rest = self.code[at + 2..].trim_start();
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let body = body(&self.code, at)?;
            let line = self.line(at);
            (!name.is_empty()).then(|| Function { name, line, lines: self.line(body.end - 1) - line + 1 })
        });
        found.collect()
    }

    /// The modules in files of their own that are compiled for tests only.
    pub fn test_modules(&self) -> Vec<String> {
        let items = test_items(&self.code).filter(|item| item.body.is_none());
        items.filter_map(|item| item.module).collect()
    }
}

/// What follows a `#[cfg(test)]`.
struct TestItem {
    /// The name, when it is a module.
    module: Option<String>,
    /// `None` when it ends with a semicolon.
    body: Option<Range<usize>>,
}

fn test_items(code: &str) -> impl Iterator<Item = TestItem> + '_ {
    let attributes = code.match_indices("#[cfg(").filter_map(|(at, _)| {
        let end = at + code[at..].find(']')?;
        let condition: String = code[at..end].split_whitespace().collect();
        let for_tests = condition == "#[cfg(test)" || condition.starts_with("#[cfg(any(test,");
        for_tests.then_some(end + 1)
    });
    attributes.map(|from| {
        let item = code[from..].trim_start();
        let words = item.split_whitespace().skip_while(|word| word.starts_with("pub"));
        let words: Vec<&str> = words.take(2).collect();
        let module = match words[..] {
            ["mod", name] => Some(name.trim_end_matches(';').to_owned()),
            _ => None,
        };
        TestItem { module, body: body(code, from) }
    })
}

/// The braces of the item that begins at `from`: none when a semicolon comes first.
fn body(code: &str, from: usize) -> Option<Range<usize>> {
    let (mut inside, mut braces, mut start) = (0i32, 0i32, None);
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' if braces == 0 => inside += 1,
            b')' | b']' if braces == 0 => inside -= 1,
            // Out of what the item stands in: it is no item, like a function type in a list.
            b';' | b',' | b'}' if inside <= 0 && braces == 0 && (byte != b',' || inside < 0) => return None,
            b'{' => {
                start.get_or_insert(at);
                braces += 1;
            }
            b'}' => {
                braces -= 1;
                if braces == 0 {
                    return start.map(|start| start..at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The code with comments and the content of literals as spaces; line breaks stay.
fn blank(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (skip, keep) = literal(rest, text[..at].bytes().next_back());
        if skip == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        for byte in &mut out[at + keep..at + skip - keep] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += skip;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How long the comment or literal is that `rest` begins with, and how many bytes of it, in front and at the end, are
/// delimiters to keep. `(0, 0)` when it begins with neither.
fn literal(rest: &str, before: Option<u8>) -> (usize, usize) {
    let in_word = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let bytes = rest.as_bytes();
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), 0);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), 0);
    }
    if bytes[0] == b'"' {
        return (quoted(bytes), 1);
    }
    if bytes[0] == b'\'' {
        return (character(rest), 1);
    }
    let raw = rest.strip_prefix("br").or(rest.strip_prefix("cr")).or(rest.strip_prefix('r'));
    if let Some(raw) = raw.filter(|_| !in_word) {
        let hashes = raw.bytes().take_while(|byte| *byte == b'#').count();
        if raw.as_bytes().get(hashes) == Some(&b'"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let open = rest.len() - raw.len() + hashes + 1;
            return (rest[open..].find(&end).map_or(rest.len(), |found| open + found + end.len()), 0);
        }
    }
    (0, 0)
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match &rest.as_bytes()[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// A character literal's length; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            let escaped = chars.nth(1).map_or(rest.len(), |(at, _)| at);
            rest[escaped..].find('\'').map_or(0, |end| escaped + end + 1)
        }
        Some(_) => chars.next().filter(|(_, end)| *end == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank() {
        let text = "a /* b /* c */ d */ e // f\n\"g \\\" h\" 'i' '\\'' '\\u{1F980}' 'static r#\"j \" k\"# l br\"m\" '日' n";
        let code = Source::new(text).code;
        let words: Vec<&str> = code.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
        assert_eq!(words, ["a", "e", "static", "l", "n"]);
        assert_eq!(code.matches('\n').count(), 1);
    }

    #[test]
    fn functions_are_measured() {
        let text = "fn a() {\n  if x { y }\n}\nimpl B {\n  fn c<T>(f: fn(u8) -> u8, [u8; 2]) -> T\n  where T: D {\n  }\n  fn e();\n}\n";
        let found = Source::new(text).functions();
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.lines)).collect();
        assert_eq!(found, [("a", 1, 3), ("c", 5, 3)]);
    }

    #[test]
    fn tests_are_told_from_code() {
        let text = "fn a() { call(); }\n#[cfg(test)]\nmod tests { call(); }\n#[cfg(test)]\nmod other;\n\
                    #[cfg(any(test, feature = \"x\"))]\npub mod made;\n#[cfg(not(test))]\nfn b() { call(); }";
        let source = Source::new(text);
        let found: Vec<bool> = source.find("call").map(|at| source.is_test(at)).collect();
        assert_eq!(found, [false, true, false]);
        assert_eq!(source.test_modules(), ["other", "made"]);
        assert_eq!(Source::new("recall(); call_it(); x.call()").find("call").count(), 1);
    }
}
