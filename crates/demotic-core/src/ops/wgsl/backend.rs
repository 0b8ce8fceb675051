//! [`NetOps`] and [`FilterOps`] on `wgpu` devices that take WGSL: each operation as its launches.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Shape, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::net_norm::Affine;
use super::{
    Shader, dims, net_affine, net_conv, net_conv_sum, net_conv_weight, net_edges, net_error,
    net_filter, net_gather, net_leaky, net_norm, net_part, net_resize, plain,
};
use crate::ops::filter::FilterOps;
use crate::ops::{AdamScalars, Filter, Gather, Meeting, NetOps, Part, padded};

/// Of the texts of the convolutions' shaders: choices between them and Burn's hang on it.
pub(crate) const fn convolution_kernels() -> u64 {
    net_conv::NetConv::HASH
        ^ net_conv_weight::NetConvWeight::HASH.rotate_left(1)
        ^ net_conv_sum::NetConvSum::HASH.rotate_left(2)
}

impl FilterOps for CubeBackend {
    fn filter_decays(guide: CubeTensor, fake: CubeTensor, filter: Filter) -> CubeTensor {
        net_edges::launch(&plain(guide), &plain(fake), filter)
    }

    fn filter(change: CubeTensor, decays: CubeTensor, is_transposed: bool) -> CubeTensor {
        net_filter::launch(&plain(change), &plain(decays), is_transposed)
    }
}

impl NetOps for CubeBackend {
    fn conv_same(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        slope: f32,
        _: bool,
    ) -> CubeTensor {
        net_conv::forward(&plain(x), &plain(weight), &plain(bias), None, slope)
    }

    fn conv_onto(
        base: CubeTensor,
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        _: Meeting,
        _: bool,
    ) -> CubeTensor {
        let base = plain(base);
        net_conv::forward(&plain(x), &plain(weight), &plain(bias), Some(&base), 1.0)
    }

    fn conv_same_data_gradient(weight: CubeTensor, dy: CubeTensor) -> CubeTensor {
        net_conv::data_gradient(&plain(weight), &plain(dy))
    }

    fn conv_same_weight_gradients(
        x: CubeTensor,
        dy: CubeTensor,
        kernel: usize,
        in_runs: bool,
    ) -> (CubeTensor, CubeTensor) {
        net_conv_weight::gradients(&plain(x), &plain(dy), kernel, in_runs)
    }

    fn norm_act(
        x: CubeTensor,
        scale: CubeTensor,
        shift: CubeTensor,
        groups: usize,
        slope: f32,
        _: Meeting,
    ) -> CubeTensor {
        let (scale, shift) = (plain(scale), plain(shift));
        let affine = Affine::Rows {
            scale: &scale,
            shift: &shift,
        };
        net_norm::forward(&plain(x), &affine, groups, slope)
    }

    fn norm_act_gradients(
        x: CubeTensor,
        scale: CubeTensor,
        shift: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let (scale, shift) = (plain(scale), plain(shift));
        let affine = Affine::Rows {
            scale: &scale,
            shift: &shift,
        };
        let before = is_added.then(|| plain(before));
        let (dx, daffine) = net_norm::gradients(
            &plain(x),
            &affine,
            &plain(dy),
            before.as_ref(),
            groups,
            slope,
        );
        let [rows, channels] = dims(&scale);
        let (dscale, dshift) = if rows == 1 {
            net_affine::of_row(&daffine)
        } else {
            let columns = |from| [0..rows, from..from + channels].map(Slice::from);
            (
                Self::float_slice(daffine.clone(), &columns(0)),
                Self::float_slice(daffine, &columns(channels)),
            )
        };
        (dx, dscale, dshift)
    }

    fn style_norm_act(
        x: CubeTensor,
        code: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        groups: usize,
        slope: f32,
        _: [Meeting; 2],
    ) -> CubeTensor {
        let (code, weight, bias) = (plain(code), plain(weight), plain(bias));
        let affine = Affine::Coded {
            code: &code,
            weight: &weight,
            bias: &bias,
        };
        net_norm::forward(&plain(x), &affine, groups, slope)
    }

