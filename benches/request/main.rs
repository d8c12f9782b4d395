//! What a request costs above the bare service, beside a floor that does the same job with the least code.
//!
//! `cargo bench --bench request` prints the tables of docs/performance.md.
//!
//! The service is called directly, in process, with nothing in between. Counting takes valgrind.

mod callgrind;
mod cost;
mod floor;
mod scenarios;
mod subjects;
mod table;
mod time;

use std::{env, error::Error};

use self::{
    cost::Costs,
    scenarios::{Kind, SCENARIOS, Scenario},
    table::OfKind,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        [] if callgrind::is_installed() => table::print(&measure(counts_and_times)?),
        [] => {
            eprintln!("Valgrind is not installed: times only.");
            table::print(&measure(times)?);
        }
        ["--subjects", scenario, kind] => {
            let found = Scenario::find(scenario).zip(Kind::find(kind));
            let (scenario, kind) = found.ok_or("there is no such scenario")?;
            callgrind::run_subjects(&scenario, kind)?;
        }
        _ => return Err("there are no arguments".into()),
    }
    Ok(())
}

type Measure = fn(&Scenario, Kind) -> Result<Costs, Box<dyn Error>>;

fn measure(measure: Measure) -> Result<Vec<OfKind>, Box<dyn Error>> {
    subjects::check()?;
    let of_kind =
        |kind| Ok((kind, SCENARIOS.iter().map(|scenario| measure(scenario, kind)).collect::<Result<_, _>>()?));
    Kind::ALL.into_iter().map(of_kind).collect()
}

fn times(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    Ok(Costs::new(None, Some(time::time(scenario, kind)?)))
}

fn counts_and_times(scenario: &Scenario, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    Ok(Costs::new(Some(callgrind::count(scenario, kind)?), Some(time::time(scenario, kind)?)))
}
