//! A run as one page of HTML: no server, no network, no file beside it. Takes what a run folder holds; pictures are read one
//! at a time while the page is written, so that a training run's memory does not grow with its pictures.

mod chart;
pub mod labels;
mod scores;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::model::DiscriminatorConfig;
use chart::{Chart, Series, number};

/// Pictures of one kind through time.
#[derive(Clone, Debug)]
pub struct Film {
    /// What they show.
    pub title: String,
    /// How to read them.
    pub note: String,
    /// Name of the moment and PNG file, in order.
    pub frames: Vec<(String, PathBuf)>,
}

/// What a page is made of.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The run's name.
    pub name: String,
    /// What the log said of program, device, data and networks.
    pub facts: Vec<String>,
    /// The resolved configuration as `Config::to_toml(true)` writes it.
    pub config: String,
    /// Lines of `stats.jsonl`.
    pub stats: Vec<Value>,
    /// The figures on held-out pictures, once there are any.
    pub evaluation: Option<Value>,
    /// Pictures through time.
    pub films: Vec<Film>,
}

/// A chart over the ticks: title, note, (key of the tick, name).
type Plan = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// The chart that has a limit.
const REACH: &str = "CRF: reach";

/// What of a tick is drawn; what a run does not have is left out.
const CHARTS: [Plan; 13] = [
    (
        "Discriminator",
        "its loss by kind of picture, nats a patch",
        &[
            ("d_real", "real"),
            ("d_fake", "made"),
            ("d_composite", "mixed"),
        ],
    ),
    (
        "D(x)",
        "mean probability that a patch is real, by its own scores",
        &[("d_real_prob", "real"), ("d_fake_prob", "made")],
    ),
    (
        "Generator against it",
        "lower: more convincing",
        &[
            ("g_adversarial", "translations"),
            ("g_prior", "from the prior"),
        ],
    ),
    (
        "Drawn again",
        "mean absolute error of the range 2",
        &[
            ("g_reconstruction", "itself"),
            ("g_cycle", "there and back"),
            ("g_paired", "true pair"),
        ],
    ),
    (
        "Latent",
        "read from a picture of the prior: mean absolute error",
        &[("g_latent", "latent")],
    ),
    (
        "Style codes",
        "mean absolute error of a code read back; difference between two hands of a style",
        &[("g_style", "error"), ("g_diversity", "difference")],
    ),
    ("Divergence", "nats a picture value", &[("g_kl", "KL")]),
    (
        "CRF: stay",
        "log-odds that a patch has its neighbour's label",
        &[("crf_stay_log_odds", "stay")],
    ),
    (
        REACH,
        "patches over which a label's influence falls to 1/e",
        &[("crf_coupling_length", "coupling length")],
    ),
    (
        "Gradients",
        "norm before clipping",
        &[("g_norm", "generator"), ("d_norm", "discriminator")],
    ),
    (
        "R1",
        "squared gradient of the discriminator at real pictures",
        &[("d_r1", "r1")],
    ),
    (
        "Pace",
        "seconds for a thousand pictures",
        &[("secs_per_kimg", "sec/kimg")],
    ),
    (
        "Memory",
        "MiB",
        &[
            ("memory_bytes", "now"),
            ("peak_memory_bytes", "highest so far"),
            ("device_memory_bytes", "on the device"),
        ],
    ),
];

/// Figures of a validation, in this order; others follow.
const VALIDATION: [(&str, &str); 6] = [
    (
        "perceptual",
        "distance by the feature network, lower is better",
    ),
    ("ssim", "higher is better"),
    ("l1", "lower is better"),
    ("psnr", "decibels, higher is better"),
    ("kid", "kernel distance, lower is better"),
    ("cycle_l1", "there and back, lower is better"),
];

