//! Line charts as inline SVG: drawn here, so that a page needs no script and no network to show them.

use std::fmt::Write;

use super::html::escape;
use crate::number::{Real, Whole};

/// Drawing units; a chart is shown at about this many pixels, on a phone too.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 234.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
/// Room for the name of the axis above it.
const TOP: f64 = 22.0;
const BOTTOM: f64 = 36.0;
/// A line has at most this many points; longer ones are averaged.
const POINTS_MAX: usize = 240;

/// One line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// As the legend has it.
    pub(crate) name: String,
    /// Step and value, by step; values are finite.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart over steps.
#[derive(Clone, Debug)]
pub(crate) struct Chart<'a> {
    /// What is shown.
    pub(crate) title: String,
    /// What it is and which way is better, in small print.
    pub(crate) note: String,
    /// What its numbers are: the name of the upright axis.
    pub(crate) axis: &'a str,
    /// Its lines; those without points are left out.
    pub(crate) series: Vec<Series>,
    /// Steps marked by a vertical line.
    pub(crate) marks: Vec<f64>,
    /// A value marked by a horizontal line.
    pub(crate) limit: Option<f64>,
}

/// A chart without marks, as a figure; nothing where no line has two points.
pub(crate) fn plain(title: &str, note: &str, axis: &str, series: Vec<Series>) -> String {
    Chart {
        title: title.into(),
        note: note.into(),
        axis,
        series,
        marks: vec![],
        limit: None,
    }
    .html()
}

impl Chart<'_> {
    /// The chart as a figure; nothing where no line has two points.
    pub(crate) fn html(&self) -> String {
        let series: Vec<Series> = self
            .series
            .iter()
            .filter(|s| s.points.len() > 1)
            .map(thinned)
            .collect();
        if series.is_empty() {
            return String::new();
        }
        let all = || series.iter().flat_map(|s| s.points.iter().copied());
        let (x_low, x_high) = bounds(all().map(|(x, _)| x));
        let (low, high) = bounds(all().map(|(_, y)| y).chain(self.limit));
        // Zero belongs on the axis where it is near enough to keep the lines readable.
        let low = if low > 0.0 && low < 0.5 * high {
            0.0
        } else {
            low
        };
        let ticks = ticks(low, high, 4);
        let (low, high) = (low.min(ticks[0]), high.max(ticks[ticks.len() - 1]));
        let x = |value: f64| LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
        let y =
            |value: f64| HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM);

        let mut out = format!(
            "<figure class=\"chart\"><figcaption><b>{}</b> <small>{}</small></figcaption><p class=\"legend\">",
            escape(&self.title),
            escape(&self.note)
        );
        for (i, line) in series.iter().enumerate() {
            let last = line.points.last().map_or(0.0, |p| p.1);
            let _ = write!(
                out,
                "<span><i class=\"k{i}\"></i>{} <b>{}</b></span>",
                escape(&line.name),
                number(last)
            );
        }
        let _ = write!(
            out,
            "</p><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        let axis = escape(self.axis);
        let _ = write!(out, "<text x=\"4\" y=\"12\">{axis}</text>");
        for (tick, label) in ticks.iter().zip(labels(&ticks)) {
            let at = y(*tick);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 3.5,
                label
            );
        }
        write_steps(&mut out, [x_low, x_high], x);
        if let Some(limit) = self.limit {
            let _ = write!(
                out,
                "<path class=\"limit\" d=\"M{LEFT} {:.1}H{:.1}\"/>",
                y(limit),
                WIDTH - RIGHT
            );
        }
        for mark in self
            .marks
            .iter()
            .filter(|&&m| (x_low..=x_high).contains(&m))
        {
            let _ = write!(
                out,
                "<path class=\"mark\" d=\"M{:.1} {TOP}V{:.1}\"/>",
                x(*mark),
                HEIGHT - BOTTOM
            );
        }
        for (i, line) in series.iter().enumerate() {
            let _ = write!(out, "<polyline class=\"l{i}\" points=\"");
            for &(at, value) in &line.points {
                let _ = write!(out, "{:.1},{:.1} ", x(at), y(value));
            }
            out += "\"/>";
        }
        let _ = write!(
            out,
            "<path class=\"cursor\" d=\"\"/></svg>{}</figure>",
            data(&series, x_low, x_high)
        );
        out
    }
}

/// The labels of the axis of steps, and its name. `x`: where a step is.
fn write_steps(out: &mut String, [low, high]: [f64; 2], x: impl Fn(f64) -> f64) {
    let within = |tick: &f64| (low..=high).contains(tick);
    let ticks: Vec<f64> = ticks(low, high, 4).into_iter().filter(within).collect();
    for (&tick, label) in ticks.iter().zip(labels(&ticks)) {
        // A write into a String cannot fail.
        let _ = write!(
            out,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            x(tick).clamp(LEFT, WIDTH - 20.0),
            HEIGHT - BOTTOM + 15.0,
            label
        );
    }
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    let _ = write!(
        out,
        "<text class=\"x\" x=\"{middle:.1}\" y=\"{:.1}\">step</text>",
        HEIGHT - 5.0
    );
}

/// The numbers behind the lines, for the page's script: it shows them under the pointer.
fn data(series: &[Series], x_low: f64, x_high: f64) -> String {
    let lines: Vec<Vec<[f64; 2]>> = series
        .iter()
        .map(|s| s.points.iter().map(|&(x, y)| [x, significant(y)]).collect())
        .collect();
    let json = serde_json::json!({
        "x": [x_low, x_high], "left": LEFT / WIDTH, "right": 1.0 - RIGHT / WIDTH,
        "top": TOP, "bottom": HEIGHT - BOTTOM, "width": WIDTH, "lines": lines,
    });
    format!("<script type=\"application/json\">{json}</script>")
}

