//! A generator in the operators of ONNX, with its filter: what `model/generator.rs` computes, node by node.

use super::graph::{Attribute, Graph};
use crate::arrays::{Array, Arrays};
use crate::model::layers::{SLOPE, groups};
use crate::model::{GeneratorConfig, GeneratorKind};
use crate::number::Whole;
use crate::ops::{Filter, NORM_EPSILON, ROUNDS};
use crate::settings::FilterKind;
use Attribute::{Float, Int, Ints, Text};

/// Name of the pictures that go in.
pub(super) const PICTURE: &str = "picture";
/// Name of the styles' numbers.
pub(super) const STYLE: &str = "style";
/// Name of what comes out.
pub(super) const TRANSLATION: &str = "translation";

/// The graph of a generator of the given weights, named as in a checkpoint.
pub(super) fn graph(config: &GeneratorConfig, weights: &Arrays) -> Graph {
    let mut network = Network {
        graph: Graph::default(),
        weights: prepared(weights),
    };
    let latent = network.encoded(config);
    // A constant and an input may not share a name.
    let table = network.array("style").clone();
    let table = network.graph.floats("style_codes", &table);
    let code = network
        .graph
        .node("Gather", &[&table, STYLE], &[("axis", Int(0))]);
    let decoded = network.decoded(config, &latent, &code);
    match config.filter {
        FilterKind::On => network.lay_in(&decoded, config.filter_scalars()),
        FilterKind::Off => network
            .graph
            .last_node("Identity", &[&decoded], TRANSLATION),
    }
    network.graph
}

/// Weights where the graph says the same in another order: `SpaceToDepth` puts the place in a patch before
/// the channel, and a translation needs the posterior's means alone.
fn prepared(weights: &Arrays) -> Arrays {
    let mut weights = weights.clone();
    if let Some(stem) = weights.get_mut("stem.weight") {
        let (inputs, area) = (stem.shape[1], stem.shape[2] * stem.shape[3]);
        let channels = inputs / 4;
        let place = |input: usize| input % channels * 4 + input / channels;
        stem.values = stem
            .values
            .chunks_exact(inputs * area)
            .flat_map(|kernel| {
                (0..inputs).flat_map(move |input| &kernel[place(input) * area..][..area])
            })
            .copied()
            .collect();
    }
    for name in ["to_posterior.weight", "to_posterior.bias"] {
        if let Some(array) = weights.get_mut(name) {
            array.shape[0] /= 2;
            array.values.truncate(array.values.len() / 2);
        }
    }
    weights
}

/// What is carried from one step of drawing to the next.
struct Canvas {
    state: String,
    canvas: String,
}

struct Network {
    graph: Graph,
    weights: Arrays,
}

impl Network {
    fn array(&self, name: &str) -> &Array {
        self.weights
            .get(name)
            .unwrap_or_else(|| panic!("a generator of this configuration has `{name}`"))
    }

    /// A weight as a constant.
    fn weight(&mut self, name: &str) -> String {
        let array = self.array(name).clone();
        self.graph.floats(name, &array)
    }

    fn two(&mut self, operator: &str, a: &str, b: &str) -> String {
        self.graph.node(operator, &[a, b], &[])
    }

    fn one(&mut self, operator: &str, x: &str) -> String {
        self.graph.node(operator, &[x], &[])
    }

    fn conv(&mut self, x: &str, name: &str) -> String {
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let kernel = self.array(&weight).shape[2].to_i64();
        let (weight, bias) = (self.weight(&weight), self.weight(&bias));
        let border = kernel / 2;
        let attributes = [
            ("kernel_shape", Ints(&[kernel, kernel])),
            ("pads", Ints(&[border; 4])),
        ];
        self.graph.node("Conv", &[x, &weight, &bias], &attributes)
    }

    fn leaky(&mut self, x: &str) -> String {
        self.graph
            .node("LeakyRelu", &[x], &[("alpha", Float(SLOPE))])
    }

    fn halved(&mut self, x: &str) -> String {
        let attributes = [("kernel_shape", Ints(&[2, 2])), ("strides", Ints(&[2, 2]))];
        self.graph.node("AveragePool", &[x], &attributes)
    }

    fn doubled(&mut self, x: &str) -> String {
        let factors = Array {
            shape: vec![4],
            values: vec![1.0, 1.0, 2.0, 2.0],
        };
        let factors = self.graph.floats("doubling", &factors);
        let attributes = [
            ("mode", Text("nearest")),
            ("coordinate_transformation_mode", Text("asymmetric")),
            ("nearest_mode", Text("floor")),
        ];
        self.graph.node("Resize", &[x, "", &factors], &attributes)
    }

