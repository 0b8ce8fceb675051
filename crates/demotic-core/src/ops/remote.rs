//! [`NetOps`] and [`FilterOps`] on devices of other machines: each operation travels by name, and runs there
//! as a device of that machine runs it.

use burn::backend::ir::{BackendIr, CustomOpIr, ScalarIr};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, Remote, TensorMetadata};
use burn::server::CustomOpRegistry;
use burn::tensor::{DType, Shape};
use demotic_crf::remote::{is_flex, send};

use super::filter::FilterOps;
use super::{AdamScalars, Filter, GATHERED, Gather, Meeting, NetOps, Part};
use crate::number::Whole;

/// This text: what travels, and how.
pub(crate) const SOURCE: &str = include_str!("remote.rs");

type Far = FloatTensor<Remote>;

/// The names that the operations travel by.
mod name {
    pub(super) const CONV: &str = "demotic_conv_same";
    pub(super) const CONV_ONTO: &str = "demotic_conv_onto";
    pub(super) const CONV_DATA: &str = "demotic_conv_same_data_gradient";
    pub(super) const CONV_WEIGHT: &str = "demotic_conv_same_weight_gradients";
    pub(super) const NORM: &str = "demotic_norm_act";
    pub(super) const NORM_GRADIENTS: &str = "demotic_norm_act_gradients";
    pub(super) const STYLE: &str = "demotic_style_norm_act";
    pub(super) const STYLE_GRADIENTS: &str = "demotic_style_norm_act_gradients";
    pub(super) const LEAKY: &str = "demotic_leaky";
    pub(super) const LEAKY_GRADIENT: &str = "demotic_leaky_gradient";
    pub(super) const POOL: &str = "demotic_pool";
    pub(super) const SPREAD: &str = "demotic_spread";
    pub(super) const SPREAD_ONTO: &str = "demotic_spread_onto";
    pub(super) const ADAM: &str = "demotic_adam";
    pub(super) const GATHER: &str = "demotic_gather";
    pub(super) const VIEW: &str = "demotic_view";
    pub(super) const FILTER_DECAYS: &str = "demotic_filter_decays";
    pub(super) const FILTER: &str = "demotic_filter";
}

fn float(value: f32) -> ScalarIr {
    ScalarIr::Float(value.into())
}

fn whole(value: usize) -> ScalarIr {
    ScalarIr::UInt(value.to_u64())
}

/// Shape and type of a tensor, as those of a result.
fn like(tensor: &Far) -> (Shape, DType) {
    (tensor.shape(), tensor.dtype())
}

fn shaped<const D: usize>(shape: [usize; D], tensor: &Far) -> (Shape, DType) {
    (Shape::new(shape), tensor.dtype())
}

fn sides(tensor: &Far) -> [usize; 4] {
    let shape = tensor.shape();
    std::array::from_fn(|axis| shape[axis])
}

impl NetOps for Remote {
    fn conv_same(x: Far, weight: Far, bias: Far, slope: f32, _: bool) -> Far {
        let [b, _, h, w] = sides(&x);
        let y = shaped([b, sides(&weight)[0], h, w], &x);
        let [y] = send(name::CONV, [x, weight, bias], [y], vec![float(slope)]);
        y
    }

    fn conv_onto(base: Far, x: Far, weight: Far, bias: Far, _: Meeting, _: bool) -> Far {
        let y = like(&base);
        let [y] = send(name::CONV_ONTO, [base, x, weight, bias], [y], vec![]);
        y
    }

    fn conv_same_data_gradient(weight: Far, dy: Far) -> Far {
        let [b, _, h, w] = sides(&dy);
        let dx = shaped([b, sides(&weight)[1], h, w], &dy);
        let [dx] = send(name::CONV_DATA, [weight, dy], [dx], vec![]);
        dx
    }

    /// Never in runs: how many there are is the far device's affair, and a sum travels faster.
    fn conv_same_weight_gradients(x: Far, dy: Far, kernel: usize, _: bool) -> (Far, Far) {
        let (o, c) = (sides(&dy)[1], sides(&x)[1]);
        let outputs = [shaped([o, c, kernel, kernel], &x), shaped([o], &x)];
        let [by_weight, by_bias] = send(name::CONV_WEIGHT, [x, dy], outputs, vec![whole(kernel)]);
        (by_weight, by_bias)
    }