impl Report {
    /// Writes the whole page.
    ///
    /// # Errors
    /// Where a picture cannot be read or the page not be written.
    pub fn write(&self, page: &mut dyn Write) -> io::Result<()> {
        let name = escape(&self.name);
        write!(
            page,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\"><title>{name}</title><style>{}</style></head>\n<body><main>\
             <header><h1>{name}</h1><p class=\"status\">{}</p></header>{}",
            include_str!("page.css"),
            self.status(),
            self.notices()
        )?;
        for film in self.films.iter().filter(|film| !film.frames.is_empty()) {
            film.write(page)?;
        }
        writeln!(
            page,
            "{}</main><script>{}</script></body></html>",
            self.figures(),
            include_str!("page.js")
        )
    }

    /// All that is text: scores, curves, settings.
    fn figures(&self) -> String {
        let mut body = String::new();
        if let Some(evaluation) = &self.evaluation {
            let tables = scores::tables(evaluation);
            if !tables.is_empty() {
                body += &section(
                    "Scores on held-out pictures",
                    &format!(
                        "<p class=\"note\">Mean over the pairs of a direction; bold is best of its row. copy: the input \
                         unchanged; remap: the best affine colour map; nearest: the counterpart of the nearest training \
                         picture.</p>{tables}"
                    ),
                );
            }
        }
        let recognition = self
            .evaluation
            .as_ref()
            .map(scores::recognition)
            .unwrap_or_default();
        if !recognition.is_empty() {
            let note = "Shares of real held-out pictures whose style it tells, of their patches, and of patches it calls made.";
            body += &section(
                "How well the discriminator tells the styles",
                &format!("<p class=\"note\">{note}</p>{recognition}"),
            );
        }
        body += &self.validation();
        body += &self.curves();
        body += &self.settings();
        if !self.facts.is_empty() {
            let facts = self.facts.iter().fold(String::new(), |all, line| {
                let (head, rest) = line.split_once(' ').unwrap_or((line, ""));
                format!(
                    "{all}<tr><th>{}<td>{}</tr>",
                    escape(head),
                    escape(rest.trim())
                )
            });
            body += &section(
                "Machine, data and networks",
                &format!("<div class=\"wide\"><table class=\"facts\">{facts}</table></div>"),
            );
        }
        body
    }

    /// The lines of `stats.jsonl` that are ticks.
    fn ticks(&self) -> impl Iterator<Item = &Value> {
        self.stats.iter().filter(|line| line.get("event").is_none())
    }

