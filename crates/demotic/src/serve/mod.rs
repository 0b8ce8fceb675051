//! The page of `demotic serve`: what it asks for, and who may ask. `http` is the server, `guard` who is let
//! in, `studio` the networks, `watch` runs in training; `page.html` is all that a browser gets.

pub(crate) mod guard;
mod http;
mod studio;
mod watch;
mod words;

use std::net::{SocketAddr, TcpListener};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use demotic_core::report::VALIDATION;
use demotic_core::train::run::Which;
use demotic_core::train::{BUILT_IN, Chart};
use serde_json::{Value, json};

use crate::failure::is_input;
use crate::options::open_device;
use guard::Guard;
pub(crate) use http::Running;
use http::{Answer, Request};
use studio::{PICTURE_BYTES, Studio};
use watch::Watch;
use words::{PHRASE_BYTES, Words};

/// The page, without its nonce.
const PAGE: &str = include_str!("page.html");
/// Where the nonce stands in it.
const NONCE: &str = "NONCE";
/// Where the runs and their styles stand, so that it is laid out once.
const ABOUT: &str = "ABOUT";

/// A run that is served.
struct Served {
    name: String,
    /// None of weights without a run.
    watch: Option<Watch>,
}

/// All that the page asks for.
pub(crate) struct Site {
    guard: Guard,
    runs: Vec<Served>,
    /// Networks of each run. One picture at a time: the device is one, and so is the memory.
    studios: Mutex<Vec<Studio>>,
    /// None before the first phrase.
    words: Mutex<Option<Words>>,
    /// Held while a film is made.
    film: Mutex<()>,
    /// In words.
    pub(crate) device: String,
}

impl Site {
    /// Opens every run, then the device. Runs in training may have no checkpoint yet.
    ///
    /// # Errors
    /// What is wrong with a run or the device.
    pub(crate) fn open(guard: Guard, runs: &[PathBuf], which: Which, device: &str) -> Result<Self> {
        let mut watches = Vec::new();
        let mut checkpoints = Vec::new();
        for run in runs {
            let watch = Watch::of(run);
            let has_begun = watch.as_ref().is_some_and(Watch::has_begun);
            checkpoints.push(studio::checkpoint(run, which, has_begun)?);
            watches.push(watch);
        }
        let served = names_of(runs).into_iter().zip(watches);
        let served = served.map(|(name, watch)| Served { name, watch }).collect();
        let chosen = open_device(device)?;
        let opened = runs.iter().zip(checkpoints);
        let studios =
            opened.map(|(run, checkpoint)| Studio::open(run, which, checkpoint, chosen.clone()));
        let studios = Mutex::new(studios.collect::<Result<_>>()?);
        Ok(Self {
            guard,
            runs: served,
            studios,
            words: Mutex::new(None),
            film: Mutex::new(()),
            device: chosen.description,
        })
    }

    /// The address of the page.
    pub(crate) fn address(&self, bound: SocketAddr) -> String {
        self.guard.address(bound)
    }

    /// Answers what connects, from now on.
    ///
    /// # Errors
    /// Where the system has no thread.
    pub(crate) fn start(self, listener: TcpListener) -> std::io::Result<Running> {
        http::start(listener, move |request| self.answer(request))
    }

    fn answer(&self, request: &mut Request<'_>) -> Answer {
        if let Some(refusal) = self.guard.refusal(&request.head) {
            return refusal;
        }
        let head = &request.head;
        let wanted = match head.path.as_str() {
            "/" | "/api/about" | "/api/stats" | "/api/sample" | "/api/film" => "GET",
            "/api/styles" | "/api/picture" | "/api/phrase" => "POST",
            _ => return Answer::text(404, "there is nothing here; the page is /"),
        };
        let is_right = head.method == wanted || (wanted == "GET" && head.method == "HEAD");
        if !is_right {
            return Answer::text(405, format!("expected {wanted}")).with("Allow", wanted);
        }
        match head.path.as_str() {
            "/" => page(&self.about()).unwrap_or_else(|error| failed(&error)),
            "/api/about" => Answer::json(&self.about()),
            "/api/phrase" => self.phrase(request).unwrap_or_else(|error| failed(&error)),
            _ => match self.run(request) {
                Ok(answer) => answer,
                Err(error) => failed(&error),
            },
        }
    }

    /// What a phrase recalls.
    fn phrase(&self, request: &mut Request<'_>) -> Result<Answer> {
        if let Some(refusal) = not_bytes(request) {
            return Ok(refusal);
        }
        let phrase = match request.body(PHRASE_BYTES) {
            Ok(phrase) => phrase,
            Err(refusal) => return Ok(refusal),
        };
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        if words.is_none() {
            *words = Some(Words::open()?);
        }
        let words = words.as_ref().expect("it was opened above");
        Ok(Answer::json(&words.answer(&phrase)?))
    }

