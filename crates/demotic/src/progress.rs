//! What a training run shows: short lines on standard output and whole ones in log.txt, a bar below them on a
//! terminal, and Ctrl-C.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::Result;
use demotic_core::files::{add_line, append};
use demotic_core::number::Real;
use demotic_core::train::{Chart, Column, Figure, Phases, Tick};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::{INTERRUPTED, io};
use crate::output::{duration, report, wrapped};
use crate::terminal::{Terminal, fitted, spark};

/// Meaning of the columns of [`tick_line`], as the header states it.
pub(crate) fn legend() -> String {
    let mut lines = vec!["step done/all, kimg: thousand source pictures shown".to_owned()];
    for chart in Chart::ALL {
        let rows = chart.figures().map(Figure::row);
        let shown = rows.filter(|row| row.column != Column::Never);
        let names: Vec<&str> = shown.map(|row| row.name).collect();
        if !names.is_empty() {
            let (title, note) = chart.texts();
            lines.push(format!("{}: {title}: {note}", names.join(", ")));
        }
    }
    let further = [
        "stay: log-odds that a patch has its neighbour's label; reach: patches over which a label's influence falls to 1/e",
        "sec/kimg: seconds for a thousand pictures; wait: share of it waiting for pictures; mem: peak; device: taken on it; left: time to the end",
        "ms: milliseconds of the last step: G and D forward+backward+step, J discriminator's view of translations",
    ];
    lines.extend(further.map(str::to_owned));
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("columns  {line}"))
        .collect();
    lines.join("\n")
}

/// What of a run is shown on the screen; its files have all of it in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A few lines, then a short one per tick.
    #[default]
    Short,
    /// The whole header and what every column means, too.
    Explained,
    /// Nothing but errors.
    Quiet,
    /// A JSON object per tick and event, as in stats.jsonl.
    Json,
}

/// The lines of a run.
pub(crate) struct Journal {
    /// None in a dry run.
    log: Option<(PathBuf, File)>,
    bar: ProgressBar,
    terminal: Terminal,
    pub(crate) voice: Voice,
    pace: Option<Pace>,
    /// The error that the sparkline shows, of every tick of the session.
    errors: Vec<f32>,
}

/// How fast the steps of a session are. The first two compile and tune.
struct Pace {
    begun: Option<(u64, Instant)>,
    first: u64,
    steps: u64,
    is_told: bool,
}

impl Pace {
    /// Seconds a step and seconds left, from the third step on.
    fn at(&mut self, step: u64) -> Option<(f64, f64)> {
        if step < self.first + 2 {
            return None;
        }
        let (start, begun) = *self.begun.get_or_insert_with(|| (step, Instant::now()));
        // After a roll-back, steps come again.
        let taken = step.checked_sub(start).filter(|taken| *taken > 0)?;
        let secs = begun.elapsed().as_secs_f64() / taken.to_f64();
        Some((secs, secs * self.steps.saturating_sub(step).to_f64()))
    }
}

impl Journal {
    /// Without a log file.
    pub(crate) fn to_screen(voice: Voice) -> Self {
        Self {
            log: None,
            bar: ProgressBar::hidden(),
            terminal: Terminal::of_output(),
            voice,
            pace: None,
            errors: Vec::new(),
        }
    }

    /// Writes to a log file from now on, at its end.
    pub(crate) fn log_to(&mut self, path: PathBuf) -> Result<()> {
        let file = append(&path)?;
        self.log = Some((path, file));
        Ok(())
    }