    fn norm_act(x: Far, scale: Far, shift: Far, groups: usize, slope: f32, _: Meeting) -> Far {
        let y = like(&x);
        let scalars = vec![whole(groups), float(slope)];
        let [y] = send(name::NORM, [x, scale, shift], [y], scalars);
        y
    }

    fn norm_act_gradients(
        x: Far,
        scale: Far,
        shift: Far,
        dy: Far,
        before: Far,
        groups: usize,
        slope: f32,
        is_added: bool,
    ) -> (Far, Far, Far) {
        let outputs = [&x, &scale, &shift].map(like);
        let scalars = vec![whole(groups), float(slope), ScalarIr::Bool(is_added)];
        let [dx, dscale, dshift] = send(
            name::NORM_GRADIENTS,
            [x, scale, shift, dy, before],
            outputs,
            scalars,
        );
        (dx, dscale, dshift)
    }

    fn style_norm_act(
        x: Far,
        code: Far,
        weight: Far,
        bias: Far,
        groups: usize,
        slope: f32,
        _: [Meeting; 2],
    ) -> Far {
        let y = like(&x);
        let scalars = vec![whole(groups), float(slope)];
        let [y] = send(name::STYLE, [x, code, weight, bias], [y], scalars);
        y
    }

    fn style_norm_act_gradients(
        x: Far,
        code: Far,
        weight: Far,
        bias: Far,
        dy: Far,
        before: Far,
        code_before: Far,
        groups: usize,
        slope: f32,
        are_added: [bool; 2],
    ) -> (Far, Far, Far, Far) {
        let outputs = [&x, &code, &weight, &bias].map(like);
        let mut scalars = vec![whole(groups), float(slope)];
        scalars.extend(are_added.map(ScalarIr::Bool));
        let inputs = [x, code, weight, bias, dy, before, code_before];
        let [dx, dcode, dweight, dbias] = send(name::STYLE_GRADIENTS, inputs, outputs, scalars);
        (dx, dcode, dweight, dbias)
    }

    fn leaky(x: Far, slope: f32) -> Far {
        let y = like(&x);
        let [y] = send(name::LEAKY, [x], [y], vec![float(slope)]);
        y
    }

    fn pool(x: Far, factor: f32, _: Meeting) -> Far {
        let [b, c, h, w] = sides(&x);
        let y = shaped([b, c, h / 2, w / 2], &x);
        let [y] = send(name::POOL, [x], [y], vec![float(factor)]);
        y
    }

    fn spread(x: Far, factor: f32) -> Far {
        let [b, c, h, w] = sides(&x);
        let y = shaped([b, c, 2 * h, 2 * w], &x);
        let [y] = send(name::SPREAD, [x], [y], vec![float(factor)]);
        y
    }

    fn spread_onto(base: Far, x: Far, factor: f32, _: Meeting) -> Far {
        let y = like(&base);
        let [y] = send(name::SPREAD_ONTO, [base, x], [y], vec![float(factor)]);
        y
    }

    fn leaky_gradient(y: Far, dy: Far, slope: f32) -> Far {
        let dx = like(&y);
        let [dx] = send(name::LEAKY_GRADIENT, [y, dy], [dx], vec![float(slope)]);
        dx
    }

    fn adam(
        weight: Far,
        gradient: Far,
        first: Far,
        second: Far,
        s: AdamScalars,
    ) -> (Far, Far, Far) {
        let outputs = [&weight, &first, &second].map(like);
        let scalars = [s.beta_1, s.beta_2, s.rate, s.epsilon].map(float).to_vec();
        let inputs = [weight, gradient, first, second];
        let [weight, first, second] = send(name::ADAM, inputs, outputs, scalars);
        (weight, first, second)
    }

    fn gather(
        flat: Far,
        a: Far,
        b: Far,
        c: Far,
        d: Far,
        e: Far,
        f: Far,
        g: Far,
        plan: Gather,
    ) -> Far {
        let gathered = like(&flat);
        let mut scalars = vec![whole(plan.start), whole(plan.count)];
        scalars.extend(plan.sizes.map(whole));
        let inputs = [flat, a, b, c, d, e, f, g];
        let [gathered] = send(name::GATHER, inputs, [gathered], scalars);
        gathered
    }

