//! Requests over loopback to axum with and without sessions: CPU time and requests per second.

use std::{error::Error, io, process::Command, time::Instant};

use kit::{
    machine,
    page::Page,
    scenario::{EXTRACTED, Scenario},
    table::{markdown, number},
    time::{median, percentile},
};

use crate::{
    effort::Effort,
    server::{Application, Server},
    subject,
    systems::{self, FLOORS, Kind},
    versions,
};

/// The least share of the time in which a server must be busy. Below it wrk is too slow, or the
/// machine too busy.
const ENOUGH_TO_DO: f64 = 0.9;
const SCENARIOS: [&str; 2] = ["E2", "E4"];

/// Prints a table for each scenario, if wrk is installed. With names in `only`, measures only
/// systems whose name contains one of them.
pub(crate) fn put(effort: Effort, only: &[String], page: &Page) -> Result<(), Box<dyn Error>> {
    if versions::wrk().is_none() {
        println!("Skipped: wrk is not installed (`apt-get install wrk`).");
        return Ok(());
    }
    let &[ours, .., theirs] = &*machine::processors()? else {
        return Err("wrk and a server need a processor each".into());
    };
    systems::check_floors();
    subject::check(FLOORS);
    let is_asked_for = |application: &Application| match application {
        Application::Bare | Application::Idle => true,
        Application::System(system) => {
            only.is_empty() || only.iter().any(|name| system.name.contains(&**name))
        }
    };
    let asked_for: Vec<_> = Application::all().filter(is_asked_for).collect();
    let systems = asked_for
        .iter()
        .filter_map(|application| match application {
            Application::System(system) => Some(*system),
            Application::Bare | Application::Idle => None,
        });
    let versions = versions::end_to_end(systems);
    // wrk, a child of this process, stays on this processor too.
    machine::stay_on(ours)?;
    let scenarios = EXTRACTED.iter();
    for scenario in scenarios.filter(|scenario| SCENARIOS.contains(&scenario.name)) {
        eprintln!("{}: {}", scenario.name, scenario.text);
        let able = asked_for
            .iter()
            .filter(|application| application.serves(scenario.action));
        let contestants = measure(scenario, able.copied(), theirs, effort.loads)?;
        let name = format!("end-to-end-{}", scenario.name);
        page.put(&name, &markdown(&table(scenario, &contestants)))?;
        warn_if_idle(&contestants);
    }
    page.put("machine-end-to-end", &versions)
}

struct Contestant {
    application: Application,
    turns: Vec<Turn>,
}

/// The cost of a load, and that of the same load on a bare server right before.
#[derive(Clone, Copy, Debug)]
struct Turn {
    bare: Load,
    own: Load,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    /// Microseconds of CPU time for a request.
    cpu: f64,
    /// Requests per second.
    rate: f64,
    /// The share of the time in which the server had a processor.
    busy: f64,
}

/// Measures in turns, like [`kit::time::above_bare`].
fn measure(
    scenario: &Scenario,
    all: impl Iterator<Item = Application>,
    processor: usize,
    rounds: usize,
) -> io::Result<Vec<Contestant>> {
    let contestant = |application| Contestant {
        application,
        turns: Vec::new(),
    };
    let mut contestants: Vec<_> = all.map(contestant).collect();
    for round in 0..rounds {
        let mut turns: Vec<_> = contestants.iter_mut().collect();
        let first = round % turns.len();
        turns.rotate_left(first);
        for contestant in turns {
            let turn = turn(scenario, contestant.application, processor);
            let turn = turn.map_err(|error| {
                io::Error::other(format!("{}: {error}", contestant.application.name()))
            })?;
            contestant.turns.push(turn);
        }
    }
    Ok(contestants)
}

