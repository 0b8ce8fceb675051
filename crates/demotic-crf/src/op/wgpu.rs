//! Launch code of the WGSL kernels: shapes and strides to parameters, buffers in binding order, dispatch, outputs.
//! The kernels themselves are in `shaders/`.

use burn::backend::TensorMetadata;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, FloatDType, IntDType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use burn_wgpu::SourceKernel;
use bytemuck::{Pod, Zeroable};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, CubeDim};
use cubecl::server::{Handle, KernelArguments};

use super::ops::{CrfOps, upstream_shape};
use super::plan::{Evidence, Group, Lines, Order, Plan};
use super::shaders::{Kernel, Shader};
use super::template::Values;
use crate::config::{WgslKernel, Work};
use crate::grid::Directions;

/// Workgroups along one axis; more go to the second.
const DISPATCH_MAX: u32 = 65_535;

/// Chains that one workgroup of the finishing kernel walks; larger groups take a second round.
const FINISH_ROUND: usize = 64;

/// Positions that one invocation takes in the three passes over long chains.
const SEGMENT: usize = 256;

/// Bytes of a picture's emissions that one workgroup holds at most.
const IMAGE_BYTES: usize = 8 << 10;

/// Invocations of a workgroup.
const WORKGROUP: u32 = 64;

/// The same for `crf_chain.wgsl` on a software adapter: one vector, the piece of work that its threads share out.
const SOFTWARE_WORKGROUP: u32 = 8;

/// Most columns of sums that a software adapter leaves for one round of the finishing kernel.
const SOFTWARE_COLUMNS: usize = 256;

/// Trips through a shader's loops that a software adapter makes; lavapipe stops without a word at 65,535.
const SOFTWARE_TRIPS: usize = 60_000;

/// Buffers of a launch with the binding numbers that the shader's text asks for by name.
#[derive(Default)]
struct Bindings {
    values: Values,
    handles: Vec<Handle>,
}

impl Bindings {
    fn bind(mut self, name: &str, handle: &Handle) -> Self {
        self.values = self.values.with(name, self.handles.len());
        self.handles.push(handle.clone());
        self
    }

    fn bind_if(self, wanted: bool, name: &str, handle: Option<&Handle>) -> Self {
        match handle {
            Some(handle) if wanted => self.bind(name, handle),
            _ => self,
        }
    }

    fn launch(
        self,
        client: &Client,
        shader: Shader,
        values: impl FnOnce(Values) -> Values,
        workgroups: usize,
    ) {
        self.launch_sized(client, shader, values, workgroups, WORKGROUP);
    }

    fn launch_sized(
        self,
        client: &Client,
        shader: Shader,
        values: impl FnOnce(Values) -> Values,
        workgroups: usize,
        workgroup: u32,
    ) {
        let kernel = Kernel {
            shader,
            values: values(self.values).with("WG", workgroup),
            workgroup,
        };
        let workgroups = u32::try_from(workgroups).expect("a tensor's chains fit u32");
        let x = workgroups.clamp(1, DISPATCH_MAX);
        client.launch(
            Box::new(SourceKernel::new(kernel, CubeDim::new_1d(workgroup))),
            CubeCount::Static(x, workgroups.div_ceil(x), 1),
            KernelArguments::new()
                .with_buffers(self.handles.into_iter().map(Handle::binding).collect()),
        );
    }
}

/// `Params` of `crf_chain.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ChainParams {
    chains: u32,
    length: u32,
    inner: u32,
    e: [u32; 4],
    y: [u32; 3],
    g: [u32; 4],
    potentials_at: u32,
    sums_at: u32,
    unknown: i32,
    scale: f32,
    not_a_number: f32,
    segments: u32,
    edges_at: u32,
    columns: u32,
}

/// `Params` of `crf_image.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ImageParams {
    pictures: u32,
    h: u32,
    w: u32,
    e: [u32; 4],
    y: [u32; 3],
    unknown: i32,
    scale: f32,
    not_a_number: f32,
}

/// `Params` of `crf_viterbi.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ViterbiParams {
    chains: u32,
    length: u32,
    inner: u32,
    e: [u32; 4],
}

/// `Direction` of `crf_finish.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FinishDirection {
    sums_at: u32,
    items: u32,
    group: u32,
    length: u32,
    inner: u32,
    y: [u32; 3],
    tables_at: u32,
}

/// The tensors of one call, ready to be bound.
struct Call {
    client: Client,
    emissions: CubeTensor,
    labels: CubeTensor,
    potentials: CubeTensor,
    lengths: CubeTensor,
    dims: [usize; 4],
    lines: Vec<Lines>,
    plan: Plan,
}