    /// Mean 0 and deviation 1 over each group of channels.
    fn normal(&mut self, x: &str, channels: usize) -> String {
        let count = groups(channels);
        let constant = |value: f32| Array {
            shape: vec![count],
            values: vec![value; count],
        };
        let ones = self.graph.floats(&format!("ones_{count}"), &constant(1.0));
        let zeros = self.graph.floats(&format!("zeros_{count}"), &constant(0.0));
        let grouped = self.graph.ints(&[0, count.to_i64(), -1]);
        let whole = self.one("Shape", x);
        let grouped = self.two("Reshape", x, &grouped);
        let epsilon = [("epsilon", Float(NORM_EPSILON))];
        let inputs = [grouped.as_str(), &ones, &zeros];
        let normal = self.graph.node("InstanceNormalization", &inputs, &epsilon);
        self.two("Reshape", &normal, &whole)
    }

    /// Normalisation, a scale and a shift a channel, leaky ReLU.
    fn affine(&mut self, x: &str, channels: usize, [scale, shift]: [&str; 2]) -> String {
        let normal = self.normal(x, channels);
        let scaled = self.two("Mul", &normal, scale);
        let shifted = self.two("Add", &scaled, shift);
        self.leaky(&shifted)
    }

    fn norm(&mut self, x: &str, name: &str) -> String {
        let rows = ["scale", "shift"].map(|part| {
            let mut array = self.array(&format!("{name}.{part}")).clone();
            array.shape.extend([1, 1]);
            self.graph.floats(&format!("{name}.{part}"), &array)
        });
        let channels = self.array(&format!("{name}.scale")).values.len();
        self.affine(x, channels, [&rows[0], &rows[1]])
    }

    /// Scale and shift from a style code; without one, from a code of zeros.
    fn ada_norm(&mut self, x: &str, name: &str, code: Option<&str>) -> String {
        let mut bias = self.array(&format!("{name}.bias")).clone();
        let channels = bias.values.len() / 2;
        for value in &mut bias.values[..channels] {
            *value += 1.0;
        }
        let Some(code) = code else {
            let mut parts = bias.values.chunks_exact(channels);
            let [scale, shift] = ["scale", "shift"].map(|part| {
                let array = Array {
                    shape: vec![channels, 1, 1],
                    values: parts.next().map(<[f32]>::to_vec).unwrap_or_default(),
                };
                self.graph.floats(&format!("{name}.neutral_{part}"), &array)
            });
            return self.affine(x, channels, [&scale, &shift]);
        };
        let weight = self.weight(&format!("{name}.weight"));
        let bias = self.graph.floats(&format!("{name}.bias"), &bias);
        let both = self.graph.node("Gemm", &[code, &weight, &bias], &[]);
        let halves = [("axis", Int(1)), ("num_outputs", Int(2))];
        let halves: [String; 2] = self.graph.node_of("Split", &[&both], &halves);
        let planes = self.graph.ints(&[0, -1, 1, 1]);
        let [scale, shift] = halves.map(|half| self.two("Reshape", &half, &planes));
        self.affine(x, channels, [&scale, &shift])
    }

    fn residual(&mut self, x: &str, name: &str) -> String {
        let y = self.norm(x, &format!("{name}.norms.0"));
        let y = self.conv(&y, &format!("{name}.convs.0"));
        let y = self.norm(&y, &format!("{name}.norms.1"));
        let y = self.conv(&y, &format!("{name}.convs.1"));
        self.two("Add", x, &y)
    }

    fn ada_residual(&mut self, x: &str, name: &str, code: &str) -> String {
        let y = self.ada_norm(x, &format!("{name}.norms.0"), Some(code));
        let y = self.conv(&y, &format!("{name}.convs.0"));
        let y = self.ada_norm(&y, &format!("{name}.norms.1"), Some(code));
        let y = self.conv(&y, &format!("{name}.convs.1"));
        self.two("Add", x, &y)
    }

    /// The posterior's means: `[batch, z, h, w]`.
    fn encoded(&mut self, config: &GeneratorConfig) -> String {
        let patches = [("blocksize", Int(2))];
        let patches = self.graph.node("SpaceToDepth", &[PICTURE], &patches);
        let mut x = self.conv(&patches, "stem");
        for i in 0..config.doublings() - 1 {
            let y = self.leaky(&x);
            let y = self.conv(&y, &format!("downs.{i}"));
            x = self.halved(&y);
        }
        for i in 0..config.encoder_blocks {
            x = self.residual(&x, &format!("encoder.{i}"));
        }
        let features = self.norm(&x, "encoder_norm");
        match config.kind {
            GeneratorKind::Conv => self.conv(&features, "to_posterior"),
            GeneratorKind::Recurrent => self.read(config, &features),
        }
    }

