//! Tables in Markdown.

/// A table under its title, with columns as wide as they need.
pub(crate) fn print<const N: usize>(title: &str, head: [&str; N], rows: &[[String; N]]) {
    println!("\n### {title}\n");
    let head = head.map(str::to_owned);
    let all: Vec<_> = std::iter::once(&head).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        all.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    });
    for (index, row) in all.into_iter().enumerate() {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!(" {cell:<width$} |"));
        println!("|{}", cells.collect::<String>());
        if index == 0 {
            println!(
                "|{}",
                widths.map(|width| "-".repeat(width + 2) + "|").concat()
            );
        }
    }
}

/// A row of a goal: what is asked, what came out, what the floor beside it took.
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

pub(crate) const GOAL: [&str; 5] = ["", "goal", "measured", "floor", "reached"];
