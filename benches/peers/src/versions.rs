//! The versions of everything that was measured, and of the tools.

use std::{collections::BTreeSet, process::Command};

use kit::machine::{kernel, processor, run, rustc};

use crate::systems::{SYSTEMS, System};

const LOCK: &str = include_str!("../Cargo.lock");
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

/// The versions of all systems.
pub(crate) fn all() -> String {
    let tools = [rustc(), run("go", &["version"]), gorilla()];
    those(SYSTEMS.iter().map(|system| system.package), &tools)
}

/// The versions of the parts of a server and of its load.
pub(crate) fn end_to_end<'a>(systems: impl Iterator<Item = &'a System>) -> String {
    those(
        systems
            .map(|system| system.package)
            .chain(["axum", "hyper", "tokio"]),
        &[rustc(), wrk()],
    )
}

/// The versions of the stores and their servers.
#[cfg(feature = "stores")]
pub(crate) fn stores(servers: impl Iterator<Item = String>) -> String {
    const PACKAGES: [&str; 12] = [
        "silverback",
        "silverback-redis",
        "silverback-sqlx",
        "redis",
        "sqlx@0.9",
        "fred",
        "sqlx@0.8",
        "tower-sessions@0.14",
        "tower-sessions-redis-store",
        "tower-sessions-sqlx-store",
        "axum",
        "tokio",
    ];
    let tools: Vec<_> = servers.map(Some).chain([rustc()]).collect();
    those(PACKAGES.into_iter(), &tools)
}

fn those<'a>(packages: impl Iterator<Item = &'a str>, tools: &[Option<String>]) -> String {
    let packages: BTreeSet<_> = packages.collect();
    let packages: Vec<_> = packages.into_iter().map(package).collect();
    let tools: Vec<_> = tools.iter().flatten().cloned().collect();
    let (processor, kernel) = (processor(), kernel().unwrap_or_default());
    format!(
        "- {}\n- {}\n- {processor}, {kernel}",
        packages.join(", "),
        tools.join(", ")
    )
}

/// wrk fails whenever it is asked for its version, so its exit status is ignored.
pub(crate) fn wrk() -> Option<String> {
    let output = Command::new("wrk").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.split(" [").next()?.trim().to_owned())
}

/// Name and version of a package, and for silverback the commit of its sources. `name@0.14` stands
/// for the newest version in Cargo.lock that begins with 0.14.
fn package(name: &str) -> String {
    let (name, begin) = name.split_once('@').unwrap_or((name, ""));
    let version = locked(name, begin).unwrap_or("of unknown version");
    let commit = (name == "silverback")
        .then(|| run("git", &["-C", FOLDER, "describe", "--always", "--dirty"]));
    let commit = commit
        .flatten()
        .map(|commit| format!(" ({commit})"))
        .unwrap_or_default();
    format!("{name} {version}{commit}")
}

/// The newest version of a package in Cargo.lock that begins with `begin`.
fn locked(name: &str, begin: &str) -> Option<&'static str> {
    let entries = LOCK
        .split("[[package]]")
        .filter(|entry| field(entry, "name") == Some(name));
    entries
        .filter_map(|entry| field(entry, "version"))
        .filter(|version| version.starts_with(begin))
        .last()
}

fn field<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    let value = entry
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
    Some(value.trim_matches('"'))
}

fn gorilla() -> Option<String> {
    let version = run(
        "dpkg-query",
        &[
            "--show",
            "--showformat=${Version}",
            "golang-github-gorilla-sessions-dev",
        ],
    )?;
    Some(format!("gorilla/sessions {version} (Debian)"))
}