    /// Where its lines go.
    pub(crate) fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// A text of one or more lines: screen and log.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.show(text);
        self.note(text)
    }

    /// A text for the screen alone, above the bar.
    pub(crate) fn show(&self, text: &str) {
        if matches!(self.voice, Voice::Short | Voice::Explained) {
            let text = wrapped(text.trim_end(), self.terminal.width());
            let text = self.terminal.painted(&text);
            self.bar.suspend(|| report(&format!("{text}\n")));
        }
    }

    /// An object for a program that reads the screen.
    pub(crate) fn emit(&self, record: &impl Serialize) -> Result<()> {
        if self.voice == Voice::Json {
            report(&format!("{}\n", serde_json::to_string(record)?));
        }
        Ok(())
    }

    /// A text for the log alone.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        if let Some((path, file)) = &mut self.log {
            add_line(file, path, text.trim_end())?;
        }
        Ok(())
    }

    /// Length of the log file now.
    pub(crate) fn log_bytes(&self) -> Result<u64> {
        match &self.log {
            Some((path, file)) => {
                let metadata = file.metadata().map_err(|e| io("measure", path, &e))?;
                Ok(metadata.len())
            }
            None => Ok(0),
        }
    }

    /// Starts the bar where standard error is a terminal.
    pub(crate) fn start(&mut self, step: u64, steps: u64) {
        self.pace = Some(Pace {
            begun: None,
            first: step,
            steps,
            is_told: false,
        });
        let is_shown = matches!(self.voice, Voice::Short | Voice::Explained);
        if is_shown && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:16} {pos}/{len}  {wide_msg}")
                .expect("the template is well formed");
            self.bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr())
                .with_style(style);
            self.bar.set_position(step);
        }
    }

    /// One step done: from the third on, how fast they are and what is left.
    pub(crate) fn advance(&mut self, step: u64) {
        self.bar.set_position(step);
        let Some(pace) = &mut self.pace else { return };
        let Some((secs, left)) = pace.at(step) else {
            return;
        };
        let is_first = !std::mem::replace(&mut pace.is_told, true);
        let rate = format!("{secs:.3} s a step, {} left", duration(left));
        if self.bar.is_hidden() {
            if is_first {
                self.show(&format!("pace   {rate}"));
            }
            return;
        }
        let error = self.errors.last().map_or_else(String::new, |error| {
            format!("g_rec {error:.3} {}  ", spark(&self.errors, 16))
        });
        self.bar.set_message(format!("{error}{rate}"));
    }

    /// A tick: a line that fits the screen, and all figures in the log.
    pub(crate) fn tick(&mut self, tick: &Tick, steps: u64) -> Result<()> {
        self.errors.push(tick[Figure::GReconstruction]);
        // As the bar has it: a person also waits for what comes between steps.
        let paced = self.pace.as_mut().and_then(|pace| pace.at(tick.step));
        let shown = Tick {
            secs_left: paced.map_or(tick.secs_left, |(_, left)| left),
            ..tick.clone()
        };
        let errors = if self.terminal.is_screen {
            &self.errors[..]
        } else {
            &[]
        };
        self.show(&short_line(&shown, steps, errors, self.terminal.columns));
        self.emit(tick)?;
        self.note(&tick_line(tick, steps))
    }

    /// Takes the bar away.
    pub(crate) fn stop(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }
}

/// The figures of a tick that fit into a line, the most important ones first to stay. `errors`: of all ticks,
/// for the sparkline; none for none.
fn short_line(tick: &Tick, steps: u64, errors: &[f32], columns: usize) -> String {
    let width = steps.to_string().len();
    let figure = |rank: usize, figure: Figure, digits: usize| {
        let (name, value) = (figure.row().name, tick[figure]);
        (rank, format!("{name} {value:.digits$}"))
    };
    let mut parts = vec![(0, format!("step {:>width$}/{steps}", tick.step))];
    parts.push(figure(1, Figure::GReconstruction, 3));
    if !errors.is_empty() {
        // Columns stay where they are while it grows.
        parts.push((4, format!("{:<12}", spark(errors, 12))));
    }
    parts.push(figure(2, Figure::GCycle, 3));
    parts.push(figure(2, Figure::GAdversarial, 2));
    for further in [Figure::GKl, Figure::GPaired] {
        if tick[further] != 0.0 {
            parts.push(figure(6, further, 3));
        }
    }
    let [real, fake] = [Figure::DRealProb, Figure::DFakeProb].map(|figure| tick[figure]);
    parts.push((3, format!("D {real:.2}/{fake:.2}")));
    for loss in [Figure::DReal, Figure::DFake, Figure::DComposite] {
        parts.push(figure(7, loss, 2));
    }
    parts.push((5, format!("{:.1} s/kimg", tick.secs_per_kimg)));
    if tick.peak_memory_bytes > 0 {
        parts.push((8, format!("{} MiB", tick.peak_memory_bytes >> 20)));
    }
    parts.push((0, format!("left {}", duration(tick.secs_left))));
    fitted(&parts, columns)
}

/// One aligned line of all figures, for the log; those of terms that a run does not have are left out.
fn tick_line(tick: &Tick, steps: u64) -> String {
    let width = steps.to_string().len();
    let mut figures = String::new();
    for (figure, value) in tick.figures.iter() {
        let row = figure.row();
        let is_shown = match row.column {
            Column::Always => true,
            Column::WhereUsed => value != 0.0,
            Column::Never => false,
        };
        if is_shown {
            // Probabilities have no sign and no tens.
            let width = if row.chart == Chart::Probability {
                5
            } else {
                6
            };
            let (name, digits) = (row.name, row.digits);
            // A write into a String cannot fail.
            let _ = write!(figures, "{name} {value:>width$.digits$}  ");
        }
    }
    let device = tick.device_memory_bytes.map_or_else(String::new, |bytes| {
        format!("device {:>5} MiB  ", bytes >> 20)
    });
    // Not every system says.
    let host = match tick.peak_memory_bytes >> 20 {
        0 => String::new(),
        mib => format!("mem {mib:>5} MiB  "),
    };
    format!(
        "step {:>width$}/{steps}  kimg {:>8.2}  {figures}stay {:>5.2}  reach {:>5.2}  sec/kimg {:>7.2}  wait {:>4.1}%  \
         {}{host}{device}left {:>6}",
        tick.step,
        tick.kimg,
        tick.crf_stay_log_odds,
        tick.crf_coupling_length,
        tick.secs_per_kimg,
        tick.data_wait_share * 100.0,
        tick.phases.as_ref().map_or_else(String::new, phases),
        duration(tick.secs_left),
    )
}

