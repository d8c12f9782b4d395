//! The accepted counts, in `benches/baseline.tsv`.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use kit::{machine, table::number};

use crate::{cost::Costs, table::OfKind};

/// The share by which the instructions above the floor may rise. Allocations may not rise.
///
/// A change of the processor, a dependency or a tool moves the floor as well, so it does not count
/// against the crate.
const TOLERANCE: f64 = 0.02;
/// The tolerance if the baseline was counted by other tools.
const TOLERANCE_OF_OTHER_TOOLS: f64 = 0.10;
/// A rise always allowed: random bytes and addresses alone make a difference of up to 30.
const SLACK: f64 = 40.0;

const ACCEPT: &str = "cargo bench -p silverback-benches --bench request -- --accept";

/// Rows by scenario and kind, separated by a tab.
type Rows = BTreeMap<String, Row>;

#[derive(Clone, Copy, Debug)]
struct Row {
    instructions: f64,
    allocations: f64,
    /// Instructions of the floor, 0 if there is no floor.
    floor: f64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Worse,
    Same,
    Better,
}

/// Writes these counts as the new baseline.
pub(crate) fn accept(all: &[OfKind]) -> io::Result<()> {
    let mut text = format!(
        "# Per request, above the bare service. Written by `{ACCEPT}`.\n# {}\n",
        tools()
    );
    text += "scenario\tkind\tinstructions\tallocations\tinstructions of the floor\n";
    for (name, row) in rows(all) {
        text += &format!(
            "{name}\t{}\t{}\t{}\n",
            row.instructions, row.allocations, row.floor
        );
    }
    fs::write(path(), text)
}

/// Compares the counts with the baseline and prints what has changed. Returns whether no row is
/// worse.
pub(crate) fn check(all: &[OfKind]) -> io::Result<bool> {
    let text = fs::read_to_string(path())?;
    let old: Rows = text.lines().filter_map(Row::parse).collect();
    let new = rows(all);
    if !old.keys().eq(new.keys()) {
        println!("The baseline has other rows than this count. For a new one: {ACCEPT}");
        return Ok(false);
    }
    let tolerance = tolerance(&text);
    let (mut worse, mut better, mut floor) = (0, 0, 0.0_f64);
    for ((name, new), old) in new.iter().zip(old.values()) {
        let verdict = new.compare(old, tolerance);
        worse += usize::from(verdict == Verdict::Worse);
        better += usize::from(verdict == Verdict::Better);
        if old.floor > 0.0 {
            floor = floor.max((new.floor / old.floor - 1.0).abs());
        }
        if verdict != Verdict::Same {
            new.print(old, name, verdict);
        }
    }
    if floor > TOLERANCE {
        println!(
            "The floor itself has moved by up to {:.1} %: a dependency, the processor or the tools.",
            floor * 100.0
        );
    }
    println!(
        "{} rows, {worse} worse and {better} better than the tolerance of {} %",
        new.len(),
        tolerance * 100.0
    );
    if worse > 0 {
        println!(
            "If that is intended, run\n    {ACCEPT}\nand commit benches/baseline.tsv with the reason."
        );
    } else if better > 0 {
        println!("To keep the gain, run\n    {ACCEPT}\nand commit benches/baseline.tsv.");
    }
    Ok(worse == 0)
}

impl Row {
    fn new(costs: &Costs) -> Self {
        let silverback = costs.silverback.counts;
        Self {
            instructions: silverback.instructions.round(),
            allocations: silverback.allocations.round(),
            floor: costs
                .floor
                .map_or(0.0, |floor| floor.counts.instructions.round()),
        }
    }

    fn parse(line: &str) -> Option<(String, Self)> {
        let mut columns = line.split('\t');
        let name = format!("{}\t{}", columns.next()?, columns.next()?);
        let mut number = || columns.next()?.parse().ok();
        Some((
            name,
            Self {
                instructions: number()?,
                allocations: number()?,
                floor: number()?,
            },
        ))
    }

    fn above_floor(&self) -> f64 {
        self.instructions - self.floor
    }

    fn compare(&self, old: &Self, tolerance: f64) -> Verdict {
        let moved = self.above_floor() - old.above_floor();
        let allowed = SLACK.max(old.above_floor() * tolerance);
        if moved > allowed || self.allocations > old.allocations {
            Verdict::Worse
        } else if moved < -allowed || self.allocations < old.allocations {
            Verdict::Better
        } else {
            Verdict::Same
        }
    }

    fn print(&self, old: &Self, name: &str, verdict: Verdict) {
        println!(
            "{verdict:?}: {}: {} instructions, {} above the floor ({} in the baseline, {:+.1} %), \
             {} allocations ({} in the baseline)",
            name.replace('\t', " "),
            number(self.instructions),
            number(self.above_floor()),
            number(old.above_floor()),
            (self.above_floor() / old.above_floor() - 1.0) * 100.0,
            self.allocations,
            old.allocations,
        );
    }
}

fn rows(all: &[OfKind]) -> Rows {
    let of_kind = |(kind, rows): &OfKind| {
        let row = |(scenario, costs): &(kit::scenario::Scenario, Costs)| {
            let name = format!("{}\t{}", scenario.name, kind.name());
            (name, Row::new(costs))
        };
        rows.iter().map(row).collect::<Vec<_>>()
    };
    all.iter().flat_map(of_kind).collect()
}

/// The tolerance for this baseline. Prints a note if other tools counted it.
fn tolerance(baseline: &str) -> f64 {
    let now = tools();
    let then = baseline
        .lines()
        .nth(1)
        .unwrap_or_default()
        .trim_start_matches("# ");
    if then == now {
        return TOLERANCE;
    }
    println!("The baseline was counted by {then}, this by {now}, so the tolerance is wider.");
    println!("To be exact again, run `{ACCEPT}` on a known good commit.");
    TOLERANCE_OF_OTHER_TOOLS
}

/// The tools and the architecture, on which the counts depend beside the code.
fn tools() -> String {
    let known = |tool: Option<String>| tool.unwrap_or_else(|| "unknown".to_owned());
    let (rustc, valgrind) = (known(machine::rustc()), known(machine::valgrind()));
    format!("{rustc}, {valgrind}, {}", env::consts::ARCH)
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.tsv")
}
