//! Tables in Markdown, and the numbers in their cells.

/// A whole number with thousands separators.
pub fn number(number: f64) -> String {
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

/// `instructions / allocations / nanoseconds`, without the parts that were not measured.
pub fn cell(parts: &[f64]) -> String {
    let known = parts.iter().filter(|part| !part.is_nan());
    let text: Vec<_> = known.map(|part| number(*part)).collect();
    if text.is_empty() {
        "–".to_owned()
    } else {
        text.join(" / ")
    }
}

pub fn ratio(one: f64, other: f64) -> String {
    let ratio = one / other;
    if ratio.is_finite() && ratio > 0.0 {
        format!("{ratio:.2}")
    } else {
        "–".to_owned()
    }
}

/// A table in Markdown. The first row is its head, and short rows are padded with empty cells. All
/// columns but the first hold numbers and are aligned to the right.
pub fn markdown<R: AsRef<[String]>>(rows: &[R]) -> String {
    let columns = rows.iter().map(|row| row.as_ref().len()).max();
    let columns = columns.unwrap_or_default();
    let cell = |row: &R, column: usize| row.as_ref().get(column).cloned().unwrap_or_default();
    let width = |column: usize| {
        let lengths = rows.iter().map(|row| cell(row, column).chars().count());
        lengths.max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let cells = widths.iter().enumerate().map(|(column, &width)| {
                let cell = cell(row, column);
                if column == 0 {
                    format!(" {cell:<width$} |")
                } else {
                    format!(" {cell:>width$} |")
                }
            });
            format!("|{}", cells.collect::<String>())
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(column, width)| {
        if column == 0 {
            "-".repeat(width + 2) + "|"
        } else {
            "-".repeat(width + 1) + ":|"
        }
    });
    if !lines.is_empty() {
        lines.insert(1, format!("|{}", rule.collect::<String>()));
    }
    lines.join("\n")
}
