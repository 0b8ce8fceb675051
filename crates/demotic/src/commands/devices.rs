//! `demotic devices`: what can compute here, and what `auto` takes and why.

use anyhow::Result;
use demotic_core::device::{
    Adapter, BACKENDS, adapters, auto_adapter, further_devices, open, processor, shader_language,
    unused_adapters,
};
use demotic_core::ops::{Counts, lacking};
use demotic_core::train::measured_on;
use demotic_crf::{Implementation, implementation_in_use};
use serde::Serialize;
use serde_json::json;

use crate::cli::DevicesArgs;
use crate::output::{bytes, say, show};

/// What helps where wgpu finds nothing.
const NO_ADAPTER: &str = if cfg!(feature = "wgpu") {
    "\
To use a graphics processor, install its driver: on Debian and Ubuntu `apt-get install libvulkan1 mesa-vulkan-drivers` \
(AMD, Intel, and a software adapter) or NVIDIA's own driver; Windows and macOS bring theirs. In a container with an NVIDIA \
card install libvulkan1 and libegl1 and start it with NVIDIA_DRIVER_CAPABILITIES=all: by itself it gets CUDA without Vulkan."
} else {
    "This build has no wgpu: build with the default features to use a graphics processor."
};

/// An adapter and what the runtime makes of it.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    adapter: Adapter,
    /// None where it does not open.
    shader_language: Option<String>,
    /// What computes the CRF there.
    crf: Option<&'static str>,
    /// Layers of convolutions by whose kernels, as measured here by this build.
    convolutions: Counts,
    /// What Burn's kernels compute there, and what the device lacks for ours; none where ours compute all.
    lacking: Option<String>,
    /// Why it does not open.
    problem: Option<String>,
}

impl Listed {
    fn new(adapter: Adapter) -> Self {
        let convolutions = measured_on(&adapter);
        match open(&format!("wgpu:{}", adapter.index)) {
            Ok(chosen) => Self {
                shader_language: Some(shader_language(&chosen.device)),
                crf: implementation_in_use(&chosen.device, Implementation::Auto)
                    .ok()
                    .map(Implementation::name),
                lacking: lacking(&chosen.device),
                problem: None,
                convolutions,
                adapter,
            },
            Err(error) => Self {
                adapter,
                shader_language: None,
                crf: None,
                convolutions,
                lacking: None,
                problem: Some(error.to_string()),
            },
        }
    }

    fn lines(&self) -> Vec<String> {
        let a = &self.adapter;
        let shaders = match (&self.shader_language, &self.problem) {
            (Some(language), _) => {
                let crf = match self.crf {
                    Some("wgsl") => "own kernels",
                    _ => "tensor operations",
                };
                format!("{language}; the CRF by {crf}")
            }
            (None, problem) => problem.clone().unwrap_or_default(),
        };
        let [fewest, most] = a.subgroup_threads;
        let subgroup = if fewest == most {
            format!("{most}")
        } else {
            format!("{fewest} to {most}")
        };
        let Counts { own, burn } = self.convolutions;
        let convolutions = match (own + burn, a.kind) {
            (_, "software") => "own kernels; not timed against Burn's".to_owned(),
            (0, _) => "own kernels and Burn's are timed at the first training step".to_owned(),
            _ => format!("measured: {own} layers by own kernels, {burn} by Burn's"),
        };
        let mut lines = vec![
            format!("wgpu:{}  {}", a.index, a.name),
            format!("        kind     {}, through {}", a.kind, a.api),
            format!("        driver   {}", a.driver),
            format!("        shaders  {shaders}"),
            format!(
                "        memory   {}; buffers to {}, {} of them for a kernel, to {} each",
                a.memory_bytes.map_or_else(|| "not known".to_owned(), bytes),
                bytes(a.buffer_bytes_max),
                a.bindings_max,
                bytes(a.binding_bytes_max),
            ),
            format!(
                "        groups   to {} threads sharing {}, {subgroup} in step; 16-bit floats: {}",
                a.workgroup_threads_max,
                bytes(a.workgroup_memory_bytes.into()),
                if a.has_f16 { "yes" } else { "no" },
            ),
        ];
        if self.shader_language.as_deref() == Some("wgsl") {
            lines.push(format!("        kernels  convolutions: {convolutions}"));
        }
        lines.extend(
            self.lacking
                .iter()
                .map(|lacking| format!("        lacks    {lacking}")),
        );
        lines
    }
}

