//! Tables of results beside their goals.

use std::error::Error;

use kit::{page::Page, table::markdown};

pub(crate) const GOAL: [&str; 5] = ["", "goal", "measured", "floor", "reached"];

pub(crate) fn put<const N: usize>(
    page: &Page,
    name: &str,
    head: [&str; N],
    rows: &[[String; N]],
) -> Result<(), Box<dyn Error>> {
    let head = head.map(str::to_owned);
    let all: Vec<_> = std::iter::once(&head).chain(rows).collect();
    page.put(name, &markdown(&all))
}

/// A row of a goal, the measured result, and that of the floor.
pub(crate) fn goal(
    name: &str,
    goal: &str,
    measured: String,
    floor: String,
    is_reached: bool,
) -> [String; 5] {
    let reached = match (goal, is_reached) {
        ("", _) => "",
        (_, true) => "yes",
        (_, false) => "no",
    };
    [
        name.to_owned(),
        goal.to_owned(),
        measured,
        floor,
        reached.to_owned(),
    ]
}
