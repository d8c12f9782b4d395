//! Instructions and allocations of a request, counted by callgrind.
//!
//! This program runs itself under callgrind, which collects in `measured_call` of [`crate::endpoint`] alone and writes
//! a file after each [`measured_subject`]. An allocation is a call of the C library's allocator.

use std::{
    collections::HashMap,
    env, fs, io,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    scenarios::{Action, Scenario},
    subject::{Pair, Subject},
};

const ALLOCATORS: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
const CALLS: u32 = 100;
/// After these calls the heap is as it stays.
const WARM_UP: u32 = 20;
/// After these a store is that gets a new session with each: silverback's 64 tables have 168 records then, and grow at
/// 112 and 224.
const WARM_UP_STORE: u32 = 64 * 168;

/// Of one request, above the bare service.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

pub(crate) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Runs a scenario under callgrind; in the order of [`Pair::all`].
pub(crate) fn count(scenario: &Scenario, pairs: usize) -> io::Result<Vec<Counts>> {
    let dir = tempfile::tempdir()?;
    let out = dir.path().join("callgrind");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*measured_call*", "--dump-after=*measured_subject*"])
        .args(["--dump-instr=yes", "--compress-pos=no", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["--count", scenario.name])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!("{} under valgrind: {text}", output.status)));
    }
    let read = |number: usize| read(&out.with_extension(number.to_string()));
    (0..pairs).map(|pair| Ok(read(2 * pair + 2)?.above(read(2 * pair + 1)?))).collect()
}

/// What runs under callgrind.
pub(crate) fn run(scenario: &Scenario) {
    let grows = scenario.action == Action::Create;
    let warm_up = if grows { WARM_UP_STORE } else { WARM_UP };
    for mut pair in Pair::all(scenario) {
        measured_subject(&mut pair.bare, WARM_UP);
        measured_subject(&mut pair.subject, warm_up);
    }
}

#[inline(never)]
fn measured_subject(subject: &mut Subject, warm_up: u32) {
    subject.endpoint.time(subject.field.as_ref(), warm_up);
    subject.endpoint.count(subject.field.as_ref(), CALLS);
}

impl Counts {
    fn above(self, bare: Self) -> Self {
        Self { instructions: self.instructions - bare.instructions, allocations: self.allocations - bare.allocations }
    }
}

/// Adds up a file in callgrind's format: lines of address, line and cost, below the name of their function.
///
/// Its numbers of calls include those outside of what is collected. So a call of a function is counted by the
/// function's first instruction.
fn read(path: &Path) -> io::Result<Counts> {
    let text = fs::read_to_string(path)?;
    let mut instructions = 0;
    let mut allocators: HashMap<&str, (u64, u64)> = HashMap::new();
    let mut function = "";
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("fn=") {
            function = name;
        } else if line.starts_with("calls=") {
            // What follows is the cost of the callee.
            lines.next();
        } else if let Some(total) = line.strip_prefix("totals: ") {
            instructions = total.trim().parse().map_err(io::Error::other)?;
        } else if ALLOCATORS.contains(&function)
            && let Some((address, cost)) = line.strip_prefix("0x").and_then(parse_cost)
        {
            let first = allocators.entry(function).or_insert((u64::MAX, 0));
            *first = (*first).min((address, cost));
        }
    }
    if instructions == 0 {
        return Err(io::Error::other("callgrind does not see what it shall count"));
    }
    let allocations = allocators.values().map(|(_, calls)| calls).sum();
    let per_call = |count: u64| count as f64 / f64::from(CALLS);
    Ok(Counts { instructions: per_call(instructions), allocations: per_call(allocations) })
}

fn parse_cost(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split(' ');
    let address = u64::from_str_radix(columns.next()?, 16).ok()?;
    Some((address, columns.next_back()?.parse().ok()?))
}