impl Call {
    fn new(
        emissions: CubeTensor,
        labels: CubeTensor,
        potentials: CubeTensor,
        lengths: CubeTensor,
        plan: Plan,
    ) -> Self {
        let emissions = match emissions.dtype {
            DType::F32 | DType::F16 => emissions,
            _ => CubeBackend::float_cast(emissions, FloatDType::F32),
        };
        let float = |tensor: CubeTensor| match tensor.dtype {
            DType::F32 => tensor,
            _ => CubeBackend::float_cast(tensor, FloatDType::F32),
        };
        let int = |tensor: CubeTensor| match tensor.dtype {
            DType::I32 => tensor,
            _ => CubeBackend::int_cast(tensor, IntDType::I32),
        };
        let labels = int(labels);
        let dims: [usize; 4] = core::array::from_fn(|axis| emissions.meta.shape()[axis]);
        let e: [usize; 4] = core::array::from_fn(|axis| emissions.meta.strides()[axis]);
        // A call that reads no labels may bring any tensor for them.
        let y: [usize; 3] =
            core::array::from_fn(|axis| labels.meta.strides().get(axis).copied().unwrap_or(0));
        Self {
            client: emissions.client.clone(),
            lines: plan
                .rows_and_columns()
                .map(|rows| plan.lines(rows, dims, e, y))
                .collect(),
            emissions,
            labels,
            potentials: burn_wgpu::into_contiguous(float(potentials)),
            lengths: if plan.ragged {
                burn_wgpu::into_contiguous(int(lengths))
            } else {
                lengths
            },
            dims,
            plan,
        }
    }

    #[cfg(not(test))]
    fn floats(&self, count: usize) -> Handle {
        self.client.empty(count.max(1) * size_of::<f32>())
    }

    /// In this crate's own tests every buffer lies between two guards, which the tests read afterwards.
    #[cfg(test)]
    fn floats(&self, count: usize) -> Handle {
        tests::guarded(&self.client, count.max(1) * size_of::<f32>())
    }

    fn tensor(&self, shape: Shape, handle: Handle) -> CubeTensor {
        CubeTensor::new_contiguous(
            self.client.clone(),
            self.emissions.device.clone(),
            shape,
            handle,
            DType::F32,
        )
    }

    fn reads_labels(&self) -> bool {
        matches!(self.plan.evidence, Evidence::Gold | Evidence::Held { .. })
    }

    /// Pair sums, boundary marginals and value of a chain, or the value alone.
    fn entries(&self, gradient: bool) -> usize {
        if gradient {
            self.plan.width(self.dims[1]) + 1
        } else {
            1
        }
    }

    /// The kernel of this call.
    fn kernel(&self) -> WgslKernel {
        kernel_in_use(&self.client, &self.plan, self.dims)
    }

    /// Whether emissions and gradient can be read and written four labels at a time.
    fn lined(&self, lines: &Lines) -> bool {
        let l = self.dims[1];
        let e = lines.emission;
        let offset = self.emissions.handle.offset_start.unwrap_or(0);
        self.plan.order == Order::Sequence
            && self.emissions.dtype == DType::F32
            && l.is_multiple_of(4)
            && e.label == 1
            && offset.is_multiple_of(16)
            && [e.outer, e.inner, e.step]
                .iter()
                .all(|stride| stride.is_multiple_of(4))
    }

    /// Columns of sums that each direction leaves: one a chain, one a segment of it, or one a row of chains that one
    /// invocation walks one after the other.
    fn items(&self) -> Vec<usize> {
        let kernel = self.kernel();
        self.lines
            .iter()
            .map(|lines| match kernel {
                WgslKernel::Scan => lines.chains * lines.length.div_ceil(SEGMENT),
                WgslKernel::Chain if self.plan.group == Group::All && is_software(&self.client) => {
                    software_columns(lines)
                }
                _ => lines.chains,
            })
            .collect()
    }

    /// Whether the chain kernel counts gold steps itself: a software adapter reads labels lane by lane, so once is enough.
    fn tallies(&self) -> bool {
        self.plan.evidence == Evidence::Gold
            && self.kernel() == WgslKernel::Chain
            && is_software(&self.client)
    }

    fn unknown(&self) -> i32 {
        match self.plan.evidence {
            Evidence::Held { unknown } => unknown,
            _ => 0,
        }
    }

    /// One dispatch a call, nothing to finish: values, and tables where there is a gradient.
    fn pictures(&self, gradient: Option<&Handle>) -> (CubeTensor, Option<CubeTensor>) {
        let [b, l, h, w] = self.dims;
        let values = self.floats(b);
        let tables = gradient.map(|_| self.floats(2 * b * l * l));
        let strides = |tensor: &CubeTensor, axis: usize| tensor.meta.strides()[axis] as u32;
        let params = ImageParams {
            pictures: b as u32,
            h: h as u32,
            w: w as u32,
            e: [0, 1, 2, 3].map(|axis| strides(&self.emissions, axis)),
            y: if self.reads_labels() {
                [0, 1, 2].map(|axis| strides(&self.labels, axis))
            } else {
                [0; 3]
            },
            unknown: self.unknown(),
            scale: self.plan.scale,
            not_a_number: f32::NAN,
        };
        let params = self.client.create_from_slice(bytemuck::bytes_of(&params));
        let picture = Picture::new(l, h, w);
        Bindings::default()
            .bind("EMISSIONS", &self.emissions.handle)
            .bind("POTENTIALS", &self.potentials.handle)
            .bind_if(self.reads_labels(), "LABELS_AT", Some(&self.labels.handle))
            .bind_if(true, "GRADIENT_AT", gradient)
            .bind_if(true, "TABLES_AT", tables.as_ref())
            .bind("VALUES", &values)
            .bind("PARAMS", &params)
            .launch_sized(
                &self.client,
                Shader::Image,
                |values| {
                    let half = self.emissions.dtype == DType::F16;
                    picture
                        .values(values, &self.plan, gradient.is_some())
                        .flag("HALF", half)
                },
                b,
                picture.workgroup as u32,
            );
        (
            self.tensor(Shape::new([b]), values),
            tables.map(|tables| self.tensor(Shape::new([2, b, l * l]), tables)),
        )
    }

