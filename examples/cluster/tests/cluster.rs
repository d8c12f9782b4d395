//! A short run of the whole: nothing is lost, nothing comes back.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::process::Command;

/// Prints what the run prints, which says what was skipped.
fn run(store: &str) {
    let arguments = [store, "--seconds", "12", "--visitors", "8"];
    let output = Command::new(env!("CARGO_BIN_EXE_silverback-cluster"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

#[test]
fn on_postgresql() {
    run("postgres");
}

#[test]
fn on_a_redis_cluster() {
    run("redis");
}
