//! The tables in Markdown.

use kit::{
    count::Counts,
    scenario::Scenario,
    table::{markdown, number},
};

use crate::systems::{Kind, SYSTEMS, System};

/// The cost of a request above bare axum or bare actix-web.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) counts: Counts,
    pub(crate) nanoseconds: f64,
}

impl Cost {
    const fn parts(self) -> [f64; 3] {
        let Counts {
            instructions,
            allocations,
        } = self.counts;
        [instructions, allocations, self.nanoseconds]
    }
}

/// The index of the part that has no ratio.
const ALLOCATIONS: usize = 1;

/// The costs of a scenario, in the order of [`SYSTEMS`]. `None` if a system has nothing to do.
pub(crate) type Column = Vec<Option<Cost>>;

/// Rows by kind. The first row of each kind is silverback; the others have a ratio to it.
pub(crate) fn table(scenarios: &[Scenario], columns: &[Column]) -> String {
    let names = scenarios
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
            if kind != Kind::Nothing {
                ours.get_or_insert(costs);
            }
        }
    }
    markdown(&rows)
}

fn row(system: &System, costs: &[Option<Cost>], ours: Option<&[Option<Cost>]>) -> Vec<String> {
    let cells = costs.iter().enumerate().map(|(index, cost)| {
        let ours = ours.and_then(|ours| ours.get(index).copied().flatten());
        cost.map_or_else(|| "–".to_owned(), |cost| cell(cost, ours))
    });
    [system.name.to_owned()].into_iter().chain(cells).collect()
}

fn cell(cost: Cost, ours: Option<Cost>) -> String {
    let ours = ours.map(Cost::parts);
    let parts = cost.parts().into_iter().enumerate();
    let parts = parts.filter(|(_, part)| !part.is_nan());
    let text = parts.map(|(index, value)| {
        let ours = ours.and_then(|ours| ours.get(index).copied());
        part(value, ours.filter(|_| index != ALLOCATIONS))
    });
    text.collect::<Vec<_>>().join(" / ")
}

fn part(value: f64, ours: Option<f64>) -> String {
    ours.map_or_else(
        || number(value),
        |ours| format!("{} ({:.1}x)", number(value), value / ours),
    )
}