    fn params(&self, d: usize, sums_at: usize, items: usize, edges_at: usize) -> ChainParams {
        let lines = self.lines[d];
        let (e, y, g) = (lines.emission, lines.label, lines.gradient);
        let scan = self.kernel() == WgslKernel::Scan;
        ChainParams {
            chains: if scan { items } else { lines.chains } as u32,
            length: lines.length as u32,
            inner: lines.inner as u32,
            e: [e.outer, e.inner, e.step, e.label].map(|stride| stride as u32),
            y: [y.outer, y.inner, y.step].map(|stride| stride as u32),
            g: [g.outer, g.inner, g.step, g.label].map(|stride| stride as u32),
            potentials_at: (d * self.plan.width(self.dims[1])) as u32,
            sums_at: sums_at as u32,
            unknown: self.unknown(),
            scale: self.plan.scale,
            not_a_number: f32::NAN,
            segments: (items / lines.chains).max(1) as u32,
            edges_at: edges_at as u32,
            columns: items as u32,
        }
    }

    /// Values, and tables where there is a gradient.
    fn run(&self, gradient: Option<&Handle>) -> (CubeTensor, Option<CubeTensor>) {
        if self.kernel() == WgslKernel::Image {
            return self.pictures(gradient);
        }
        let sums = self.chains(gradient);
        self.finish(sums, gradient.is_some())
    }

    /// One dispatch a direction (three over long chains): leaves `[entries, items]` of each direction in the handle, and the
    /// gradient.
    fn chains(&self, gradient: Option<&Handle>) -> Handle {
        let l = self.dims[1];
        let entries = self.entries(gradient.is_some());
        let (kernel, items) = (self.kernel(), self.items());
        let sums = self.floats(entries * items.iter().sum::<usize>());
        let mut sums_at = 0;
        for (d, lines) in self.lines.iter().enumerate() {
            let items = items[d];
            let memory = self.client.properties().hardware.max_shared_memory_size;
            let tile = (kernel == WgslKernel::Lanes).then(|| Tile::new(l, lines.length, memory));
            // Scratch: the forward vectors, unless a workgroup keeps them; behind them what the scan over segments needs.
            let vectors = match (gradient, tile) {
                (None, _) | (_, Some(Tile { shared: true, .. })) => 0,
                _ if kernel == WgslKernel::Scan => SEGMENT * l * items,
                (_, Some(_)) => lines.length * l * lines.chains,
                // Four labels to a word.
                _ => lines.length * l.next_multiple_of(4) * items,
            };
            let edges = if kernel == WgslKernel::Scan {
                (3 * l + l * l) * items
            } else {
                0
            };
            let forward = (vectors + edges > 0).then(|| self.floats(vectors + edges));
            let params = self.params(d, sums_at, items, vectors);
            let params = self.client.create_from_slice(bytemuck::bytes_of(&params));
            let inputs = |labels: bool| {
                Bindings::default()
                    .bind("EMISSIONS", &self.emissions.handle)
                    .bind("POTENTIALS", &self.potentials.handle)
                    .bind_if(labels, "LABELS_AT", Some(&self.labels.handle))
                    .bind_if(self.plan.ragged, "LENGTHS", Some(&self.lengths.handle))
                    .bind_if(true, "FORWARD", forward.as_ref())
            };
            let half = self.emissions.dtype == DType::F16;
            if kernel == WgslKernel::Scan {
                inputs(matches!(self.plan.evidence, Evidence::Held { .. }))
                    .bind("PARAMS", &params)
                    .launch(
                        &self.client,
                        Shader::Segments,
                        |values| segments_values(values, l, &self.plan, half),
                        (items * l).div_ceil(WORKGROUP as usize),
                    );
                let scan_params = [items as u32, (items / lines.chains) as u32, vectors as u32];
                let scan_params = self
                    .client
                    .create_from_slice(bytemuck::cast_slice(&scan_params));
                let bindings = Bindings::default().bind_if(true, "FORWARD", forward.as_ref());
                bindings.bind("PARAMS", &scan_params).launch(
                    &self.client,
                    Shader::Scan,
                    |values| values.with("L", l).with("L2", l * l),
                    (2 * lines.chains).div_ceil(WORKGROUP as usize),
                );
            }
            let bindings = inputs(self.reads_labels())
                .bind_if(true, "GRADIENT_AT", gradient)
                .bind("SUMS", &sums)
                .bind("PARAMS", &params);
            let values = |values: Values| {
                chain_values(values, l, &self.plan, gradient.is_some(), d > 0)
                    .with("VALUE", entries - 1)
                    .flag("HALF", half)
            };
            if let Some(tile) = tile {
                bindings.launch_sized(
                    &self.client,
                    Shader::Lanes,
                    |bound| tile.values(values(bound)),
                    items.div_ceil(tile.chains),
                    tile.workgroup() as u32,
                );
            } else {
                let walk = Walk {
                    of: match kernel {
                        WgslKernel::Scan => Walked::Segment,
                        _ if items < lines.chains => Walked::Chains,
                        _ => Walked::Chain,
                    },
                    registers: keeps_transitions(l, &self.client),
                    lined: self.lined(lines),
                    tally: self.tallies(),
                };
                let workgroup = if is_software(&self.client) {
                    SOFTWARE_WORKGROUP
                } else {
                    WORKGROUP
                };
                bindings.launch_sized(
                    &self.client,
                    Shader::Chain,
                    |bound| walk_values(values(bound), l, walk, gradient.is_some()),
                    items.div_ceil(workgroup as usize),
                    workgroup,
                );
            }
            sums_at += entries * items;
        }
        sums
    }

