//! Counts memory in large blocks, so that a dry run can say what training would need and
//! [`compare`](crate::check::compare) what a device's trainer took: tensors are large, and what is not
//! counted costs nothing. A program that wants the counts makes [`Counting`] its `#[global_allocator]`; in
//! any other they are 0.

#![expect(
    unsafe_code,
    reason = "an allocator is unsafe by its nature; this one adds counting to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
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
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(entry));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
