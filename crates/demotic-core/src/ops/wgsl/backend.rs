//! [`NetOps`], [`NearOps`] and [`FilterOps`] on `wgpu` devices that take WGSL: each operation as its
//! launches.

use burn::backend::TensorMetadata;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::{DType, Shape, Slice};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::net_norm::Affine;
use super::{
    Shader, dims, net_adam, net_affine, net_conv, net_conv_sum, net_conv_weight, net_divergence,
    net_edges, net_error, net_figures, net_filter, net_gather, net_latent, net_leaky, net_mixed,
    net_norm, net_part, net_resize, net_styles, net_total, plain,
};
use crate::ops::filter::FilterOps;
use crate::ops::near::{Clipped, GatherCall, NearOps, Places, Share, Weights};
use crate::ops::styled::{AffineCall, Shared, StyleOps};
use crate::ops::{AdamScalars, Filter, Gather, Meeting, NetOps, Part, Reading, padded};

/// Hash of the convolutions' shaders: choices between them and Burn's depend on it.
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
        let (x, weight, bias) = (plain(x), plain(weight), plain(bias));
        net_conv::forward(&x, &weight, &bias, None, slope, Reading::Plain)
    }

    fn conv_onto(
        base: CubeTensor,
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        _: Meeting,
        _: bool,
    ) -> CubeTensor {
        let (base, x, weight, bias) = (plain(base), plain(x), plain(weight), plain(bias));
        net_conv::forward(&x, &weight, &bias, Some(&base), 1.0, Reading::Plain)
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
        net_conv_weight::gradients(&plain(x), &plain(dy), kernel, in_runs, Reading::Plain)
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
        let x = plain(x);
        let shape: [usize; 4] = dims(&x);
        let a_plane: usize = shape[1..].iter().product();
        let [start, end] = [part.start, part.start + part.count].map(|plane| plane * a_plane);
        // Pictures that lie where a device can bind them need no copy.
        if part.axis == 0 && start.is_multiple_of(padded(1)) {
            let bytes = |elements: usize| (elements * size_of::<f32>()) as u64;
            let handle = x.handle.clone().offset_start(bytes(start));
            let handle = handle.offset_end(bytes(shape[0] * a_plane - end));
            let shape = Shape::new(part.shape(shape));
            return CubeTensor::new_contiguous(x.client, x.device, shape, handle, x.dtype);
        }
        net_part::forward(&x, part)
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
        net_resize::pool(&plain(x), factor, 1.0)
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
        let parts = [a, b, c, d, e, f, g].into_iter().take(plan.count);
        let parts: Vec<CubeTensor> = parts.map(plain).collect();
        let places = Places {
            start: plan.start,
            sizes: plan.sizes[..plan.count].to_vec(),
            are_there: vec![true; plan.count],
        };
        gathered(flat, &parts, &places)
    }

    fn view(flat: CubeTensor, start: usize, shape: Shape) -> CubeTensor {
        view_of(flat, start, shape, DType::F32)
    }

    fn view_int(flat: CubeTensor, start: usize, shape: Shape) -> CubeTensor {
        view_of(flat, start, shape, DType::I32)
    }
}

impl NearOps for CubeBackend {
    fn conv_reading(
        x: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        reading: Reading,
        _: bool,
    ) -> CubeTensor {
        let (x, weight, bias) = (plain(x), plain(weight), plain(bias));
        net_conv::forward(&x, &weight, &bias, None, 1.0, reading)
    }

    fn conv_reading_data_gradient(
        weight: CubeTensor,
        dy: CubeTensor,
        x: CubeTensor,
        reading: Reading,
    ) -> CubeTensor {
        let (weight, dy) = (plain(weight), plain(dy));
        if reading == Reading::Doubled {
            let seen = net_conv::data_gradient(&weight, &dy);
            return net_resize::pool(&seen, 1.0, 1.0);
        }
        net_conv::reading_gradient(&weight, &dy, &plain(x), reading)
    }

    fn conv_reading_weight_gradients(
        x: CubeTensor,
        dy: CubeTensor,
        kernel: usize,
        reading: Reading,
        in_runs: bool,
    ) -> (CubeTensor, CubeTensor) {
        net_conv_weight::gradients(&plain(x), &plain(dy), kernel, in_runs, reading)
    }

