//! A run as one page of HTML: no server, no network, no file beside it. Takes what a run folder holds;
//! pictures are read one at a time while the page is written, so that a training run's memory does not grow
//! with its pictures.

mod chart;
mod html;
pub mod labels;
mod runs;
mod scores;
mod sheet;
mod words;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::metric::Evaluation;
use crate::model::DiscriminatorConfig;
use crate::number::Real;
use crate::settings::Config;
use crate::train::figures::{self, Figure};
use crate::train::{Event, Fact, Record, Tick};
use chart::{Chart, Series, number, points};
use html::{escape, section};
pub use runs::{Run, Runs, Table};
pub use sheet::{Block, Sheet};

/// Pictures of one kind through time.
#[derive(Clone, Debug, Default)]
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
    /// Program, devices, data and networks.
    pub facts: Vec<Fact>,
    /// The resolved configuration; none where this build does not read it.
    pub config: Option<Config>,
    /// Lines of `stats.jsonl`.
    pub stats: Vec<Record>,
    /// The figures on held-out pictures, once there are any.
    pub evaluation: Option<Value>,
    /// Lines of `words/stats.jsonl`, and the scores of words, once there are any.
    pub words: (Vec<Value>, Option<Value>),
    /// Pictures through time.
    pub films: Vec<Film>,
}

/// A name, and the value of a tick where it has one.
type Curve = (&'static str, Box<dyn Fn(&Tick) -> Option<f64>>);

/// A chart over the ticks.
struct Plan {
    title: &'static str,
    note: &'static str,
    /// What its numbers are.
    axis: &'static str,
    curves: Vec<Curve>,
    /// Whether it shows the reach of the CRF, which has a limit.
    is_reach: bool,
}

/// Every chart over the ticks: those of the figures, then what else a tick holds.
fn plans() -> Vec<Plan> {
    fn curve(name: &'static str, value: impl Fn(&Tick) -> Option<f64> + 'static) -> Curve {
        (name, Box::new(value))
    }
    let plan = |title, note, axis, curves| Plan {
        title,
        note,
        axis,
        curves,
        is_reach: false,
    };
    let mib = |bytes: u64| bytes.to_f64() / f64::from(1 << 20);
    let of_figure = |figure: Figure| {
        let value = move |tick: &Tick| tick.figures.get(figure).map(f64::from);
        curve(figure.row().series, value)
    };
    let mut plans: Vec<Plan> = figures::Chart::ALL
        .into_iter()
        .map(|chart| {
            let (title, note) = chart.texts();
            let curves = chart.figures().map(of_figure).collect();
            plan(title, note, chart.axis(), curves)
        })
        .collect();
    plans.extend([
        plan(
            "CRF: stay",
            "log-odds that a patch has its neighbour's label",
            "log-odds",
            vec![curve("stay", |tick| Some(tick.crf_stay_log_odds.into()))],
        ),
        Plan {
            is_reach: true,
            ..plan(
                "CRF: reach",
                "patches over which a label's influence falls to 1/e",
                "patches",
                vec![curve("coupling length", |tick| {
                    Some(tick.crf_coupling_length.into())
                })],
            )
        },
        plan(
            "Pace",
            "seconds for a thousand pictures",
            "seconds",
            vec![curve("sec/kimg", |tick| Some(tick.secs_per_kimg))],
        ),
        plan(
            "Memory",
            "of the process and of the device",
            "MiB",
            vec![
                curve("now", move |tick| Some(mib(tick.memory_bytes))),
                curve("highest so far", move |tick| {
                    Some(mib(tick.peak_memory_bytes))
                }),
                curve("on the device", move |tick| {
                    tick.device_memory_bytes.map(mib)
                }),
            ],
        ),
    ]);
    plans
}

/// Figures on validation pictures and what each is, in the order of pages; others follow.
pub const VALIDATION: [(&str, &str); 7] = [
    ("overall", "perceptual + kid / 200, lower is better"),
    (
        "perceptual",
        "distance as EfficientNet-Lite0 sees it, lower is better",
    ),
    ("ssim", "higher is better"),
    ("l1", "lower is better"),
    ("psnr", "decibels, higher is better"),
    ("kid", "kernel distance x1000, lower is better"),
    ("cycle_l1", "there and back, lower is better"),
];

/// Where a figure of a validation stands.
fn place(name: &str) -> usize {
    let known = VALIDATION.iter().position(|(known, _)| *known == name);
    known.unwrap_or(VALIDATION.len())
}

/// What a figure of a validation is.
fn validation_note(name: &str) -> &'static str {
    VALIDATION.get(place(name)).map_or("", |(_, note)| note)
}

impl Report {
    /// Writes the whole page.
    ///
    /// # Errors
    /// Where a picture cannot be read or the page not be written.
    pub fn write(&self, page: &mut dyn Write) -> io::Result<()> {
        let status = format!(
            "<p class=\"status\">{}</p>{}",
            self.status(),
            self.verdict()
        );
        html::begin(page, &self.name, &status)?;
        page.write_all(self.notices().as_bytes())?;
        for film in self.films.iter().filter(|film| !film.frames.is_empty()) {
            film.write(page)?;
        }
        page.write_all(self.figures().as_bytes())?;
        html::end(page)
    }