/// Where the time of a step went.
fn phases(phases: &Phases) -> String {
    let ms = |secs: f64| format!("{:>5.0}", 1000.0 * secs);
    format!(
        "ms G{}+{}+{} D{}+{}+{} J{}  ",
        ms(phases.generator_forward_secs),
        ms(phases.generator_backward_secs),
        ms(phases.generator_step_secs),
        ms(phases.discriminator_forward_secs),
        ms(phases.discriminator_backward_secs),
        ms(phases.discriminator_step_secs),
        ms(phases.generator_losses_secs)
    )
}

/// A signal ends the process at once.
const UNGUARDED: u8 = 0;
/// The first signal asks the training to stop.
const GUARDED: u8 = 1;
/// It was asked; another signal ends the process at once.
const REQUESTED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNGUARDED);

/// A terminal that goes away: the system, the shell and the end of the shell each send SIGHUP, so that only
/// the first is a request and the others must not end the process before its checkpoint is saved. A run under
/// `nohup` is meant to outlive its terminal; listening for Ctrl-C would undo that.
mod hangup {
    #[cfg(unix)]
    use nix::sys::signal::{SigHandler, Signal, signal};

    /// Ignores SIGHUP; true if it was ignored already.
    #[cfg(unix)]
    pub(super) fn ignore() -> bool {
        #[expect(unsafe_code, reason = "a system call that has no safe form")]
        // SAFETY: no handler is installed, only the standard disposition `ignore`.
        let before = unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) };
        matches!(before, Ok(SigHandler::SigIgn))
    }

    /// Takes SIGHUP for a request to stop, however often it comes.
    #[cfg(unix)]
    pub(super) fn listen() {
        extern "C" fn hung_up(_: i32) {
            use std::sync::atomic::Ordering;
            if super::STATE.load(Ordering::SeqCst) == super::UNGUARDED {
                #[expect(unsafe_code, reason = "the one way to end a process from a handler")]
                // SAFETY: `_exit` may be called from a signal handler.
                unsafe {
                    nix::libc::_exit(super::INTERRUPTED.into())
                }
            }
            super::STATE.store(super::REQUESTED, Ordering::SeqCst);
        }
        #[expect(unsafe_code, reason = "a system call that has no safe form")]
        // SAFETY: the handler reads and writes an atomic number, and may end the process.
        let _ = unsafe { signal(Signal::SIGHUP, SigHandler::Handler(hung_up)) };
    }

    /// Nothing to ignore here.
    #[cfg(not(unix))]
    pub(super) fn ignore() -> bool {
        false
    }

    /// Nothing to listen for here.
    #[cfg(not(unix))]
    pub(super) fn listen() {}
}

/// While it lives, the first Ctrl-C (or request to terminate) is remembered rather than obeyed.
pub(crate) struct InterruptGuard(());

impl InterruptGuard {
    /// Starts listening; once in a process.
    pub(crate) fn new() -> Result<Self> {
        STATE.store(GUARDED, Ordering::SeqCst);
        let is_detached = hangup::ignore();
        ctrlc::set_handler(|| {
            if STATE
                .compare_exchange(GUARDED, REQUESTED, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
            {
                std::process::exit(i32::from(INTERRUPTED));
            }
            let _ = writeln!(
                std::io::stderr(),
                "\ninterrupted: finishing this step and saving a checkpoint; again to stop without"
            );
        })
        .map_err(|e| anyhow::anyhow!("cannot listen for Ctrl-C: {e}"))?;
        if is_detached {
            hangup::ignore();
        } else {
            hangup::listen();
        }
        Ok(Self(()))
    }

    /// True once the person asked to stop.
    #[expect(
        clippy::unused_self,
        reason = "the question has a meaning only while the guard lives"
    )]
    pub(crate) fn is_requested(&self) -> bool {
        STATE.load(Ordering::SeqCst) == REQUESTED
    }
}

