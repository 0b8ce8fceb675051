//! Launches `net_conv.wgsl`: a same-size convolution, or its gradient by the input.

use burn_cubecl::tensor::CubeTensor;

use super::{
    Constants, Launch, SHARED_BYTES, Shader, WORKGROUPS_LEAST, count, dims, empty, shader,
};
use crate::ops::Reading;
use crate::ops::conv_cpu::ConvShape;

shader! {
    /// `net_conv.wgsl`.
    NetConv = "net_conv"
}

/// What one workgroup computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    /// Rows of pixels.
    rows: usize,
    /// Pixels of a row.
    pixels: usize,
    /// Output channels.
    outputs: usize,
    /// Output channels of an invocation, in fours.
    quads: usize,
    /// Groups of invocations that share the input channels.
    slices: usize,
}

/// Invocations of a workgroup, at most.
const INVOCATIONS: usize = 64;
/// Slices at most: more would hold a piece of too many channels in workgroup memory.
const SLICES_MAX: usize = 32;

impl Tile {
    fn new(rows: usize, pixels: usize, outputs: usize, quads: usize) -> Self {
        let spots = rows * outputs / (4 * quads);
        Self {
            rows,
            pixels,
            outputs,
            quads,
            slices: (INVOCATIONS / spots).clamp(1, SLICES_MAX),
        }
    }

    /// The largest tile that leaves a device enough workgroups; where none does, the one that leaves most.
    pub(super) fn for_shape(s: ConvShape, outputs: usize) -> Self {
        // A single tap reads as many pixels and weights as it can multiply: eight channels an invocation
        // even that out.
        let quads = if s.kernel == 1 { 2 } else { 1 };
        let candidates = [
            (8, 8, 32),
            (8, 8, 16),
            (4, 8, 32),
            (4, 8, 16),
            (8, 8, 8),
            (4, 8, 8),
            (2, 8, 16),
            (2, 8, 8),
            (8, 8, 4),
            (4, 8, 4),
            (2, 8, 4),
            (1, 8, 4),
            (1, 4, 4),
        ];
        let tiles = candidates
            .into_iter()
            // At most a quarter of the channels computed in vain.
            .filter(|(.., outs)| *outs == 4 || 4 * outputs.next_multiple_of(*outs) <= 5 * outputs)
            .map(|(rows, pixels, outs)| {
                let quads = if outs.is_multiple_of(4 * quads) {
                    quads
                } else {
                    1
                };
                Self::new(rows, pixels, outs, quads)
            });
        let mut best: Option<(Self, usize)> = None;
        for tile in tiles {
            let workgroups = tile.workgroups(s, outputs).iter().product();
            if workgroups >= WORKGROUPS_LEAST {
                return tile;
            }
            if best.is_none_or(|(_, most)| workgroups > most) {
                best = Some((tile, workgroups));
            }
        }
        best.expect("there are candidates").0
    }

    /// Tiles of a picture, blocks of output channels, pictures.
    pub(super) fn workgroups(&self, s: ConvShape, outputs: usize) -> [usize; 3] {
        [
            s.height.div_ceil(self.rows) * s.width.div_ceil(self.pixels),
            outputs.div_ceil(self.outputs),
            s.batch,
        ]
    }

    fn spots(&self) -> usize {
        self.rows * self.outputs / (4 * self.quads)
    }

    /// Multiply-adds of an invocation for each byte it reads from workgroup memory.
    #[cfg(test)]
    pub(super) fn multiply_adds_per_byte(&self, kernel: usize) -> f64 {
        let multiply_adds = kernel * self.pixels * 4 * self.quads;
        let words = self.pixels + kernel - 1 + kernel * 4 * self.quads;
        multiply_adds as f64 / (4 * words) as f64
    }

    pub(super) fn constants(&self, s: ConvShape, inputs: usize, outputs: usize) -> Constants {
        let (rows, columns) = (self.rows + s.kernel - 1, self.pixels + s.kernel - 1);
        let taps = s.kernel * s.kernel;
        let chunk = self.slices.max(8);
        let (tile, weights) = (chunk * rows * columns, chunk * taps * self.outputs / 4);
        let sums_each = self.quads * self.pixels;
        let half = self.slices.next_power_of_two() / 2;
        let sums = half * self.spots() * sums_each;
        debug_assert!(self.slices.is_power_of_two());
        debug_assert!(4 * tile + 16 * (weights + sums) <= SHARED_BYTES, "{self:?}");
        Constants::default()
            .with("K", s.kernel)
            .with("TAPS", taps)
            .with("HALO", s.kernel / 2)
            .size("INPUTS", inputs)
            .size("OUTPUTS", outputs)
            .size("H", s.height)
            .size("W", s.width)
            .with("TY", self.rows)
            .with("PX", self.pixels)
            .with("ROWS", rows)
            .with("COLUMNS", columns)
            .size("TILES_X", s.width.div_ceil(self.pixels))
            .with("OUTS", self.outputs)
            .with("OUT_QUADS", self.outputs / 4)
            .with("QUADS", self.quads)
            .with("CHUNK", chunk)
            .with("SLICES", self.slices)
            .flag("SLICED", self.slices > 1)
            .with("HALF", half)
            .with("SPOTS", self.spots())
            .with("TILE", tile)
            .with("WEIGHTS", weights)
            .with("SUMS", sums)
            .with("SUMS_EACH", sums_each)
    }

