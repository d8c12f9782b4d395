//! The instructions of a request by purpose, and the aims that are out of reach.
//!
//! Requests are stepped through natively. An instruction belongs to the part of the innermost
//! function around it that names one. Inlined functions are found in the debug information. A
//! function without a part counts for its caller.

use std::{
    collections::{HashMap, HashSet},
    error::Error,
};

use kit::{
    count::{Step, Steps, Tracee},
    scenario::Scenario,
    sessions::Kind,
    table::{markdown, number},
};

use crate::{
    subjects::{self, Subjects},
    symbols::{Place, Symbols},
};

/// The names of the parts, with text in the names or files of their functions. The first part that
/// matches counts.
const PARTS: [(&str, &[&str]); 17] = [
    (ALLOCATOR, &["__rust_", "__rdl_"]),
    (COPIES, &[]),
    (
        CLOCK,
        &[
            "sys/pal/unix/time.rs",
            "std/src/time.rs",
            "src/time/clock.rs",
            "vdso_wrappers.rs",
            "src/clock.rs",
        ],
    ),
    (RANDOM, &["getrandom", "src/rand.rs"]),
    (
        "AES-GCM, HMAC, SHA-256 (ring)",
        &["/ring-", "ring_core", "_aesni", "gcm_", "/src/crypto.rs"],
    ),
    ("base64", &["/base64-simd-", "/vsimd-"]),
    (
        "reading and writing JSON",
        &["/serde", "/itoa-", "/src/session/json.rs"],
    ),
    ("dropping what is over", &["drop_in_place"]),
    (
        "`Set-Cookie`",
        &["future::set_cookies", "cookie::set", "/src/turn/reply.rs"],
    ),
    ("`Vary` and `Cache-Control`", &["/src/caching.rs"]),
    (
        "finding the cookie",
        &["/memchr-", "/src/cookie.rs", "/src/turn/presented.rs"],
    ),
    ("head and times of the token", &["/src/codec/"]),
    ("frames, record", &["/src/content/", "/src/binary.rs"]),
    (
        "the store's table",
        &["/src/store/", "hashbrown", "collections/hash"],
    ),
    ("state, plan, settings", &["/src/state/", "/src/config/"]),
    (
        "handle, turn, vault",
        &[
            "/src/session/",
            "/src/turn/",
            "/src/vault/",
            "/src/lock.rs",
            "/src/id.rs",
            "/src/report/",
        ],
    ),
    (REST, &[]),
];
const ALLOCATOR: &str = "allocator";
const COPIES: &str = "copying, filling, comparing";
const CLOCK: &str = "clock";
const RANDOM: &str = "random bytes";
const REST: &str = "registry, the way in and out; the floor itself";

/// The aims of the crate, in instructions above the bare service.
const AIMS: [(Kind, [Aim; 4]); 3] = [
    (
        Kind::Encrypted,
        [
            ("S3", Some(7_200.0)),
            ("S4", Some(13_500.0)),
            ("S5", Some(10_500.0)),
            ("S6", Some(28_000.0)),
        ],
    ),
    (
        Kind::Signed,
        [
            ("S3", Some(5_500.0)),
            ("S4", Some(9_900.0)),
            ("S5", None),
            ("S6", Some(30_000.0)),
        ],
    ),
    (
        Kind::Memory,
        [
            ("S3", Some(5_500.0)),
            ("S4", Some(7_500.0)),
            ("S5", Some(9_000.0)),
            ("S6", Some(9_000.0)),
        ],
    ),
];