    fn view(flat: Far, start: usize, shape: Shape) -> Far {
        let part = (shape, flat.dtype());
        let [part] = send(name::VIEW, [flat], [part], vec![whole(start)]);
        part
    }

    fn part(_: Far, _: Part, _: Meeting) -> Far {
        unreachable!("a part of a tensor travels as a slice")
    }

    fn part_gradient(_: Far, _: Far, _: [usize; 4], _: Part, _: bool) -> Far {
        unreachable!("a part of a tensor travels as a slice")
    }

    fn mean_error(_: Far, _: Far) -> Far {
        unreachable!("a mean error travels as tensor operations")
    }

    fn mean_error_gradient(_: Far, _: Far, _: Far) -> Far {
        unreachable!("a mean error travels as tensor operations")
    }

    fn view_int(_: Far, _: usize, _: Shape) -> IntTensor<Remote> {
        unreachable!("inputs travel as tensors of their own")
    }
}

impl FilterOps for Remote {
    fn filter_decays(guide: Far, fake: Far, filter: Filter) -> Far {
        let [b, _, h, w] = sides(&guide);
        // As the far end lays them out.
        let planes = if is_flex(&guide) { 2 } else { 4 };
        let decays = shaped([b, planes, h, w], &guide);
        let scalars = [filter.reach, filter.edge, filter.edge_fake].map(float);
        let [decays] = send(
            name::FILTER_DECAYS,
            [guide, fake],
            [decays],
            scalars.to_vec(),
        );
        decays
    }

    fn filter(change: Far, decays: Far, is_transposed: bool) -> Far {
        let spread = like(&change);
        let scalars = vec![ScalarIr::Bool(is_transposed)];
        let [spread] = send(name::FILTER, [change, decays], [spread], scalars);
        spread
    }
}

/// What came with an operation beside its tensors. Reading what was not sent panics: that ends the sender's
/// session, and no other.
struct Scalars<'a>(&'a CustomOpIr);

impl Scalars<'_> {
    fn float(&self, index: usize) -> f32 {
        self.0.scalars[index].elem()
    }

    fn whole(&self, index: usize) -> usize {
        self.0.scalars[index].elem::<u64>().to_usize()
    }

    fn flag(&self, index: usize) -> bool {
        self.0.scalars[index].elem()
    }
}

