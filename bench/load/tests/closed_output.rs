//! What the tool does when nobody reads what it prints.

use std::{io, process::Command};

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let empty = std::env::temp_dir().join(format!("flumen-load-{}-closed-output", std::process::id()));
    std::fs::create_dir(&empty).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen-load"));
    let output = command.arg("evict").arg(&empty).stdout(writer).output().unwrap();
    std::fs::remove_dir(&empty).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""));
}