/// Five significant digits: what a person reads off a line.
fn significant(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// Neighbouring points averaged until a line has few enough.
fn thinned(series: &Series) -> Series {
    let size = series.points.len().div_ceil(POINTS_MAX);
    let mean = |points: &[(f64, f64)]| {
        let n = points.len().to_f64();
        let last = points.last().map_or(0.0, |p| p.0);
        (last, points.iter().map(|p| p.1).sum::<f64>() / n)
    };
    Series {
        name: series.name.clone(),
        points: series.points.chunks(size.max(1)).map(mean).collect(),
    }
}

/// Smallest and largest value, never the same.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    if high > low {
        (low, high)
    } else {
        let margin = (0.1 * low.abs()).max(1e-3);
        (low - margin, high + margin)
    }
}

/// Round values that cover a range in about `count` steps of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count.to_f64();
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step).floor().to_i64(), (high / step).ceil().to_i64());
    (first..=last).map(|i| i.to_f64() * step).collect()
}

/// A number as short as it can be said: `0.0762`, `1.5`, `12k`.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".into();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.1e}");
    }
    let (value, unit) = if size >= 1e6 {
        (value / 1e6, "M")
    } else if size >= 1e4 {
        (value / 1e3, "k")
    } else {
        (value, "")
    };
    let digits = (2 - value.abs().log10().floor().to_i32())
        .clamp(0, 6)
        .to_usize();
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// Numbers of an axis as short as they can be told apart.
fn labels(ticks: &[f64]) -> Vec<String> {
    let short: Vec<String> = ticks.iter().copied().map(number).collect();
    let step = ticks.windows(2).map(|two| two[1] - two[0]).next();
    match step {
        Some(step) if short.windows(2).any(|two| two[0] == two[1]) => {
            let places = -(step.log10() + 1e-9).floor();
            let digits = places.to_i32().clamp(0, 12).to_usize();
            let plain = |tick: &f64| format!("{tick:.digits$}");
            ticks.iter().map(plain).collect()
        }
        _ => short,
    }
}

/// The finite values of some steps.
pub(super) fn points(values: impl Iterator<Item = (u64, Option<f64>)>) -> Vec<(f64, f64)> {
    let finite =
        values.filter_map(|(step, value)| Some((step.to_f64(), value.filter(|v| v.is_finite())?)));
    finite.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_true() {
        let reported: Vec<String> = [
            0.0,
            0.076_21,
            1.5,
            12.34,
            148.0,
            2000.0,
            12_000.0,
            1_500_000.0,
            -0.5,
            0.1 + 0.2,
            3e-6,
        ]
        .into_iter()
        .map(number)
        .collect();
        assert_eq!(
            reported,
            [
                "0", "0.0762", "1.5", "12.3", "148", "2000", "12k", "1.5M", "-0.5", "0.3", "3.0e-6"
            ]
        );
    }

    #[test]
    fn numbers_of_an_axis_can_be_told_apart() {
        assert_eq!(
            labels(&ticks(0.0, 2e4, 4)),
            ["0", "5000", "10k", "15k", "20k"]
        );
        assert_eq!(labels(&[322.9, 323.0, 323.1]), ["322.9", "323.0", "323.1"]);
        assert_eq!(labels(&[40_000.0, 40_020.0]), ["40000", "40020"]);
        assert_eq!(labels(&[7.0]), ["7"]);
    }

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(0.0, 2000.0, 4), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        for (low, high) in [(0.31, 0.33), (-5.0, 3e6), (1e-9, 2e-9)] {
            let ticks = ticks(low, high, 4);
            assert!(
                ticks[0] <= low && ticks[ticks.len() - 1] >= high * (1.0 - 1e-12),
                "{ticks:?}"
            );
            assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn a_line_stays_inside_its_chart_and_flat_ones_are_drawn() {
        let chart = |values: &[f64]| Chart {
            title: "a < b".into(),
            note: String::new(),
            axis: "l1 & more",
            series: vec![Series {
                name: "x".into(),
                points: values
                    .iter()
                    .enumerate()
                    .map(|(i, &v)| (i.to_f64(), v))
                    .collect(),
            }],
            marks: vec![1.0],
            limit: None,
        };
        for values in [
            &[1.0, 5.0, -3.0, 2e9][..],
            &[2.0; 4],
            &[0.0; 3],
            &[1e-12, 2e-12],
        ] {
            let html = chart(values).html();
            assert!(
                html.contains("a &lt; b")
                    && html.contains("l1 &amp; more</text>")
                    && !html.contains("NaN"),
                "{html}"
            );
            let points = html
                .split("points=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next())
                .unwrap_or_default();
            for pair in points.split_whitespace() {
                let (x, y) = pair.split_once(',').expect("a pair");
                let (x, y): (f64, f64) =
                    (x.parse().expect("a number"), y.parse().expect("a number"));
                assert!(
                    (LEFT..=WIDTH - RIGHT).contains(&x)
                        && (TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y),
                    "{pair}"
                );
            }
        }
        assert_eq!(chart(&[1.0]).html(), "", "one point is no line");
    }

    #[test]
    fn long_lines_are_averaged_not_cut() {
        let series = Series {
            name: "x".into(),
            points: (0..10_000)
                .map(|i| (f64::from(i), f64::from(i % 2)))
                .collect(),
        };
        let thin = thinned(&series);
        assert!(thin.points.len() <= POINTS_MAX);
        assert_eq!(thin.points.last().map(|p| p.0), Some(9999.0));
        assert!(thin.points.iter().all(|p| (p.1 - 0.5).abs() < 0.02));
    }
}
