//! The number of cache lines that a request touches. It waits for them if the server's other work
//! has evicted them since the last request.
//!
//! Lines of code come from a native run that is stepped through. Lines of data come from a run in
//! valgrind's lackey, which prints every access. Its processor has fewer instructions for
//! cryptography, so the code touches a few more tables there. Lines that the bare service touches
//! as well are not counted.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    error::Error,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
    sync::OnceLock,
    thread,
};

use kit::{
    count::{Steps, Tracee},
    scenario::Scenario,
    sessions::Kind,
    table::{markdown, number},
};

use crate::{
    cost,
    subjects::{self, has_floor},
    symbols::Symbols,
};

/// Bytes of a line.
const LINE: u64 = 64;
const SCENARIOS: [&str; 4] = ["S2", "S4", "E2", "E4"];
const KINDS: [Kind; 2] = [Kind::Encrypted, Kind::Memory];
/// The number of functions printed.
const FUNCTIONS: usize = 40;
/// The stack of a process under valgrind is above this address.
const STACK: u64 = 0x1f_0000_0000;

type Lines = HashSet<u64>;

/// The lines that a request touches.
struct Footprint {
    code: Lines,
    data: Lines,
    stack: Lines,
}

/// The table of lines in each scenario, silverback's beside the floor's.
pub(crate) fn table() -> Result<String, Box<dyn Error>> {
    let head = [
        "lines of 64 bytes: code / data / stack",
        "silverback",
        "floor",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for kind in KINDS {
        rows.push(vec![format!("**{}**", kind.title())]);
        for name in SCENARIOS {
            let scenario = subjects::find(name)?;
            let all = footprints(&scenario, kind)?;
            let (bare, above) = all.split_first().ok_or("nobody was traced")?;
            let cells = above.iter().rev().map(|own| own.above(bare));
            let title = format!("{name}: {}", scenario.text);
            rows.push([title].into_iter().chain(cells).collect());
        }
    }
    Ok(markdown(&rows))
}

impl Footprint {
    fn above(&self, bare: &Self) -> String {
        let count = |own: &Lines, bare: &Lines| number(own.difference(bare).count() as f64);
        format!(
            "{} / {} / {}",
            count(&self.code, &bare.code),
            count(&self.data, &bare.data),
            count(&self.stack, &bare.stack)
        )
    }
}

/// The footprint of each subject.
fn footprints(scenario: &Scenario, kind: Kind) -> Result<Vec<Footprint>, Box<dyn Error>> {
    let (steps, _) = step(scenario, kind)?;
    let data = trace(scenario, kind)?;
    if data.len() != steps.len() {
        return Err(format!("lackey saw {} of {} subjects", data.len(), steps.len()).into());
    }
    let of = |(steps, accesses): (Steps, Lines)| {
        let (stack, data) = accesses.into_iter().partition(|line| line * LINE >= STACK);
        Footprint {
            code: lines(steps.executed().keys()),
            data,
            stack,
        }
    };
    Ok(steps.into_iter().zip(data).map(of).collect())
}

fn lines<'a>(addresses: impl Iterator<Item = &'a u64>) -> Lines {
    addresses.map(|address| address / LINE).collect()
}

/// The steps of each subject, and the memory map of the process.
fn step(scenario: &Scenario, kind: Kind) -> io::Result<(Vec<Steps>, String)> {
    let tracee = Tracee::start(&["--subjects", "once", scenario.name, kind.name()])?;
    let subjects = if has_floor(scenario) { 3 } else { 2 };
    let steps: Vec<_> = (0..subjects)
        .map(|_| tracee.next())
        .collect::<io::Result<_>>()?;
    let maps = tracee.maps().to_owned();
    tracee.finish()?;
    Ok((steps, maps))
}