    /// All that is text: scores, curves, settings.
    fn figures(&self) -> String {
        let mut body = String::new();
        if let Some(evaluation) = &self.evaluation {
            let tables = scores::tables(evaluation);
            let has_pairs = evaluation["directions"]
                .as_array()
                .is_some_and(|directions| !directions.is_empty());
            let note = if has_pairs {
                "Mean over the pairs of a direction; bold is best of its row. copy: the input unchanged; remap: the best affine \
                 colour map; nearest: the counterpart of the nearest training picture."
            } else {
                "Of whole sets of pictures; bold is best of its row. copy: the input unchanged."
            };
            if !tables.is_empty() {
                body += &section(
                    "Scores on held-out pictures",
                    &format!("<p class=\"note\">{note}</p>{tables}"),
                );
            }
        }
        let recognition = self
            .evaluation
            .as_ref()
            .map(scores::recognition)
            .unwrap_or_default();
        if !recognition.is_empty() {
            let note = "Shares of real held-out pictures whose style it names rightly, of their patches likewise, and of patches it calls fake.";
            body += &section(
                "How well the discriminator recognises the styles",
                &format!("<p class=\"note\">{note}</p>{recognition}"),
            );
        }
        body += &self.validation();
        body += &self.curves();
        body += &words::html(&self.words.0, self.words.1.as_ref());
        body += &self.settings();
        if !self.facts.is_empty() {
            // A pair of styles that share nothing is left out.
            let is_empty = |fact: &&Fact| {
                let words: Vec<&str> = fact.text.split_whitespace().collect();
                fact.topic == "pair"
                    && words.ends_with(&["0", "train", "0", "validation", "0", "test"])
            };
            let facts = self.facts.iter().filter(|fact| !is_empty(fact));
            let facts = facts.fold(String::new(), |all, fact| {
                let (topic, text) = (escape(&fact.topic), escape(fact.text.trim()));
                format!("{all}<tr><th>{topic}<td>{text}</tr>")
            });
            body += &section(
                "Machine, data and networks",
                &format!("<div class=\"wide\"><table class=\"facts\">{facts}</table></div>"),
            );
        }
        body
    }

    /// The lines of `stats.jsonl` that are ticks.
    fn ticks(&self) -> impl Iterator<Item = &Tick> {
        self.stats.iter().filter_map(|record| match record {
            Record::Tick(tick) => Some(&**tick),
            Record::Event(_) => None,
        })
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.stats.iter().filter_map(|record| match record {
            Record::Event(event) => Some(event),
            Record::Tick(_) => None,
        })
    }

    /// What the figures on held-out pictures come to, in plain words and then in figures; before there are
    /// any, when they come.
    fn verdict(&self) -> String {
        let Some(value) = &self.evaluation else {
            return "<p class=\"verdict\">Not scored yet: held-out pictures are scored at the end of the run. This page is written \
                    again at every checkpoint.</p>"
                .into();
        };
        let Ok(evaluation) = serde_json::from_value::<Evaluation>(value.clone()) else {
            return String::new();
        };
        let sentence = |class: &str, said: &str| {
            let (first, rest) = said.split_at(1);
            let rest = escape(&rest.replace(" -> ", " → "));
            format!("<p class=\"{class}\">{}{rest}.</p>", first.to_uppercase())
        };
        let plainly = evaluation.plainly();
        let plainly = plainly.map(|said| sentence("verdict", &said));
        let figures = evaluation.verdict();
        let figures = figures.map(|said| sentence("note", &said));
        let said: String = plainly.into_iter().chain(figures).collect();
        if said.is_empty() {
            let why = evaluation.notes.first().map_or("", String::as_str);
            return format!(
                "<p class=\"verdict\">No figure tells how good the translations are; look at them.</p><p class=\"note\">{}</p>",
                escape(why)
            );
        }
        said
    }

    /// How far the run is, in one line.
    fn status(&self) -> String {
        let Some(tick) = self.ticks().last() else {
            return match &self.config {
                Some(config) => format!("step 0 of {}: no figures yet", config.train.steps),
                None => "no figures yet".into(),
            };
        };
        let step = tick.step;
        let mut parts = vec![match &self.config {
            Some(config) => format!("step {step} of {}", config.train.steps),
            None => format!("step {step}"),
        }];
        parts.push(format!("{} thousand pictures", number(tick.kimg)));
        parts.push(format!("{} sec/kimg", number(tick.secs_per_kimg)));
        let best = self.events().filter_map(|event| match event {
            Event::Validation {
                step,
                figures,
                metric,
                is_best: true,
                ..
            } => Some((step, figures, metric)),
            _ => None,
        });
        if let Some((step, figures, metric)) = best.last() {
            let value = figures.get(metric).copied().unwrap_or(f32::NAN);
            let metric = escape(metric);
            parts.push(format!(
                "best checkpoint at step {step}: {metric} {value:.4}"
            ));
        }
        parts.join(" · ")
    }