/// Runs what is sent here by a name.
fn on<B: BackendIr, const IN: usize, const OUT: usize>(
    registry: &mut CustomOpRegistry<B>,
    name: &str,
    run: impl Fn([FloatTensor<B>; IN], Scalars<'_>) -> [FloatTensor<B>; OUT] + Send + Sync + 'static,
) {
    registry.register(name, move |handles, ir, _| {
        let (inputs, outputs) = ir.as_fixed::<IN, OUT>();
        let inputs = inputs
            .each_ref()
            .map(|input| handles.get_float_tensor::<B>(input));
        for (output, result) in outputs.iter().zip(run(inputs, Scalars(ir))) {
            handles.register_float_tensor::<B>(&output.id, result);
        }
    });
}

/// Runs what is sent here, on a backend of this machine.
fn receive<B: BackendIr + NetOps + FilterOps>(registry: &mut CustomOpRegistry<B>) {
    receive_layers(registry);
    receive_updates(registry);
    receive_filter(registry);
}

/// What the networks' layers are made of, and their gradients.
fn receive_layers<B: BackendIr + NetOps>(registry: &mut CustomOpRegistry<B>) {
    on(registry, name::CONV, |[x, weight, bias], s| {
        [B::conv_same(x, weight, bias, s.float(0), false)]
    });
    on(registry, name::CONV_ONTO, |[base, x, weight, bias], _| {
        [B::conv_onto(
            base,
            x,
            weight,
            bias,
            Meeting::default(),
            false,
        )]
    });
    on(registry, name::CONV_DATA, |[weight, dy], _| {
        [B::conv_same_data_gradient(weight, dy)]
    });
    on(registry, name::CONV_WEIGHT, |[x, dy], s| {
        <[_; 2]>::from(B::conv_same_weight_gradients(x, dy, s.whole(0), false))
    });
    on(registry, name::NORM, |[x, scale, shift], s| {
        let (groups, slope) = (s.whole(0), s.float(1));
        [B::norm_act(
            x,
            scale,
            shift,
            groups,
            slope,
            Meeting::default(),
        )]
    });
    on(
        registry,
        name::NORM_GRADIENTS,
        |[x, scale, shift, dy, before], s| {
            <[_; 3]>::from(B::norm_act_gradients(
                x,
                scale,
                shift,
                dy,
                before,
                s.whole(0),
                s.float(1),
                s.flag(2),
            ))
        },
    );
    on(registry, name::STYLE, |[x, code, weight, bias], s| {
        let (groups, slope) = (s.whole(0), s.float(1));
        let unmet = [Meeting::default(), Meeting::default()];
        [B::style_norm_act(
            x, code, weight, bias, groups, slope, unmet,
        )]
    });
    on(
        registry,
        name::STYLE_GRADIENTS,
        |[x, code, weight, bias, dy, before, code_before], s| {
            <[_; 4]>::from(B::style_norm_act_gradients(
                x,
                code,
                weight,
                bias,
                dy,
                before,
                code_before,
                s.whole(0),
                s.float(1),
                [s.flag(2), s.flag(3)],
            ))
        },
    );
    on(registry, name::LEAKY, |[x], s| [B::leaky(x, s.float(0))]);
    on(registry, name::POOL, |[x], s| {
        [B::pool(x, s.float(0), Meeting::default())]
    });
    on(registry, name::SPREAD, |[x], s| [B::spread(x, s.float(0))]);
    on(registry, name::SPREAD_ONTO, |[base, x], s| {
        [B::spread_onto(base, x, s.float(0), Meeting::default())]
    });
    on(registry, name::LEAKY_GRADIENT, |[y, dy], s| {
        [B::leaky_gradient(y, dy, s.float(0))]
    });
}

/// What the optimiser asks of flat buffers.
fn receive_updates<B: BackendIr + NetOps>(registry: &mut CustomOpRegistry<B>) {
    on(
        registry,
        name::ADAM,
        |[weight, gradient, first, second], s| {
            let scalars = AdamScalars {
                beta_1: s.float(0),
                beta_2: s.float(1),
                rate: s.float(2),
                epsilon: s.float(3),
            };
            <[_; 3]>::from(B::adam(weight, gradient, first, second, scalars))
        },
    );
    on(registry, name::GATHER, |[flat, a, b, c, d, e, f, g], s| {
        let plan = Gather {
            start: s.whole(0),
            count: s.whole(1),
            sizes: std::array::from_fn::<usize, GATHERED, _>(|k| s.whole(2 + k)),
        };
        [B::gather(flat, a, b, c, d, e, f, g, plan)]
    });
    on(registry, name::VIEW, |[flat], s| {
        let shape = s.0.outputs[0].shape.clone();
        [B::view(flat, s.whole(0), shape)]
    });
}

/// The edge-aware filter.
fn receive_filter<B: BackendIr + FilterOps>(registry: &mut CustomOpRegistry<B>) {
    on(registry, name::FILTER_DECAYS, |[guide, fake], s| {
        let filter = Filter {
            reach: s.float(0),
            edge: s.float(1),
            edge_fake: s.float(2),
        };
        [B::filter_decays(guide, fake, filter)]
    });
    on(registry, name::FILTER, |[change, decays], s| {
        [B::filter(change, decays, s.flag(0))]
    });
}

/// What a server of Flex runs for the networks of its clients.
pub(crate) fn on_flex() -> CustomOpRegistry<Flex> {
    let mut registry = CustomOpRegistry::new();
    demotic_crf::remote::receive_on_flex(&mut registry);
    receive(&mut registry);
    registry
}

/// What a server of `wgpu`'s devices runs for the networks of its clients.
#[cfg(feature = "wgpu")]
pub(crate) fn on_cube() -> CustomOpRegistry<burn::backend::Cube> {
    let mut registry = CustomOpRegistry::new();
    demotic_crf::remote::receive_on_cube(&mut registry);
    receive(&mut registry);
    registry
}
