//! Output: tables for people, JSON for programs.

use std::{
    fmt::Write as _,
    io::{self, BufWriter, IsTerminal as _, Stdout, Write},
};

use serde::Serialize;
use silverback::{Clock, Timestamp};

use crate::{args::Color, failure::Failure};

/// The output of answers. Messages on the way go to stderr.
pub(crate) struct Out {
    stdout: BufWriter<Stdout>,
    pub(crate) is_json: bool,
    is_colored: bool,
}

impl Out {
    pub(crate) fn new(is_json: bool, color: Color) -> Self {
        let is_colored = match color {
            Color::Always => true,
            Color::Never => false,
            // https://no-color.org
            Color::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty())
            }
        };
        Self {
            stdout: BufWriter::new(io::stdout()),
            is_json,
            is_colored: is_colored && !is_json,
        }
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    pub(crate) fn line(&mut self, line: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{}", line.as_ref())?)
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stdout.write_all(bytes)?)
    }

    /// One line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(harmless(&text))
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.painted("31", text)
    }

    pub(crate) fn yellow(&self, text: &str) -> String {
        self.painted("33", text)
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.painted("32", text)
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.is_colored {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        for (number, row) in table.rows.iter().enumerate() {
            let line = table.line(row);
            let line = if number == 0 && table.has_head {
                self.bold(&line)
            } else {
                line
            };
            self.line(line)?;
        }
        Ok(())
    }
}

/// Columns side by side, each as wide as its widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// The columns of numbers, which are aligned to the right.
    right: &'static [usize],
    widths: Vec<usize>,
    has_head: bool,
}

impl Table {
    pub(crate) fn with_head(head: &[&str], right: &'static [usize]) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            right,
            widths: Vec::new(),
            has_head: true,
        };
        table.row(head.iter().copied());
        table
    }

    /// Makes a table without a head: names and their values.
    pub(crate) fn plain() -> Self {
        Self {
            rows: Vec::new(),
            right: &[],
            widths: Vec::new(),
            has_head: false,
        }
    }

    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let row: Vec<_> = cells
            .into_iter()
            .map(|cell| one_line(cell.as_ref()))
            .collect();
        for (column, cell) in row.iter().enumerate() {
            let width = cell.chars().count();
            match self.widths.get_mut(column) {
                Some(widest) => *widest = width.max(*widest),
                None => self.widths.push(width),
            }
        }
        self.rows.push(row);
    }

    /// Begins the next rows of a long table, at least as wide as those before and without the head.
    pub(crate) fn next_page(&mut self) {
        self.rows.clear();
        self.has_head = false;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() <= usize::from(self.has_head)
    }

    fn line(&self, row: &[String]) -> String {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = self.widths.get(column).copied().unwrap_or_default();
            let gap = if column == 0 { "" } else { "  " };
            let _ = if self.right.contains(&column) {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:<width$}")
            };
        }
        line.trim_end().to_owned()
    }
}

/// Escapes foreign text, such as a device's name, so that it can neither move the cursor or ring
/// the bell nor put the rest of its line into another order.
pub(crate) fn one_line(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() || reorders(letter) {
            let _ = write!(clean, "{}", letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// Escapes what a terminal might obey in JSON, which stays the same JSON: such characters can only
/// be in its strings.
pub(crate) fn harmless(json: &str) -> String {
    let mut clean = String::with_capacity(json.len());
    for letter in json.chars() {
        // JSON itself escapes the first 32, and line breaks between its parts may stay.
        if ('\u{7f}'..='\u{9f}').contains(&letter) || reorders(letter) {
            let _ = write!(clean, "\\u{:04x}", u32::from(letter));
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// Returns whether the character separates lines, or changes the direction of the text after it.
fn reorders(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

pub(crate) fn now() -> Timestamp {
    Clock::system().now()
}

/// The distance of a time: `in 3 h`, `2 d ago`.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let (time, now) = (time.as_secs(), now.as_secs());
    match time.abs_diff(now) {
        0 => "now".to_owned(),
        by if time > now => format!("in {}", length(by)),
        by => format!("{} ago", length(by)),
    }
}

/// A number of seconds, in its largest unit.
pub(crate) fn length(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let fitting = units.iter().find(|(unit, _)| seconds >= 2 * unit);
    fitting.map_or(format!("{seconds} s"), |(unit, name)| {
        format!("{} {name}", seconds / unit)
    })
}

/// A time with its distance.
pub(crate) fn time(time: Timestamp, now: Timestamp) -> String {
    format!("{time}  {}", relative(time, now))
}

/// A number of bytes, in its largest unit.
pub(crate) fn bytes(count: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let fitting = units.iter().find(|(unit, _)| count >= 10 * unit);
    fitting.map_or(format!("{count} B"), |(unit, name)| {
        format!("{} {name}", count / unit)
    })
}

/// Counts things: `1 session`, `2 sessions`.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

/// Prints a message on stderr, where no program reads it.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{}", one_line(text));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_their_largest_unit() {
        let now = Timestamp::from_secs(1_000_000);
        for (by, text) in [
            (0, "now"),
            (1, "in 1 s"),
            (119, "in 119 s"),
            (120, "in 2 min"),
            (7_200, "in 2 h"),
            (172_800, "in 2 d"),
            (-3_600, "60 min ago"),
            (-864_000, "10 d ago"),
        ] {
            let time = Timestamp::from_secs(1_000_000_u64.saturating_add_signed(by));
            assert_eq!(relative(time, now), text);
        }
    }

    #[test]
    fn foreign_text_moves_no_cursor() {
        assert_eq!(
            one_line("a\u{1b}[2Jb\n\u{9b}1m"),
            "a\\u{1b}[2Jb\\n\\u{9b}1m"
        );
        assert_eq!(one_line("a\u{202e}b\u{2028}"), "a\\u{202e}b\\u{2028}");
        let mut table = Table::with_head(&["NAME", "SIZE"], &[1]);
        table.row(["ol\u{e9}!", "12"]);
        table.row(["x\ty", "1234567"]);
        let lines: Vec<_> = table.rows.iter().map(|row| table.line(row)).collect();
        assert_eq!(
            lines,
            ["NAME     SIZE", "ol\u{e9}!       12", "x\\ty  1234567"]
        );
    }

    #[test]
    fn json_moves_no_cursor_and_stays_the_same() {
        let text = "a\u{1b}[2J\u{7f}\u{9b}1m\u{202e}b\u{2066}\u{2028}\u{e9}\u{1f43b}";
        let json = harmless(&serde_json::to_string(text).unwrap());
        assert_eq!(
            json,
            "\"a\\u001b[2J\\u007f\\u009b1m\\u202eb\\u2066\\u2028\u{e9}\u{1f43b}\""
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }

    #[test]
    fn bytes_are_shown_in_their_largest_unit() {
        assert_eq!(
            (bytes(9), bytes(10_239)),
            ("9 B".to_owned(), "10239 B".to_owned())
        );
        assert_eq!(
            (bytes(10_240), bytes(20 << 30)),
            ("10 KiB".to_owned(), "20 GiB".to_owned())
        );
    }
}
