//! The machine and the tools of a measurement.

use std::{env, fs, io, path::Path, process::Command, thread};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// One sentence that names the commit, the compiler, the kernel, the facts in `more` and the
/// processor.
pub fn sentence(more: &[Option<String>]) -> String {
    let facts = [silverback(), rustc(), kernel()].into_iter();
    let facts = facts.chain(more.iter().cloned()).flatten();
    let facts: Vec<_> = facts.chain([processor()]).collect();
    format!("Measured with {}.", facts.join(",\n"))
}

/// The commit of the measured sources.
pub fn silverback() -> Option<String> {
    let folder = env!("CARGO_MANIFEST_DIR");
    let commit = run("git", &["-C", folder, "describe", "--always", "--dirty"])?;
    Some(format!("silverback {commit}"))
}

pub fn rustc() -> Option<String> {
    run(
        &env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()),
        &["--version"],
    )
}

pub fn valgrind() -> Option<String> {
    run("valgrind", &["--version"])
}

pub fn kernel() -> Option<String> {
    Some(run("uname", &["-sr"])?.split('-').next()?.to_owned())
}

pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let threads = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "{threads} threads of {}",
        model.map_or("an unknown processor", |model| model.1)
    )
}

/// The numbers of the processors that this process may run on.
pub fn processors() -> io::Result<Vec<usize>> {
    let all = sched_getaffinity(Pid::this())?;
    let is_set = |number: &usize| all.is_set(*number).unwrap_or(false);
    Ok((0..CpuSet::count()).filter(is_set).collect())
}

/// Pins this process, and every process that it starts, to one processor.
pub fn stay_on(processor: usize) -> io::Result<()> {
    let mut one = CpuSet::new();
    one.set(processor)?;
    Ok(sched_setaffinity(Pid::this(), &one)?)
}

/// The type of the file system that holds a directory.
pub fn filesystem(folder: &Path) -> Option<String> {
    let folder = folder.to_string_lossy();
    run(
        "findmnt",
        &["--noheadings", "--output=FSTYPE", "--target", &folder],
    )
}

/// The first line that a program prints, if it is installed and succeeds.
pub fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    Some(text.lines().next()?.trim().to_owned())
}
