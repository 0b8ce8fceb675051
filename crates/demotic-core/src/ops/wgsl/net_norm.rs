//! Launches `net_norm.wgsl`: group normalisation with affine map and leaky ReLU, and its gradients.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Kind, Launch, Shader, count, dims, empty, pair, roomed, shader};
use crate::ops::norm_cpu::EPSILON;

shader! {
    /// `net_norm.wgsl`.
    NetNorm = "net_norm", 256
}

/// Where scale and shift come from; all tensors plain.
pub(super) enum Affine<'a> {
    /// Rows `[1 or b, c]` each, or `[c]`.
    Rows {
        scale: &'a CubeTensor,
        shift: &'a CubeTensor,
    },
    /// A style code `[b, s]`, a matrix `[s, 2c]` and a bias `[2c]`.
    Coded {
        code: &'a CubeTensor,
        weight: &'a CubeTensor,
        bias: &'a CubeTensor,
    },
}

impl Affine<'_> {
    fn source(&self) -> Source {
        match self {
            Self::Rows { scale, .. } if scale.meta.shape().rank() == 1 => Source::OneRow,
            Self::Rows { scale, .. } if dims::<2>(scale)[0] == 1 => Source::OneRow,
            Self::Rows { .. } => Source::Rows,
            Self::Coded { code, .. } => Source::Code(dims::<2>(code)[1]),
        }
    }

    fn bind(&self, launch: Launch<NetNorm>) -> Launch<NetNorm> {
        match self {
            Self::Rows { scale, shift } => launch
                .bind_tensor("SCALE", scale)
                .bind_tensor("SHIFT", shift),
            Self::Coded { code, weight, bias } => launch
                .bind_tensor("CODE_AT", code)
                .bind_tensor("WEIGHT", weight)
                .bind_tensor("BIAS", bias),
        }
    }
}

/// [`Affine`] as a kernel's text knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    OneRow,
    Rows,
    /// A style code of this many entries.
    Code(usize),
}

/// Sizes of a normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    pub(super) area: usize,
    pub(super) groups: usize,
}

/// `leaky(norm(x) * scale + shift)`, `x` plain.
pub(super) fn forward(
    x: &CubeTensor,
    affine: &Affine<'_>,
    groups: usize,
    slope: f32,
) -> CubeTensor {
    let [b, channels, h, w] = dims(x);
    let sizes = Sizes {
        channels,
        area: h * w,
        groups,
    };
    let y = empty(x, [b, channels, h, w]);
    let launch = Launch::<NetNorm>::new(constants(sizes, affine.source(), slope, Way::Forward));
    affine
        .bind(launch.bind_tensor("X", x))
        .bind_tensor("Y", &y)
        .groups(&x.client, [count(groups), count(b), 1]);
    y
}

/// By `x`, and by each picture's scale and shift, `[b, 2c]`; the first on top of `before` where there is
/// one. `x`, `dy` and `before` plain.
pub(super) fn gradients(
    x: &CubeTensor,
    affine: &Affine<'_>,
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
    groups: usize,
    slope: f32,
) -> (CubeTensor, CubeTensor) {
    let [b, channels, ..] = dims::<4>(x);
    let daffine = roomed(x, Kind::Affines, [b, 2 * channels]);
    let results = [("DAFFINE", &daffine)];
    let dx = gradients_to(x, affine, dy, before, groups, slope, &results);
    (dx, daffine)
}

/// [`gradients`] with those by scale and by shift apart: a run of `[c]` a picture each, `[b c]`.
pub(super) fn gradients_apart(
    x: &CubeTensor,
    affine: &Affine<'_>,
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
    groups: usize,
    slope: f32,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [b, channels, ..] = dims::<4>(x);
    let (dscale, dshift) = pair(x, [b * channels], [b * channels]);
    let results = [("DSCALE", &dscale), ("DSHIFT", &dshift)];
    let dx = gradients_to(x, affine, dy, before, groups, slope, &results);
    (dx, dscale, dshift)
}

/// By `x`; those by scale and shift go to `results`, by their names.
fn gradients_to(
    x: &CubeTensor,
    affine: &Affine<'_>,
    dy: &CubeTensor,
    before: Option<&CubeTensor>,
    groups: usize,
    slope: f32,
    results: &[(&'static str, &CubeTensor)],
) -> CubeTensor {
    let [b, channels, h, w] = dims(x);
    let sizes = Sizes {
        channels,
        area: h * w,
        groups,
    };
    let dx = empty(x, [b, channels, h, w]);
    let way = Way::Backward {
        is_added: before.is_some(),
        is_apart: results.len() == 2,
    };
    let launch = Launch::<NetNorm>::new(constants(sizes, affine.source(), slope, way));
    let launch = affine
        .bind(launch.bind_tensor("X", x))
        .bind_tensor("DY", dy);
    let launch = match before {
        Some(before) => launch.bind_tensor("BEFORE", before),
        None => launch,
    };
    let launch = launch.bind_tensor("DX", &dx);
    results
        .iter()
        .fold(launch, |launch, (name, result)| {
            launch.bind_tensor(name, result)
        })
        .groups(&x.client, [count(groups), count(b), 1]);
    dx
}

/// Which way a kernel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Forward,
    /// `is_added`: on top of a gradient that came before. `is_apart`: those by scale and shift apart.
    Backward {
        is_added: bool,
        is_apart: bool,
    },
}

pub(super) fn constants(s: Sizes, source: Source, slope: f32, way: Way) -> Constants {
    let workgroup = <NetNorm as super::Shader>::WORKGROUP as usize;
    let each = s.channels / s.groups;
    // A power of two, for the tree.
    let lanes = (workgroup / each.next_power_of_two()).max(1);
    Constants::default()
        .size("CHANNELS", s.channels)
        .size("AREA", s.area)
        .with("EACH", each)
        .with("LANES", lanes)
        .with("ACROSS", workgroup / lanes)
        .size(
            "CODE",
            match source {
                Source::Code(entries) => entries,
                _ => 0,
            },
        )
        .real("SLOPE", slope)
        .real("EPSILON", EPSILON)
        .flag("BY_ROW", source == Source::Rows)
        .flag("CODED", matches!(source, Source::Code(_)))
        .flag("BACKWARD", way != Way::Forward)
        .flag("ADDED", matches!(way, Way::Backward { is_added: true, .. }))
        .flag("APART", matches!(way, Way::Backward { is_apart: true, .. }))
}
