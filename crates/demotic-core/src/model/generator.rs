//! The generator: a convolutional variational auto-encoder with one latent for all styles, and a style code a
//! style.

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};

use super::layers::{AdaNorm, AdaResidual, Code, Conv, Domain, Init, Norm, Residual, SLOPE, halve};
use super::recurrent::Drawing;
use super::style::{Mapping, StyleEncoder};
use crate::number::Real;
use crate::ops::{self, Filter, Meeting, Read, halve_meeting, upsample_onto};
use crate::settings::{FilterKind, GeneratorConfig, GeneratorKind, StyleKind};

impl GeneratorConfig {
    /// Doublings between the latent and the picture.
    pub(crate) fn doublings(&self) -> usize {
        self.latent_stride.trailing_zeros() as usize
    }

    /// The filter's numbers, whether or not it is on.
    pub(crate) fn filter_scalars(&self) -> Filter {
        Filter {
            reach: self.filter_reach,
            edge: self.filter_edge,
            edge_fake: self.filter_edge_fake,
        }
    }

    /// The latent of a picture of `size` pixels a side: `[z, h, w]`, all steps of drawing one after the
    /// other.
    pub(crate) fn latent_shape(&self, size: usize) -> [usize; 3] {
        let side = size / self.latent_stride;
        let steps = match self.kind {
            GeneratorKind::Conv => 1,
            GeneratorKind::Recurrent => self.draw_steps,
        };
        [steps * self.latent_channels, side, side]
    }

    /// Channels `doublings` above the latent's size.
    fn channels_at(&self, doublings: usize) -> usize {
        (self.channels >> doublings).max(self.channels_min)
    }

    /// A generator with fresh weights.
    pub(crate) fn init(&self, domain: Domain, init: &mut Init) -> Generator {
        let top = self.doublings() - 1;
        let stem = Conv::new(init, 4 * domain.channels, self.channels_at(top), 3, 1.0);
        let downs = (0..top)
            .rev()
            .map(|i| Conv::new(init, self.channels_at(i + 1), self.channels_at(i), 3, 1.0));
        let downs = downs.collect();
        let encoder = (0..self.encoder_blocks)
            .map(|_| Residual::new(init, self.channels))
            .collect();
        let encoder_norm = Norm::new(init, self.channels);
        let to_posterior = Conv::new(init, self.channels, 2 * self.latent_channels, 3, 0.7);
        let style = init.normal([domain.styles, self.style_dims], 1.0);
        let from_latent = Conv::new(init, self.latent_channels, self.channels, 3, 1.0);
        let context = (0..self.context_blocks)
            .map(|_| AdaResidual::new(init, self.style_dims, self.channels))
            .collect();
        let decoder = (0..self.decoder_blocks)
            .map(|_| AdaResidual::new(init, self.style_dims, self.channels))
            .collect();
        let mut ups = Vec::new();
        for i in 0..self.doublings() {
            ups.push(UpStage {
                norm: AdaNorm::new(init, self.style_dims, self.channels_at(i)),
                conv: Conv::new(init, self.channels_at(i), self.channels_at(i + 1), 3, 1.0),
            });
        }
        let last = self.channels_at(self.doublings());
        let output_norm = AdaNorm::new(init, self.style_dims, last);
        let output = Conv::new(init, last, domain.channels, 3, 0.7);
        let drawing = (self.kind == GeneratorKind::Recurrent)
            .then(|| Drawing::new(init, self.style_dims, self.channels, self.draw_steps));
        let (width, noise) = (self.style_channels, self.style_noise_dims);
        let mapping = (self.style == StyleKind::Latent)
            .then(|| Mapping::new(init, noise, 4 * width, domain.styles, self.style_dims));
        let style_encoder = (self.style != StyleKind::Table)
            .then(|| StyleEncoder::new(init, domain, width, self.style_dims));
        Generator {
            stem,
            downs,
            encoder,
            encoder_norm,
            to_posterior,
            style,
            from_latent,
            context,
            decoder,
            ups,
            output_norm,
            output,
            drawing,
            mapping,
            style_encoder,
            filter: (self.filter == FilterKind::On).then(|| self.filter_scalars()),
        }
    }
}

#[derive(Module, Debug)]
struct UpStage {
    norm: AdaNorm,
    conv: Conv,
}

/// Variational auto-encoder over all styles: its encoder knows no style, its decoder takes one.
///
/// # Source
/// Kingma and Welling 2014 (the bound); Liu, Breuel, Kautz 2017 (one latent for several domains); Huang and
/// Belongie 2017 (adaptive normalisation).
#[derive(Module, Debug)]
pub struct Generator {
    stem: Conv,
    downs: Vec<Conv>,
    encoder: Vec<Residual>,
    encoder_norm: Norm,
    to_posterior: Conv,
    style: Param<Tensor<2>>,
    from_latent: Conv,
    context: Vec<AdaResidual>,
    decoder: Vec<AdaResidual>,
    ups: Vec<UpStage>,
    output_norm: AdaNorm,
    output: Conv,
    drawing: Option<Drawing>,
    mapping: Option<Mapping>,
    style_encoder: Option<StyleEncoder>,
    #[module(skip)]
    filter: Option<Filter>,
}

