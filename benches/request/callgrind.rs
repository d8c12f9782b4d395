//! Instructions and allocations of a request, counted by callgrind.
//!
//! This program runs itself under callgrind, which collects in [`measured_call`] alone and writes a
//! file after each [`measured_subject`]. An allocation is a call of the C library's allocator.

use std::{
    collections::HashMap,
    env, fs,
    hint::black_box,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use http::Request;
use silverback::KeyError;

use crate::{
    scenarios::{Action, Kind, Scenario},
    subjects::{Call, SUBJECTS, Subject},
};

const ALLOCATORS: [&str; 5] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];
const CALLS: u32 = 100;
/// After these calls the heap is as it stays.
const WARM_UP: u32 = 20;
/// After these a store in memory is: its 64 tables have 168 records each, and grow at 112 and 224.
const WARM_UP_STORE: u32 = 64 * 168;

/// Of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
}

pub(crate) fn is_installed() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok()
}

/// Runs a scenario under callgrind and leaves its files in `target/tmp`.
pub(crate) fn count(scenario: &Scenario, kind: Kind) -> io::Result<[Counts; SUBJECTS]> {
    let out = file(scenario, kind);
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--toggle-collect=*measured_call*",
            "--dump-after=*measured_subject*",
        ])
        .args([
            "--dump-instr=yes",
            "--compress-pos=no",
            "--compress-strings=no",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["--subjects", scenario.name, kind.name()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("valgrind does not start: {error}"))
        })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(format!(
            "{} under valgrind: {text}",
            output.status
        )));
    }
    let mut counts = [Counts::default(); SUBJECTS];
    for (number, counts) in (1..).zip(&mut counts) {
        *counts = read(&out.with_extension(format!("callgrind.{number}")))?;
    }
    let [bare, floor, silverback] = &counts;
    if bare.instructions == 0.0 || floor.allocations == 0.0 || silverback.allocations == 0.0 {
        return Err(io::Error::other(format!(
            "callgrind does not see what it shall count: {counts:?}"
        )));
    }
    Ok(counts)
}

fn file(scenario: &Scenario, kind: Kind) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "{}-{}.callgrind",
        scenario.name,
        kind.name()
    ))
}

/// What runs under callgrind.
pub(crate) fn run_subjects(scenario: &Scenario, kind: Kind) -> Result<(), KeyError> {
    let grows = kind == Kind::Memory && scenario.action == Action::Create;
    for mut subject in Subject::all(scenario, kind)? {
        measured_subject(&mut subject, if grows { WARM_UP_STORE } else { WARM_UP });
    }
    Ok(())
}

#[inline(never)]
fn measured_subject(subject: &mut Subject, warm_up: u32) {
    for _ in 0..warm_up {
        let request = subject.request();
        drop(black_box((subject.call)(request)));
    }
    for _ in 0..CALLS {
        let request = subject.request();
        measured_call(&mut subject.call, request);
    }
}

#[inline(never)]
fn measured_call(call: &mut Call, request: Request<()>) {
    drop(black_box(call(request)));
}

/// Its numbers of calls include those outside of what is collected. So a call of a function is
/// counted by the function's first instruction.
fn read(path: &Path) -> io::Result<Counts> {
    let text = fs::read_to_string(path)?;
    let mut instructions = 0;
    let mut allocators: HashMap<&str, (u64, u64)> = HashMap::new();
    for Cost {
        function,
        address,
        instructions: cost,
    } in costs(&text)
    {
        instructions += cost;
        if ALLOCATORS.contains(&function) {
            let first = allocators.entry(function).or_insert((u64::MAX, 0));
            *first = (*first).min((address, cost));
        }
    }
    let allocations = allocators.values().map(|(_, calls)| calls).sum();
    Ok(Counts {
        instructions: per_call(instructions),
        allocations: per_call(allocations),
    })
}

/// What each function of a scenario costs that was counted, in the order of the subjects.
pub(crate) fn functions(
    scenario: &Scenario,
    kind: Kind,
) -> io::Result<[Vec<(String, f64)>; SUBJECTS]> {
    let mut functions = [const { Vec::new() }; SUBJECTS];
    for (number, functions) in (1..).zip(&mut functions) {
        let text =
            fs::read_to_string(file(scenario, kind).with_extension(format!("callgrind.{number}")))?;
        functions.extend(
            costs(&text).map(|cost| (cost.function.to_owned(), per_call(cost.instructions))),
        );
    }
    Ok(functions)
}

fn per_call(count: u64) -> f64 {
    count as f64 / f64::from(CALLS)
}

/// What was collected at one address.
struct Cost<'a> {
    function: &'a str,
    address: u64,
    instructions: u64,
}

/// Reads a file in callgrind's format: lines of address, line and cost, below the name of their
/// function.
fn costs(text: &str) -> impl Iterator<Item = Cost<'_>> {
    let (mut lines, mut function) = (text.lines(), "");
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                // What follows is the cost of the callee.
                lines.next();
            } else if let Some((address, instructions)) =
                line.strip_prefix("0x").and_then(parse_cost)
            {
                return Some(Cost {
                    function,
                    address,
                    instructions,
                });
            }
        }
    })
}

fn parse_cost(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split(' ');
    let address = u64::from_str_radix(columns.next()?, 16).ok()?;
    Some((address, columns.next_back()?.parse().ok()?))
}
