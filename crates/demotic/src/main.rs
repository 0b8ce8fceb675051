//! The launcher: what was typed, what it means, then the library's work. Exit codes: 0 done, 1 failed, 2
//! usage, configuration or input, 130 interrupted.

mod cli;
mod commands;
mod examination;
mod failure;
mod findings;
mod greeting;
mod hints;
mod inputs;
mod options;
mod output;
mod page;
mod progress;
mod recipes;
mod recorder;
mod samples;
mod serve;
mod sheet;
mod tensorboard;
mod terminal;
mod waiting;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: demotic_core::allocation::Counting = demotic_core::allocation::Counting;

fn main() -> ExitCode {
    quiet_driver();
    keep_memory();
    failure::catch_bugs(|| {
        let cli = cli::Cli::parse();
        match run(&cli.command) {
            Ok(failure::Outcome::Done) => ExitCode::SUCCESS,
            Ok(failure::Outcome::Interrupted) => ExitCode::from(failure::INTERRUPTED),
            // The reader closed the pipe: that is no error.
            Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => failure::report(&error),
        }
    })
}

/// Runs a command, on devices of other machines where it is asked to: those that are lost are an error and no
/// bug, and the others get word when it is over.
#[cfg(feature = "remote")]
fn run(command: &cli::Command) -> anyhow::Result<failure::Outcome> {
    let result = demotic_core::device::attended(|| commands::run(command));
    demotic_core::device::leave();
    result
}

#[cfg(not(feature = "remote"))]
use commands::run;

/// Mesa's device-selection layer asks for a Wayland display while adapters are listed, and without any
/// session prints a line that looks like an error of ours.
fn quiet_driver() {
    const LAYER_OFF: &str = "NODEVICE_SELECT";
    let set = |name| std::env::var_os(name).is_some();
    if cfg!(target_os = "linux")
        && !set("XDG_RUNTIME_DIR")
        && !set("MESA_VK_DEVICE_SELECT")
        && !set(LAYER_OFF)
    {
        #[expect(
            unsafe_code,
            reason = "the first thing the program does: no other thread reads the environment"
        )]
        // SAFETY: the process has one thread here.
        unsafe {
            std::env::set_var(LAYER_OFF, "1");
        }
    }
}

/// Keeps memory that tensors gave back, up to so many bytes a heap, for the next ones: glibc hands it to the
/// system at once, which clears every page anew. A step of training on the processor spends a twentieth of
/// its time on that.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc has no safe way to say it")]
fn keep_memory() {
    use std::ffi::c_int;
    unsafe extern "C" {
        fn mallopt(what: c_int, value: c_int) -> c_int;
    }
    // As malloc.h numbers them.
    const TRIM_THRESHOLD: c_int = -1;
    const MMAP_THRESHOLD: c_int = -3;
    // SAFETY: the declaration is malloc.h's, and the process has one thread here. Where glibc refuses a value
    // it goes on as before.
    unsafe {
        mallopt(TRIM_THRESHOLD, 256 << 20);
        mallopt(MMAP_THRESHOLD, 32 << 20);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory() {}

#[cfg(test)]
mod tests {
    use demotic_core::allocation::peak_of;

    #[test]
    fn large_blocks_are_counted_and_given_back() {
        // Other tests allocate beside this one: more may be counted, never less.
        let ((), peak) = peak_of(|| {
            for _ in 0..4 {
                let mut block = vec![1u8; 64 << 20];
                block.reserve(64 << 20);
                std::hint::black_box(&block);
            }
        });
        assert!((64 << 20..300 << 20).contains(&peak), "{peak}");
    }
}