    /// What asks for one run.
    fn run(&self, request: &mut Request<'_>) -> Result<Answer> {
        let number = request.head.number("run").unwrap_or(0_usize);
        let Some(run) = self.runs.get(number) else {
            return Ok(Answer::text(404, "there is no such run"));
        };
        if request.head.method == "POST" {
            if let Some(refusal) = not_bytes(request) {
                return Ok(refusal);
            }
            let body = match request.body(PICTURE_BYTES) {
                Ok(body) => body,
                Err(refusal) => return Ok(refusal),
            };
            let mut studios = self.studios();
            let studio = &mut studios[number];
            return Ok(if request.head.path == "/api/styles" {
                Answer::json(&studio.every_style(&body)?)
            } else {
                let style = request.head.number("style").unwrap_or(usize::MAX);
                Answer::new("image/png", studio.one_style(&body, style)?)
            });
        }
        let Some(watch) = &run.watch else {
            return Ok(Answer::text(404, "these are weights without a run"));
        };
        let head = &request.head;
        if head.path == "/api/stats" {
            let from = head.number("from").unwrap_or(0);
            return Ok(Answer::json(
                &watch.stats(from, head.query("seen").unwrap_or_default())?,
            ));
        }
        let is_labels = head.query("kind") == Some("labels");
        let found = if head.path == "/api/film" {
            // Many pictures are decoded: one film at a time.
            let _turn = self.film.lock().unwrap_or_else(PoisonError::into_inner);
            watch.film(is_labels)?
        } else {
            watch.sample(is_labels, head.number("step").unwrap_or(u64::MAX))?
        };
        Ok(match found {
            Some(bytes) => Answer::new("image/png", bytes),
            None => Answer::text(404, "there is no such sample"),
        })
    }

    /// Networks, also after a panic: a translation does not change them.
    fn studios(&self) -> MutexGuard<'_, Vec<Studio>> {
        self.studios.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn about(&self) -> Value {
        let mut studios = self.studios();
        let runs = self.runs.iter().zip(studios.iter_mut());
        let runs = runs.map(|(run, studio)| json!({"name": run.name, "is_watched": run.watch.is_some(), "networks": studio.about()}));
        let charts = Chart::ALL.into_iter().map(|chart| {
            let (title, note) = chart.texts();
            let figures = chart
                .figures()
                .map(|figure| json!({"key": figure.row().key, "series": figure.row().series}));
            json!({"title": title, "note": note, "axis": chart.axis(), "figures": figures.collect::<Vec<_>>()})
        });
        json!({
            "device": self.device,
            "version": env!("CARGO_PKG_VERSION"),
            "runs": runs.collect::<Vec<_>>(),
            "charts": charts.collect::<Vec<_>>(),
            "validation": VALIDATION,
        })
    }
}

/// The last part of each run's path; of those alike as many parts as tell them apart.
fn names_of(runs: &[PathBuf]) -> Vec<String> {
    let parts = |run: &PathBuf| -> Vec<String> {
        let whole = match std::path::absolute(run) {
            Ok(whole) if run != Path::new(BUILT_IN) => whole,
            _ => run.clone(),
        };
        let mut parts = Vec::new();
        for part in whole.components() {
            match part {
                Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
                Component::ParentDir => drop(parts.pop()),
                _ => {}
            }
        }
        parts
    };
    let paths: Vec<Vec<String>> = runs.iter().map(parts).collect();
    let last = |path: &[String], count: usize| match path {
        [] => "run".to_owned(),
        path => path[path.len().saturating_sub(count)..].join("/"),
    };
    let name = |path: &Vec<String>| {
        let is_alone = |count: &usize| {
            let alike = paths
                .iter()
                .filter(|other| last(other, *count) == last(path, *count));
            alike.count() == 1
        };
        // A run that is given twice is alike to its end; another's path may end like all of this one.
        let is_twice = paths.iter().filter(|other| *other == path).count() > 1;
        let all = if is_twice { 1 } else { path.len() };
        last(path, (1..=path.len()).find(is_alone).unwrap_or(all))
    };
    paths.iter().map(name).collect()
}

/// The page: it may run its own script and show its own pictures, and load nothing from anywhere else.
fn page(about: &Value) -> Result<Answer> {
    let nonce = guard::random()?;
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self' data: blob:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // No name of a run can end the element that it stands in.
    let about = about.to_string().replace('<', "\\u003c");
    let page = PAGE.replace(NONCE, &nonce).replace(ABOUT, &about);
    Ok(Answer::new("text/html; charset=utf-8", page.into_bytes())
        .with("Content-Security-Policy", policy))
}

/// The answer to a body of another kind than the page sends: a form of another page can send some of them
/// unasked.
fn not_bytes(request: &Request<'_>) -> Option<Answer> {
    const KIND: &str = "application/octet-stream";
    let is_right = request.head.header("content-type") == Some(KIND);
    (!is_right).then(|| Answer::text(415, format!("expected a body of {KIND}")))
}

fn failed(error: &anyhow::Error) -> Answer {
    Answer::text(if is_input(error) { 400 } else { 500 }, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_one_name_are_told_apart_by_the_folders_above() {
        let names = |runs: &[&str]| names_of(&runs.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["/runs/a", "/runs/b"]), ["a", "b"]);
        assert_eq!(names(&["/x/runs/a", "/y/runs/a"]), ["x/runs/a", "y/runs/a"]);
        assert_eq!(
            names(&["/a/run", "/b/run", "/b/c"]),
            ["a/run", "b/run", "c"]
        );
        assert_eq!(names(&["/a/run", "/a/run"]), ["run", "run"]);
        assert_eq!(names(&[BUILT_IN, "/"]), [BUILT_IN, "run"]);
        assert_eq!(names(&["/p/../a", "/b/."]), ["a", "b"]);
        assert_eq!(names(&["/p/../run", "/q/run"]), ["run", "q/run"]);
        assert_eq!(names(&["/x/run", "/a/x/run"]), ["x/run", "a/x/run"]);
    }
}
