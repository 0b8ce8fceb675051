//! Launches `net_affine.wgsl`: gradients by what the scales and shifts of a normalisation came from.

use burn_cubecl::tensor::CubeTensor;

use super::{Constants, Launch, Shader, dims, empty, pair, shader};

shader! {
    /// `net_affine.wgsl`.
    NetAffine = "net_affine"
}

/// By one scale and one shift for all pictures, `[1, c]` each, from `[b, 2c]`.
pub(super) fn of_row(daffine: &CubeTensor) -> (CubeTensor, CubeTensor) {
    let [b, width] = dims(daffine);
    let (dscale, dshift) = (
        empty(daffine, [1, width / 2]),
        empty(daffine, [1, width / 2]),
    );
    Launch::<NetAffine>::new(constants(b, width, None, false))
        .bind_tensor("DAFFINE", daffine)
        .bind_tensor("DSCALE", &dscale)
        .bind_tensor("DSHIFT", &dshift)
        .over(&daffine.client, width);
    (dscale, dshift)
}

/// By style code `[b, s]`, on top of `before` where there is one, matrix `[s, 2c]` and bias `[2c]`; all
/// plain.
pub(super) fn of_code(
    daffine: &CubeTensor,
    code: &CubeTensor,
    weight: &CubeTensor,
    before: Option<&CubeTensor>,
) -> (CubeTensor, CubeTensor, CubeTensor) {
    let [b, width] = dims(daffine);
    let [_, s] = dims(code);
    let dcode = empty(code, [b, s]);
    let (dweight, dbias) = pair(weight, [s, width], [width]);
    let launch = Launch::<NetAffine>::new(constants(b, width, Some(s), before.is_some()))
        .bind_tensor("DAFFINE", daffine)
        .bind_tensor("CODE_AT", code)
        .bind_tensor("WEIGHT", weight);
    let launch = match before {
        Some(before) => launch.bind_tensor("BEFORE", before),
        None => launch,
    };
    launch
        .bind_tensor("DWEIGHT", &dweight)
        .bind_tensor("DBIAS", &dbias)
        .bind_tensor("DCODE", &dcode)
        .over(&daffine.client, s * width + width + b * s);
    (dcode, dweight, dbias)
}

pub(super) fn constants(
    batch: usize,
    width: usize,
    code: Option<usize>,
    is_added: bool,
) -> Constants {
    let entries = code.unwrap_or(0);
    Constants::default()
        .size("BATCH", batch)
        .size("WIDTH", width)
        .size("CHANNELS", width / 2)
        .size("CODE", entries)
        .size("WEIGHTS", entries * width)
        .size("CODES", batch * entries)
        .flag("CODED", code.is_some())
        .flag("ADDED", is_added)
}
