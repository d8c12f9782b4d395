//! Short runs of the whole program: nothing is lost, nothing comes back.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{env, process::Command};

/// Runs the program and prints its output, which tells what was skipped.
fn run(arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_example-cluster"))
        .args(arguments)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    println!("{text}");
    assert!(output.status.success(), "{text}");
}

/// Runs a storm. The soak test takes a minute, with a new seed each time.
fn storm(store: &str) {
    match env::var_os("SILVERBACK_SOAK") {
        None => run(&[
            "storm",
            store,
            "--seconds",
            "8",
            "--visitors",
            "8",
            "--seed",
            "13",
        ]),
        Some(_) => run(&["storm", store, "--seconds", "60"]),
    }
}

#[test]
fn on_postgresql() {
    run(&["postgres", "--seconds", "12", "--visitors", "8"]);
}

#[test]
fn on_a_redis_cluster() {
    run(&["redis", "--seconds", "12", "--visitors", "8"]);
}

#[test]
fn in_a_storm_on_mariadb() {
    storm("mariadb");
}

#[test]
fn in_a_storm_on_postgresql() {
    storm("postgres");
}

#[test]
fn in_a_storm_on_redis() {
    storm("redis");
}