/// What another machine lends.
#[cfg(feature = "remote")]
fn lent(asked: &str, as_json: bool) -> Result<()> {
    let lent = demotic_core::device::lent(asked)?;
    if as_json {
        return say(&format!("{:#}\n", json!({ "lent": lent })));
    }
    let mut lines = Vec::new();
    for (number, device) in lent.iter().enumerate() {
        let (crf, convolutions) = match device.runtime.as_str() {
            "flex" => ("own loops", "own loops"),
            "wgpu<wgsl>" => ("own kernels", "own kernels"),
            _ => ("tensor operations", "Burn's kernels"),
        };
        lines.push(format!("{asked}:{number}  {}", device.description));
        lines.push(format!(
            "        runtime  {}; the CRF by {crf}, convolutions by {convolutions}",
            device.runtime
        ));
    }
    lines.push(String::new());
    show(&lines.join("\n"))
}

pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    #[cfg(feature = "remote")]
    if let Some(asked) = &args.device {
        return lent(asked, args.json);
    }
    let found = adapters();
    let auto = auto_adapter(&found);
    let name = auto.map_or_else(
        || "flex".to_owned(),
        |adapter| format!("wgpu:{}", adapter.index),
    );
    let reason = match auto {
        Some(adapter) => format!("the first {} adapter", adapter.kind),
        None if !cfg!(feature = "wgpu") => "this build has no wgpu".to_owned(),
        None if found.is_empty() => "wgpu finds no adapter".to_owned(),
        None if found.iter().any(|adapter| adapter.kind == "software") => {
            "a software adapter is slower than flex and is used only when asked for".to_owned()
        }
        None => "an adapter of unknown kind is used only when asked for".to_owned(),
    };
    let processor = processor();
    let listed: Vec<Listed> = found.into_iter().map(Listed::new).collect();
    let (further, unused) = (further_devices(), unused_adapters());
    let reason = if further.is_empty() {
        reason
    } else {
        format!("{reason}; cuda, rocm and tch are used only when asked for")
    };
    let hint = listed.is_empty().then_some(NO_ADAPTER);
    if args.json {
        let all = json!({
            "flex": processor, "adapters": listed, "further": further, "unused": unused, "auto": name, "reason": reason,
            "hint": hint, "backends": BACKENDS,
        });
        return say(&format!("{all:#}\n"));
    }
    let mut lines = vec![
        format!(
            "flex    {}",
            if processor.name.is_empty() {
                "this machine's processor"
            } else {
                &processor.name
            }
        ),
        format!(
            "        {} threads; memory {}; compiled loops, no shaders",
            processor.threads,
            processor
                .memory_bytes
                .map_or_else(|| "not known".to_owned(), bytes)
        ),
    ];
    lines.extend(listed.iter().flat_map(Listed::lines));
    for f in &further {
        lines.push(format!("{:<7} {}", f.name, f.what));
        if !f.target.is_empty() {
            let (language, target) = (f.shader_language, &f.target);
            lines.push(format!(
                "        shaders  {language}, for {target}; the CRF by tensor operations"
            ));
        }
    }
    lines.extend(unused.iter().flat_map(|u| {
        [
            format!("unused  {} ({}, through {})", u.name, u.kind, u.api),
            format!("        driver   {}", u.driver),
            format!("        reason   {}", u.reason),
        ]
    }));
    lines.push(format!("auto    {name}: {reason}"));
    let built = BACKENDS.iter().filter(|b| b.is_built).map(|b| b.name);
    let built: Vec<&str> = built.collect();
    lines.push(format!("build   {}", built.join(", ")));
    lines.push("        not in it, each a cargo feature:".to_owned());
    let others = BACKENDS.iter().filter(|b| !b.is_built);
    lines.extend(others.map(|b| format!("        {:<9}  {}", b.name, b.what)));
    lines.extend(hint.map(|hint| format!("hint    {hint}")));
    lines.push(String::new());
    show(&lines.join("\n"))
}