    fn events<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.stats.iter().filter(move |line| line["event"] == kind)
    }

    /// How far the run is, in one line.
    fn status(&self) -> String {
        let Some(tick) = self.ticks().last() else {
            return "no figures yet".into();
        };
        let step = tick["step"].as_u64().unwrap_or(0);
        let mut parts = vec![match self.setting("train", "steps") {
            Some(steps) => format!("step {step} of {steps}"),
            None => format!("step {step}"),
        }];
        if let Some(kimg) = tick["kimg"].as_f64() {
            parts.push(format!("{} thousand pictures", number(kimg)));
        }
        if let Some(pace) = tick["secs_per_kimg"].as_f64() {
            parts.push(format!("{} sec/kimg", number(pace)));
        }
        let best = self.events("validation").filter(|e| e["is_best"] == true);
        if let Some(best) = best.last() {
            let metric = best["metric"].as_str().unwrap_or_default();
            let value = best["figures"][metric].as_f64().unwrap_or(f64::NAN);
            parts.push(format!(
                "best checkpoint at step {}: {} {value:.4}",
                best["step"],
                escape(metric)
            ));
        }
        parts.join(" · ")
    }

    /// One setting of the resolved configuration, as it is written there.
    fn setting(&self, section: &str, key: &str) -> Option<&str> {
        let lines = self
            .config
            .lines()
            .skip_while(|line| *line != format!("[{section}]"));
        let mut own = lines.skip(1).take_while(|line| !line.starts_with('['));
        own.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "))
            .map(|value| value.split("  #").next().unwrap_or(value))
    }

    /// Warnings and roll-backs.
    fn notices(&self) -> String {
        let mut lines = String::new();
        for event in &self.stats {
            let text = match event["event"].as_str() {
                Some("warning" | "rollback") => event["text"].as_str().unwrap_or_default(),
                _ => continue,
            };
            let _ = write!(lines, "<li><b>step {}</b> {}", event["step"], escape(text));
        }
        if lines.is_empty() {
            return lines;
        }
        format!("<section class=\"notices\"><h2>Noticed</h2><ul>{lines}</ul></section>")
    }

    /// Curves of the figures on validation pictures.
    fn validation(&self) -> String {
        let events: Vec<&Value> = self.events("validation").collect();
        let Some(figures) = events.last().and_then(|event| event["figures"].as_object()) else {
            return String::new();
        };
        let mut names: Vec<&str> = figures.keys().map(String::as_str).collect();
        let place = |name: &str| {
            VALIDATION
                .iter()
                .position(|(known, _)| *known == name)
                .unwrap_or(VALIDATION.len())
        };
        names.sort_by_key(|name| (place(name), *name));
        let best = events.iter().rfind(|event| event["is_best"] == true);
        let mut html = String::new();
        for name in names {
            let chart = Chart {
                title: name.to_owned(),
                note: VALIDATION
                    .get(place(name))
                    .map_or_else(String::new, |(_, note)| (*note).to_owned()),
                series: vec![Series {
                    name: name.to_owned(),
                    points: points(events.iter().copied(), |event| &event["figures"][name]),
                }],
                marks: best
                    .and_then(|event| event["step"].as_f64())
                    .into_iter()
                    .collect(),
                limit: None,
            };
            html += &chart.html();
        }
        if html.is_empty() {
            return html;
        }
        let what = events
            .last()
            .and_then(|event| event["what"].as_str())
            .unwrap_or_default();
        section(
            "Validation",
            &format!(
                "<p class=\"note\">{}. The vertical line is the best checkpoint.</p><div class=\"charts\">{html}</div>",
                escape(what)
            ),
        )
    }

    /// Curves of the ticks.
    fn curves(&self) -> String {
        let rollbacks: Vec<f64> = self
            .events("rollback")
            .filter_map(|event| event["step"].as_f64())
            .collect();
        let mut html = String::new();
        for (title, note, keys) in CHARTS {
            let series = keys.iter().map(|(key, name)| Series {
                name: (*name).to_owned(),
                points: points(self.ticks(), |tick| &tick[*key]),
            });
            let mut series: Vec<Series> = series.collect();
            if title == "Memory" {
                for point in series.iter_mut().flat_map(|s| &mut s.points) {
                    point.1 /= f64::from(1 << 20);
                }
            }
            // A figure that a run does not have is zero throughout.
            series.retain(|s| s.points.iter().any(|p| p.1 != 0.0));
            html += &Chart {
                title: title.into(),
                note: note.into(),
                limit: (title == REACH).then(|| self.half_grid(&series)).flatten(),
                series,
                marks: rollbacks.clone(),
            }
            .html();
        }
        html += &self.phases();
        if html.is_empty() {
            return html;
        }
        let note = if rollbacks.is_empty() {
            ""
        } else {
            "<p class=\"note\">Vertical lines: went back to a checkpoint there.</p>"
        };
        section(
            "Curves",
            &format!("{note}<div class=\"charts\">{html}</div>"),
        )
    }

    /// Half of the patch grid, where the CRF counts as saturated; nothing while its reach is far below.
    fn half_grid(&self, series: &[Series]) -> Option<f64> {
        let size: f64 = self.setting("data", "size_px")?.trim().parse().ok()?;
        let half = 0.5 * size / DiscriminatorConfig::PATCH_STRIDE as f64;
        let highest = series
            .iter()
            .flat_map(|s| &s.points)
            .map(|p| p.1)
            .fold(0.0, f64::max);
        (highest > 0.5 * half).then_some(half)
    }

    /// Where the time of a step goes, if the ticks say so.
    fn phases(&self) -> String {
        let Some(phases) = self
            .ticks()
            .filter_map(|tick| tick["phases"].as_object())
            .last()
        else {
            return String::new();
        };
        let series = phases.keys().map(|key| Series {
            name: key.trim_end_matches("_secs").replace('_', " "),
            points: points(self.ticks(), |tick| &tick["phases"][key])
                .into_iter()
                .map(|(step, secs)| (step, 1000.0 * secs))
                .collect(),
        });
        Chart {
            title: "Where a step's time goes".into(),
            note: "milliseconds".into(),
            series: series.collect(),
            marks: vec![],
            limit: None,
        }
        .html()
    }

    /// The configuration: what was changed, then everything.
    fn settings(&self) -> String {
        let (mut changed, mut all) = (String::new(), String::new());
        let mut table = "";
        for line in self.config.lines() {
            if let Some(name) = line.strip_prefix('[') {
                table = name.trim_end_matches(']');
                let _ = write!(
                    all,
                    "<tr><th colspan=\"2\" class=\"head\">{}</tr>",
                    escape(line)
                );
                continue;
            }
            let Some((key, value)) = line.split_once(" = ") else {
                continue;
            };
            let dot = if table.is_empty() { "" } else { "." };
            match value.strip_suffix("# not the default") {
                Some(value) => {
                    let value = escape(value.trim_end());
                    let _ = write!(changed, "<tr><th>{table}{dot}{key}<td>{value}</tr>");
                    let _ = write!(all, "<tr class=\"changed\"><th>{key}<td>{value}</tr>");
                }
                None => {
                    let _ = write!(all, "<tr><th>{key}<td>{}</tr>", escape(value));
                }
            }
        }
        if all.is_empty() {
            return all;
        }
        let changed = if changed.is_empty() {
            "<tr><td>nothing: all defaults</tr>".into()
        } else {
            changed
        };
        section(
            "Configuration",
            &format!(
                "<p class=\"note\">What is not the default:</p><div class=\"wide\"><table class=\"facts\">{changed}</table></div>\
                 <details><summary>All settings (changed ones are marked)</summary><div class=\"wide\"><table \
                 class=\"facts\">{all}</table></div></details>"
            ),
        )
    }
}

