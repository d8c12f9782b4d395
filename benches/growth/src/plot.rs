//! Draws a figure as SVG.

use std::{error::Error, path::Path};

use plotters::{
    coord::{
        Shift,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::figure::{Axis, Figure, Line, Scale};

const SIZE: (u32, u32) = (900, 420);
/// The left edge of the legend.
const LEGEND: u32 = 640;
/// The colors of Okabe and Ito, which color-blind readers can tell apart. On paper the markers
/// distinguish the lines.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(85, 85, 85),
    RGBColor(86, 180, 233),
];

type Failure = Box<dyn Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub(crate) fn draw(figure: &Figure, path: &Path) -> Result<(), Failure> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (left, right) = root.split_horizontally(LEGEND);
    draw_chart(figure, &left)?;
    for (index, line) in figure.lines.iter().enumerate() {
        draw_legend(&right, index, &line.name)?;
    }
    root.present().map_err(text)
}

fn draw_chart(figure: &Figure, area: &Area<'_>) -> Result<(), Failure> {
    let (places, values) = (figure.places(), values(&figure.lines));
    let y_ticks = ticks(figure.y.scale, &values);
    let mut chart = ChartBuilder::on(area)
        .caption(figure.title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(92)
        .build_cartesian_2d(
            Range::of(figure.x, &places, places.clone()),
            Range::of(figure.y, &values, y_ticks),
        )
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc(figure.x.title)
        .y_desc(figure.y.title)
        .x_label_formatter(&|at| figure.x.unit.tick(*at))
        .y_label_formatter(&|at| figure.y.unit.tick(*at))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .bold_line_style(BLACK.mix(0.15))
        .draw()
        .map_err(text)?;
    for (index, line) in figure.lines.iter().enumerate() {
        // A difference can be negative, but a logarithmic axis has only positive values.
        let points = || line.points.iter().copied().filter(|point| point.1 > 0.0);
        chart
            .draw_series(LineSeries::new(points(), color(index).stroke_width(2)))
            .map_err(text)?;
        for point in points() {
            chart
                .plotting_area()
                .draw(&(EmptyElement::at(point) + marker(index, (0, 0))))
                .map_err(text)?;
        }
    }
    Ok(())
}

fn draw_legend(area: &Area<'_>, index: usize, name: &str) -> Result<(), Failure> {
    let y = 60 + 24 * i32::try_from(index)?;
    let stroke = PathElement::new([(4, y), (36, y)], color(index).stroke_width(2));
    area.draw(&stroke).map_err(text)?;
    area.draw(&marker(index, (20, y))).map_err(text)?;
    let style = ("sans-serif", 14)
        .into_text_style(area)
        .pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(name.to_owned(), (44, y), style))
        .map_err(text)
}

fn color(index: usize) -> RGBColor {
    COLORS.get(index % COLORS.len()).copied().unwrap_or(BLACK)
}

/// A dot for lines of even index, a diamond for those of odd index.
fn marker(index: usize, (x, y): (i32, i32)) -> Polygon<(i32, i32)> {
    let corners = if index.is_multiple_of(2) { 12 } else { 4 };
    let corner = |number: u32| {
        let angle = f64::from(number) * std::f64::consts::TAU / f64::from(corners);
        (
            x + (4.5 * angle.cos()).round() as i32,
            y + (4.5 * angle.sin()).round() as i32,
        )
    };
    Polygon::new(
        (0..corners).map(corner).collect::<Vec<_>>(),
        color(index).filled(),
    )
}

/// The range of an axis.
struct Range {
    scale: Scale,
    /// Both ends, mapped by the scale.
    ends: (f64, f64),
    ticks: Vec<f64>,
}

impl Range {
    fn of(axis: Axis, values: &[f64], ticks: Vec<f64>) -> Self {
        let all = values
            .iter()
            .chain(&ticks)
            .map(|value| axis.scale.map(*value));
        let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
            (low.min(at), high.max(at))
        });
        let spare = (high - low) * 0.04;
        Self {
            scale: axis.scale,
            ends: (low - spare, high + spare),
            ticks,
        }
    }
}

impl Ranged for Range {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (self.scale.map(*value) - self.ends.0) / (self.ends.1 - self.ends.0);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.scale.unmap(self.ends.0)..self.scale.unmap(self.ends.1)
    }
}

fn values(lines: &[Line]) -> Vec<f64> {
    lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|point| point.1)
        .filter(|value| *value > 0.0)
        .collect()
}

/// Round numbers that enclose all values. On a linear scale they begin at zero.
fn ticks(scale: Scale, values: &[f64]) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(0.0, f64::max);
    match scale {
        Scale::Linear => {
            let rough = greatest / 6.0;
            let decade = 10_f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0]
                .map(|factor| factor * decade)
                .into_iter()
                .find(|step| *step >= rough);
            let step = step.unwrap_or(greatest);
            (0..=(greatest / step).ceil() as u32)
                .map(|number| f64::from(number) * step)
                .collect()
        }
        Scale::Logarithmic => {
            let decades = least.log10().floor() as i32..=greatest.log10().ceil() as i32;
            let factors: &[f64] = if decades.clone().count() > 4 {
                &[1.0]
            } else {
                &[1.0, 2.0, 5.0]
            };
            let all: Vec<f64> = decades
                .flat_map(|decade| {
                    factors
                        .iter()
                        .map(move |factor| factor * 10_f64.powi(decade))
                })
                .collect();
            let first = all
                .iter()
                .rposition(|tick| *tick <= least)
                .unwrap_or_default();
            let last = all
                .iter()
                .position(|tick| *tick >= greatest)
                .unwrap_or(all.len());
            all.into_iter().take(last + 1).skip(first).collect()
        }
    }
}

/// Copies the text of an error, since the errors of a drawing area borrow from it.
fn text(error: impl Error) -> Failure {
    error.to_string().into()
}