/// One turn. Both servers are new, so the spread of the turns includes the effect of a process's
/// memory layout.
fn turn(scenario: &Scenario, application: Application, processor: usize) -> io::Result<Turn> {
    let (bare, own) = (
        Server::start(Application::Bare, processor)?,
        Server::start(application, processor)?,
    );
    let session = own.session()?;
    let turn = Turn {
        bare: load(&bare, scenario, &session)?,
        own: load(&own, scenario, &session)?,
    };
    own.check(&session)?;
    Ok(turn)
}

/// A second of requests, as many as the server answers over 32 connections that stay open.
fn load(server: &Server, scenario: &Scenario, session: &str) -> io::Result<Load> {
    let (start, before) = (Instant::now(), server.cpu()?);
    let output = Command::new("wrk")
        .args([
            "--threads=1",
            "--connections=32",
            "--duration=1s",
            "--header",
        ])
        .arg(format!("Cookie: {session}"))
        .arg(format!("http://{}/{}", server.address, scenario.name))
        .output()?;
    let (time, wall) = (server.cpu()? - before, start.elapsed());
    let text = String::from_utf8_lossy(&output.stdout);
    let failed =
        !output.status.success() || text.contains("Socket errors") || text.contains("Non-2xx");
    let find = |before: &str, after: &str| {
        text.split_once(before)?
            .1
            .split_once(after)?
            .0
            .trim()
            .parse()
            .ok()
    };
    let requests: Option<f64> = text
        .lines()
        .find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok());
    match (requests, find("Requests/sec:", "\n")) {
        (Some(requests), Some(rate)) if !failed => Ok(Load {
            cpu: time / 1000.0 / requests,
            rate,
            busy: time / wall.as_nanos() as f64,
        }),
        _ => Err(io::Error::other(format!("wrk: {text}"))),
    }
}

/// Prints the servers that waited for wrk. Such a server wakes up for fewer requests at a time, so
/// each request costs more.
fn warn_if_idle(contestants: &[Contestant]) {
    for contestant in contestants {
        let busy = median(contestant.turns.iter().map(|turn| turn.own.busy).collect());
        if busy < ENOUGH_TO_DO {
            let (kind, name) = (
                contestant.application.kind().title(),
                contestant.application.name(),
            );
            eprintln!(
                "{name} ({kind}) had a processor for {:.0} % of the time.",
                busy * 100.0
            );
        }
    }
}

/// Rows by kind, the rows without sessions first.
fn table(scenario: &Scenario, contestants: &[Contestant]) -> Vec<Vec<String>> {
    let title = format!("{}: {}", scenario.name, scenario.text);
    let head = [
        &title,
        "µs of CPU time",
        "above bare axum",
        "to bare axum",
        "requests per second",
        "to bare axum",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for kind in Kind::ALL {
        let mut contestants = contestants
            .iter()
            .filter(|contestant| contestant.application.kind() == kind)
            .peekable();
        if kind != Kind::Nothing && contestants.peek().is_some() {
            rows.push(vec![format!("**{}**", kind.title())]);
        }
        rows.extend(
            contestants.map(|contestant| row(contestant.application.name(), &contestant.turns)),
        );
    }
    rows
}

/// Medians of all turns, and the quartiles of the ratios.
fn row(name: &str, turns: &[Turn]) -> Vec<String> {
    let of = |value: fn(&Turn) -> f64| turns.iter().map(value).collect::<Vec<_>>();
    let ratio = |value: fn(&Turn) -> f64, unit: &str| {
        let [low, middle, high] = [25, 50, 75].map(|percent| percentile(of(value), percent));
        format!("{middle:.2}{unit} ({low:.2}–{high:.2})")
    };
    vec![
        name.to_owned(),
        format!("{:.2}", median(of(|turn| turn.own.cpu))),
        format!("{:.2}", median(of(|turn| turn.own.cpu - turn.bare.cpu))).replace('-', "−"),
        ratio(|turn| turn.own.cpu / turn.bare.cpu, "x"),
        number(median(of(|turn| turn.own.rate))),
        ratio(|turn| turn.own.rate / turn.bare.rate, ""),
    ]
}
