//! Instructions and allocations of a request, counted by callgrind, for the gate.
//!
//! This program runs itself under callgrind, which collects only in [`kit`]'s `measured_call` and
//! writes a file after each [`measured_subject`]. An allocation is a call of the C library's
//! allocator. Callgrind's processor has no SHA-NI and no VAES, so ring runs other code there than
//! natively. The floor does the same cryptography, so the instructions above it are not affected.

use std::{
    collections::HashMap,
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use kit::{
    count::Counts,
    scenario::{EXTRACTED, MORE, SEVEN, Scenario},
    sessions::Kind,
    subject::Subject,
};

use crate::{
    cost::Costs,
    subjects::{Subjects, has_floor},
};

const ALLOCATORS: [&str; 5] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];
const CALLS: u32 = 100;

/// The scenarios counted for a kind: the seven requests, and those of the others that run other
/// code.
pub(crate) fn scenarios(kind: Kind) -> Vec<Scenario> {
    let others: &[&str] = match kind {
        Kind::Encrypted => &["E2", "E3", "E4", "F5", "N4", "T3", "T2"],
        Kind::Signed => &[],
        Kind::Memory => &["E2", "E3", "E4", "T3", "T2"],
    };
    let others = EXTRACTED
        .into_iter()
        .chain(MORE)
        .filter(|scenario| others.contains(&scenario.name));
    SEVEN.into_iter().chain(others).collect()
}

/// Runs the scenarios of a kind under callgrind, whose files stay in `target/tmp`.
pub(crate) fn count(kind: Kind) -> io::Result<Vec<(Scenario, Costs)>> {
    let out = folder().join(format!("{}.callgrind", kind.name()));
    let program = env::current_exe()?;
    let (Some(within), Some(name)) = (program.parent(), program.file_name()) else {
        return Err(io::Error::other("this program has no path"));
    };
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--toggle-collect=*measured_call*",
            "--dump-after=*measured_subject*",
            "--dump-instr=yes",
            "--compress-pos=no",
            "--compress-strings=no",
        ])
        .arg(format!("--callgrind-out-file={}", out.display()))
        // The environment and the program's path are on its stack and heap. They would move the
        // data there, and data at other addresses is copied by other instructions.
        .env_clear()
        .current_dir(within)
        .arg(Path::new(".").join(name))
        .args(["--subjects", "callgrind", "all", kind.name()])
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
    let mut numbers = 1..;
    let mut all = Vec::new();
    for scenario in scenarios(kind) {
        let mut counts = Vec::new();
        for subject in names(&scenario) {
            let number = numbers.next().unwrap_or_default();
            let path = file(&scenario, kind, subject);
            fs::rename(out.with_extension(format!("callgrind.{number}")), &path)?;
            counts.push(read(&path)?);
        }
        let blind = |counts: &Counts| counts.instructions == 0.0;
        let costs = Costs::of_counts(&counts)
            .filter(|costs| !counts.iter().any(blind) && costs.silverback.counts.allocations > 0.0);
        all.push((
            scenario,
            costs.ok_or_else(|| {
                io::Error::other(format!(
                    "callgrind does not see what it should count: {counts:?}"
                ))
            })?,
        ));
    }
    Ok(all)
}

/// The names of the subjects, in the order in which they are counted.
fn names(scenario: &Scenario) -> &'static [&'static str] {
    if has_floor(scenario) {
        &["bare", "floor", "silverback"]
    } else {
        &["bare", "silverback"]
    }
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn file(scenario: &Scenario, kind: Kind, subject: &str) -> PathBuf {
    folder().join(format!(
        "{}-{}-{subject}.callgrind",
        scenario.name,
        kind.name()
    ))
}

/// Answers the requests of all subjects, in the process under callgrind.
pub(crate) fn run(kind: Kind) {
    for scenario in scenarios(kind) {
        for mut subject in Subjects::new(&scenario, kind).into_all() {
            measured_subject(&mut subject, &scenario);
        }
    }
}

#[inline(never)]
fn measured_subject(subject: &mut Subject, scenario: &Scenario) {
    subject.answer(scenario, CALLS, &unmarked);
}

/// Not a closure: its name would contain that of [`measured_subject`].
fn unmarked() {}

/// Reads the counts of one subject. The numbers of calls in the file include calls outside the
/// collected code, so a function's calls are counted by its first instruction.
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

fn per_call(count: u64) -> f64 {
    count as f64 / f64::from(CALLS)
}

/// The instructions collected at one address.
struct Cost<'a> {
    function: &'a str,
    address: u64,
    instructions: u64,
}

/// Parses callgrind's format: lines of address, line and cost, below the name of their function.
fn costs(text: &str) -> impl Iterator<Item = Cost<'_>> {
    let (mut lines, mut function) = (text.lines(), "");
    std::iter::from_fn(move || {
        loop {
            let line = lines.next()?;
            if let Some(name) = line.strip_prefix("fn=") {
                function = name;
            } else if line.starts_with("calls=") {
                // The next line is the cost of the callee.
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