/// Step and value of the lines that have a finite one.
fn points<'a>(
    lines: impl Iterator<Item = &'a Value>,
    value: impl Fn(&'a Value) -> &'a Value,
) -> Vec<(f64, f64)> {
    lines
        .filter_map(|line| {
            Some((
                line["step"].as_f64()?,
                value(line).as_f64().filter(|v| v.is_finite())?,
            ))
        })
        .collect()
}

fn section(title: &str, inner: &str) -> String {
    format!("<section><h2>{}</h2>{inner}</section>", escape(title))
}

impl Film {
    /// Pictures on top of each other, one shown, with a slider where there are several. Without scripts the last one shows.
    fn write(&self, page: &mut dyn Write) -> io::Result<()> {
        write!(
            page,
            "<section><h2>{}</h2><figure class=\"film\"><figcaption class=\"note\">{}</figcaption><div class=\"frame\">",
            escape(&self.title),
            escape(&self.note)
        )?;
        let last = self.frames.len() - 1;
        for (i, (name, file)) in self.frames.iter().enumerate() {
            let png = fs::read(file)
                .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", file.display())))?;
            write!(
                page,
                "<img{} alt=\"{name}\" title=\"{name}\" src=\"data:image/png;base64,{}\">",
                if i == last { " class=\"on\"" } else { "" },
                STANDARD.encode(png),
                name = escape(name)
            )?;
        }
        page.write_all(b"</div>")?;
        if last > 0 {
            write!(
                page,
                "<div class=\"slide\"><input type=\"range\" min=\"0\" max=\"{last}\" value=\"{last}\" aria-label=\"moment\"><output>{}</output></div>",
                escape(&self.frames[last].0)
            )?;
        }
        page.write_all(b"</figure></section>")
    }
}

/// Text that means nothing to a browser.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