    /// Sums `[entries, chains]` into groups: values `[groups]`, and tables `[d, groups, width]` where there are any.
    fn finish(&self, mut sums: Handle, gradient: bool) -> (CubeTensor, Option<CubeTensor>) {
        let l = self.dims[1];
        let entries = self.entries(gradient);
        let groups = self.plan.groups(self.dims);
        let mut items = self.items();
        // The scan's last pass has counted its own gold steps.
        let mut count = gradient
            && self.plan.evidence == Evidence::Gold
            && self.kernel() != WgslKernel::Scan
            && !self.tallies();
        // One long row of chains: blocks of them first, so that no lane walks them all.
        let most = if is_software(&self.client) {
            SOFTWARE_COLUMNS
        } else {
            FINISH_ROUND
        };
        while self.plan.group == Group::All && items[0] > most {
            let rounded_groups = items[0].div_ceil(FINISH_ROUND);
            let rounded = self.floats(entries * rounded_groups);
            self.finish_round(
                &sums,
                &items,
                FINISH_ROUND,
                rounded_groups,
                gradient,
                count,
                Some(&rounded),
                None,
            );
            sums = rounded;
            items = vec![rounded_groups];
            count = false;
        }
        let values = self.floats(groups);
        let tables = gradient.then(|| self.floats(self.lines.len() * groups * (entries - 1)));
        let group = items[0].div_ceil(groups);
        self.finish_round(
            &sums,
            &items,
            group,
            groups,
            gradient,
            count,
            None,
            Some((&values, tables.as_ref())),
        );
        (
            self.tensor(Shape::new([groups]), values),
            tables.map(|tables| {
                self.tensor(
                    Shape::new([self.lines.len(), groups, self.plan.width(l)]),
                    tables,
                )
            }),
        )
    }

    #[allow(clippy::too_many_arguments, reason = "one launch, spelled out")]
    fn finish_round(
        &self,
        sums: &Handle,
        items: &[usize],
        group: usize,
        groups: usize,
        gradient: bool,
        count: bool,
        rounded: Option<&Handle>,
        results: Option<(&Handle, Option<&Handle>)>,
    ) {
        let l = self.dims[1];
        let entries = self.entries(gradient);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(bytemuck::bytes_of(&(groups as u32)));
        bytes.extend_from_slice(bytemuck::bytes_of(&self.plan.scale));
        let mut sums_at = 0;
        for (d, (lines, &items)) in self.lines.iter().zip(items).enumerate() {
            let y = lines.label;
            bytes.extend_from_slice(bytemuck::bytes_of(&FinishDirection {
                sums_at: sums_at as u32,
                items: items as u32,
                // Rows and columns of a picture differ in number: each direction has its own group size.
                group: if d == 0 {
                    group
                } else {
                    items.div_ceil(groups)
                } as u32,
                length: lines.length as u32,
                inner: lines.inner as u32,
                y: [y.outer, y.inner, y.step].map(|stride| stride as u32),
                tables_at: (d * groups * (entries - 1)) as u32,
            }));
            sums_at += entries * items;
        }
        let params = self.client.create_from_slice(&bytes);
        let (values, tables) =
            results.map_or((None, None), |(values, tables)| (Some(values), tables));
        Bindings::default()
            .bind("SUMS", sums)
            .bind_if(count, "LABELS_AT", Some(&self.labels.handle))
            .bind_if(
                count && self.plan.ragged,
                "LENGTHS",
                Some(&self.lengths.handle),
            )
            .bind_if(true, "ROUNDED", rounded)
            .bind_if(true, "VALUES", values)
            .bind_if(true, "TABLES_AT", tables)
            .bind("PARAMS", &params)
            .launch(
                &self.client,
                Shader::Finish,
                |values| {
                    finish_values(
                        values,
                        l,
                        &self.plan,
                        entries,
                        count,
                        tables.is_some(),
                        rounded.is_some(),
                    )
                },
                groups,
            );
    }

    /// Best paths `[chains, t]` and scores.
    fn viterbi(&self) -> (Handle, Handle) {
        let l = self.dims[1];
        let lines = self.lines[0];
        let e = lines.emission;
        let params = ViterbiParams {
            chains: lines.chains as u32,
            length: lines.length as u32,
            inner: lines.inner as u32,
            e: [e.outer, e.inner, e.step, e.label].map(|stride| stride as u32),
        };
        let params = self.client.create_from_slice(bytemuck::bytes_of(&params));
        let words = l.div_ceil(4);
        let choices = self.floats(lines.chains * lines.length * words);
        let (paths, scores) = (
            self.floats(lines.chains * lines.length),
            self.floats(lines.chains),
        );
        Bindings::default()
            .bind("EMISSIONS", &self.emissions.handle)
            .bind("POTENTIALS", &self.potentials.handle)
            .bind_if(self.plan.ragged, "LENGTHS", Some(&self.lengths.handle))
            .bind("CHOICES", &choices)
            .bind("PATHS", &paths)
            .bind("SCORES", &scores)
            .bind("PARAMS", &params)
            .launch(
                &self.client,
                Shader::Viterbi,
                |values| viterbi_values(values, l, &self.plan, self.emissions.dtype == DType::F16),
                lines.chains.div_ceil(WORKGROUP as usize),
            );
        (paths, scores)
    }
}

