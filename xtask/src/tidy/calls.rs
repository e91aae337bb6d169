//! Calls that have their place elsewhere.

use super::rust::Source;
use super::tree::Tree;
use super::{at, file_name};
use std::collections::BTreeSet;

/// The crates that run in the simulator, as paths: the kernel, the clock and other threads reach them through the
/// driver only, or a seed would not replay.
const SIMULATED: &[&str] = &[
    "src/base/",
    "src/model/",
    "src/kafka-wire/",
    "src/compression/",
    "src/network/",
    "src/controller/",
    "src/groups/",
    "src/share/",
    "src/transactions/",
    "src/telemetry/",
    "src/broker/",
    "shards/memory/",
    "shards/driver/",
    "shards/mesh/",
    "shards/executor/",
    "shards/sim-driver/",
    "shards/storage/",
    "shards/shard/",
];

/// A call that simulated crates must not make, and what to use instead.
const SIMULATED_MUST_NOT: &[(&str, &str)] = &[
    ("std::fs", "files go through `driver` operations (`executor::io`)"),
    ("std::thread", "there is one thread a core, and the server starts it; use a task"),
    ("std::process", "ask `server`, which owns the process"),
    ("std::env", "settings come from `model::config`"),
    ("TcpStream", "sockets go through `driver` operations"),
    ("TcpListener", "sockets go through `driver` operations"),
    ("UdpSocket", "sockets go through `driver` operations"),
    ("SystemTime", "ask the executor for the wall clock"),
    ("std::time::Instant", "use `base::Instant` and `executor::now`"),
    ("RwLock", "one core owns one thing: send a message, or publish an immutable image"),
    ("Condvar", "wait for a task or a timer of the executor"),
    ("std::sync::mpsc", "cores talk through `mesh`"),
    ("std::mem::forget", "let it drop; leaks are bounded by nobody"),
    ("RandomState", "its order differs from run to run; use a BTreeMap or a seeded hasher"),
    ("println!", "use `log`, a line an event"),
    ("print!", "use `log`, a line an event"),
    ("eprintln!", "use `log`, a line an event"),
    ("eprint!", "use `log`, a line an event"),
];

/// What nobody calls in code that is not a test.
const NOBODY: &[(&str, &str)] = &[
    ("dbg!", "take it out"),
    ("todo!", "write it, or return an error"),
    ("unimplemented!", "write it, or return an error"),
    ("static mut", "one core owns one thing: give it an owner"),
];

pub fn check(tree: &Tree) -> Vec<String> {
    let test_files = test_files(tree);
    let mut findings = Vec::new();
    let sources =
        tree.ending(".rs").filter(|(path, _)| path.contains("/src/") && !test_files.contains(*path));
    for (path, text) in sources {
        let source = Source::new(text);
        let simulated = SIMULATED.iter().any(|one| path.starts_with(one));
        let more = if simulated { SIMULATED_MUST_NOT } else { &[] };
        for (call, instead) in NOBODY.iter().chain(more) {
            for found in source.find(call).filter(|found| !source.is_test(*found)) {
                findings.push(at(path, source.line(found), format_args!("`{call}`: {instead}")));
            }
        }
    }
    findings
}

/// Files that are compiled for tests only: what a parent declares under `cfg(test)`, and below it.
fn test_files(tree: &Tree) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (path, text) in tree.ending(".rs") {
        let directory = match file_name(path) {
            "lib.rs" | "main.rs" | "mod.rs" => path.rsplit_once('/').map_or("", |(parent, _)| parent),
            _ => path.trim_end_matches(".rs"),
        };
        for module in Source::new(text).test_modules() {
            let below = format!("{directory}/{module}/");
            found.insert(format!("{directory}/{module}.rs"));
            found.extend(tree.files.keys().filter(|file| file.starts_with(&below)).cloned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;

    #[test]
    fn they_are_found_where_they_must_not_be() {
        let code = "use std::fs;\n/// println!\nfn x() { println!(\"dbg!\"); }\n#[cfg(test)]\nmod t { use std::fs; }\n#[cfg(test)]\nmod u;\n";
        let tree = tree(&[
            ("shards/storage/src/lib.rs", code),
            ("shards/storage/src/u.rs", "use std::fs;"),
            ("shards/storage/src/u/v.rs", "use std::fs;"),
            ("shards/storage/tests/w.rs", "use std::fs;"),
            ("src/cli/src/lib.rs", "use std::fs;\nfn x() { todo!() }\n"),
        ]);
        let found = check(&tree);
        let places: Vec<&str> = found.iter().map(|one| one.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            ["shards/storage/src/lib.rs:1", "shards/storage/src/lib.rs:3", "src/cli/src/lib.rs:2"]
        );
    }
}
