//! What both ways of convolving share: the shape, and room that is written once or kept.

use std::cell::Cell;
use std::mem::MaybeUninit;

/// Lanes of one vector.
pub(super) const LANES: usize = 8;

/// Shape of a stride-1 convolution that keeps the picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvShape {
    pub(crate) batch: usize,
    pub(crate) channels_in: usize,
    pub(crate) channels_out: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Side of the kernel: 1 or 3.
    pub(crate) kernel: usize,
}

impl ConvShape {
    /// A 1x1 convolution does not see rows: one long row wastes no lanes.
    pub(super) fn flattened(self) -> Self {
        if self.kernel == 1 {
            Self {
                height: 1,
                width: self.height * self.width,
                ..self
            }
        } else {
            self
        }
    }
}

/// A vector of `len` values, written by `f` without being cleared first.
///
/// # Safety
/// `f` must write every element.
#[expect(
    unsafe_code,
    reason = "results are written once, not cleared and then written"
)]
pub(crate) unsafe fn written(len: usize, f: impl FnOnce(&mut [MaybeUninit<f32>])) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    f(&mut values.spare_capacity_mut()[..len]);
    // SAFETY: the capacity is there, and by the caller's promise all of it was written.
    unsafe { values.set_len(len) };
    values
}

thread_local! {
    /// Room for padded planes, kept: fresh memory a call would cost the system's clearing of it.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with this thread's room. A task that rayon starts inside `f` on this thread finds a new, empty
/// one.
pub(super) fn with_scratch(f: impl FnOnce(&mut Vec<f32>)) {
    let mut scratch = SCRATCH.take();
    f(&mut scratch);
    SCRATCH.set(scratch);
}
