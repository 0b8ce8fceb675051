//! Several runs on one page: their tables, and their curves laid over each other.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::chart::{Series, plain, points};
use super::html::{self, escape, section};
use super::{Film, place, validation_note};
use crate::train::{Event, Figure, Record};

/// Most runs that a chart can distinguish.
const LINES_MAX: usize = 8;

/// A run of a page of several.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// As the legends have it.
    pub name: String,
    /// What sets it apart, in a few words.
    pub about: String,
    /// What came of it, in a few words.
    pub measured: String,
    /// Its own pages: what each is called, and where it is, relative to this one.
    pub pages: Vec<(String, String)>,
    /// Lines of its `stats.jsonl`.
    pub stats: Vec<Record>,
}

/// A table of the page.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What its figures are.
    pub title: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<String>>,
}

/// A page of several runs.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// The title of the page.
    pub name: String,
    /// How far it is, in a line.
    pub status: String,
    /// What its figures are of, a sentence each.
    pub notes: Vec<String>,
    /// In the order of the page.
    pub runs: Vec<Run>,
    /// Pictures of the runs; none where it has no frames.
    pub film: Film,
    /// What came out.
    pub tables: Vec<Table>,
}

/// The curves that say most of a training.
const FIGURES: [Figure; 4] = [
    Figure::GReconstruction,
    Figure::GCycle,
    Figure::GAdversarial,
    Figure::DFakeProb,
];

impl Runs {
    /// Writes the whole page.
    ///
    /// # Errors
    /// Where the page cannot be written.
    pub fn write(&self, page: &mut dyn Write) -> io::Result<()> {
        let status = format!("<p class=\"status\">{}</p>", escape(&self.status));
        html::begin(page, &self.name, &status)?;
        page.write_all(self.named().as_bytes())?;
        if !self.film.frames.is_empty() {
            self.film.write(page)?;
        }
        for table in &self.tables {
            page.write_all(table.html().as_bytes())?;
        }
        page.write_all(self.curves().as_bytes())?;
        html::end(page)
    }

    /// What each run is.
    fn named(&self) -> String {
        let rows = self.runs.iter().fold(String::new(), |rows, run| {
            let (about, measured) = (escape(&run.about), escape(&run.measured));
            let links = run
                .pages
                .iter()
                .map(|(name, page)| format!("<a href=\"{}\">{}</a>", escape(page), escape(name)));
            let links: Vec<String> = links.collect();
            let name = if links.is_empty() {
                escape(&run.name)
            } else {
                links.join(" ")
            };
            format!("{rows}<tr><th>{name}<td>{about}<td>{measured}</tr>")
        });
        let notes = self.notes.iter().fold(String::new(), |notes, note| {
            format!("{notes}<p class=\"note\">{}</p>", escape(note))
        });
        section(
            "Runs",
            &format!("{notes}<div class=\"wide\"><table class=\"runs\">{rows}</table></div>"),
        )
    }

