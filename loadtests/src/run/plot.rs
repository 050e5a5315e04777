//! The figures of a run as a picture: rates, backlog and latencies over time, and for a ramp
//! latencies over the rate.

use std::ops::Range;

use anyhow::anyhow;
use plotters::{
    coord::{Shift, ranged1d::ValueFormatter, types::RangedCoordf64},
    prelude::*,
};

use super::figures::{Figures, Second};
use crate::latency::Quantiles;

const WIDTH: u32 = 1000;
const HEAD: u32 = 60;
const PANEL: u32 = 280;

const BLUE: RGBColor = RGBColor(0, 90, 181);
const ORANGE: RGBColor = RGBColor(214, 96, 0);
const GREEN: RGBColor = RGBColor(0, 128, 88);
const RED: RGBColor = RGBColor(178, 24, 43);
const PURPLE: RGBColor = RGBColor(118, 60, 150);
const GREY: RGBColor = RGBColor(90, 90, 90);

/// One line of a panel.
struct Line {
    name: &'static str,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws it as SVG, on a white ground.
pub fn draw(name: &str, figures: &Figures) -> anyhow::Result<String> {
    let is_ramp = figures.phases.iter().any(|phase| phase.step.is_some());
    let panels = if is_ramp { 4 } else { 3 };
    let mut svg = String::new();
    {
        let size = (WIDTH, HEAD + panels * PANEL);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&root, name, figures, is_ramp).map_err(|error| anyhow!("the plot: {error}"))?;
    }
    Ok(svg)
}

type Painted = Result<(), Box<dyn std::error::Error>>;

fn paint(root: &Area<'_>, name: &str, figures: &Figures, is_ramp: bool) -> Painted {
    root.fill(&WHITE)?;
    let title = ("sans-serif", 22).into_font().color(&BLACK);
    let small = ("sans-serif", 14).into_font().color(&GREY);
    root.draw_text(&format!("{name}, on {}", figures.on), &title, (16, 10))?;
    root.draw_text(&figures.description.summary, &small, (16, 38))?;
    let (_, below) = root.split_vertically(HEAD);
    let areas = below.split_evenly((if is_ramp { 4 } else { 3 }, 1));
    let last = figures.series.len().max(1) as f64;
    let until = figures.actions.iter().map(|done| done.until_seconds).fold(last, f64::max);
    let time = Axis { label: "seconds since the load began", range: 0.0..until };

    let rates = [
        counted("accepted messages", BLUE, &figures.series, |second| second.acked),
        counted("deliveries", GREEN, &figures.series, |second| second.delivered),
        counted("refused or unanswered messages", RED, &figures.series, |second| {
            second.refused + second.ambiguous
        }),
    ];
    panel(&areas[0], &time, "per second", &rates, figures)?;
    let backlog = [counted("backlog", PURPLE, &figures.series, |second| second.backlog)];
    panel(&areas[1], &time, "deliveries waiting", &backlog, figures)?;
    let latencies = [
        timed("end to end p50", GREEN, figures, |second| second.end_to_end, |q| q.p50_ms),
        timed("end to end p99", ORANGE, figures, |second| second.end_to_end, |q| q.p99_ms),
        timed("ack p50", BLUE, figures, |second| second.ack, |q| q.p50_ms),
        timed("ack p99", PURPLE, figures, |second| second.ack, |q| q.p99_ms),
    ];
    log_panel(&areas[2], &time, &latencies, Some(figures))?;
    if is_ramp {
        let steps = || figures.phases.iter().filter(|phase| phase.step.is_some());
        let line = |name, color, of: fn(&Quantiles) -> f64| Line {
            name,
            color,
            points: steps()
                .filter_map(|phase| Some((phase.rate?, of(&phase.end_to_end))))
                .collect(),
        };
        let lines = [
            line("end to end p50", GREEN, |q| q.p50_ms),
            line("end to end p90", BLUE, |q| q.p90_ms),
            line("end to end p99", ORANGE, |q| q.p99_ms),
        ];
        let most = steps().filter_map(|phase| phase.rate).fold(1.0, f64::max);
        let rate = Axis { label: "messages per second, offered", range: 0.0..most * 1.05 };
        log_panel(&areas[3], &rate, &lines, None)?;
    }
    root.present()?;
    Ok(())
}