    fn style_norm_act_gradients(
        x: CubeTensor,
        code: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        code_before: CubeTensor,
        groups: usize,
        slope: f32,
        [is_added, is_code_added]: [bool; 2],
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let (code, weight, bias) = (plain(code), plain(weight), plain(bias));
        let affine = Affine::Coded {
            code: &code,
            weight: &weight,
            bias: &bias,
        };
        let before = is_added.then(|| plain(before));
        let code_before = is_code_added.then(|| plain(code_before));
        let (dx, daffine) = net_norm::gradients(
            &plain(x),
            &affine,
            &plain(dy),
            before.as_ref(),
            groups,
            slope,
        );
        let (dcode, dweight, dbias) =
            net_affine::of_code(&daffine, &code, &weight, code_before.as_ref());
        (dx, dcode, dweight, dbias)
    }

    fn part(x: CubeTensor, part: Part, _: Meeting) -> CubeTensor {
        net_part::forward(&plain(x), part)
    }

    fn part_gradient(
        dy: CubeTensor,
        before: CubeTensor,
        shape: [usize; 4],
        part: Part,
        is_added: bool,
    ) -> CubeTensor {
        let before = is_added.then(|| plain(before));
        net_part::gradient(&plain(dy), before.as_ref(), shape, part)
    }

    fn mean_error(a: CubeTensor, b: CubeTensor) -> CubeTensor {
        net_error::forward(&plain(a), &plain(b))
    }

    fn mean_error_gradient(a: CubeTensor, b: CubeTensor, dy: CubeTensor) -> CubeTensor {
        net_error::gradient(&plain(a), &plain(b), &plain(dy))
    }

    fn leaky(x: CubeTensor, slope: f32) -> CubeTensor {
        net_leaky::forward(&plain(x), slope)
    }

    fn pool(x: CubeTensor, factor: f32, _: Meeting) -> CubeTensor {
        net_resize::pool(&plain(x), factor)
    }

    fn spread(x: CubeTensor, factor: f32) -> CubeTensor {
        net_resize::spread(&plain(x), None, factor)
    }

    fn spread_onto(base: CubeTensor, x: CubeTensor, factor: f32, _: Meeting) -> CubeTensor {
        net_resize::spread(&plain(x), Some(&plain(base)), factor)
    }

    fn leaky_gradient(y: CubeTensor, dy: CubeTensor, slope: f32) -> CubeTensor {
        net_leaky::gradient(&plain(y), &plain(dy), slope)
    }

    fn adam(
        _: CubeTensor,
        _: CubeTensor,
        _: CubeTensor,
        _: CubeTensor,
        _: AdamScalars,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        unreachable!("Adam is tensor operations here: fusion makes one kernel of them")
    }

    fn gather(
        flat: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        d: CubeTensor,
        e: CubeTensor,
        f: CubeTensor,
        g: CubeTensor,
        plan: Gather,
    ) -> CubeTensor {
        // Written in place where nobody else holds it.
        let flat = if flat.can_mut() { flat } else { flat.copy() };
        let mut parts: Vec<CubeTensor> = [a, b, c, d, e, f, g].into_iter().collect();
        parts.truncate(plan.count);
        let parts: Vec<CubeTensor> = parts.into_iter().map(plain).collect();
        net_gather::launch(&flat, plan.start, &parts, &plan.sizes[..plan.count]);
        flat
    }

    fn view(flat: CubeTensor, start: usize, shape: Shape) -> CubeTensor {
        view_of(flat, start, shape, DType::F32)
    }

    fn view_int(flat: CubeTensor, start: usize, shape: Shape) -> CubeTensor {
        view_of(flat, start, shape, DType::I32)
    }
}

/// Part of a flat buffer, its words read as another type of their size.
fn view_of(flat: CubeTensor, start: usize, shape: Shape, dtype: DType) -> CubeTensor {
    let bytes = |elements: usize| (elements * size_of::<f32>()) as u64;
    let all = flat.shape().num_elements();
    let end = start + padded(shape.num_elements());
    assert!(end <= all, "a view to {end} of {all} elements");
    let handle = flat
        .handle
        .clone()
        .offset_start(bytes(start))
        .offset_end(bytes(all - end));
    CubeTensor::new_contiguous(flat.client, flat.device, shape, handle, dtype)
}
