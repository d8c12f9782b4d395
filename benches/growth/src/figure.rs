//! The data of a plot and its table.

use kit::table::number;

/// A plot, and the table of its numbers.
#[derive(Debug)]
pub(crate) struct Figure {
    /// The name of the file, and of the table's place in docs/growth.md.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    pub(crate) scale: Scale,
    pub(crate) unit: Unit,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Scale {
    /// Begins at zero.
    Linear,
    Logarithmic,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Whole numbers.
    Count,
    /// Whole numbers of bytes, KiB or MiB.
    Bytes,
    /// Numbers of three digits.
    Measure,
}

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The y axis of most figures.
pub(crate) const COST: Axis = Axis {
    title: "µs of CPU time above the bare service",
    scale: Scale::Logarithmic,
    unit: Unit::Measure,
};

impl Figure {
    /// The x coordinates of all points, in order.
    pub(crate) fn places(&self) -> Vec<f64> {
        let mut places: Vec<f64> = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|point| point.0)
            .collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        places
    }

    /// The head, then a row of cells for each line.
    pub(crate) fn table(&self) -> Vec<Vec<String>> {
        let places = self.places();
        let head = [self.x.title.to_owned()]
            .into_iter()
            .chain(places.iter().map(|place| self.x.unit.text(*place)));
        let rows = self.lines.iter().map(|line| {
            let cell = |place: &f64| line.points.iter().find(|point| point.0 == *place);
            let cells = places
                .iter()
                .map(|place| cell(place).map_or_else(String::new, |at| self.y.unit.text(at.1)));
            [line.name.clone()].into_iter().chain(cells).collect()
        });
        [head.collect()].into_iter().chain(rows).collect()
    }
}

impl Scale {
    pub(crate) fn map(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
        }
    }

    pub(crate) fn unmap(self, mapped: f64) -> f64 {
        match self {
            Self::Linear => mapped,
            Self::Logarithmic => 10_f64.powf(mapped),
        }
    }
}

impl Unit {
    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::Count => number(value),
            Self::Bytes if value >= 1_048_576.0 && value % 1_048_576.0 == 0.0 => {
                format!("{} MiB", number(value / 1_048_576.0))
            }
            Self::Bytes if value >= 1_024.0 && value % 1_024.0 == 0.0 => {
                format!("{} KiB", number(value / 1_024.0))
            }
            Self::Bytes => format!("{} B", number(value)),
            Self::Measure if value.abs() >= 99.95 => number(value),
            Self::Measure if value.abs() >= 9.995 => format!("{value:.1}"),
            Self::Measure if value.abs() >= 0.9995 => format!("{value:.2}"),
            Self::Measure => format!("{value:.3}"),
        }
    }

    /// The text without trailing zeros behind the point.
    pub(crate) fn tick(self, value: f64) -> String {
        let text = self.text(value);
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text
        }
    }
}