    /// What a latent is decoded to, by a code: `[batch, channels, height, width]`.
    fn decoded(&mut self, config: &GeneratorConfig, latent: &str, code: &str) -> String {
        let mut x = match config.kind {
            GeneratorKind::Conv => self.conv(latent, "from_latent"),
            GeneratorKind::Recurrent => self.draw(config, latent, code),
        };
        if config.context_blocks > 0 {
            let mut wide = self.halved(&x);
            for i in 0..config.context_blocks {
                wide = self.ada_residual(&wide, &format!("context.{i}"), code);
            }
            let wide = self.doubled(&wide);
            x = self.two("Add", &x, &wide);
        }
        for i in 0..config.decoder_blocks {
            x = self.ada_residual(&x, &format!("decoder.{i}"), code);
        }
        for i in 0..config.doublings() {
            let y = self.ada_norm(&x, &format!("ups.{i}.norm"), Some(code));
            let y = self.doubled(&y);
            x = self.conv(&y, &format!("ups.{i}.conv"));
        }
        let y = self.ada_norm(&x, "output_norm", Some(code));
        let y = self.conv(&y, "output");
        self.one("Tanh", &y)
    }
}

/// Drawing in steps (`model/recurrent.rs`).
impl Network {
    fn joined(&mut self, parts: &[&str]) -> String {
        self.graph.node("Concat", parts, &[("axis", Int(1))])
    }

    fn zeros_like(&mut self, x: &str) -> String {
        let shape = self.one("Shape", x);
        self.one("ConstantOfShape", &shape)
    }

    fn gated(&mut self, name: &str, input: &str, state: &str) -> String {
        let seen = self.joined(&[input, state]);
        let gates = self.conv(&seen, &format!("{name}.gates"));
        let gates = self.one("Sigmoid", &gates);
        let halves = [("axis", Int(1)), ("num_outputs", Int(2))];
        let [update, reset] = self.graph.node_of("Split", &[&gates], &halves);
        let kept = self.two("Mul", &reset, state);
        let seen = self.joined(&[input, &kept]);
        let proposal = self.conv(&seen, &format!("{name}.proposal"));
        let proposal = self.one("Tanh", &proposal);
        let change = self.two("Sub", &proposal, state);
        let change = self.two("Mul", &update, &change);
        self.two("Add", state, &change)
    }

    fn stroke(&mut self, before: &Canvas, input: &str, code: Option<&str>) -> Canvas {
        let state = self.gated("drawing.painter", input, &before.state);
        let stroke = self.ada_norm(&state, "drawing.stroke_norm", code);
        let stroke = self.conv(&stroke, "drawing.stroke");
        Canvas {
            canvas: self.two("Add", &before.canvas, &stroke),
            state,
        }
    }

    /// Means of all steps' latents, one step after the other.
    fn read(&mut self, config: &GeneratorConfig, features: &str) -> String {
        let zeros = self.zeros_like(features);
        let mut state = zeros.clone();
        let mut drawn = Canvas {
            state: zeros.clone(),
            canvas: zeros,
        };
        let mut means = Vec::new();
        for step in 0..config.draw_steps {
            let seen = self.joined(&[features, &drawn.canvas]);
            state = self.gated("drawing.reader", &seen, &state);
            let mean = self.conv(&state, "to_posterior");
            if step + 1 < config.draw_steps {
                let input = self.conv(&mean, "from_latent");
                drawn = self.stroke(&drawn, &input, None);
            }
            means.push(mean);
        }
        let means: Vec<&str> = means.iter().map(String::as_str).collect();
        self.joined(&means)
    }

    /// The canvas after all steps.
    fn draw(&mut self, config: &GeneratorConfig, latent: &str, code: &str) -> String {
        let mut drawn: Option<Canvas> = None;
        for step in 0..config.draw_steps {
            let range = [step, step + 1].map(|step| (step * config.latent_channels).to_i64());
            let part = self.slice(latent, 1, range);
            let input = self.conv(&part, "from_latent");
            let before = drawn.unwrap_or_else(|| {
                let zeros = self.zeros_like(&input);
                Canvas {
                    state: zeros.clone(),
                    canvas: zeros,
                }
            });
            drawn = Some(self.stroke(&before, &input, Some(code)));
        }
        drawn.expect("drawing has a step").canvas
    }

