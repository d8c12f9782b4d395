//! What is printed: Markdown.

use crate::{
    count::Counts,
    scenarios::SCENARIOS,
    systems::{Kind, SYSTEMS, System},
};

/// What a request costs above the bare service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) nanoseconds: f64,
    pub(crate) counts: Counts,
}

/// The costs of a scenario, in the order of [`SYSTEMS`]; `None` for who has nothing to do in it.
pub(crate) type Column = Vec<Option<Cost>>;

/// Rows by kind, each beginning with silverback, and the ratio to it in the others.
pub(crate) fn print(columns: &[Column]) {
    let names = SCENARIOS
        .iter()
        .map(|scenario| format!("{}: {}", scenario.name, scenario.text));
    let mut rows = vec![[String::new()].into_iter().chain(names).collect::<Vec<_>>()];
    for kind in Kind::ALL {
        rows.push(vec![format!("**{}**", kind.title())]);
        let systems = SYSTEMS
            .iter()
            .enumerate()
            .filter(|(_, system)| system.kind == kind);
        let mut ours: Option<Vec<_>> = None;
        for (index, system) in systems {
            let costs: Vec<_> = columns
                .iter()
                .map(|column| column.get(index).copied().flatten())
                .collect();
            rows.push(row(system, &costs, ours.as_deref()));
            ours.get_or_insert(costs);
        }
    }
    print_aligned(&rows);
}

fn row(system: &System, costs: &[Option<Cost>], ours: Option<&[Option<Cost>]>) -> Vec<String> {
    let cells = costs.iter().enumerate().map(|(index, cost)| {
        let ours = ours.and_then(|ours| ours.get(index).copied().flatten());
        cost.map_or_else(|| "–".to_owned(), |cost| cell(cost, ours))
    });
    [system.name.to_owned()].into_iter().chain(cells).collect()
}

fn cell(cost: Cost, ours: Option<Cost>) -> String {
    let nanoseconds = part(cost.nanoseconds, ours.map(|ours| ours.nanoseconds));
    let instructions = part(
        cost.counts.instructions,
        ours.map(|ours| ours.counts.instructions),
    );
    format!(
        "{nanoseconds} / {instructions} / {}",
        number(cost.counts.allocations)
    )
}

fn part(value: f64, ours: Option<f64>) -> String {
    ours.map_or_else(
        || number(value),
        |ours| format!("{} ({:.1}x)", number(value), value / ours),
    )
}

/// A whole number, with commas.
pub(crate) fn number(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let groups: Vec<_> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(String::from_utf8_lossy)
        .collect();
    let sign = if number.round() < 0.0 { "−" } else { "" };
    format!("{sign}{}", groups.join(","))
}

/// Short rows are filled up with empty cells.
pub(crate) fn print_aligned(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .map(|row| cell(row, column).chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells = widths
            .iter()
            .enumerate()
            .map(|(column, &width)| format!(" {:<width$} |", cell(row, column)));
        println!("|{}", cells.collect::<String>());
        if index == 0 {
            println!(
                "|{}",
                widths
                    .iter()
                    .map(|width| "-".repeat(width + 2) + "|")
                    .collect::<String>()
            );
        }
    }
}
