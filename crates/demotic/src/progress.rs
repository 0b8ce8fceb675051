//! What a training run shows: the same lines on standard output and in log.txt, a bar below them on a terminal, and Ctrl-C.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Result;
use demotic_core::train::{Phases, Tick};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::INTERRUPTED;
use crate::output::{duration, tell};
use crate::run_dir;

/// Meaning of the columns of [`tick_line`], as the header states it.
pub(crate) const LEGEND: &str = "\
columns  step done/all, kimg: thousand source pictures shown
columns  d_*: the discriminator's loss on real, made and mixed pictures, nats a patch
columns  D(real), D(fake): mean probability that a patch is real, of real and of made pictures, by the patch's own scores
columns  g_rec, g_cyc, g_pair: mean absolute error drawn again, there and back, against the true picture (0 to 2)
columns  g_style, g_lat: error of a style code, a latent read back; g_div: difference of two hands (larger is better); d_r1: squared gradient
columns  g_kl: nats a picture value; g_adv, g_prior: nats a patch; stay: log-odds that a patch has its neighbour's label
columns  reach: patches over which a label's influence falls to 1/e
columns  sec/kimg: seconds for a thousand pictures; wait: share of it waiting for pictures; mem: peak; device: taken on it; left: time to the end
columns  ms: milliseconds of the last step: G and D forward+backward+step, J discriminator's view of translations";

/// The lines of a run.
pub(crate) struct Journal {
    /// None in a dry run.
    log: Option<(PathBuf, File)>,
    bar: ProgressBar,
}

impl Journal {
    /// Without a log file.
    pub(crate) fn to_screen() -> Self {
        Self {
            log: None,
            bar: ProgressBar::hidden(),
        }
    }

    /// Writes to a log file from now on, at its end.
    pub(crate) fn log_to(&mut self, path: PathBuf) -> Result<()> {
        let file = run_dir::append(&path)?;
        self.log = Some((path, file));
        Ok(())
    }

    /// A text of one or more lines: screen and log.
    pub(crate) fn say(&mut self, text: &str) -> Result<()> {
        self.show(text);
        self.note(text)
    }

    /// A text for the screen alone, above the bar.
    pub(crate) fn show(&self, text: &str) {
        self.bar.suspend(|| tell(&format!("{}\n", text.trim_end())));
    }

    /// A text for the log alone.
    pub(crate) fn note(&mut self, text: &str) -> Result<()> {
        if let Some((path, file)) = &mut self.log {
            run_dir::add_line(file, path, text.trim_end())?;
        }
        Ok(())
    }

    /// Starts the bar where standard error is a terminal.
    pub(crate) fn start(&mut self, step: u64, steps: u64) {
        if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{bar:16} {pos}/{len}  {wide_msg}")
                .expect("the template is well formed");
            self.bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr())
                .with_style(style);
            self.bar.set_position(step);
        }
    }

    /// One step done.
    pub(crate) fn advance(&self, step: u64) {
        self.bar.set_position(step);
    }

    /// A tick: a line, and the few figures of it that fit beside the bar.
    pub(crate) fn tick(&mut self, tick: &Tick, steps: u64) -> Result<()> {
        self.bar.set_message(bar_message(tick));
        self.say(&tick_line(tick, steps))
    }

    /// Takes the bar away.
    pub(crate) fn stop(&mut self) {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
    }
}