/// A gradient times the upstream gradient of its group, each group one piece of memory; in place where nobody else holds it.
fn scaled(gradient: CubeTensor, upstream: &CubeTensor, groups: usize) -> CubeTensor {
    let elements = gradient.meta.shape().num_elements();
    let wide = (elements / groups).is_multiple_of(4)
        && gradient.handle.offset_start.unwrap_or(0).is_multiple_of(16);
    let words = if wide { elements / 4 } else { elements };
    let client = gradient.client.clone();
    let in_place = gradient.can_mut();
    let result = if in_place {
        gradient.handle.clone()
    } else {
        client.empty(elements * size_of::<f32>())
    };
    let params = [words as u32, (words / groups) as u32];
    let params = client.create_from_slice(bytemuck::cast_slice(&params));
    Bindings::default()
        .bind("GRADIENT_AT", &gradient.handle)
        .bind_if(!in_place, "SCALED", Some(&result))
        .bind("UPSTREAM", &upstream.handle)
        .bind("PARAMS", &params)
        .launch(
            &client,
            Shader::Scale,
            |values| values.flag("WIDE", wide).flag("IN_PLACE", in_place),
            words.div_ceil(WORKGROUP as usize),
        );
    if in_place {
        gradient
    } else {
        CubeTensor {
            handle: result,
            ..gradient
        }
    }
}

/// The kernel that a call runs: what [`WgslKernel::chosen`] says of it.
pub(crate) fn kernel_in_use(
    client: &Client,
    plan: &Plan,
    dims @ [_, l, h, w]: [usize; 4],
) -> WgslKernel {
    let lines = |rows| plan.lines(rows, dims, [0; 4], [0; 3]);
    let most = |of: fn(&Lines) -> usize| {
        plan.rows_and_columns()
            .map(|rows| of(&lines(rows)))
            .max()
            .unwrap_or(0)
    };
    let memory = client.properties().hardware.max_shared_memory_size;
    let whole_pictures = plan.order == Order::Grid
        && plan.group == Group::Picture
        && plan.directions == Directions::Both
        && plan.evidence != Evidence::LogPartition;
    plan.kernel.chosen(Work {
        software: is_software(client),
        labels: l,
        chains: most(|lines| lines.chains),
        length: most(|lines| lines.length),
        image_fits: whole_pictures && Picture::new(l, h, w).fits(memory),
    })
}

/// How `crf_image.wgsl` holds a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Picture {
    labels: usize,
    /// Bytes of its emissions.
    emission_bytes: usize,
    /// Elements of its x, a row one longer than it is.
    size: usize,
    /// Positions of the shorter and of the longer direction.
    sides: [usize; 2],
    workgroup: usize,
}

impl Picture {
    fn new(labels: usize, h: usize, w: usize) -> Self {
        Self {
            labels,
            emission_bytes: labels * h * w * size_of::<f32>(),
            size: labels * h * (w + 1),
            sides: [h.min(w), h.max(w)],
            workgroup: (2 * h.max(w).next_power_of_two()).max(64),
        }
    }

    /// Whether the kernel takes it, on a device with this much workgroup memory.
    fn fits(&self, memory_bytes: usize) -> bool {
        let [short, long] = self.sides;
        let elements = 3 * self.size + 4 * self.labels * self.labels + self.workgroup;
        short > 1
            && long <= 128
            && self.emission_bytes <= IMAGE_BYTES
            && elements * size_of::<f32>() <= memory_bytes
    }

    fn values(&self, values: Values, plan: &Plan, gradient: bool) -> Values {
        let l = self.labels;
        values
            .with("L", l)
            .with("L2", l * l)
            .with("TABLES2", 2 * l * l)
            .with("HALF_WG", self.workgroup / 2)
            .with("SIZE", self.size)
            .with("SIZE2", 2 * self.size)
            .flag("GRADIENT", gradient)
            .evidence(plan)
    }
}

/// How one workgroup of `crf_lanes.wgsl` is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile {
    labels: usize,
    /// Labels rounded up to a power of two.
    lanes: usize,
    /// Chains a workgroup.
    chains: usize,
    /// Whether the kept vectors fit workgroup memory.
    shared: bool,
    /// Elements of them.
    store: usize,
}

impl Tile {
    fn new(labels: usize, length: usize, memory_bytes: usize) -> Self {
        let lanes = labels.next_power_of_two();
        let chains = (WORKGROUP as usize / (2 * lanes)).max(1);
        // Lengths in steps of powers of two: the text, and so the pipeline, changes with them.
        let store = chains * length.next_power_of_two() * labels;
        // 16 KiB is what every device has; more would cost occupancy.
        let budget = memory_bytes.min(16 << 10) / size_of::<f32>();
        let shared = store + chains * (12 * lanes + labels * labels) <= budget;
        Self {
            labels,
            lanes,
            chains,
            shared,
            store,
        }
    }

    fn workgroup(&self) -> usize {
        self.chains * 2 * self.lanes
    }

    fn values(&self, values: Values) -> Values {
        values
            .with("LP", self.lanes)
            .with("CHAINS", self.chains)
            .with("EXCHANGE", self.chains * 4 * self.lanes)
            .with("PAIRS", self.chains * self.labels * self.labels)
            .with("STORE", self.store)
            .flag("SHARED", self.shared)
    }
}