    fn slice(&mut self, x: &str, axis: i64, [from, to]: [i64; 2]) -> String {
        let [from, to, axis] = [from, to, axis].map(|value| self.graph.ints(&[value]));
        self.graph.node("Slice", &[x, &from, &to, &axis], &[])
    }
}

/// The edge-aware filter (`ops/filter.rs`). Its recursion along a line is a mean of the line by weights
/// `exp(-|c_i - c_j|)`, where `c` adds up the costs of the steps from one pixel to the next: the softmax of
/// `-|c_i - c_j|`, a matrix a line. Every runtime has it, on every device; it takes `4 * height * width *
/// (height + width)` bytes a picture.
impl Network {
    fn lay_in(&mut self, decoded: &str, filter: Filter) {
        let change = self.two("Sub", decoded, PICTURE);
        let cost = self.cost_a_pixel(filter);
        let rows = self.line_weights(decoded, 3, &cost, filter);
        let columns = self.line_weights(decoded, 2, &cost, filter);
        // Lines as the rows of matrices, channels as their columns.
        let turn = |network: &mut Self, x: &str, order: &[i64]| {
            network
                .graph
                .node("Transpose", &[x], &[("perm", Ints(order))])
        };
        let mut spread = turn(self, &change, &[0, 2, 3, 1]); // [b, h, w, c]
        for _ in 0..ROUNDS {
            let by_rows = self.two("MatMul", &rows, &spread);
            let turned = turn(self, &by_rows, &[0, 2, 1, 3]); // [b, w, h, c]
            let by_columns = self.two("MatMul", &columns, &turned);
            spread = turn(self, &by_columns, &[0, 2, 1, 3]);
        }
        let spread = turn(self, &spread, &[0, 3, 1, 2]);
        let laid = self.two("Add", PICTURE, &spread);
        let [low, high] = [-1.0, 1.0].map(|value| self.graph.float(value));
        self.graph
            .last_node("Clip", &[&laid, &low, &high], TRANSLATION);
    }

    /// `1 / (reach * longer side)`
    fn cost_a_pixel(&mut self, filter: Filter) -> String {
        let shape = self.one("Shape", PICTURE);
        let sides = self.slice(&shape, 0, [2, 4]);
        let sides = self.graph.node("Cast", &[&sides], &[("to", Int(1))]);
        let longer = self
            .graph
            .node("ReduceMax", &[&sides], &[("keepdims", Int(0))]);
        let reach = self.graph.float(filter.reach);
        let reach = self.two("Mul", &longer, &reach);
        self.one("Reciprocal", &reach)
    }

    /// The weights of each pixel of a line for each other, `[b, lines, length, length]`; they add up to 1.
    fn line_weights(&mut self, decoded: &str, axis: i64, cost: &str, filter: Filter) -> String {
        let mut costs = cost.to_owned();
        // Also where nothing stops it: the steps have the extents of a difference.
        let edges = [(PICTURE, filter.edge), (decoded, filter.edge_fake)];
        for (picture, edge) in edges {
            let later = self.slice(picture, axis, [1, i64::MAX]);
            let earlier = self.slice(picture, axis, [0, -1]);
            let step = self.two("Sub", &later, &earlier);
            let step = self.one("Abs", &step);
            let channels = self.graph.ints(&[1]);
            let step = self.two("ReduceMean", &step, &channels);
            let edge = self.graph.float(edge);
            let step = self.two("Mul", &step, &edge);
            costs = self.two("Add", &step, &costs);
        }
        // [b, 1, h, w]: the first of a line costs nothing, and each is as far as all steps up to it.
        let mut border = [0; 8];
        border[axis.to_usize()] = 1;
        let border = self.graph.ints(&border);
        let costs = self.two("Pad", &costs, &border);
        let along = self.graph.int(axis);
        let place = self.two("CumSum", &costs, &along);
        let plane = self.graph.ints(&[1]);
        let mut place = self.two("Squeeze", &place, &plane);
        if axis == 2 {
            let turned = [("perm", Ints(&[0, 2, 1]))];
            place = self.graph.node("Transpose", &[&place], &turned);
        }
        let [column, row] = [3, 2].map(|axis| {
            let axis = self.graph.ints(&[axis]);
            self.two("Unsqueeze", &place, &axis)
        });
        let apart = self.two("Sub", &column, &row);
        let apart = self.one("Abs", &apart);
        let near = self.one("Neg", &apart);
        self.graph.node("Softmax", &[&near], &[("axis", Int(-1))])
    }
}
