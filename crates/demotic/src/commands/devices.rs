//! `demotic devices`: what can compute here, and what `auto` takes and why.

use anyhow::Result;
use demotic_core::device::{adapters, auto_adapter};
use serde_json::json;

use crate::cli::DevicesArgs;
use crate::output::say;

const NO_ADAPTER: &str = "\
To use a graphics processor, install its driver: on Debian and Ubuntu `apt-get install libvulkan1 mesa-vulkan-drivers`
(AMD, Intel, and a software adapter) or NVIDIA's own driver; Windows and macOS bring theirs.";

pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let found = adapters();
    let auto = auto_adapter(&found);
    let name = auto.map_or_else(
        || "flex".to_owned(),
        |adapter| format!("wgpu:{}", adapter.index),
    );
    let reason = match auto {
        Some(adapter) => format!("the first {} adapter", adapter.kind),
        None if found.is_empty() => "wgpu finds no adapter".to_owned(),
        None => "a software adapter is slower than flex and is used only when asked for".to_owned(),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if args.json {
        let all = json!({ "adapters": found, "flex": { "threads": threads }, "auto": name, "reason": reason });
        return say(&format!("{all:#}\n"));
    }
    let mut lines = vec![format!(
        "flex    this machine's processor, {threads} threads"
    )];
    lines.extend(found.iter().map(|adapter| {
        format!(
            "wgpu:{}  {} ({}, {}, {})  buffers to {} MiB, {} KiB a workgroup",
            adapter.index,
            adapter.name,
            adapter.kind,
            adapter.api,
            adapter.driver,
            adapter.buffer_bytes_max >> 20,
            adapter.workgroup_memory_bytes >> 10,
        )
    }));
    lines.push(format!("auto    {name}: {reason}"));
    if found.is_empty() {
        lines.push(String::new());
        lines.push(NO_ADAPTER.to_owned());
    }
    lines.push(String::new());
    say(&lines.join("\n"))
}