impl Drop for InterruptGuard {
    fn drop(&mut self) {
        STATE.store(UNGUARDED, Ordering::SeqCst);
    }
}

/// Told when a person, or the system, asks the process to end; asked twice, it ends at once.
pub(crate) fn stop_requests() -> Result<mpsc::Receiver<()>> {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let (asking, stop) = mpsc::channel();
    ctrlc::set_handler(move || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(i32::from(INTERRUPTED));
        }
        let _ = asking.send(());
    })
    .map_err(|e| anyhow::anyhow!("cannot listen for Ctrl-C: {e}"))?;
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(step: u64) -> Tick {
        Tick {
            step,
            kimg: step.to_f64() * 0.016,
            figures: [
                (Figure::DReal, 0.5),
                (Figure::DFake, 0.25),
                (Figure::DComposite, 1.0),
                (Figure::DRealProb, 0.75),
                (Figure::DFakeProb, 0.25),
                (Figure::GReconstruction, 0.125),
                (Figure::GKl, 0.5),
                (Figure::GCycle, 0.25),
                (Figure::GAdversarial, 2.0),
                (Figure::DNorm, 1.0),
                (Figure::GNorm, 1.0),
            ]
            .into_iter()
            .collect(),
            crf_stay_log_odds: 0.5,
            crf_coupling_length: 1.0,
            secs_per_kimg: 10.0,
            data_wait_share: 0.015,
            phases: None,
            memory_bytes: 200 << 20,
            peak_memory_bytes: 300 << 20,
            device_memory_bytes: None,
            secs_left: 159.2,
        }
    }

    #[test]
    fn a_short_line_fits_its_terminal_and_says_more_in_a_wider_one() {
        let errors = [0.5, 0.25, 0.125];
        let mut before = 0;
        for (columns, reported) in [(80, "D 0.75/0.25"), (120, "s/kimg"), (200, "d_mix 1.00")] {
            for (step, steps) in [(5, 1000), (100_000, 100_000)] {
                let line = short_line(&tick(step), steps, &errors, columns);
                let width = line.chars().count();
                let is_told = steps > 1000 || line.contains(reported);
                assert!(width <= columns && is_told, "{columns}: {line}");
                assert!(line.ends_with("left 2m39s"), "{line}");
            }
            let width = short_line(&tick(5), 1000, &errors, columns).len();
            assert!(width > before, "{columns} columns");
            before = width;
        }
        let piped = short_line(&tick(5), 1000, &[], 80);
        assert!(
            piped.is_ascii() && piped.starts_with("step    5/1000  g_rec 0.125  g_cyc"),
            "{piped}"
        );
    }

    #[test]
    fn a_pace_is_known_from_the_third_step_on_and_survives_a_roll_back() {
        let mut pace = Pace {
            begun: None,
            first: 100,
            steps: 200,
            is_told: false,
        };
        assert!([101, 102].into_iter().all(|step| pace.at(step).is_none()));
        let (secs, left) = pace.at(103).expect("the third step");
        assert!((left - 97.0 * secs).abs() < 1e-9);
        assert_eq!(pace.at(50), None);
    }

    #[test]
    fn every_column_has_its_meaning() {
        let legend = legend();
        for row in Figure::ALL.iter().map(|figure| figure.row()) {
            let is_told = legend.contains(row.name);
            assert_eq!(is_told, row.column != Column::Never, "{row:?}: {legend}");
        }
    }

    #[test]
    fn lines_of_one_run_are_equally_long_and_tell_the_time_left() {
        let [early, late] = [5, 900].map(|step| tick_line(&tick(step), 1000));
        assert_eq!(early.len(), late.len(), "{early}\n{late}");
        assert!(early.ends_with("left  2m39s"), "{early}");
        assert!(
            early.contains(
                "d_real  0.500  d_fake  0.250  d_mix  1.000  D(real) 0.750  D(fake) 0.250  g_rec 0.1250  g_cyc 0.2500  g_kl 0.5000  \
                 g_adv  2.000  g_pair 0.0000  stay  0.50  reach  1.00  sec/kimg   10.00"
            ),
            "{early}"
        );
        assert!(
            late.contains("step  900/1000  kimg    14.40")
                && late.contains("wait  1.5%  mem   300 MiB"),
            "{late}"
        );
        // What a run has beyond the common figures is reported, and no more.
        let mut guided = tick(5);
        (guided[Figure::GStyle], guided.device_memory_bytes) = (1.25, Some(77 << 20));
        let line = tick_line(&guided, 1000);
        assert!(
            line.contains("g_style 1.2500  stay")
                && line.contains("mem   300 MiB  device    77 MiB  left"),
            "{line}"
        );
    }
}
