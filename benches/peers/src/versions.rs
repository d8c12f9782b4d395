//! With what the figures were made.

use std::{collections::BTreeSet, fs, process::Command};

use crate::systems::SYSTEMS;

const LOCK: &str = include_str!("../Cargo.lock");
const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

pub(crate) fn print() {
    let names: BTreeSet<_> = SYSTEMS.iter().map(|system| system.package).collect();
    println!("- {}", names.into_iter().map(package).collect::<Vec<_>>().join(", "));
    let tools: [Option<String>; 4] =
        [run("rustc", &["--version"]), run("valgrind", &["--version"]), run("go", &["version"]), gorilla()];
    println!("- {}", tools.into_iter().flatten().collect::<Vec<_>>().join(", "));
    println!("- {}, {}", processor(), kernel());
}

/// Name and version of a package, and the commit of the one that is measured from its sources.
fn package(name: &str) -> String {
    let version = locked(name).unwrap_or("of unknown version");
    let commit = (name == "silverback").then(|| run("git", &["-C", FOLDER, "describe", "--always", "--dirty"]));
    let commit = commit.flatten().map(|commit| format!(" ({commit})")).unwrap_or_default();
    format!("{name} {version}{commit}")
}

/// The newest version of a package in Cargo.lock.
fn locked(name: &str) -> Option<&'static str> {
    let entries = LOCK.split("[[package]]").filter(|entry| field(entry, "name") == Some(name));
    entries.filter_map(|entry| field(entry, "version")).last()
}

fn field<'a>(entry: &'a str, name: &str) -> Option<&'a str> {
    let value = entry.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "))?;
    Some(value.trim_matches('"'))
}

fn gorilla() -> Option<String> {
    let version = run("dpkg-query", &["--show", "--showformat=${Version}", "golang-github-gorilla-sessions-dev"])?;
    Some(format!("gorilla/sessions {version} (Debian)"))
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let threads = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{threads} threads of {}", model.map_or("an unknown processor", |model| model.1))
}

fn kernel() -> String {
    run("uname", &["-sr"]).unwrap_or_else(|| "unknown kernel".to_owned())
}

/// The first line that a program prints, if it is installed and content.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}
