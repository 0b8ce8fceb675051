//! Launches `net_conv_weight.wgsl`: a convolution's gradients by its weights and its bias.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, SHARED_BYTES, Shader, WORKGROUPS_LEAST, count, dims, pair, shader};
use crate::ops::Reading;
use crate::ops::conv_cpu::ConvShape;

shader! {
    /// `net_conv_weight.wgsl`.
    NetConvWeight = "net_conv_weight"
}

/// Output channels of a workgroup: eight invocations with four each.
const OUTPUTS: usize = 32;
/// Invocations that differ in input channels.
const IN_LANES: usize = 8;

/// How the sums are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// Rows of a piece of a picture; it is eight pixels wide.
    rows: usize,
    /// Input channels of an invocation.
    each: usize,
    /// Pieces of all pictures.
    pieces: usize,
    /// Blocks of output and of input channels.
    blocks: [usize; 2],
}

impl Plan {
    pub(super) fn new(s: ConvShape) -> Self {
        // With one tap an invocation takes more channels, or it would read more than it multiplies.
        let (rows_most, each): (usize, usize) = if s.kernel == 1 { (4, 8) } else { (8, 1) };
        let blocks = [
            s.channels_out.div_ceil(OUTPUTS),
            s.channels_in.div_ceil(IN_LANES * each),
        ];
        let block_count: usize = blocks.iter().product();
        let pieces = |rows: usize| s.batch * s.height.div_ceil(rows) * s.width.div_ceil(8);
        // Small pictures: lower pieces, so that there are enough of them.
        let mut rows = rows_most;
        while rows > 1 && block_count * pieces(rows) < WORKGROUPS_LEAST {
            rows /= 2;
        }
        Self {
            rows,
            each,
            pieces: pieces(rows),
            blocks,
        }
    }

    #[cfg(test)]
    pub(super) fn pieces(&self) -> usize {
        self.pieces
    }

    /// Runs that the pieces are shared out over: as many as fill a device, whatever the pictures, so that
    /// gradients of one layer can be added up run by run.
    pub(super) fn runs(&self) -> usize {
        WORKGROUPS_LEAST.div_ceil(self.blocks.iter().product())
    }

    pub(super) fn workgroups(&self) -> [usize; 3] {
        [self.blocks[0], self.blocks[1], self.runs()]
    }

    pub(super) fn constants(&self, s: ConvShape, reading: Reading) -> Constants {
        let taps = s.kernel * s.kernel;
        let inputs = IN_LANES * self.each;
        let (rows, columns) = (self.rows + s.kernel - 1, 8 + s.kernel - 1);
        let (tile, slopes) = (inputs * rows * columns, self.rows * 8 * OUTPUTS / 4);
        debug_assert!(4 * tile + 16 * slopes <= SHARED_BYTES, "{self:?}");
        let constants = Constants::default()
            .with("K", s.kernel)
            .with("TAPS", taps)
            .with("HALO", s.kernel / 2)
            .size("INPUTS", s.channels_in)
            .size("OUTPUTS", s.channels_out)
            .size("H", s.height)
            .size("W", s.width)
            .with("TY", self.rows)
            .with("PIXELS", self.rows * 8)
            .with("ROWS", rows)
            .with("COLUMNS", columns)
            .size("TILES_X", s.width.div_ceil(8))
            .size("TILES", s.height.div_ceil(self.rows) * s.width.div_ceil(8))
            .with("OUTS", OUTPUTS)
            .with("INS", inputs)
            .with("COUNT", self.each)
            .with("OUT_QUADS", OUTPUTS / 4)
            .with("TILE", tile)
            .with("SLOPES", slopes)
            .size("PIECES", self.pieces)
            .size("RUNS", self.runs());
        super::net_conv::reading_constants(constants, reading, false)
    }
}

/// Runs of the gradients of weights `[o, c, kernel, kernel]`.
pub(crate) fn runs(channels_in: usize, channels_out: usize, kernel: usize) -> usize {
    let shape = ConvShape {
        batch: 1,
        channels_in,
        channels_out,
        height: 1,
        width: 1,
        kernel,
    };
    Plan::new(shape).runs()
}

/// By the weights and by the bias, `in_runs` along the first axis or added up; both tensors plain, `x` as it
/// was read.
pub(super) fn gradients(
    x: &CubeTensor,
    dy: &CubeTensor,
    kernel: usize,
    in_runs: bool,
    reading: Reading,
) -> (CubeTensor, CubeTensor) {
    let [batch, channels_in, height, width] = reading.seen(dims(x));
    let [_, channels_out, ..] = dims::<4>(dy);
    let s = ConvShape {
        batch,
        channels_in,
        channels_out,
        height,
        width,
        kernel,
    };
    let plan = Plan::new(s);
    let of = |runs: usize| {
        pair(
            x,
            [runs * channels_out, channels_in, kernel, kernel],
            [runs * channels_out],
        )
    };
    let (dw, db) = of(plan.runs());
    Launch::<NetConvWeight>::new(plan.constants(s, reading))
        .bind_tensor("X", x)
        .bind_tensor("DY", dy)
        .bind_tensor("DW", &dw)
        .bind_tensor("DB", &db)
        .groups(&x.client, plan.workgroups().map(count));
    if in_runs || plan.runs() == 1 {
        return (dw, db);
    }
    let sums = of(1);
    super::net_conv_sum::launch([&dw, &db], plan.runs(), [&sums.0, &sums.1]);
    sums
}