    pub(super) fn invocations(&self) -> usize {
        self.spots() * self.slices
    }
}

/// How a kernel reads its pictures, or with `is_written` leaves the gradient by what was read.
pub(super) fn reading_constants(
    constants: Constants,
    reading: Reading,
    is_written: bool,
) -> Constants {
    let is = |way: bool, written: bool| way && written == is_written;
    // A slope of 1 changes nothing: layers without an activation share the kernels of those with one.
    let slope = |written: bool| match reading {
        Reading::Leaky(slope) if written == is_written => slope,
        _ => 1.0,
    };
    let is_leaky = matches!(reading, Reading::Leaky(_));
    let is_unshuffled = reading == Reading::Unshuffled;
    constants
        .real_size("FROM_SLOPE", slope(false))
        .real_size("TO_SLOPE", slope(true))
        .flag("FROM_DOUBLED", is(reading == Reading::Doubled, false))
        .flag("FROM_UNSHUFFLED", is(is_unshuffled, false))
        .flag("TO_LEAKY", is(is_leaky, true))
        .flag("TO_UNSHUFFLED", is(is_unshuffled, true))
        .with("STEP", if is(is_unshuffled, true) { 2 } else { 1 })
}

/// The convolution of pictures on either side of it, `[batch, any, H, W]`, by weights `[out, in, k, k]`.
fn shape_of(pictures: [usize; 4], weight: [usize; 4]) -> ConvShape {
    let [batch, _, height, width] = pictures;
    let [channels_out, channels_in, kernel, _] = weight;
    ConvShape {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel,
    }
}

/// `leaky(conv(x) + bias)`, and on top of `base` where there is one; `x` as it is read. All tensors plain.
pub(super) fn forward(
    x: &CubeTensor,
    weight: &CubeTensor,
    bias: &CubeTensor,
    base: Option<&CubeTensor>,
    slope: f32,
    reading: Reading,
) -> CubeTensor {
    let s = shape_of(reading.seen(dims(x)), dims(weight));
    let y = empty(x, [s.batch, s.channels_out, s.height, s.width]);
    let tile = Tile::for_shape(s, s.channels_out);
    let constants = forward_constants(&tile, s, slope, base.is_some(), reading);
    let launch = Launch::<NetConv>::new(constants)
        .workgroup(tile.invocations())
        .bind_tensor("X", x)
        .bind_tensor("WEIGHT", weight)
        .bind_tensor("BIAS", bias);
    let launch = match base {
        Some(base) => launch.bind_tensor("BASE", base),
        None => launch,
    };
    launch
        .bind_tensor("Y", &y)
        .groups(&x.client, tile.workgroups(s, s.channels_out).map(count));
    y
}

pub(super) fn forward_constants(
    tile: &Tile,
    s: ConvShape,
    slope: f32,
    is_added: bool,
    reading: Reading,
) -> Constants {
    let constants = tile
        .constants(s, s.channels_in, s.channels_out)
        .flag("BIASED", true)
        .flag("ADDED", is_added)
        .flag("TURNED", false)
        .real_size("SLOPE", slope);
    reading_constants(constants, reading, false)
}

/// The gradient by the input as the convolution saw it; both tensors plain.
pub(super) fn data_gradient(weight: &CubeTensor, dy: &CubeTensor) -> CubeTensor {
    gradient(weight, dy, None)
}

/// The gradient by the input `x` as it was, plain; not of one that was doubled.
pub(super) fn reading_gradient(
    weight: &CubeTensor,
    dy: &CubeTensor,
    x: &CubeTensor,
    reading: Reading,
) -> CubeTensor {
    debug_assert!(
        reading != Reading::Doubled,
        "four values meet in one invocation of `net_resize`"
    );
    gradient(weight, dy, Some((x, reading)))
}

fn gradient(
    weight: &CubeTensor,
    dy: &CubeTensor,
    read: Option<(&CubeTensor, Reading)>,
) -> CubeTensor {
    let s = shape_of(dims(dy), dims(weight));
    let dx = match read {
        Some((x, _)) => empty(dy, dims::<4>(x)),
        None => empty(dy, [s.batch, s.channels_in, s.height, s.width]),
    };
    let tile = Tile::for_shape(s, s.channels_in);
    let reading = read.map_or(Reading::Plain, |(_, reading)| reading);
    let launch = Launch::<NetConv>::new(gradient_constants(&tile, s, reading))
        .workgroup(tile.invocations())
        .bind_tensor("X", dy)
        .bind_tensor("WEIGHT", weight);
    let launch = match read {
        Some((x, Reading::Leaky(_))) => launch.bind_tensor("READ", x),
        _ => launch,
    };
    launch
        .bind_tensor("Y", &dx)
        .groups(&dy.client, tile.workgroups(s, s.channels_in).map(count));
    dx
}

pub(super) fn gradient_constants(tile: &Tile, s: ConvShape, reading: Reading) -> Constants {
    let constants = tile
        .constants(s, s.channels_out, s.channels_in)
        .flag("BIASED", false)
        .flag("ADDED", false)
        .flag("TURNED", true)
        .real_size("SLOPE", 1.0);
    reading_constants(constants, reading, true)
}