/// Whether each invocation of `crf_chain.wgsl` keeps the transition matrix to itself: 16 registers at most on a GPU; a software
/// adapter reads workgroup memory lane by lane, so that even a spilled register is faster.
fn keeps_transitions(l: usize, client: &Client) -> bool {
    l <= 4 || is_software(client)
}

/// Invocations that share the chains of a direction on a software adapter: a vector or two for each core, while no
/// invocation's loops pass the adapter's count of trips.
fn software_columns(lines: &Lines) -> usize {
    let trips = 3 * lines.length + 1;
    let rounds = (SOFTWARE_TRIPS / trips).max(1);
    lines
        .chains
        .min(SOFTWARE_COLUMNS)
        .max(lines.chains.div_ceil(rounds))
}

/// Whether the adapter is a CPU behind a GPU's interface.
fn is_software(client: &Client) -> bool {
    client.properties().identity.physical.is_none()
}

/// What one invocation of `crf_chain.wgsl` walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walked {
    /// A chain.
    Chain,
    /// Several, one after the other.
    Chains,
    /// A segment of a chain: the third pass of the scan.
    Segment,
}

/// What only `crf_chain.wgsl` is told.
#[derive(Debug, Clone, Copy)]
struct Walk {
    of: Walked,
    /// Each lane keeps the transition matrix to itself.
    registers: bool,
    /// Labels lie side by side in fours.
    lined: bool,
    /// Gold steps are counted on the way.
    tally: bool,
}

/// The constants that only `crf_chain.wgsl` takes.
fn walk_values(values: Values, l: usize, walk: Walk, gradient: bool) -> Values {
    values
        .with("L4", l.div_ceil(4))
        .with("LP4", l.next_multiple_of(4))
        .flag("REGISTERS", walk.registers)
        .flag("SEGMENTS", walk.of == Walked::Segment)
        .with("SEGMENT", SEGMENT)
        .flag("KEEPS", gradient || walk.of == Walked::Segment)
        .flag("WIDE", gradient && walk.of != Walked::Segment)
        .flag("LINED", walk.lined)
        .flag("TALLY", walk.tally)
        .flag("MANY", walk.of == Walked::Chains)
}

/// The constants of `crf_segments.wgsl`.
fn segments_values(values: Values, l: usize, plan: &Plan, half: bool) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .with("SEGMENT", SEGMENT)
        .flag("HELD", matches!(plan.evidence, Evidence::Held { .. }))
        .flag("RAGGED", plan.ragged)
        .flag("BOUNDARIES", plan.boundaries)
        .flag("HALF", half)
}

/// The constants of `crf_viterbi.wgsl`.
fn viterbi_values(values: Values, l: usize, plan: &Plan, half: bool) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .with("WORDS", l.div_ceil(4))
        .flag("RAGGED", plan.ragged)
        .flag("BOUNDARIES", plan.boundaries)
        .flag("HALF", half)
}

impl Values {
    /// What is known of the labels.
    fn evidence(self, plan: &Plan) -> Self {
        let held = matches!(plan.evidence, Evidence::Held { .. });
        let gold = plan.evidence == Evidence::Gold;
        self.flag("LABELS", gold || held)
            .flag("GOLD", gold)
            .flag("HELD", held)
    }
}

/// The constants that `crf_chain.wgsl` takes from the plan.
fn chain_values(values: Values, l: usize, plan: &Plan, gradient: bool, add: bool) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .flag("GRADIENT", gradient)
        .evidence(plan)
        .flag("FREE", plan.evidence == Evidence::Free)
        .flag("PARTITION", plan.evidence == Evidence::LogPartition)
        .flag("RAGGED", plan.ragged)
        .flag("BOUNDARIES", plan.boundaries)
        .flag("ADD", add)
}

/// The constants of `crf_finish.wgsl`.
fn finish_values(
    values: Values,
    l: usize,
    plan: &Plan,
    entries: usize,
    count: bool,
    tables: bool,
    round: bool,
) -> Values {
    values
        .with("L", l)
        .with("L2", l * l)
        .with("D", plan.direction_count())
        .with("ENTRIES", entries)
        .with("WIDTH", entries - 1)
        .flag("COUNT", count)
        .flag("RAGGED", plan.ragged)
        .flag("TABLES", tables)
        .flag("ROUND", round)
}

impl CrfOps for CubeBackend {
    fn crf_value(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let call = Call::new(emissions, labels, potentials, lengths, plan);
        call.run(None).0
    }

    fn crf_gradient(
        emissions: FloatTensor<Self>,
        labels: IntTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let call = Call::new(emissions, labels, potentials, lengths, plan);
        let [b, l, h, w] = call.dims;
        let gradient = call.floats(b * l * h * w);
        let (values, tables) = call.run(Some(&gradient));
        let gradient = match plan.order {
            Order::Grid => call.tensor(Shape::new(call.dims), gradient),
            Order::Sequence => {
                let dense = call.tensor(Shape::new([b, h, w, l]), gradient);
                CubeBackend::float_permute(dense, &[0, 3, 1, 2]) // [1, n, t, l] -> [1, l, n, t]
            }
        };
        (
            values,
            gradient,
            tables.expect("tables are made with a gradient"),
        )
    }