    /// Warnings and roll-backs.
    fn notices(&self) -> String {
        let lines = self
            .events()
            .fold(String::new(), |lines, event| match event {
                Event::Warning { step, text, .. } | Event::Rollback { step, text, .. } => {
                    format!("{lines}<li><b>step {step}</b> {}", escape(text))
                }
                Event::Validation { .. } => lines,
            });
        if lines.is_empty() {
            return lines;
        }
        format!("<section class=\"notices\"><h2>Noticed</h2><ul>{lines}</ul></section>")
    }

    /// Curves of the figures on validation pictures.
    fn validation(&self) -> String {
        let validations = self.events().filter_map(|event| match event {
            Event::Validation {
                step,
                what,
                figures,
                is_best,
                ..
            } => Some((*step, what, figures, *is_best)),
            _ => None,
        });
        let validations: Vec<_> = validations.collect();
        let Some((_, what, figures, _)) = validations.last() else {
            return String::new();
        };
        let mut names: Vec<&str> = figures.keys().map(String::as_str).collect();
        names.sort_by_key(|name| (place(name), *name));
        let best = validations.iter().rfind(|(.., is_best)| *is_best);
        let html: String = names
            .into_iter()
            .map(|name| {
                let values = validations
                    .iter()
                    .map(|(step, _, figures, _)| (*step, figures.get(name).map(|v| f64::from(*v))));
                Chart {
                    title: name.to_owned(),
                    note: validation_note(name).into(),
                    axis: name,
                    series: vec![Series {
                        name: name.to_owned(),
                        points: points(values),
                    }],
                    marks: best.map(|(step, ..)| step.to_f64()).into_iter().collect(),
                    limit: None,
                }
                .html()
            })
            .collect();
        if html.is_empty() {
            return html;
        }
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
            .events()
            .filter_map(|event| match event {
                Event::Rollback { step, .. } => Some(step.to_f64()),
                _ => None,
            })
            .collect();
        let mut html = String::new();
        for plan in plans() {
            let series = plan.curves.into_iter().map(|(name, value)| Series {
                name: name.to_owned(),
                points: points(self.ticks().map(|tick| (tick.step, value(tick)))),
            });
            let mut series: Vec<Series> = series.collect();
            // A figure that a run does not have is zero throughout.
            series.retain(|s| s.points.iter().any(|p| p.1 != 0.0));
            html += &Chart {
                title: plan.title.into(),
                note: plan.note.into(),
                axis: plan.axis,
                limit: plan.is_reach.then(|| self.half_grid(&series)).flatten(),
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
        let size = f64::from(self.config.as_ref()?.data.size_px);
        let half = 0.5 * size / DiscriminatorConfig::PATCH_STRIDE.to_f64();
        let highest = series
            .iter()
            .flat_map(|s| &s.points)
            .map(|p| p.1)
            .fold(0.0, f64::max);
        (highest > 0.5 * half).then_some(half)
    }

    /// Where the time of a step goes, if the ticks say so.
    fn phases(&self) -> String {
        let Some(latest) = self.ticks().filter_map(|tick| tick.phases).last() else {
            return String::new();
        };
        let series = latest
            .named()
            .into_iter()
            .enumerate()
            .map(|(place, (key, _))| {
                let values = self.ticks().map(|tick| {
                    let secs = tick.phases.map(|phases| phases.named()[place].1);
                    (tick.step, secs.map(|secs| 1000.0 * secs))
                });
                Series {
                    name: key.trim_end_matches("_secs").replace('_', " "),
                    points: points(values),
                }
            });
        Chart {
            title: "Where a step's time goes".into(),
            note: "of the last step before each tick".into(),
            axis: "milliseconds",
            series: series.collect(),
            marks: vec![],
            limit: None,
        }
        .html()
    }

    /// The configuration: what was changed, then everything.
    fn settings(&self) -> String {
        let Some(config) = &self.config else {
            return String::new();
        };
        let (mut changed, mut all, mut section_now) = (String::new(), String::new(), String::new());
        for entry in config.entries() {
            let value = escape(&entry.value);
            let (name, key) = (&entry.section, &entry.key);
            if *name != section_now {
                let _ = write!(all, "<tr><th colspan=\"2\" class=\"head\">[{name}]</tr>");
                section_now.clone_from(name);
            }
            if entry.is_default {
                let _ = write!(all, "<tr><th>{key}<td>{value}</tr>");
                continue;
            }
            let dot = if name.is_empty() { "" } else { "." };
            let _ = write!(changed, "<tr><th>{name}{dot}{key}<td>{value}</tr>");
            let _ = write!(all, "<tr class=\"changed\"><th>{key}<td>{value}</tr>");
        }
        if changed.is_empty() {
            changed = "<tr><td>nothing: all defaults</tr>".into();
        }
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

impl Film {
    /// Pictures on top of each other, one shown, with a slider where there are several. Without scripts the
    /// last one shows.
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
            let labels = Sheet::of(&png).map_or_else(String::new, |sheet| sheet.html());
            write!(
                page,
                "<div class=\"moment{}\"><img alt=\"{name}\" title=\"{name}\" src=\"data:image/png;base64,{}\">{labels}</div>",
                if i == last { " on" } else { "" },
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
