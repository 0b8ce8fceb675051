//! Launches `net_conv_weight.wgsl`: a convolution's gradients by its weights and its bias.

use burn_cubecl::tensor::CubeTensor;

use super::{
    Constants, Launch, SHARED_BYTES, WORKGROUPS_LEAST, count, dims, empty, floats, shader,
};
use crate::ops::ConvShape;

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
    /// Pieces of a run.
    run: usize,
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
        let pieces = pieces(rows);
        // As long as leaves enough of them.
        let run = pieces / WORKGROUPS_LEAST.div_ceil(block_count);
        Self {
            rows,
            each,
            pieces,
            run: run.max(1),
            blocks,
        }
    }

    pub(super) fn runs(&self) -> usize {
        self.pieces.div_ceil(self.run).max(1)
    }

    pub(super) fn workgroups(&self) -> [usize; 3] {
        [self.blocks[0], self.blocks[1], self.runs()]
    }

    pub(super) fn constants(&self, s: ConvShape) -> Constants {
        let taps = s.kernel * s.kernel;
        let inputs = IN_LANES * self.each;
        let (rows, columns) = (self.rows + s.kernel - 1, 8 + s.kernel - 1);
        let (tile, slopes) = (inputs * rows * columns, self.rows * 8 * OUTPUTS / 4);
        debug_assert!(4 * tile + 16 * slopes <= SHARED_BYTES, "{self:?}");
        Constants::default()
            .with("K", s.kernel)
            .with("TAPS", taps)
            .with("HALO", s.kernel / 2)
            .with("INPUTS", s.channels_in)
            .with("OUTPUTS", s.channels_out)
            .with("H", s.height)
            .with("W", s.width)
            .with("TY", self.rows)
            .with("PIXELS", self.rows * 8)
            .with("ROWS", rows)
            .with("COLUMNS", columns)
            .with("TILES_X", s.width.div_ceil(8))
            .with("TILES", s.height.div_ceil(self.rows) * s.width.div_ceil(8))
            .with("OUTS", OUTPUTS)
            .with("INS", inputs)
            .with("COUNT", self.each)
            .with("OUT_QUADS", OUTPUTS / 4)
            .with("TILE", tile)
            .with("SLOPES", slopes)
            .with("EACH", self.run)
            .with("PIECES", self.pieces)
            .with("BIAS_AT", weights(s))
            .with("STRIDE", weights(s) + s.channels_out)
            .flag("WHOLE", self.runs() == 1)
    }
}

/// Elements of the weights.
fn weights(s: ConvShape) -> usize {
    s.channels_out * s.channels_in * s.kernel * s.kernel
}

/// By the weights and by the bias; both tensors plain.
pub(super) fn gradients(
    x: &CubeTensor,
    dy: &CubeTensor,
    kernel: usize,
) -> (CubeTensor, CubeTensor) {
    let [batch, channels_in, height, width] = dims(x);
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
    let dw = empty(x, [channels_out, channels_in, kernel, kernel]);
    let db = empty(x, [channels_out]);
    let launch = Launch::<NetConvWeight>::new(plan.constants(s))
        .bind_tensor("X", x)
        .bind_tensor("DY", dy);
    let groups = plan.workgroups().map(count);
    if plan.runs() == 1 {
        launch
            .bind_tensor("DW", &dw)
            .bind_tensor("DB", &db)
            .groups(&x.client, groups);
    } else {
        let partial = floats(&x.client, plan.runs() * (weights(s) + channels_out));
        launch.bind("PARTIAL", &partial).groups(&x.client, groups);
        super::net_conv_sum::launch(&x.client, &partial, plan.runs(), &dw, &db);
    }
    (dw, db)
}