/// A scenario and its aim, if there is one.
type Aim = (&'static str, Option<f64>);

/// Instructions by part.
type Sums = [f64; PARTS.len()];

/// Answers one request with each subject, in the process that is stepped through.
pub(crate) fn run(scenario: &Scenario, kind: Kind, mark: &dyn Fn()) {
    for mut subject in Subjects::profiled(scenario, kind) {
        subject.answer(scenario, 1, mark);
    }
}

/// A table for each kind of session.
pub(crate) fn tables() -> Result<String, Box<dyn Error>> {
    let tables = AIMS.iter().map(|(kind, aims)| table(*kind, aims));
    Ok(tables.collect::<Result<Vec<_>, _>>()?.join("\n\n"))
}

fn table(kind: Kind, aims: &[Aim]) -> Result<String, Box<dyn Error>> {
    let labels = PARTS.iter().map(|(name, _)| *name);
    let last = [
        "**all**",
        "the floor with `Vary` and `Cache-Control`",
        "the aim",
        "which leaves for the library / it takes",
        "of which it takes if the session is not used (S2; S1 for S5)",
    ];
    let title = format!("**{}**", kind.title());
    let labels = [&*title].into_iter().chain(labels).chain(last);
    let mut rows: Vec<Vec<String>> = labels.map(|label| vec![label.to_owned()]).collect();
    let (without, with) = (unused("S1", kind)?, unused("S2", kind)?);
    for (name, aim) in aims {
        let mut cells = column(&subjects::find(name)?, kind, *aim)?;
        // A new session has no cookie yet.
        cells.push(number(if *name == "S5" { without } else { with }));
        for (row, cell) in rows.iter_mut().zip(cells) {
            row.push(cell);
        }
    }
    Ok(markdown(&rows))
}

/// What the library takes above the floor in a scenario that does not use the session.
fn unused(scenario: &str, kind: Kind) -> Result<f64, Box<dyn Error>> {
    let [_, _, least, own] = sums(&subjects::find(scenario)?, kind)?;
    Ok(own.iter().sum::<f64>() - least.iter().sum::<f64>())
}

fn column(
    scenario: &Scenario,
    kind: Kind,
    aim: Option<f64>,
) -> Result<Vec<String>, Box<dyn Error>> {
    let [bare, floor, least, own] = sums(scenario, kind)?;
    let above = |sums: Sums| {
        let mut sums = sums;
        let bare = sums.iter_mut().zip(bare);
        bare.for_each(|(sum, bare)| *sum -= bare);
        sums
    };
    let (floor, own) = (above(floor), above(own));
    let parts = own.iter().zip(floor);
    let parts = parts.map(|(own, floor)| format!("{} / {}", number(*own), number(floor)));
    let total = |sums: Sums| sums.iter().sum::<f64>();
    let (floor, least, own) = (total(floor), total(above(least)), total(own));
    let all = format!("{} / {}", number(own), number(floor));
    // The instructions that the aim leaves for the library, and those that the library takes.
    let rest = match aim.map(|aim| aim - least) {
        None => number(own - least),
        Some(left) if left < 0.0 => format!("nothing / {}", number(own - least)),
        Some(left) => format!("{} / {}", number(left), number(own - least)),
    };
    let aim = aim.map_or("–".to_owned(), number);
    let title = format!("{}: {}", scenario.name, scenario.text);
    let last = [all, number(least), aim, rest];
    Ok([title].into_iter().chain(parts).chain(last).collect())
}

/// The sums of each of the four subjects.
fn sums(scenario: &Scenario, kind: Kind) -> Result<[Sums; 4], Box<dyn Error>> {
    let tracee = Tracee::start(&["--subjects", "profile", scenario.name, kind.name()])?;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(tracee.next()?);
    }
    let symbols = Symbols::of_this_program(tracee.maps())?;
    let parts = Parts::of(&symbols, &all)?;
    let is_allocator = |address| tracee.is_allocator(address);
    let sums = all.iter().map(|steps| parts.sums(steps, is_allocator));
    let sums: Vec<Sums> = sums.collect();
    tracee.finish()?;
    Ok(sums.try_into().map_err(|_| "four were stepped through")?)
}

/// The part of the code at each address.
struct Parts<'a> {
    symbols: &'a Symbols,
    /// According to all functions around it.
    all: HashMap<u64, Option<usize>>,
    /// According to the outermost function only.
    outer: HashMap<u64, Option<usize>>,
}

impl<'a> Parts<'a> {
    fn of(symbols: &'a Symbols, all: &[Steps]) -> Result<Self, Box<dyn Error>> {
        let steps = all.iter().flat_map(|steps| &steps.all);
        let own = steps.map(|step| step.address);
        let own: HashSet<u64> = own.filter(|address| symbols.contain(*address)).collect();
        let own: Vec<u64> = own.into_iter().collect();
        let places = symbols.places(&own)?;
        let around = |places: &Vec<Place>| places.iter().find_map(part_of);
        let outer = |places: &Vec<Place>| places.last().and_then(part_of);
        Ok(Self {
            symbols,
            all: own.iter().copied().zip(places.iter().map(around)).collect(),
            outer: own.iter().copied().zip(places.iter().map(outer)).collect(),
        })
    }

    fn sums(&self, steps: &Steps, is_allocator: impl Fn(u64) -> bool) -> Sums {
        let mut sums = [0.0; PARTS.len()];
        // The parts of the functions that have not returned, with the stack pointer at their entry.
        let mut calls: Vec<(usize, u64)> = Vec::new();
        let (mut part, mut was_own) = (named(REST), true);
        for &Step { address, stack } in &steps.all {
            calls.retain(|(_, end)| stack <= *end);
            let is_own = self.symbols.contain(address);
            if self.symbols.is_entry(address) {
                let outer = self.outer.get(&address).copied().flatten();
                calls.push((outer.unwrap_or(part), stack));
            } else if was_own && !is_own {
                calls.push((foreign(part, is_allocator(address)), stack));
            }
            let caller = calls.last().map_or(named(REST), |(part, _)| *part);
            part = self.all.get(&address).copied().flatten().unwrap_or(caller);
            was_own = is_own;
            if let Some(sum) = sums.get_mut(part) {
                *sum += 1.0;
            }
        }
        sums
    }
}

/// The part of a shared library's function that is called from a part. The only such functions are
/// the allocator, system calls, and those that copy, fill and compare.
fn foreign(caller: usize, is_allocator: bool) -> usize {
    if is_allocator {
        named(ALLOCATOR)
    } else if [CLOCK, RANDOM].map(named).contains(&caller) {
        caller
    } else {
        named(COPIES)
    }
}

fn part_of(place: &Place) -> Option<usize> {
    let fits = |name: &&str| place.function.contains(name) || place.file.contains(name);
    PARTS.iter().position(|(_, names)| names.iter().any(fits))
}

fn named(name: &str) -> usize {
    let is_it = |(part, _): &(&str, &[&str])| *part == name;
    PARTS.iter().position(is_it).unwrap_or(PARTS.len())
}
