//! A bar chart of the time that a session adds to a request.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
};

use kit::{page, scenario::Scenario};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    systems::{Kind, SYSTEMS},
    table::Column,
};

/// The groups of each panel: a session that is not used, one that is read, one that is written.
const SCENARIOS: [(&str, &str); 3] = [
    ("E2", "The handler takes the session and does not use it"),
    ("E3", "It reads a value"),
    ("E4", "It reads a counter and writes it"),
];
const KINDS: [(Kind, &str); 2] = [
    (Kind::Encrypted, "Sessions in an encrypted cookie"),
    (Kind::Memory, "Sessions in memory"),
];

const WIDTH: u32 = 900;
/// The left edge of the bars, and the right edge of the longest.
const BARS: (i32, i32) = (290, 820);
const ROW: i32 = 22;
const OURS: RGBColor = RGBColor(0, 114, 178);
const THEIRS: RGBColor = RGBColor(170, 170, 170);

/// Bars on one scale.
pub(crate) struct Panel {
    title: &'static str,
    groups: Vec<Group>,
}

struct Group {
    title: &'static str,
    /// Microseconds by name.
    bars: Vec<(&'static str, f64)>,
}

/// The path of the plot: in docs, or in the directory of temporary files.
pub(crate) fn path(writes: bool) -> PathBuf {
    if writes {
        page::docs().join("performance.svg")
    } else {
        env::temp_dir().join("silverback-performance.svg")
    }
}

pub(crate) fn panels(scenarios: &[Scenario], columns: &[Column]) -> Vec<Panel> {
    let group = |kind, name, title| {
        let place = scenarios.iter().position(|scenario| scenario.name == name);
        let column = place.and_then(|place| columns.get(place));
        let of_kind = SYSTEMS.iter().zip(column.into_iter().flatten());
        let bars = of_kind
            .filter(|(system, _)| system.kind == kind)
            .filter_map(|(system, cost)| Some((system.name, cost.as_ref()?.nanoseconds / 1_000.0)));
        Group {
            title,
            bars: bars.collect(),
        }
    };
    KINDS
        .into_iter()
        .map(|(kind, title)| Panel {
            title,
            groups: SCENARIOS
                .into_iter()
                .map(|(name, title)| group(kind, name, title))
                .collect(),
        })
        .collect()
}

impl Panel {
    fn rows(&self) -> i32 {
        let groups = self.groups.iter().map(|group| group.bars.len() + 1);
        i32::try_from(groups.sum::<usize>()).unwrap_or_default() + 2
    }

    fn longest(&self) -> f64 {
        let bars = self.groups.iter().flat_map(|group| &group.bars);
        bars.map(|bar| bar.1).fold(0.0, f64::max)
    }
}

pub(crate) fn draw(panels: &[Panel], path: &Path) -> Result<(), Box<dyn Error>> {
    let rows: i32 = panels.iter().map(Panel::rows).sum();
    let height = u32::try_from((rows + 1) * ROW)?;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE).map_err(failure)?;
    let text = |text: &str, at: (i32, i32), size: u32, side: HPos| {
        let style = ("sans-serif", size)
            .into_text_style(&root)
            .pos(Pos::new(side, VPos::Center));
        root.draw(&Text::new(text.to_owned(), at, style))
            .map_err(failure)
    };
    text(
        "µs of CPU time that a session adds to a request of axum",
        (20, ROW),
        15,
        HPos::Left,
    )?;
    let mut y = ROW * 2;
    for panel in panels {
        text(panel.title, (20, y), 18, HPos::Left)?;
        y += ROW;
        let scale = f64::from(BARS.1 - BARS.0) / panel.longest();
        for group in &panel.groups {
            text(group.title, (20, y), 14, HPos::Left)?;
            y += ROW;
            for &(name, value) in &group.bars {
                let ours = name == "silverback";
                let end = BARS.0 + ((value * scale).round() as i32).max(1);
                let color = if ours { OURS } else { THEIRS };
                let bar = Rectangle::new([(BARS.0, y - 7), (end, y + 7)], color.filled());
                root.draw(&bar).map_err(failure)?;
                let name = name.replace('`', "");
                text(&name, (BARS.0 - 8, y), 13, HPos::Right)?;
                text(&format!("{value:.2}"), (end + 6, y), 13, HPos::Left)?;
                y += ROW;
            }
        }
        y += ROW;
    }
    root.present().map_err(failure)
}

/// Copies the text of an error, since the errors of a drawing area borrow from it.
fn failure(error: impl Error) -> Box<dyn Error> {
    error.to_string().into()
}