    fn curves(&self) -> String {
        let mut html = String::new();
        let mut validations: BTreeMap<&str, Vec<Series>> = BTreeMap::new();
        for run in self.runs.iter().take(LINES_MAX) {
            let mut of_run: BTreeMap<&str, Vec<(u64, Option<f64>)>> = BTreeMap::new();
            for record in &run.stats {
                let Record::Event(Event::Validation { step, figures, .. }) = record else {
                    continue;
                };
                for (name, value) in figures {
                    of_run
                        .entry(name)
                        .or_default()
                        .push((*step, Some(f64::from(*value))));
                }
            }
            for (name, values) in of_run {
                validations.entry(name).or_default().push(Series {
                    name: run.name.clone(),
                    points: points(values.into_iter()),
                });
            }
        }
        let mut validations: Vec<_> = validations.into_iter().collect();
        validations.sort_by_key(|(name, _)| place(name));
        for (name, series) in validations {
            html += &plain(
                name,
                &format!("validation, {}", validation_note(name)),
                name,
                series,
            );
        }
        for figure in FIGURES {
            let series = self.runs.iter().take(LINES_MAX).map(|run| {
                let values = run.stats.iter().filter_map(|record| match record {
                    Record::Tick(tick) => {
                        Some((tick.step, tick.figures.get(figure).map(f64::from)))
                    }
                    Record::Event(_) => None,
                });
                Series {
                    name: run.name.clone(),
                    points: points(values),
                }
            });
            let row = figure.row();
            let (title, note) = row.chart.texts();
            html += &plain(
                &format!("{title}: {}", row.series),
                note,
                row.chart.axis(),
                series.collect(),
            );
        }
        if html.is_empty() {
            return html;
        }
        let note = if self.runs.len() > LINES_MAX {
            format!(
                "<p class=\"note\">The first {LINES_MAX} of the list above; the tables have all.</p>"
            )
        } else {
            String::new()
        };
        section(
            "Curves",
            &format!("{note}<div class=\"charts\">{html}</div>"),
        )
    }
}

impl Table {
    fn html(&self) -> String {
        let cells = |tag: &str, cells: &[String]| -> String {
            cells.iter().fold(String::new(), |row, cell| {
                format!("{row}<{tag}>{}", escape(cell))
            })
        };
        let rows = self.rows.iter().fold(String::new(), |rows, row| {
            format!("{rows}<tr>{}</tr>", cells("td", row))
        });
        section(
            &self.title,
            &format!(
                "<div class=\"wide\"><table class=\"figures\"><tr>{}</tr>{rows}</table></div>",
                cells("th", &self.head)
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_lie_over_each_other_and_their_names_mean_nothing_to_a_browser() {
        let validation = |step: u64, value: f32| {
            Record::Event(Event::Validation {
                step,
                what: "pictures".into(),
                figures: [("l1".to_owned(), value)].into(),
                metric: "l1".into(),
                is_best: true,
            })
        };
        let folder = tempfile::tempdir().expect("a folder");
        let sheet = folder.path().join("sheet.png");
        std::fs::write(&sheet, b"no picture").expect("it can be written");
        let run = |name: &str| Run {
            name: name.into(),
            about: "loss.cycle=2".into(),
            measured: "l1 0.25".into(),
            pages: vec![
                (name.into(), format!("{name}-1/report.html")),
                ("seed 2".into(), format!("{name}-2/report.html")),
            ],
            stats: vec![validation(10, 0.5), validation(20, 0.25)],
        };
        let runs = Runs {
            name: "a <sweep>".into(),
            status: "2 of 3 trainings are done".into(),
            notes: vec!["1 seed & no interval".into()],
            runs: vec![run("one"), run("two")],
            film: Film {
                title: "Pictures of each".into(),
                note: String::new(),
                frames: vec![("two".into(), sheet.clone()), ("one".into(), sheet)],
            },
            tables: vec![Table {
                title: "L1".into(),
                head: vec!["run".into(), "l1".into()],
                rows: vec![vec!["one".into(), "0.25 & less".into()]],
            }],
        };
        let mut page = Vec::new();
        runs.write(&mut page).expect("memory takes everything");
        let page = String::from_utf8(page).expect("text");
        for expected in [
            "<h1>a &lt;sweep&gt;</h1>",
            "2 of 3 trainings are done",
            "1 seed &amp; no interval",
            "<a href=\"two-1/report.html\">two</a> <a href=\"two-2/report.html\">seed 2</a>",
            "<td>loss.cycle=2<td>l1 0.25",
            "<td>0.25 &amp; less",
            "validation, lower is better",
            "<h2>Pictures of each</h2>",
            "<output>one</output>",
        ] {
            assert!(page.contains(expected), "`{expected}` is missing");
        }
        assert_eq!(page.matches("<polyline").count(), 2);
    }
}
