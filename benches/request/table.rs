//! The tables of docs/performance.md.

use kit::{
    scenario::Scenario,
    sessions::Kind,
    table::{cell, markdown, ratio},
};

use crate::cost::{Cost, Costs};

/// The costs of scenarios, for one kind of session.
pub(crate) type OfKind = (Kind, Vec<(Scenario, Costs)>);

/// Pairs of scenarios whose difference is the cost of one part of a request.
const PARTS: [(&str, &str, &str); 5] = [
    ("S3", "S2", "find the cookie, open it, read"),
    ("S4", "S3", "write, save, set the cookie"),
    ("S5", "S1", "make, save, set the cookie"),
    ("S6", "S4", "1.9 KiB more"),
    ("S7", "S3", "ten cookies more"),
];

/// The table of one kind beside the floor.
pub(crate) fn beside_floor((kind, all): &OfKind) -> String {
    let title = format!("**{}**", kind.title());
    let head = ["silverback", "floor", "above the floor", "ratio"].map(str::to_owned);
    let head = [title].into_iter().chain(head).collect();
    let scenarios = all
        .iter()
        .map(|(scenario, costs)| row(scenario.name, scenario.text, *costs));
    let find = |name| {
        let mut all = all.iter();
        all.find(|(scenario, _)| scenario.name == name)
            .map(|(_, costs)| *costs)
    };
    let parts = PARTS.into_iter().filter_map(|(name, minus, text)| {
        let costs = (find(name)? - find(minus)?).without_times();
        Some(row(&format!("{name} − {minus}"), text, costs))
    });
    markdown(
        &std::iter::once(head)
            .chain(scenarios)
            .chain(parts)
            .collect::<Vec<Vec<String>>>(),
    )
}

fn row(name: &str, text: &str, Costs { floor, silverback }: Costs) -> Vec<String> {
    let mut row = vec![format!("{name}: {text}"), cell(&silverback.parts())];
    if let Some(floor) = floor {
        row.extend([
            cell(&floor.parts()),
            cell(&(silverback - floor).parts()),
            ratios(silverback, floor),
        ]);
    }
    row
}

fn ratios(one: Cost, other: Cost) -> String {
    let pairs = one.parts().into_iter().zip(other.parts());
    let ratios: Vec<_> = pairs
        .filter(|(one, other)| !one.is_nan() && !other.is_nan())
        .map(|(one, other)| ratio(one, other))
        .collect();
    ratios.join(" / ")
}

/// The table of all kinds side by side.
pub(crate) fn side_by_side(all: &[OfKind]) -> String {
    let titles = all.iter().map(|(kind, _)| kind.title().to_owned());
    let mut rows = vec![
        [String::new()]
            .into_iter()
            .chain(titles)
            .collect::<Vec<_>>(),
    ];
    let longest = all
        .iter()
        .map(|(_, rows)| rows)
        .max_by_key(|rows| rows.len());
    for (scenario, _) in longest.into_iter().flatten() {
        let mut row = vec![format!("{}: {}", scenario.name, scenario.text)];
        for (_, costs) in all {
            let found = costs.iter().find(|(other, _)| other.name == scenario.name);
            let parts = found.map(|(_, costs)| costs.silverback.parts());
            row.push(parts.map_or_else(|| "–".to_owned(), |parts| cell(&parts)));
        }
        rows.push(row);
    }
    markdown(&rows)
}
