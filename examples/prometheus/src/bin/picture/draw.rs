//! Panels as SVG.

use std::{error::Error, path::Path};

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) unit: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    /// Seconds since the start, and values.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    /// Returns whether the line has a point to draw.
    pub(crate) fn shows(&self) -> bool {
        self.points.iter().any(|point| point.1.is_finite())
    }
}

const COLUMNS: usize = 3;
const WIDTH: u32 = 400;
const HEIGHT: u32 = 236;
/// The height of the legend below each panel.
const LEGEND: u32 = 42;
/// The colours of Okabe and Ito, which people with colour blindness can tell apart, too.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(85, 85, 85),
    RGBColor(240, 228, 66),
];

type Failure = Box<dyn Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn draw(charts: &[Chart], length: f64, path: &Path) -> Result<(), Failure> {
    let rows = charts.len().div_ceil(COLUMNS);
    let size = (WIDTH * COLUMNS as u32, HEIGHT * rows as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    for (chart, area) in charts.iter().zip(root.split_evenly((rows, COLUMNS))) {
        let (plot, legend) = area.split_vertically(HEIGHT - LEGEND);
        draw_chart(chart, length, &plot)?;
        draw_legend(chart, &legend)?;
    }
    root.present().map_err(text)
}

fn draw_chart(chart: &Chart, length: f64, area: &Area<'_>) -> Result<(), Failure> {
    let values = chart.lines.iter().flat_map(|line| &line.points);
    let top = values
        .map(|point| point.1)
        .filter(|value| value.is_finite());
    let top = top.fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.1 } else { 1.0 };
    let mut plot = ChartBuilder::on(area)
        .caption(&chart.title, ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(20)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..length, 0.0..top)
        .map_err(text)?;
    plot.configure_mesh()
        .disable_x_mesh()
        .x_labels(7)
        .y_labels(5)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .y_label_formatter(&|value| tick(&chart.unit, *value))
        .label_style(("sans-serif", 12))
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(text)?;
    for (line, color) in chart.lines.iter().zip(COLORS.into_iter().cycle()) {
        // A quantile of no values is NaN. The line has a gap there.
        let parts = line.points.split(|point| !point.1.is_finite());
        for part in parts.filter(|part| !part.is_empty()) {
            let series = LineSeries::new(part.iter().copied(), color.stroke_width(2));
            plot.draw_series(series).map_err(text)?;
        }
    }
    Ok(())
}

fn tick(unit: &str, value: f64) -> String {
    let number = |value: f64| {
        let text = format!("{value:.1}");
        text.strip_suffix(".0").unwrap_or(&text).to_owned()
    };
    match unit {
        "s" if value >= 1.0 => format!("{} s", number(value)),
        "s" => format!("{} ms", number(value * 1_000.0)),
        "ops" => format!("{}/s", number(value)),
        _ => number(value),
    }
}

/// Draws the names side by side, in as many rows as they need.
fn draw_legend(chart: &Chart, area: &Area<'_>) -> Result<(), Failure> {
    let (mut x, mut y) = (20, 8);
    let style = ("sans-serif", 12)
        .into_text_style(area)
        .pos(Pos::new(HPos::Left, VPos::Center));
    if chart.lines.is_empty() {
        return area.draw(&Text::new("none", (x, y), style)).map_err(text);
    }
    for (line, color) in chart.lines.iter().zip(COLORS.into_iter().cycle()) {
        let width = 34 + 6 * i32::try_from(line.name.chars().count())?;
        if x + width > i32::try_from(WIDTH)? {
            (x, y) = (20, y + 15);
        }
        let stroke = PathElement::new([(x, y), (x + 14, y)], color.stroke_width(3));
        area.draw(&stroke).map_err(text)?;
        let name = Text::new(line.name.clone(), (x + 19, y), style.clone());
        area.draw(&name).map_err(text)?;
        x += width;
    }
    Ok(())
}

/// Turns an error into text, since drawing errors borrow the drawing area.
fn text(error: impl Error) -> Failure {
    error.to_string().into()
}
