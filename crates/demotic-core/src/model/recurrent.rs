//! Drawing in steps: each step reads its own part of the latent and adds to a canvas; while coding, each step
//! sees what the steps before it have drawn.
//!
//! # Source
//! Gregor, Danihelka, Graves, Rezende, Wierstra 2015 (DRAW) and Gregor, Besse, Rezende, Danihelka, Wierstra
//! 2016 (`ConvDRAW`); the unit: Cho et al. 2014 with convolutions (Ballas, Yao, Pal, Courville 2016). Two
//! departures, which keep coding and drawing apart as in the convolutional generator: coding looks at the
//! canvas that the *means* of the earlier latents draw, not their samples, so the posterior is a product over
//! steps given the picture; and it looks at it in a neutral style.

use burn::module::Module;
use burn::tensor::{Tensor, activation};

use super::layers::{AdaNorm, Code, Conv, Init};

/// Gated recurrent unit over a grid.
#[derive(Module, Debug)]
struct ConvGru {
    /// `[input, state] -> [update, reset]`
    gates: Conv,
    /// `[input, reset * state] -> proposal`
    proposal: Conv,
}

impl ConvGru {
    fn new(init: &mut Init, input: usize, state: usize) -> Self {
        Self {
            gates: Conv::new(init, input + state, 2 * state, 3, 0.7),
            proposal: Conv::new(init, input + state, state, 3, 0.7),
        }
    }

    /// `state + update * (tanh(proposal) - state)`
    fn forward(&self, input: Tensor<4>, state: Tensor<4>) -> Tensor<4> {
        let [_, c, ..] = state.dims();
        let gates = self
            .gates
            .forward(Tensor::cat(vec![input.clone(), state.clone()], 1));
        let mut gates = activation::sigmoid(gates).split(c, 1).into_iter();
        let (update, reset) = gates
            .next()
            .zip(gates.next())
            .expect("2c channels split into two");
        let seen = Tensor::cat(vec![input, reset * state.clone()], 1);
        let proposal = self.proposal.forward(seen).tanh();
        state.clone() + update * (proposal - state)
    }
}

/// The recurrent parts of a generator.
#[derive(Module, Debug)]
pub(crate) struct Drawing {
    reader: ConvGru,
    painter: ConvGru,
    stroke_norm: AdaNorm,
    stroke: Conv,
    steps: usize,
}

/// What is carried from one step of drawing to the next: `[b, c, h, w]` each.
struct Canvas {
    state: Tensor<4>,
    canvas: Tensor<4>,
}

impl Drawing {
    pub(crate) fn new(init: &mut Init, style: usize, channels: usize, steps: usize) -> Self {
        Self {
            reader: ConvGru::new(init, 2 * channels, channels),
            painter: ConvGru::new(init, channels, channels),
            stroke_norm: AdaNorm::new(init, style, channels),
            stroke: Conv::new(init, channels, channels, 3, 0.7),
            steps,
        }
    }

    /// Means and raw log-variances of all steps' latents, one step after the other: `[b, steps * 2z, h, w]`.
    ///
    /// `features`: `[b, c, h, w]`; `to_posterior`: `c -> 2z`; `from_latent`: `z -> c`; `neutral`: a style
    /// code.
    pub(crate) fn read(
        &self,
        features: Tensor<4>,
        to_posterior: &Conv,
        from_latent: &Conv,
        neutral: &Code,
    ) -> (Tensor<4>, Tensor<4>) {
        let (mut means, mut log_vars) = (Vec::new(), Vec::new());
        let mut state = features.zeros_like();
        let mut drawn = Canvas {
            state: features.zeros_like(),
            canvas: features.zeros_like(),
        };
        for step in 0..self.steps {
            let seen = Tensor::cat(vec![features.clone(), drawn.canvas.clone()], 1);
            state = self.reader.forward(seen, state);
            let both = to_posterior.forward(state.clone());
            let z = both.dims()[1] / 2;
            let mut halves = both.split(z, 1).into_iter();
            let (mean, log_var) = halves
                .next()
                .zip(halves.next())
                .expect("2z channels split into two");
            if step + 1 < self.steps {
                drawn = self.stroke(drawn, from_latent.forward(mean.clone()), neutral);
            }
            means.push(mean);
            log_vars.push(log_var);
        }
        (Tensor::cat(means, 1), Tensor::cat(log_vars, 1))
    }

    /// The canvas after all steps: `[b, c, h, w]`.
    ///
    /// `latent`: `[b, steps * z, h, w]`.
    pub(crate) fn draw(&self, latent: Tensor<4>, from_latent: &Conv, code: &Code) -> Tensor<4> {
        let [_, all, ..] = latent.dims();
        let mut drawn: Option<Canvas> = None;
        for part in latent.split(all / self.steps, 1) {
            let input = from_latent.forward(part);
            let before = drawn.unwrap_or_else(|| Canvas {
                state: input.zeros_like(),
                canvas: input.zeros_like(),
            });
            drawn = Some(self.stroke(before, input, code));
        }
        drawn.expect("drawing has a step").canvas
    }

    /// One step of drawing.
    fn stroke(&self, before: Canvas, input: Tensor<4>, code: &Code) -> Canvas {
        let state = self.painter.forward(input, before.state);
        let stroke = self
            .stroke
            .forward(self.stroke_norm.forward(state.clone(), code));
        Canvas {
            state,
            canvas: before.canvas + stroke,
        }
    }
}