/// Diagonal normal `q(z | x)` over a grid.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    parameters: Parameters,
}

/// How means and variances lie.
#[allow(
    clippy::large_enum_variant,
    reason = "a step has two of them, and neither is in a list"
)]
#[derive(Clone, Debug)]
enum Parameters {
    /// `[b, z, h, w]` each; logarithms of variances within [`ops::LOG_VAR_RANGE`].
    Apart { mean: Tensor<4>, log_var: Tensor<4> },
    /// `[b, 2z, h, w]` as `ops::latent` reads them, and their meeting: on devices [`ops::is_near_wgsl`].
    Together(Tensor<4>, Meeting),
}

impl Posterior {
    /// The posterior of means and raw logarithms of variances, one after the other: `[b, 2z, h, w]`.
    pub(crate) fn raw(both: Tensor<4>) -> Self {
        if ops::is_near_wgsl(&both.device()) {
            return Self {
                parameters: Parameters::Together(both, Meeting::default()),
            };
        }
        let [mean, log_var] = ops::halves(both, 1);
        Self::apart(mean, log_var)
    }

    /// The posterior of means and raw logarithms of variances: `[b, z, h, w]` each.
    pub(crate) fn apart(mean: Tensor<4>, log_var: Tensor<4>) -> Self {
        let [least, most] = ops::LOG_VAR_RANGE;
        let log_var = (log_var + ops::LOG_VAR_START).clamp(least, most);
        Self {
            parameters: Parameters::Apart { mean, log_var },
        }
    }

    /// `[b, z, h, w]`
    pub(crate) fn mean(&self) -> Tensor<4> {
        match &self.parameters {
            Parameters::Apart { mean, .. } => mean.clone(),
            Parameters::Together(both, _) => {
                let [mean, _] = ops::halves(both.clone(), 1);
                mean
            }
        }
    }

    /// `[b, z, h, w]`, within [-10, 4].
    pub(crate) fn log_var(&self) -> Tensor<4> {
        match &self.parameters {
            Parameters::Apart { log_var, .. } => log_var.clone(),
            Parameters::Together(both, _) => {
                let [mean, log_var] = ops::halves(both.clone(), 1);
                Self::apart(mean, log_var).log_var()
            }
        }
    }

    /// `[b, z, h, w]`, of a sample.
    pub(crate) fn dims(&self) -> [usize; 4] {
        match &self.parameters {
            Parameters::Apart { mean, .. } => mean.dims(),
            Parameters::Together(both, _) => {
                let [b, planes, h, w] = both.dims();
                [b, planes / 2, h, w]
            }
        }
    }

    /// `mean + exp(log_var / 2) * noise`; `noise`: standard normal `[b, z, h, w]`.
    pub(crate) fn sample(&self, noise: Tensor<4>) -> Tensor<4> {
        match &self.parameters {
            Parameters::Apart { mean, log_var } => {
                mean.clone() + log_var.clone().mul_scalar(0.5).exp() * noise
            }
            Parameters::Together(both, meeting) => ops::latent(both.clone(), noise, meeting),
        }
    }

    /// `KL(q || N(0, 1)) = 1/2 sum (mean^2 + var - 1 - log var)` in nats a picture, mean over the batch, over
    /// the values of a picture: `[1]`.
    ///
    /// # Source
    /// Kingma and Welling 2014, appendix B.
    pub(crate) fn divergence(&self, values: usize) -> Tensor<1> {
        let [b, z, h, w] = self.dims();
        match &self.parameters {
            Parameters::Apart { mean, log_var } => {
                let var = log_var.clone().exp();
                let terms = (mean.clone().square() + var - 1.0 - log_var.clone()).mul_scalar(0.5);
                let nats = terms
                    .reshape([b, z, h * w])
                    .sum_dim(2)
                    .reshape([b, z])
                    .sum_dim(1)
                    .reshape([b]);
                nats.mean().div_scalar(values.to_f32())
            }
            Parameters::Together(both, meeting) => {
                ops::divergence(both.clone(), 1.0 / (b * values).to_f32(), meeting)
            }
        }
    }
}

impl Generator {
    /// Planes of a picture.
    pub fn channels(&self) -> usize {
        self.output.outputs()
    }

    /// The posterior of pictures of any style.
    ///
    /// # Shapes
    /// `pictures`: `[b, c, H, W]` in [-1, 1], sides divisible by the latent's stride (twice it with context
    /// blocks).
    pub(crate) fn encode(&self, pictures: Tensor<4>) -> Posterior {
        let mut x = self.stem.read(Read::unshuffled(pictures));
        for down in &self.downs {
            x = halve(down.read(Read::leaky(x, SLOPE)));
        }
        for block in &self.encoder {
            x = block.forward(x);
        }
        let features = self.encoder_norm.forward(x);
        let Some(drawing) = &self.drawing else {
            return Posterior::raw(self.to_posterior.forward(features));
        };
        let [b, ..] = features.dims();
        let [_, dims] = self.style.dims();
        let neutral = Code::new(Tensor::zeros([b, dims], &features.device()));
        let (mean, log_var) =
            drawing.read(features, &self.to_posterior, &self.from_latent, &neutral);
        Posterior::apart(mean, log_var)
    }