/// A horizontal axis.
struct Axis {
    label: &'static str,
    range: Range<f64>,
}

/// A second's count stands in its middle.
fn counted(
    name: &'static str,
    color: RGBColor,
    series: &[Second],
    of: fn(&Second) -> usize,
) -> Line {
    let points = series.iter().map(|second| (second.second as f64 + 0.5, of(second) as f64));
    Line { name, color, points: points.collect() }
}

fn timed(
    name: &'static str,
    color: RGBColor,
    figures: &Figures,
    of: fn(&Second) -> Option<Quantiles>,
    quantile: fn(&Quantiles) -> f64,
) -> Line {
    let points = figures
        .series
        .iter()
        .filter_map(|second| Some((second.second as f64 + 0.5, quantile(&of(second)?))));
    Line { name, color, points: points.collect() }
}

fn most(lines: &[Line]) -> f64 {
    lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(1.0, f64::max)
}

fn panel(area: &Area<'_>, x: &Axis, y: &str, lines: &[Line], figures: &Figures) -> Painted {
    let heights = 0.0..most(lines) * 1.25;
    let mut chart = margins(area).build_cartesian_2d(x.range.clone(), heights.clone())?;
    lay_out(&mut chart, x, y)?;
    mark(&mut chart, figures, heights)?;
    draw_lines(&mut chart, lines)
}

/// With a logarithmic axis of milliseconds, from a tenth of one.
fn log_panel(area: &Area<'_>, x: &Axis, lines: &[Line], marked: Option<&Figures>) -> Painted {
    let heights = 0.09..10f64.powf(most(lines).log10().floor() + 2.0);
    let mut chart =
        margins(area).build_cartesian_2d(x.range.clone(), heights.clone().log_scale())?;
    lay_out(&mut chart, x, "latency, milliseconds")?;
    if let Some(figures) = marked {
        mark(&mut chart, figures, heights)?;
    }
    draw_lines(&mut chart, lines)
}

type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

fn margins<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(12).margin_right(24).x_label_area_size(42).y_label_area_size(78);
    builder
}

fn lay_out<Y>(chart: &mut Chart<'_, '_, Y>, x: &Axis, y: &str) -> Painted
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(x.label)
        .y_desc(y)
        .x_label_formatter(&|value| plain(*value))
        .y_label_formatter(&|value| plain(*value))
        .y_labels(6)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(222, 222, 222))
        .draw()?;
    Ok(())
}

/// No more digits than an axis needs.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A line where an action began and where it was over, and its name between them.
fn mark<Y>(chart: &mut Chart<'_, '_, Y>, figures: &Figures, heights: Range<f64>) -> Painted
where
    Y: Ranged<ValueType = f64>,
{
    let style = ("sans-serif", 12).into_font().color(&RED);
    for done in &figures.actions {
        for at in [done.from_seconds, done.until_seconds] {
            let line = [(at, heights.start), (at, heights.end)];
            chart.draw_series(DashedLineSeries::new(line, 5, 4, RED.stroke_width(1)))?;
        }
        let place = (done.from_seconds, heights.end);
        chart.draw_series([Text::new(format!(" {}", done.what), place, style.clone())])?;
    }
    Ok(())
}

fn draw_lines<'a, 'b: 'a, Y>(chart: &mut Chart<'a, 'b, Y>, lines: &[Line]) -> Painted
where
    Y: Ranged<ValueType = f64>,
{
    for line in lines {
        let color = line.color;
        chart
            .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
        let dots = line.points.iter().map(|point| Circle::new(*point, 2, color.filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 13))
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .draw()?;
    Ok(())
}
