//! Where the instructions go, by what they are for.

use std::io;

use crate::{
    callgrind,
    scenarios::{Kind, Scenario},
    table::{number, print_aligned},
};

/// What the parts are called, and how the names of their functions are told.
const PARTS: [(&str, &[&str]); 8] = [
    ("cryptography (ring)", &["ring_core", "ring::", "_aesni"]),
    ("base64", &["base64_simd"]),
    (
        "allocator",
        &[
            "malloc", "free", "alloc::", "_int_", "__rust", "__rdl", "alloc_",
        ],
    ),
    ("copying, filling, comparing", &["__mem", "__bcmp"]),
    ("finding bytes", &["memchr"]),
    ("reading and writing JSON", &["serde"]),
    (
        "clock and random bytes",
        &["Timespec", "SystemTime", "clock_gettime", "getrandom"],
    ),
    ("types of http", &["http::", "bytes::", "hashbrown"]),
];
const OWN: &str = "silverback, or the floor, itself";

const COLUMNS: [(&str, Kind); 4] = [
    ("S3", Kind::Encrypted),
    ("S4", Kind::Encrypted),
    ("S3", Kind::Memory),
    ("S4", Kind::Memory),
];

/// Of scenarios that were counted before.
pub(crate) fn print() -> io::Result<()> {
    let mut rows = vec![<[String; COLUMNS.len() + 1]>::default()];
    rows.extend(
        PARTS
            .iter()
            .map(|(name, _)| *name)
            .chain([OWN])
            .map(|name| {
                let mut row: [String; COLUMNS.len() + 1] = Default::default();
                let [label, ..] = &mut row;
                name.clone_into(label);
                row
            }),
    );
    for (column, (name, kind)) in (1..).zip(COLUMNS) {
        let scenario =
            Scenario::find(name).ok_or_else(|| io::Error::other("there is no such scenario"))?;
        let [bare, floor, silverback] =
            callgrind::functions(&scenario, kind)?.map(|functions| sums(&functions));
        let cells = bare.iter().zip(floor).zip(silverback);
        let cells = cells.map(|((bare, floor), ours)| {
            format!("{} / {}", number(ours - bare), number(floor - bare))
        });
        let title = format!("{name}, {}", kind.name());
        for (row, text) in rows.iter_mut().zip(std::iter::once(title).chain(cells)) {
            if let Some(cell) = row.get_mut(column) {
                *cell = text;
            }
        }
    }
    println!("\n### What the instructions are for: silverback / floor\n");
    print_aligned(&rows);
    Ok(())
}

/// By part, and what is in none of them.
fn sums(functions: &[(String, f64)]) -> [f64; PARTS.len() + 1] {
    let mut sums = [0.0; PARTS.len() + 1];
    for (function, instructions) in functions {
        let is_own = function.contains("silverback::") || function.contains("request::");
        let part = PARTS
            .iter()
            .position(|(_, names)| names.iter().any(|name| function.contains(name)));
        let part = part.filter(|_| !is_own).unwrap_or(PARTS.len());
        if let Some(sum) = sums.get_mut(part) {
            *sum += instructions;
        }
    }
    sums
}