    /// The pictures of `latent` in the given styles, by the table's codes.
    ///
    /// # Shapes
    /// - `latent`: `[b, z, h, w]`
    /// - `styles`: `b` style numbers
    /// - returns `[b, c, H, W]` in (-1, 1)
    pub(crate) fn decode(&self, latent: Tensor<4>, styles: &[u32]) -> Tensor<4> {
        self.decode_as(latent, self.table_codes(styles))
    }

    /// The pictures of `latent` by style codes.
    ///
    /// # Shapes
    /// - `latent`: `[b, z, h, w]`
    /// - `code`: `[b, style_dims]`
    /// - returns `[b, c, H, W]` in (-1, 1)
    pub(crate) fn decode_as(&self, latent: Tensor<4>, code: Tensor<2>) -> Tensor<4> {
        let code = Code::new(code);
        let mut x = match &self.drawing {
            Some(drawing) => drawing.draw(latent, &self.from_latent, &code),
            None => self.from_latent.forward(latent),
        };
        if !self.context.is_empty() {
            let meeting = Meeting::default();
            let mut wide = halve_meeting(x.clone(), &meeting);
            for block in &self.context {
                wide = block.forward(wide, &code);
            }
            x = upsample_onto(x, wide, &meeting);
        }
        for block in &self.decoder {
            x = block.forward(x, &code);
        }
        for stage in &self.ups {
            x = stage.conv.read(Read::doubled(stage.norm.forward(x, &code)));
        }
        self.output
            .forward(self.output_norm.forward(x, &code))
            .tanh()
    }

    /// How translations are laid into their inputs; `None` where they are the decoder's output.
    pub fn filter(&self) -> Option<Filter> {
        self.filter
    }

    /// What the decoder drew of pictures, as their translation: laid into them along edges, where the
    /// generator does so.
    ///
    /// # Shapes
    /// `pictures`, `decoded`: `[b, c, H, W]` in [-1, 1], as the result.
    pub(crate) fn laid_in(&self, pictures: Tensor<4>, decoded: Tensor<4>) -> Tensor<4> {
        match self.filter {
            Some(filter) => ops::lay_in(pictures, decoded, filter),
            None => decoded,
        }
    }

    /// Deterministic translation by style codes: the posterior's mean, decoded and laid in.
    ///
    /// # Shapes
    /// `pictures`: `[b, c, H, W]` in [-1, 1], as the result; `code`: `[b, style_dims]`.
    pub fn translate_as(&self, pictures: Tensor<4>, code: Tensor<2>) -> Tensor<4> {
        let decoded = self.decode_as(self.encode(pictures.clone()).mean(), code);
        self.laid_in(pictures, decoded)
    }

    /// Codes of styles from noise, `[b, style_noise_dims] -> [b, style_dims]`; `None` without a mapping
    /// network.
    pub(crate) fn mapped_codes(&self, noise: Tensor<2>, styles: &[u32]) -> Option<Tensor<2>> {
        self.mapping
            .as_ref()
            .map(|mapping| mapping.forward(noise, styles))
    }

    /// Codes of the given pictures, as examples of their styles, `[b, c, H, W] -> [b, style_dims]`; `None`
    /// without a style encoder.
    pub(crate) fn picture_codes(&self, pictures: Tensor<4>, styles: &[u32]) -> Option<Tensor<2>> {
        self.style_encoder
            .as_ref()
            .map(|encoder| encoder.forward(pictures, styles))
    }

    /// Rows of the style table: `[b, style_dims]`. A product with one-hot rows: its gradient is a sum in
    /// fixed order.
    pub fn table_codes(&self, styles: &[u32]) -> Tensor<2> {
        let table = self.style.val();
        let [count, _] = table.dims();
        let rows = one_hot_rows(styles, count);
        let device = table.device().inner();
        let one_hot = Tensor::<2>::from_data(TensorData::new(rows, [styles.len(), count]), &device);
        let one_hot = if table.device().is_autodiff() {
            Tensor::from_inner(one_hot)
        } else {
            one_hot
        };
        one_hot.matmul(table)
    }

    /// The table's codes of [`one_hot_rows`] that are on the device: `[b, styles]`.
    pub(crate) fn codes_of_rows(&self, rows: Tensor<2>) -> Tensor<2> {
        rows.matmul(self.style.val())
    }
}

/// A row a style, one at its number and zero elsewhere: `[b, count]`.
pub(crate) fn one_hot_rows(styles: &[u32], count: usize) -> Vec<f32> {
    let mut rows = vec![0.0; styles.len() * count];
    for (row, style) in rows.chunks_exact_mut(count).zip(styles) {
        row[*style as usize] = 1.0;
    }
    rows
}
