//! `demotic compare --profile`: what a step asks of a device and its driver.

use demotic_core::check::compare::{Comparison, Measured};
use demotic_core::train::Traffic;

/// Of each device: kernel launches of a step by phase and by kernel, what its driver is asked for, and each
/// kernel's time.
pub(super) fn profile(compared: &Comparison) -> String {
    let mut lines = Vec::new();
    for one in &compared.devices {
        if let Some(measured) = &one.measured {
            lines.extend(of_device(&one.name, measured));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn of_device(name: &str, measured: &Measured) -> Vec<String> {
    let Some(launches) = &measured.launches else {
        return vec![format!("launches  {name}: none seen")];
    };
    let mut lines = vec![format!(
        "launches  {name}: {} a step, of {} kernels; first step {:.2} s",
        launches.total, launches.distinct, measured.first_secs
    )];
    for (what, counts) in [
        ("phase", &launches.by_phase),
        ("kernel", &launches.by_kernel),
    ] {
        let rows = counts.iter();
        lines.extend(rows.map(|(name, count)| format!("  {what:<7} {count:>6}  {name}")));
    }
    lines.extend(driver(name, measured.traffic, measured.first_traffic));
    lines.extend(kernel_times(name, measured.kernel_secs.as_deref()));
    lines
}

/// What the driver is asked for beside launches: in a step as any other, and in the first.
fn driver(name: &str, step: Option<Traffic>, first: Option<Traffic>) -> Vec<String> {
    let (Some(step), Some(first)) = (step, first) else {
        return vec![format!(
            "driver  {name}: what it is asked for was not counted"
        )];
    };
    let counts = |traffic: Traffic| {
        format!(
            "{} submissions, {} uploads, {} pipelines compiled",
            traffic.submissions, traffic.uploads, traffic.pipelines
        )
    };
    let keys = first
        .tuned_keys
        .map_or_else(|| "not counted".to_owned(), |keys| keys.to_string());
    vec![
        format!("driver  {name}: {} a step", counts(step)),
        format!(
            "driver  {name}: {} in the first; tuned keys: {keys}",
            counts(first)
        ),
    ]
}

/// Where the device's own time of a step goes: a line a kernel.
fn kernel_times(device: &str, secs: Option<&[(String, f64)]>) -> Vec<String> {
    let Some(secs) = secs else {
        return vec![format!("time    {device}: its driver gives no timestamps")];
    };
    let all: f64 = secs.iter().map(|(_, secs)| secs).sum();
    let first = format!(
        "time    {device}: {:.3} ms a step in kernels, by the device's clock",
        all * 1e3
    );
    let rows = secs.iter().map(|(name, secs)| {
        let share = 100.0 * secs / all.max(f64::MIN_POSITIVE);
        format!("  time    {:>9.3} ms {share:>5.1} %  {name}", secs * 1e3)
    });
    std::iter::once(first).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_driver_is_asked_for_is_reported_of_a_step_and_of_the_first() {
        let step = Traffic {
            submissions: 9,
            uploads: 2,
            pipelines: 0,
            tuned_keys: Some(0),
        };
        let first = Traffic {
            submissions: 120,
            uploads: 350,
            pipelines: 97,
            tuned_keys: Some(41),
        };
        assert_eq!(
            driver("wgpu", Some(step), Some(first)),
            [
                "driver  wgpu: 9 submissions, 2 uploads, 0 pipelines compiled a step",
                "driver  wgpu: 120 submissions, 350 uploads, 97 pipelines compiled in the first; tuned keys: 41"
            ]
        );
        let unheard = Traffic {
            tuned_keys: None,
            ..first
        };
        let lines = driver("wgpu", Some(step), Some(unheard));
        assert!(lines[1].ends_with("tuned keys: not counted"), "{lines:?}");
        let lines = driver("wgpu", None, None);
        assert_eq!(
            lines,
            ["driver  wgpu: what it is asked for was not counted"]
        );
    }
}
