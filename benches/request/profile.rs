//! Where the instructions go, by what they are for.

use std::io;

use kit::{
    sessions::Kind,
    table::{markdown, number},
};

use crate::{callgrind, subjects};

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
pub(crate) fn table() -> io::Result<String> {
    let labels = PARTS.iter().map(|(name, _)| *name).chain([OWN]);
    let mut rows: Vec<Vec<String>> = [""]
        .into_iter()
        .chain(labels)
        .map(|label| vec![label.to_owned()])
        .collect();
    for (name, kind) in COLUMNS {
        let functions = callgrind::functions(&subjects::find(name)?, kind)?;
        let [bare, floor, silverback] = &*functions else {
            return Err(io::Error::other("three subjects were counted"));
        };
        let (bare, floor, silverback) = (sums(bare), sums(floor), sums(silverback));
        let cells = bare.iter().zip(floor).zip(silverback);
        let cells = cells.map(|((bare, floor), ours)| {
            format!("{} / {}", number(ours - bare), number(floor - bare))
        });
        let title = format!("{name}, {}", kind.name());
        for (row, text) in rows.iter_mut().zip(std::iter::once(title).chain(cells)) {
            row.push(text);
        }
    }
    Ok(markdown(&rows))
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