    fn pool_leaky(x: CubeTensor, factor: f32, slope: f32) -> CubeTensor {
        net_resize::pool(&plain(x), factor, slope)
    }

    fn pool_leaky_gradient(x: CubeTensor, dy: CubeTensor, factor: f32, slope: f32) -> CubeTensor {
        net_resize::pool_leaky_gradient(&plain(x), &plain(dy), factor, slope)
    }

    fn latent(both: CubeTensor, noise: CubeTensor, _: Meeting) -> CubeTensor {
        net_latent::forward(&plain(both), &plain(noise))
    }

    fn latent_gradient(
        both: CubeTensor,
        noise: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        is_added: bool,
    ) -> CubeTensor {
        let before = is_added.then(|| plain(before));
        net_latent::gradient(&plain(both), &plain(noise), &plain(dy), before.as_ref())
    }

    fn divergence(both: CubeTensor, share: f32, _: Meeting) -> CubeTensor {
        net_divergence::forward(&plain(both), share)
    }

    fn divergence_gradient(
        both: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        share: f32,
        is_added: bool,
    ) -> CubeTensor {
        let before = is_added.then(|| plain(before));
        net_divergence::gradient(&plain(both), &plain(dy), before.as_ref(), share)
    }

    fn mixed(
        real: CubeTensor,
        fake: CubeTensor,
        inside: CubeTensor,
        outside: CubeTensor,
        mask: CubeTensor,
    ) -> CubeTensor {
        let [inside, outside] = [inside, outside].map(burn_wgpu::into_contiguous);
        let pictures = [&plain(real), &plain(fake)];
        net_mixed::launch(pictures, [&inside, &outside], &plain(mask))
    }

    fn figures(losses: CubeTensor, emissions: CubeTensor) -> CubeTensor {
        net_figures::launch(&plain(losses), &plain(emissions))
    }

    fn twice(x: CubeTensor) -> CubeTensor {
        net_part::twice(&plain(x))
    }

    fn twice_gradient(dy: CubeTensor) -> CubeTensor {
        net_part::twice_gradient(&plain(dy))
    }

    fn gather_all(
        flat: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        d: CubeTensor,
        e: CubeTensor,
        f: CubeTensor,
        g: CubeTensor,
        h: CubeTensor,
        i: CubeTensor,
        j: CubeTensor,
        k: CubeTensor,
        l: CubeTensor,
        m: CubeTensor,
        n: CubeTensor,
        call: GatherCall,
    ) -> CubeTensor {
        let parts = [a, b, c, d, e, f, g, h, i, j, k, l, m, n];
        for part in parts.into_iter().take(call.count) {
            call.waiting.put(plain(part));
        }
        let Some(places) = call.places else {
            return flat;
        };
        gathered(flat, &call.waiting.take::<CubeTensor>(), &places)
    }

    fn squares(gradient: CubeTensor) -> CubeTensor {
        net_adam::squares(&plain(gradient))
    }

    fn adam_clipped(
        weights: CubeTensor,
        gradient: CubeTensor,
        first: CubeTensor,
        second: CubeTensor,
        squares: CubeTensor,
        rates: CubeTensor,
        clipped: Clipped,
    ) -> (CubeTensor, CubeTensor, CubeTensor, CubeTensor) {
        let [first, second] = [first, second].map(|moment| changeable(plain(moment)));
        let (updated, norm) = net_adam::update(
            &plain(weights),
            [&plain(gradient), &plain(squares)],
            [&first, &second],
            &plain(rates),
            clipped,
        );
        (updated, first, second, norm)
    }

    fn blend(average: CubeTensor, current: CubeTensor, share: Share) -> CubeTensor {
        net_adam::blend(&plain(average), &plain(current), share.0)
    }

    fn total(
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        d: CubeTensor,
        e: CubeTensor,
        f: CubeTensor,
        count: usize,
        weights: Weights,
    ) -> CubeTensor {
        let terms: Vec<CubeTensor> = [a, b, c, d, e, f].into_iter().map(plain).collect();
        net_total::forward(&terms[..count], &weights)
    }

    fn total_gradient(dy: CubeTensor, sizes: Vec<usize>, weights: Weights) -> CubeTensor {
        net_total::gradient(&plain(dy), &sizes, &weights)
    }

