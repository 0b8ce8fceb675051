//! What the ways of convolving share: the shape, padded planes, and room that is written once or kept.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::thread::LocalKey;

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
    /// What the loops' raw pointers rest on: slices as long as their shapes.
    ///
    /// # Panics
    /// Where one is not, or the kernel's side is neither 1 nor 3.
    pub(super) fn require(self, x: Option<&[f32]>, weight: Option<&[f32]>, dy: Option<&[f32]>) {
        let Self {
            batch,
            channels_in,
            channels_out,
            height,
            width,
            kernel,
        } = self;
        assert!(matches!(kernel, 1 | 3), "kernel side {kernel}: 1 or 3");
        for (name, slice, sides) in [
            ("x", x, [batch, channels_in, height, width]),
            (
                "weight",
                weight,
                [channels_out, channels_in, kernel, kernel],
            ),
            ("dy", dy, [batch, channels_out, height, width]),
        ] {
            if let Some(slice) = slice {
                require_len(name, slice.len(), &sides);
            }
        }
    }

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

/// # Panics
/// Where `len` is not the product of the sides.
pub(crate) fn require_len(name: &str, len: usize, sides: &[usize]) {
    let product = sides.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
    assert!(
        product == Some(len),
        "{name}: {len} numbers, expected {sides:?}"
    );
}

/// Where the zero-bordered copy of a run of planes lies: rows hold a whole number of vectors plus the border.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padding {
    /// Elements from one plane to the next.
    pub(super) plane: usize,
    /// Elements from one row to the next.
    pub(super) row: usize,
    border: usize,
}

impl Padding {
    pub(super) fn new([height, width]: [usize; 2], border: usize, lanes: usize) -> Self {
        let row = width.next_multiple_of(lanes) + 2 * border;
        let plane = row * (height + 2 * border);
        Self { plane, row, border }
    }

    /// Copies planes of `height * width` values into `to`, which becomes as long as the copy.
    pub(super) fn fill<'a>(
        self,
        to: &mut Vec<f32>,
        planes: impl ExactSizeIterator<Item = &'a [f32]>,
        width: usize,
    ) {
        to.resize(planes.len() * self.plane, 0.0);
        for (to, from) in to.chunks_exact_mut(self.plane).zip(planes) {
            let mut rows = to.chunks_exact_mut(self.row);
            // The room held other planes before: the border is cleared each time.
            rows.by_ref()
                .take(self.border)
                .for_each(|row| row.fill(0.0));
            for line in from.chunks_exact(width) {
                let row = rows
                    .next()
                    .expect("a padded plane has more rows than its plane");
                row[..self.border].fill(0.0);
                let (middle, rest) = row[self.border..].split_at_mut(width);
                rest.fill(0.0);
                let (mut to, from) = (middle.chunks_exact_mut(LANES), line.chunks_exact(LANES));
                for (to, from) in to.by_ref().zip(from.clone()) {
                    to.copy_from_slice(from);
                }
                to.into_remainder().copy_from_slice(from.remainder());
            }
            rows.for_each(|row| row.fill(0.0));
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
    /// Room for padded planes and transforms, kept: fresh memory a call would cost the system's clearing of
    /// it.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
    /// The same for weights, which a task reads while it uses the other.
    static WEIGHTS: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Runs `f` with this thread's room. A task that rayon starts inside `f` on this thread finds a new, empty
/// one.
pub(super) fn with_scratch<R>(f: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    with(&SCRATCH, f)
}

/// Runs `f` with this thread's room for weights; as [`with_scratch`].
pub(super) fn with_weights<R>(f: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    with(&WEIGHTS, f)
}

fn with<R>(room: &'static LocalKey<Cell<Vec<f32>>>, f: impl FnOnce(&mut Vec<f32>) -> R) -> R {
    let mut taken = room.take();
    let result = f(&mut taken);
    room.set(taken);
    result
}