/// The lines that each subject reads or writes.
fn trace(scenario: &Scenario, kind: Kind) -> Result<Vec<Lines>, Box<dyn Error>> {
    let mut child = Command::new("valgrind")
        .args(["--tool=lackey", "--trace-mem=yes"])
        .arg(env::current_exe()?)
        .args(["--subjects", "trace", scenario.name, kind.name()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let trace = child.stderr.take().ok_or("no trace")?;
    let mark = OnceLock::new();
    let all = thread::scope(|scope| {
        scope.spawn(|| {
            let mut line = String::new();
            if BufReader::new(output).read_line(&mut line).is_ok() {
                let _ = mark.set(line.trim().parse().unwrap_or(u64::MAX));
                let _ = input.write_all(b"\n");
            }
        });
        read(BufReader::new(trace), &mark)
    });
    let status = child.wait()?;
    if !status.success() {
        return Err(format!("{status} in lackey").into());
    }
    Ok(all?)
}

/// Parses lackey's output: `I  4e0,3` for an instruction of three bytes, ` L 4e0,8` for a load,
/// ` S` for a store, ` M` for both.
fn read(mut trace: impl BufRead, mark: &OnceLock<u64>) -> io::Result<Vec<Lines>> {
    let (mut all, mut touched) = (Vec::new(), None::<Lines>);
    let mut line = Vec::new();
    while {
        line.clear();
        trace.read_until(b'\n', &mut line)? > 0
    } {
        let Some((kind, address, size)) = access(&line) else {
            continue;
        };
        if kind == b'I' && mark.get() == Some(&address) {
            match touched.take() {
                Some(lines) => all.push(lines),
                None => touched = Some(Lines::new()),
            }
        } else if let Some(touched) = touched.as_mut().filter(|_| kind != b'I') {
            touched.extend(address / LINE..=(address + size - 1) / LINE);
        }
    }
    Ok(all)
}

fn access(line: &[u8]) -> Option<(u8, u64, u64)> {
    let (kind, rest) = line.split_at_checked(3)?;
    let kind = match kind {
        b"I  " => b'I',
        [b' ', kind @ (b'L' | b'S' | b'M'), b' '] => *kind,
        _ => return None,
    };
    let (address, size) = str::from_utf8(rest).ok()?.trim_end().split_once(',')?;
    Some((
        kind,
        u64::from_str_radix(address, 16).ok()?,
        size.parse().ok()?,
    ))
}

/// Prints the address of [`mark`], waits until the parent has it, and answers one request with each
/// subject, in the process under lackey.
pub(crate) fn run_traced(scenario: &Scenario, kind: Kind) -> io::Result<()> {
    println!("{}", (mark as fn() as *const ()).addr());
    io::stdin().read_line(&mut String::new())?;
    cost::run(scenario, kind, 1, &|| mark());
    Ok(())
}

/// Lackey prints the address of this function at each call.
#[inline(never)]
fn mark() {
    std::hint::black_box(0);
}

/// A table of the instructions that a request executes above the bare service, by function, most
/// instructions first. Each execution of an instruction counts. A line of code that several
/// functions share belongs to the first of them. Lines that the bare service touches are left out.
pub(crate) fn functions(scenario: &Scenario, kind: Kind) -> Result<String, Box<dyn Error>> {
    let (steps, maps) = step(scenario, kind)?;
    let (bare, own) = steps.first().zip(steps.last()).ok_or("nobody was traced")?;
    let symbols = Symbols::of_this_program(&maps)?;
    let mut sums: BTreeMap<&str, (i64, u32)> = BTreeMap::new();
    let (bare, own) = (bare.executed(), own.executed());
    for (executed, sign) in [(&own, 1), (&bare, -1)] {
        for (address, times) in executed {
            let (instructions, _) = sums.entry(symbols.find(*address)).or_default();
            *instructions += sign * i64::try_from(*times)?;
        }
    }
    let bare = lines(bare.keys());
    let mut first: BTreeMap<u64, u64> = BTreeMap::new();
    for address in own.keys().copied() {
        let line = address / LINE;
        if !bare.contains(&line) {
            let first = first.entry(line).or_insert(address);
            *first = (*first).min(address);
        }
    }
    for address in first.values() {
        let (_, lines) = sums.entry(symbols.find(*address)).or_default();
        *lines += 1;
    }
    let all: i64 = sums.values().map(|(instructions, _)| instructions).sum();
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    let title = format!("{}, {}", scenario.name, kind.name());
    let row = |name: String, (instructions, lines)| {
        vec![name, number(instructions as f64), number(f64::from(lines))]
    };
    let rows = sums
        .iter()
        .take(FUNCTIONS)
        .map(|(name, sum)| row(format!("`{}`", name.replace('|', "\\|")), *sum));
    let head = vec![title, "instructions".to_owned(), "lines".to_owned()];
    let lines = u32::try_from(first.len())?;
    let head = [head, row("all".to_owned(), (all, lines))];
    Ok(markdown(&head.into_iter().chain(rows).collect::<Vec<_>>()))
}