    fn piece(flat: CubeTensor, start: usize, shape: Shape) -> CubeTensor {
        view_of(flat, start, shape, DType::F32)
    }

    fn join(
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        d: CubeTensor,
        e: CubeTensor,
        f: CubeTensor,
        g: CubeTensor,
        sizes: Vec<usize>,
    ) -> CubeTensor {
        let parts: Vec<CubeTensor> = [a, b, c, d, e, f, g].into_iter().map(plain).collect();
        net_gather::join(&parts[..sizes.len()])
    }

    fn norm_row(
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

    fn norm_row_gradients(
        x: CubeTensor,
        scale: CubeTensor,
        shift: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        groups: usize,
        slope: f32,
        is_added: bool,
        in_runs: bool,
    ) -> (CubeTensor, CubeTensor, CubeTensor) {
        let (x, scale, shift, dy) = (plain(x), plain(scale), plain(shift), plain(dy));
        let affine = Affine::Rows {
            scale: &scale,
            shift: &shift,
        };
        let before = is_added.then(|| plain(before));
        let before = before.as_ref();
        if in_runs {
            return net_norm::gradients_apart(&x, &affine, &dy, before, groups, slope);
        }
        let (dx, daffine) = net_norm::gradients(&x, &affine, &dy, before, groups, slope);
        let (dscale, dshift) = net_affine::of_row(&daffine);
        let flat = |row: CubeTensor| {
            let shape = Shape::new([row.shape().num_elements()]);
            CubeTensor::new_contiguous(row.client, row.device, shape, row.handle, row.dtype)
        };
        (dx, flat(dscale), flat(dshift))
    }
}

impl StyleOps for CubeBackend {
    fn fan(code: CubeTensor, _: Shared) -> CubeTensor {
        code
    }

    fn styled(
        x: CubeTensor,
        code: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        groups: usize,
        slope: f32,
        _: Meeting,
        _: Shared,
    ) -> CubeTensor {
        let unmet = [Meeting::default(), Meeting::default()];
        Self::style_norm_act(x, code, weight, bias, groups, slope, unmet)
    }

    fn styled_gradients(
        x: CubeTensor,
        code: CubeTensor,
        weight: CubeTensor,
        bias: CubeTensor,
        dy: CubeTensor,
        before: CubeTensor,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (CubeTensor, CubeTensor) {
        let (code, weight, bias) = (plain(code), plain(weight), plain(bias));
        let affine = Affine::Coded {
            code: &code,
            weight: &weight,
            bias: &bias,
        };
        let before = is_added.then(|| plain(before));
        let (x, dy) = (plain(x), plain(dy));
        net_norm::gradients(&x, &affine, &dy, before.as_ref(), groups, slope)
    }

    fn affine_gradients(
        code: CubeTensor,
        before: CubeTensor,
        a: CubeTensor,
        b: CubeTensor,
        c: CubeTensor,
        d: CubeTensor,
        e: CubeTensor,
        f: CubeTensor,
        g: CubeTensor,
        h: CubeTensor,
        i: CubeTensor,
        j: CubeTensor,
        k: CubeTensor,
        l: CubeTensor,
        call: AffineCall,
    ) -> CubeTensor {
        let norms = [a, b, c, d, e, f].into_iter().zip([g, h, i, j, k, l]);
        for (daffine, weight) in norms.take(call.count) {
            call.waiting.put((plain(daffine), plain(weight)));
        }
        let Some(last) = call.last else {
            return code;
        };
        let norms = call.waiting.take::<(CubeTensor, CubeTensor)>();
        let before = last.is_added.then(|| plain(before));
        net_styles::launch(&plain(code), before.as_ref(), &norms, last.length)
    }
}

/// A tensor that may change in place: a copy where somebody else holds it.
fn changeable(tensor: CubeTensor) -> CubeTensor {
    if tensor.can_mut() {
        tensor
    } else {
        tensor.copy()
    }
}

/// Plain arrays in a flat buffer, which is written in place where nobody else holds it.
fn gathered(flat: CubeTensor, parts: &[CubeTensor], places: &Places) -> CubeTensor {
    let flat = changeable(flat);
    net_gather::launch(&flat, parts, places);
    flat
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
