//! Requests over loopback to axum with sessions, beside axum without: CPU time and requests per
//! second.

use std::{error::Error, io, process::Command};

use kit::{
    page::Page,
    scenario::{EXTRACTED, Scenario},
    table::{markdown, number},
    time::median,
};

use crate::{
    effort::Effort,
    server::{self, Server},
    systems::{Kind, SYSTEMS, System},
    versions,
};

const SCENARIOS: [&str; 2] = ["E2", "E4"];

/// A table for each scenario, if there is a load generator; `own` is of silverback alone.
pub(crate) fn put(effort: Effort, own: bool, page: &Page) -> Result<(), Box<dyn Error>> {
    if versions::wrk().is_none() {
        println!("Skipped: wrk is not installed (`apt-get install wrk`).");
        return Ok(());
    }
    let bare = Server::start(server::BARE)?;
    let mut guests = Vec::new();
    for (index, system) in SYSTEMS.iter().enumerate() {
        let has_router = (system.new)().router(&[]).is_some();
        let is_asked_for = !own || system.name == "silverback";
        if has_router && system.kind != Kind::Nothing && is_asked_for {
            let server = Server::start(&index.to_string())?;
            let session = server
                .session()
                .map_err(|error| io::Error::other(format!("{}: {error}", system.name)))?;
            guests.push(Guest {
                system: Some(system),
                server,
                session,
                turns: Vec::new(),
            });
        }
    }
    let session = guests
        .first()
        .map(|guest| guest.session.clone())
        .unwrap_or_default();
    guests.push(Guest {
        system: None,
        server: Server::start(server::IDLE)?,
        session,
        turns: Vec::new(),
    });
    let scenarios = EXTRACTED.iter();
    for scenario in scenarios.filter(|scenario| SCENARIOS.contains(&scenario.name)) {
        eprintln!("{}: {}", scenario.name, scenario.text);
        measure(scenario, &bare, &mut guests, effort)?;
        let name = format!("end-to-end-{}", scenario.name);
        page.put(&name, &markdown(&table(scenario, &guests)))?;
    }
    let systems = guests.iter().filter_map(|guest| guest.system);
    page.put("machine-end-to-end", &versions::end_to_end(systems))
}

/// A system on its server; without one, a layer that does nothing.
struct Guest {
    system: Option<&'static System>,
    server: Server,
    /// The cookies of its session.
    session: String,
    turns: Vec<Turn>,
}

/// What a load has cost, and what the same load on the bare server has right before.
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
}

/// As [`kit::time::above_bare`] does, in turns.
fn measure(
    scenario: &Scenario,
    bare: &Server,
    guests: &mut [Guest],
    effort: Effort,
) -> io::Result<()> {
    for guest in &mut *guests {
        guest.turns.clear();
    }
    let busy = |guest: &&mut Guest| {
        guest
            .system
            .is_none_or(|system| (system.new)().endpoint(scenario.action).is_some())
    };
    for round in 0..effort.loads {
        let mut turns: Vec<_> = guests.iter_mut().filter(busy).collect();
        let first = round % turns.len();
        turns.rotate_left(first);
        for guest in turns {
            let bare = load(bare, scenario, &guest.session)?;
            let own = load(&guest.server, scenario, &guest.session)?;
            guest.turns.push(Turn { bare, own });
        }
    }
    guests
        .iter()
        .try_for_each(|guest| guest.server.check(&guest.session))
}

/// A second of as many requests as 32 connections that stay open get answered.
fn load(server: &Server, scenario: &Scenario, session: &str) -> io::Result<Load> {
    let before = server.cpu()?;
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
    let time = server.cpu()? - before;
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
        }),
        _ => Err(io::Error::other(format!("wrk: {text}"))),
    }
}

/// Rows by kind, below that of the bare server.
fn table(scenario: &Scenario, guests: &[Guest]) -> Vec<Vec<String>> {
    let title = format!("{}: {}", scenario.name, scenario.text);
    let head = [
        &title,
        "µs of CPU time",
        "to bare axum",
        "requests per second",
        "to bare axum",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let bare = guests
        .iter()
        .flat_map(|guest| &guest.turns)
        .map(|turn| Turn {
            own: turn.bare,
            ..*turn
        });
    rows.push(row("bare axum", &bare.collect::<Vec<_>>()));
    let kinds = [Kind::Encrypted, Kind::Signed, Kind::Memory];
    for kind in [None].into_iter().chain(kinds.map(Some)) {
        rows.extend(kind.map(|kind| vec![format!("**{}**", kind.title())]));
        let guests = guests
            .iter()
            .filter(|guest| guest.system.map(|system| system.kind) == kind);
        let guests = guests.filter(|guest| !guest.turns.is_empty());
        let name = |guest: &Guest| {
            guest
                .system
                .map_or("axum with a layer that does nothing", |system| system.name)
        };
        rows.extend(guests.map(|guest| row(name(guest), &guest.turns)));
    }
    rows
}

/// Medians of all turns.
fn row(name: &str, turns: &[Turn]) -> Vec<String> {
    let median = |value: fn(&Turn) -> f64| median(turns.iter().map(value).collect());
    let cpu = format!("{:.2}", median(|turn| turn.own.cpu));
    let cpu_ratio = format!("{:.2}x", median(|turn| turn.own.cpu / turn.bare.cpu));
    let rate_ratio = format!("{:.2}", median(|turn| turn.own.rate / turn.bare.rate));
    vec![
        name.to_owned(),
        cpu,
        cpu_ratio,
        number(median(|turn| turn.own.rate)),
        rate_ratio,
    ]
}