/// One aligned line of figures; those of terms that a run does not have are left out.
fn tick_line(tick: &Tick, steps: u64) -> String {
    let width = steps.to_string().len();
    let further = [
        ("g_style", tick.g_style),
        ("g_div", tick.g_diversity),
        ("g_prior", tick.g_prior),
        ("g_lat", tick.g_latent),
        ("d_r1", tick.d_r1.unwrap_or(0.0)),
    ];
    let further: String = further
        .iter()
        .filter(|(_, value)| *value != 0.0)
        .fold(String::new(), |line, (name, value)| {
            line + &format!("{name} {value:>6.4}  ")
        });
    let device = tick.device_memory_bytes.map_or_else(String::new, |bytes| {
        format!("device {:>5} MiB  ", bytes >> 20)
    });
    // Not every system says.
    let host = match tick.peak_memory_bytes >> 20 {
        0 => String::new(),
        mib => format!("mem {mib:>5} MiB  "),
    };
    format!(
        "step {:>width$}/{steps}  kimg {:>8.2}  d_real {:>6.3}  d_fake {:>6.3}  d_mix {:>6.3}  D(real) {:>5.3}  D(fake) {:>5.3}  g_rec {:>6.4}  g_cyc {:>6.4}  g_kl {:>6.4}  \
         g_adv {:>6.3}  g_pair {:>6.4}  {further}stay {:>5.2}  reach {:>5.2}  sec/kimg {:>7.2}  wait {:>4.1}%  {}{host}{device}left {:>6}",
        tick.step,
        tick.kimg,
        tick.d_real,
        tick.d_fake,
        tick.d_composite,
        tick.d_real_prob,
        tick.d_fake_prob,
        tick.g_reconstruction,
        tick.g_cycle,
        tick.g_kl,
        tick.g_adversarial,
        tick.g_paired,
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
        ms(phases.judge_forward_secs)
    )
}

/// The few figures that fit beside a bar.
fn bar_message(tick: &Tick) -> String {
    format!(
        "g_rec {:.3}  g_cyc {:.3}  g_adv {:.2}  {:.1} sec/kimg  left {}",
        tick.g_reconstruction,
        tick.g_cycle,
        tick.g_adversarial,
        tick.secs_per_kimg,
        duration(tick.secs_left)
    )
}

/// A signal ends the process at once.
const UNGUARDED: u8 = 0;
/// The first signal asks the training to stop.
const GUARDED: u8 = 1;
/// It was asked; another signal ends the process at once.
const REQUESTED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNGUARDED);

/// A terminal that goes away: the system, the shell and the end of the shell each send SIGHUP, so that only the first is a
/// request and the others must not end the process before its checkpoint is saved. A run under `nohup` is meant to outlive
/// its terminal; listening for Ctrl-C would undo that.
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
            if STATE.compare_exchange(GUARDED, REQUESTED, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                std::process::exit(i32::from(INTERRUPTED));
            }
            let _ = writeln!(
                std::io::stderr(),
                "\ninterrupted: finishing this step and saving a checkpoint; once more to stop without"
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

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(step: u64) -> Tick {
        Tick {
            step,
            kimg: step as f64 * 0.016,
            d_real: 0.5,
            d_fake: 0.25,
            d_composite: 1.0,
            d_real_prob: 0.75,
            d_fake_prob: 0.25,
            d_r1: None,
            g_reconstruction: 0.125,
            g_kl: 0.5,
            g_cycle: 0.25,
            g_adversarial: 2.0,
            g_paired: 0.0,
            g_style: 0.0,
            g_diversity: 0.0,
            g_prior: 0.0,
            g_latent: 0.0,
            d_norm: 1.0,
            g_norm: 1.0,
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
    fn lines_of_one_run_are_equally_long_and_tell_the_time_left() {
        let [early, late] = [5, 900].map(|step| tick_line(&tick(step), 1000));
        assert_eq!(early.len(), late.len(), "{early}\n{late}");
        assert!(early.ends_with("left  2m39s"), "{early}");
        assert!(
            late.contains("step  900/1000  kimg    14.40")
                && late.contains("wait  1.5%  mem   300 MiB"),
            "{late}"
        );
        // What a run has beyond the common figures is told, and no more.
        let mut guided = tick(5);
        (guided.g_style, guided.device_memory_bytes) = (1.25, Some(77 << 20));
        let line = tick_line(&guided, 1000);
        assert!(
            line.contains("g_style 1.2500  stay")
                && line.contains("mem   300 MiB  device    77 MiB  left"),
            "{line}"
        );
    }
}