    fn crf_viterbi(
        emissions: FloatTensor<Self>,
        potentials: FloatTensor<Self>,
        lengths: IntTensor<Self>,
        plan: Plan,
    ) -> (IntTensor<Self>, FloatTensor<Self>) {
        let labels = lengths.clone(); // no label is read
        let call = Call::new(emissions, labels, potentials, lengths, plan);
        let (paths, scores) = call.viterbi();
        let [b, _, h, w] = call.dims;
        let mut paths = call.tensor(Shape::new([b, h, w]), paths);
        paths.dtype = DType::I32;
        (paths, call.tensor(Shape::new([b * h]), scores))
    }

    fn crf_scaled(
        gradient: FloatTensor<Self>,
        upstream: FloatTensor<Self>,
        plan: Plan,
    ) -> FloatTensor<Self> {
        let dims: [usize; 4] = core::array::from_fn(|axis| gradient.shape()[axis]);
        let groups = upstream.shape()[0];
        let as_written =
            (0..4).all(|axis| gradient.meta.strides()[axis] == plan.gradient_strides(dims)[axis]);
        if !plan.group_in_one_piece() || !as_written || upstream.dtype != DType::F32 {
            return Self::float_mul(
                gradient,
                Self::float_reshape(upstream, Shape::new(upstream_shape(groups, dims, &plan))),
            );
        }
        scaled(gradient, &burn_wgpu::into_contiguous(upstream), groups)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
pub(crate) mod tests {
    use super::*;
    use burn::tensor::{Device, DeviceKind};

    /// Bytes of a guard: any device's binding alignment.
    const GUARD: usize = 256;
    const SENTINEL: u8 = 0xa5;

    thread_local! {
        static GUARDED: std::cell::RefCell<Vec<(Handle, usize)>> = const { std::cell::RefCell::new(vec![]) };
    }

    /// `size` bytes between two guards; the whole allocation is filled with the sentinel.
    pub(crate) fn guarded(client: &Client, size: usize) -> Handle {
        let tail = size.next_multiple_of(GUARD) - size + GUARD;
        let whole = client.create_from_slice(&vec![SENTINEL; GUARD + size + tail]);
        GUARDED.with_borrow_mut(|guarded| guarded.push((whole.clone(), size)));
        whole.offset_start(GUARD as u64).offset_end(tail as u64)
    }

    /// Runs a call whose last workgroups are only partly filled, and reads every guard.
    fn guards_stay(device: &burn::tensor::Device, plan: Plan, dims: [usize; 4]) {
        let burn::backend::DispatchDevice::Cube(cube) = device.as_dispatch() else {
            unreachable!("a wgpu device")
        };
        let [b, l, h, w] = dims;
        let numbers =
            |count: usize, stream| crate::cases::Numbers::new(61, stream).normals(count, 1.0);
        let data = |values: Vec<f32>, shape: &[usize]| {
            CubeBackend::float_from_data(
                burn::tensor::TensorData::new(values, shape.to_vec()),
                cube,
            )
        };
        let ints = |values: Vec<i32>, shape: &[usize]| {
            CubeBackend::int_from_data(burn::tensor::TensorData::new(values, shape.to_vec()), cube)
        };
        let call = Call::new(
            data(numbers(b * l * h * w, 0), &dims),
            ints(
                crate::cases::Numbers::new(61, 1).labels(b * h * w, l),
                &[b, h, w],
            ),
            data(
                numbers(plan.direction_count() * plan.width(l), 2),
                &[plan.direction_count(), plan.width(l)],
            ),
            ints(
                (0..(b * h) as i32).map(|n| n % (w as i32 + 1)).collect(),
                &[b * h],
            ),
            plan,
        );
        GUARDED.with_borrow_mut(Vec::clear);
        let gradient = call.floats(b * l * h * w);
        call.run(Some(&gradient));
        if !plan.rows_and_columns().eq([true, false]) {
            call.viterbi();
        }
        let guarded = GUARDED.take();
        assert!(guarded.len() >= 3);
        for (whole, size) in guarded {
            let bytes = call.client.read_one(whole).unwrap();
            let clean = |bytes: &[u8]| bytes.iter().all(|&byte| byte == SENTINEL);
            assert!(
                clean(&bytes[..GUARD]),
                "written before a buffer of {size} bytes, {plan:?}"
            );
            assert!(
                clean(&bytes[GUARD + size..]),
                "written behind a buffer of {size} bytes, {plan:?}"
            );
            // And what lies between has been written: a launch that never ran would leave the sentinel everywhere.
            assert!(
                !clean(&bytes[GUARD..GUARD + size]),
                "a buffer of {size} bytes was never written, {plan:?}"
            );
        }
    }

    #[test]
    fn kernels_write_inside_their_buffers() {
        let found = [DeviceKind::Cpu, DeviceKind::DefaultDevice]
            .into_iter()
            .find_map(|kind| Device::wgpu_options().device_kind(kind).init().ok());
        let required = std::env::var("DEMOTIC_REQUIRE_ADAPTER").is_ok_and(|value| value == "1");
        assert!(
            found.is_some() || !required,
            "no wgpu adapter, and DEMOTIC_REQUIRE_ADAPTER=1 asks for one"
        );
        let Some(device) = found else {
            eprintln!("skipped: no wgpu adapter");
            return;
        };
        for kernel in [WgslKernel::Chain, WgslKernel::Lanes, WgslKernel::Image] {
            let grid = Plan {
                directions: Directions::Both,
                group: Group::Picture,
                evidence: Evidence::Gold,
                order: Order::Grid,
                ragged: false,
                boundaries: false,
                scale: 0.5,
                kernel,
            };
            guards_stay(&device, grid, [3, 3, 5, 7]);
            if kernel == WgslKernel::Image {
                continue; // pictures only
            }
            let sequence = Plan {
                directions: Directions::Rows,
                group: Group::All,
                order: Order::Sequence,
                ragged: true,
                boundaries: true,
                ..grid
            };
            guards_stay(&device, sequence, [1, 5, 131, 9]);
        }
    }

    /// Every kernel that a plan can launch, built as the launch code builds it.
    pub(crate) fn kernels(l: usize, plan: &Plan, half: bool) -> Vec<Kernel> {
        let numbered = |names: &[&str]| {
            names
                .iter()
                .enumerate()
                .fold(Values::default(), |values, (at, name)| {
                    values.with(name, at)
                })
        };
        // The bindings of the kernels that walk chains.
        let names = [
            "EMISSIONS",
            "POTENTIALS",
            "LABELS_AT",
            "LENGTHS",
            "FORWARD",
            "GRADIENT_AT",
            "SUMS",
            "PARAMS",
        ];
        let mut kernels = vec![];
        for gradient in [false, true] {
            let entries = if gradient { plan.width(l) + 1 } else { 1 };
            for add in [false, true] {
                for (of, lined) in [
                    (Walked::Chain, false),
                    (Walked::Segment, false),
                    (Walked::Chains, l.is_multiple_of(4) && !add && !half),
                ] {
                    let values = chain_values(numbered(&names), l, plan, gradient, add)
                        .with("VALUE", entries - 1)
                        .flag("HALF", half)
                        .with("WG", WORKGROUP);
                    // In registers up to 16 labels: what a software adapter is given.
                    let registers = l <= 4 || (add && l <= 16);
                    let walk = Walk {
                        of,
                        registers,
                        lined,
                        tally: registers && of == Walked::Chains && plan.evidence == Evidence::Gold,
                    };
                    let values = walk_values(values, l, walk, gradient);
                    kernels.push(Kernel {
                        shader: Shader::Chain,
                        values,
                        workgroup: WORKGROUP,
                    });
                }
            }
            for length in [32, 1000] {
                let tile = Tile::new(l, length, 32 << 10);
                let values = chain_values(numbered(&names), l, plan, gradient, length == 32)
                    .with("VALUE", entries - 1)
                    .flag("HALF", half);
                let workgroup = tile.workgroup() as u32;
                let values = tile.values(values).with("WG", workgroup);
                kernels.push(Kernel {
                    shader: Shader::Lanes,
                    values,
                    workgroup,
                });
            }
            for round in [false, true] {
                let values = numbered(&[
                    "SUMS",
                    "LABELS_AT",
                    "LENGTHS",
                    "ROUNDED",
                    "VALUES",
                    "TABLES_AT",
                    "PARAMS",
                ]);
                let values = finish_values(
                    values,
                    l,
                    plan,
                    entries,
                    gradient && plan.evidence == Evidence::Gold,
                    gradient && !round,
                    round,
                );
                kernels.push(Kernel {
                    shader: Shader::Finish,
                    values: values.with("WG", WORKGROUP),
                    workgroup: WORKGROUP,
                });
            }
        }
        let names = [
            "EMISSIONS",
            "POTENTIALS",
            "LABELS_AT",
            "LENGTHS",
            "FORWARD",
            "PARAMS",
        ];
        let values = segments_values(numbered(&names), l, plan, half).with("WG", WORKGROUP);
        kernels.push(Kernel {
            shader: Shader::Segments,
            values,
            workgroup: WORKGROUP,
        });
        let values = numbered(&["FORWARD", "PARAMS"])
            .with("L", l)
            .with("L2", l * l);
        kernels.push(Kernel {
            shader: Shader::Scan,
            values: values.with("WG", WORKGROUP),
            workgroup: WORKGROUP,
        });
        for gradient in [false, true] {
            let names = [
                "EMISSIONS",
                "POTENTIALS",
                "LABELS_AT",
                "GRADIENT_AT",
                "TABLES_AT",
                "VALUES",
                "PARAMS",
            ];
            let picture = Picture::new(l, 8, 6);
            let values = picture
                .values(numbered(&names), plan, gradient)
                .flag("HALF", half)
                .with("WG", picture.workgroup);
            kernels.push(Kernel {
                shader: Shader::Image,
                values,
                workgroup: picture.workgroup as u32,
            });
        }
        for (wide, in_place) in [(true, true), (false, false)] {
            let values = numbered(&["GRADIENT_AT", "SCALED", "UPSTREAM", "PARAMS"])
                .flag("WIDE", wide)
                .flag("IN_PLACE", in_place)
                .with("WG", WORKGROUP);
            kernels.push(Kernel {
                shader: Shader::Scale,
                values,
                workgroup: WORKGROUP,
            });
        }
        let names = [
            "EMISSIONS",
            "POTENTIALS",
            "LENGTHS",
            "CHOICES",
            "PATHS",
            "SCORES",
            "PARAMS",
        ];
        let values = viterbi_values(numbered(&names), l, plan, half).with("WG", WORKGROUP);
        kernels.push(Kernel {
            shader: Shader::Viterbi,
            values,
            workgroup: WORKGROUP,
        });
        kernels
    }
}
