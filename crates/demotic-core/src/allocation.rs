//! Counts memory in large blocks, so that a dry run can say what training would need and
//! [`compare`](crate::check::compare) what a device's trainer took: tensors are large, and what is not
//! counted costs nothing. A program that wants the counts makes [`Counting`] its `#[global_allocator]`; in
//! any other they are 0.

#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one adds counting to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Blocks from this size on are counted.
const COUNTED_BYTES: usize = 4096;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting.
#[derive(Debug)]
pub struct Counting;

fn grown(bytes: usize) {
    if bytes >= COUNTED_BYTES {
        let now = NOW.fetch_add(bytes, Ordering::Relaxed) + bytes;
        PEAK.fetch_max(now, Ordering::Relaxed);
    }
}

fn shrunk(bytes: usize) {
    if bytes >= COUNTED_BYTES {
        NOW.fetch_sub(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting touches no memory of a block.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Large blocks are moved by mapping: old and new never stand side by side.
        shrunk(layout.size());
        grown(size);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(block, layout, size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes in use.
pub(crate) fn in_use() -> usize {
    NOW.load(Ordering::Relaxed)
}

/// Most bytes that were in use at once while `work` ran, beyond those in use before it. What other threads
/// take meanwhile counts too; calls may not nest.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (result, PEAK.load(Ordering::Relaxed).saturating_sub(before))
}

/// Highest resident memory of this process in bytes; 0 where the system does not say.
pub(crate) fn peak_memory_bytes() -> u64 {
    memory_bytes("VmHWM:")
}

/// Resident memory of this process in bytes; 0 where the system does not say.
pub(crate) fn resident_memory_bytes() -> u64 {
    memory_bytes("VmRSS:")
}

fn memory_bytes(entry: &str) -> u64 {
    bytes_at("/proc/self/status", entry).unwrap_or(0)
}

/// Memory in bytes that this process may still take: what the machine has free, or what its control group
/// (version 2) leaves, where that is less; `None` where the system does not say.
pub(crate) fn available_memory_bytes() -> Option<u64> {
    let free = bytes_at("/proc/meminfo", "MemAvailable:")?;
    Some(left_of_group().map_or(free, |left| left.min(free)))
}

/// What the group's limit leaves; files that the system keeps in memory give way.
fn left_of_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    // Without a limit it says `max`.
    let most: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    let files = number_at(&read("memory.stat")?, "file ").unwrap_or(0);
    Some(most.saturating_sub(used.saturating_sub(files)))
}

/// An entry of a file of the system that counts in KiB, in bytes.
fn bytes_at(file: &str, entry: &str) -> Option<u64> {
    let kib = number_at(&std::fs::read_to_string(file).ok()?, entry)?;
    Some(kib * 1024)
}

/// The number behind an entry's name.
fn number_at(text: &str, entry: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(entry))?;
    rest.split_whitespace().next()?.parse().ok()
}
