//! The tables of docs/performance.md.

use crate::{
    cost::{Cost, Costs},
    scenarios::{Kind, SCENARIOS},
};

/// The costs of all scenarios, for one kind of session.
pub(crate) type OfKind = (Kind, Vec<Costs>);

/// What a part of the way costs: what one scenario does and another does not.
const PARTS: [(&str, &str, &str); 5] = [
    ("S3", "S2", "find the cookie, open it, read"),
    ("S4", "S3", "write, save, set the cookie"),
    ("S5", "S1", "make, save, set the cookie"),
    ("S6", "S4", "1.9 KiB more"),
    ("S7", "S3", "ten cookies more"),
];

pub(crate) fn print(all: &[OfKind]) {
    for (kind, costs) in all {
        println!("\n### {}\n", kind.title());
        print_kind(costs);
    }
}

fn print_kind(all: &[Costs]) {
    let head = ["", "silverback", "floor", "above the floor", "ratio"].map(str::to_owned);
    let scenarios = SCENARIOS
        .iter()
        .zip(all)
        .map(|(scenario, costs)| row(scenario.name, scenario.text, *costs));
    let find = |name| {
        all.get(
            SCENARIOS
                .iter()
                .position(|scenario| scenario.name == name)?,
        )
        .copied()
    };
    let parts = PARTS.into_iter().filter_map(|(name, minus, text)| {
        Some(row(
            &format!("{name} − {minus}"),
            text,
            (find(name)? - find(minus)?).without_times(),
        ))
    });
    print_aligned(
        &std::iter::once(head)
            .chain(scenarios)
            .chain(parts)
            .collect::<Vec<_>>(),
    );
}

fn row(name: &str, text: &str, Costs { floor, silverback }: Costs) -> [String; 5] {
    let label = format!("{name}: {text}");
    [
        label,
        absolute(silverback),
        absolute(floor),
        absolute(silverback - floor),
        ratio(silverback, floor),
    ]
}

fn absolute(cost: Cost) -> String {
    cost.parts()
        .filter(|part| !part.is_nan())
        .map(number)
        .collect::<Vec<_>>()
        .join(" / ")
}

fn ratio(one: Cost, other: Cost) -> String {
    let ratios = one
        .parts()
        .zip(other.parts())
        .map(|(one, other)| one / other)
        .filter(|ratio| !ratio.is_nan());
    let text = |ratio: f64| {
        if ratio.is_finite() && ratio > 0.0 {
            format!("{ratio:.2}")
        } else {
            "–".to_owned()
        }
    };
    ratios.map(text).collect::<Vec<_>>().join(" / ")
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

pub(crate) fn print_aligned<const N: usize>(rows: &[[String; N]]) {
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    });
    for (index, row) in rows.iter().enumerate() {
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
