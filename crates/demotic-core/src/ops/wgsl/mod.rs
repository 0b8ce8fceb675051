//! The networks' kernels in WGSL: what their launches share. Each file `net_*.rs` launches the shader of
//! the same name in `shaders/`. What shapes a kernel's work (tiles, unrolled loops, workgroup memory) are
//! constants of its text. Sizes that only count what there is come beside it, so that layers share a kernel;
//! the driver keeps them from the first launch on, so that later ones upload nothing.

mod backend;
#[cfg(test)]
mod guards;
mod net_adam;
mod net_affine;
mod net_conv;
mod net_conv_sum;
mod net_conv_weight;
mod net_divergence;
mod net_edges;
mod net_error;
mod net_figures;
mod net_filter;
mod net_gather;
mod net_latent;
mod net_leaky;
mod net_mixed;
mod net_norm;
mod net_part;
mod net_resize;
mod net_styles;
mod net_total;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;

use std::cell::RefCell;
use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::StreamId;
use burn::tensor::{DType, Shape};
use burn_cubecl::tensor::CubeTensor;
use burn_wgpu::{KernelSource, SourceKernel, SourceTemplate};
use cubecl::client::Client;
use cubecl::prelude::{CubeCount, CubeDim, KernelId};
use cubecl::server::{Handle, KernelArguments, MetadataBindingInfo};
use demotic_crf::hash::fnv1a64;
use demotic_crf::template::{Values, expand};

use crate::ops::padded;

pub(crate) use backend::convolution_kernels;
pub(crate) use net_adam::sums as squared_sums;
pub(crate) use net_conv_weight::runs as weight_gradient_runs;

/// Workgroups along one axis; more go to the second.
const DISPATCH_MAX: u32 = 65_535;

/// Workgroups that a launch should have at least: fewer leave a large card's cores idle.
const WORKGROUPS_LEAST: usize = 128;

/// Bytes of workgroup memory that every device has.
const SHARED_BYTES: usize = 16 << 10;

/// A shader. The type is what names its kernels in profiles.
trait Shader: Debug + Copy + Eq + std::hash::Hash + Send + Sync + 'static {
    /// Its text, a template.
    const SOURCE: &'static str;
    /// Hash of the text: caches on disk do not hold the text, and an edit must not find its old kernel.
    const HASH: u64 = fnv1a64(Self::SOURCE.as_bytes());
    /// Invocations of a workgroup, where it has no reason for another number.
    const WORKGROUP: u32 = 64;
}

/// Declares a shader by the stem that its file, its launch file and its row in `shaders/README.md` share.
macro_rules! shader {
    ($(#[$doc:meta])* $name:ident = $stem:literal $(, $workgroup:literal)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) struct $name;

        impl Shader for $name {
            const SOURCE: &'static str = include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/",
                $stem,
                ".wgsl"
            ));
            $(const WORKGROUP: u32 = $workgroup;)?
        }
    };
}
use shader;

/// What a name in a kernel's text stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Constant {
    Number(u32),
    /// The bits of an f32.
    Real(u32),
    /// The place of a number among those that come beside the text.
    Size(usize),
    /// The same of an f32.
    RealSize(usize),
}

/// The names in a kernel's text, the numbers of its bindings among them; and the numbers that come beside it.
#[derive(Debug, Clone, Default)]
struct Constants {
    named: Vec<(&'static str, Constant)>,
    sizes: Vec<u32>,
}

fn word(value: usize) -> u32 {
    u32::try_from(value).expect("sizes of tensors on a device fit u32")
}

impl Constants {
    fn with(mut self, name: &'static str, value: usize) -> Self {
        self.named.push((name, Constant::Number(word(value))));
        self
    }

    fn flag(self, name: &'static str, on: bool) -> Self {
        self.with(name, usize::from(on))
    }

    fn real(mut self, name: &'static str, value: f32) -> Self {
        self.named.push((name, Constant::Real(value.to_bits())));
        self
    }

    /// A number that comes beside the text: kernels that differ in it are one.
    fn size(mut self, name: &'static str, value: usize) -> Self {
        self.named.push((name, Constant::Size(self.sizes.len())));
        self.sizes.push(word(value));
        self
    }

    /// Four words beside the text, a row of `sizes` that the text knows by its number; before all named ones.
    fn row(mut self, words: [u32; 4]) -> Self {
        debug_assert!(self.sizes.len().is_multiple_of(4), "rows come first");
        self.sizes.extend(words);
        self
    }

    /// [`Self::size`] of a real number.
    fn real_size(mut self, name: &'static str, value: f32) -> Self {
        self.named
            .push((name, Constant::RealSize(self.sizes.len())));
        self.sizes.push(value.to_bits());
        self
    }
}

/// Where a number beside the text stands in it.
fn place(at: usize) -> String {
    format!("sizes[{}][{}]", at / 4, at % 4)
}

/// A shader and the constants that make it one kernel.
#[derive(Debug, Clone)]
struct Kernel<S> {
    named: Vec<(&'static str, Constant)>,
    /// Numbers that come beside the text, and buffers.
    counts: [usize; 2],
    workgroup: u32,
    shader: PhantomData<S>,
}

impl<S: Shader> Kernel<S> {
    fn new(constants: &Constants, buffers: usize, workgroup: u32) -> Self {
        Self {
            named: constants.named.clone(),
            counts: [constants.sizes.len(), buffers],
            workgroup,
            shader: PhantomData,
        }
    }

    fn text(&self) -> String {
        let values = Values::default().with("WG", self.workgroup);
        let named = self.named.iter();
        let values = named.fold(values, |values, (name, constant)| match constant {
            Constant::Number(number) => values.with(name, number),
            // As WGSL writes it: with a point or an exponent.
            Constant::Real(bits) => values.with(name, format!("{:?}", f32::from_bits(*bits))),
            Constant::Size(at) => values.with(name, place(*at)),
            Constant::RealSize(at) => values.with(name, format!("bitcast<f32>({})", place(*at))),
        });
        let text = expand(S::SOURCE, &values);
        let [sizes, buffers] = self.counts;
        if sizes == 0 {
            return text;
        }
        let fours = sizes.div_ceil(4);
        format!(
            "@group(0) @binding({buffers}) var<uniform> sizes: array<vec4<u32>, {fours}>;\n{text}"
        )
    }
}

impl<S: Shader> KernelSource for Kernel<S> {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.text())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
            .info((S::HASH, self.named.clone()))
            .cube_dim(CubeDim::new_1d(self.workgroup).0)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// A launch that is being put together: buffers under the names that the shader's text has for their
/// bindings, and constants.
struct Launch<S> {
    handles: Vec<Handle>,
    constants: Constants,
    workgroup: u32,
    shader: PhantomData<S>,
}

impl<S: Shader> Launch<S> {
    fn new(constants: Constants) -> Self {
        Self {
            handles: Vec::with_capacity(8),
            constants,
            workgroup: S::WORKGROUP,
            shader: PhantomData,
        }
    }

    fn workgroup(mut self, invocations: usize) -> Self {
        self.workgroup = u32::try_from(invocations).expect("workgroups are small");
        self
    }

    fn bind(mut self, name: &'static str, handle: &Handle) -> Self {
        self.constants = self.constants.with(name, self.handles.len());
        self.handles.push(handle.clone());
        self
    }

    fn bind_tensor(self, name: &'static str, tensor: &CubeTensor) -> Self {
        self.bind(name, &tensor.handle)
    }

    /// Launches one invocation an element.
    fn over(self, client: &Client, elements: usize) {
        let groups = elements.div_ceil(self.workgroup as usize);
        let groups = u32::try_from(groups).expect("sizes of tensors on a device fit u32");
        let x = groups.clamp(1, DISPATCH_MAX);
        self.groups(client, [x, groups.div_ceil(x), 1]);
    }

    /// Launches a grid of workgroups.
    fn groups(self, client: &Client, [x, y, z]: [u32; 3]) {
        #[cfg(test)]
        tests::hold_to_row::<S>(self.handles.len(), self.workgroup);
        let kernel = Kernel::<S>::new(&self.constants, self.handles.len(), self.workgroup);
        let dim = CubeDim::new_1d(kernel.workgroup);
        let buffers = self.handles.into_iter().map(Handle::binding).collect();
        // As the text reads them: fours of words.
        let mut sizes = self.constants.sizes;
        sizes.resize(sizes.len().next_multiple_of(4), 0);
        let pairs = sizes.as_chunks::<2>().0.iter();
        let pairs = pairs.map(|[low, high]| u64::from(*low) | (u64::from(*high) << 32));
        client.launch(
            Box::new(SourceKernel::new(kernel, dim)),
            CubeCount::Static(x, y, z),
            KernelArguments::new()
                .with_buffers(buffers)
                .with_info(MetadataBindingInfo::custom(pairs.collect())),
        );
    }
}

/// Elements that an invocation sums before another workgroup is worth its while.
const SUMMED_EACH: usize = 16;

/// Workgroups that sum an array: as many as one workgroup can add up, at most.
fn sums_of(size: usize, workgroup: u32) -> usize {
    let workgroup = workgroup as usize;
    size.div_ceil(workgroup * SUMMED_EACH).clamp(1, workgroup)
}

/// A workgroup count.
fn count(groups: usize) -> u32 {
    u32::try_from(groups).expect("sizes of tensors on a device fit u32")
}

/// Row-major in f32, as every kernel reads its inputs.
fn plain(tensor: CubeTensor) -> CubeTensor {
    debug_assert_eq!(tensor.dtype, DType::F32);
    burn_wgpu::into_contiguous(tensor)
}

fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape = tensor.meta.shape();
    std::array::from_fn(|axis| shape[axis])
}

#[cfg(not(test))]
fn floats(client: &Client, count: usize) -> Handle {
    client.empty(count.max(1) * size_of::<f32>())
}

/// In this crate's own tests every buffer lies between two guards, which the tests read afterwards.
#[cfg(test)]
fn floats(client: &Client, count: usize) -> Handle {
    guards::guarded(client, count.max(1) * size_of::<f32>())
}

/// What lies in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Pairs of tensors.
    Pairs,
    /// Gradients by scales and shifts, which `net_styles` reads: apart from the pairs, which are many times
    /// as large.
    Affines,
}

impl Kind {
    /// Bytes of a room: the gradients of some dozen layers.
    const fn bytes(self) -> usize {
        match self {
            Self::Pairs => 16 << 20,
            Self::Affines => 1 << 20,
        }
    }
}

/// Memory that tensors of a kind are cut from, one behind the other, so that a kernel reads many of them by
/// one binding.
struct Room {
    kind: Kind,
    whole: Handle,
    /// Bytes that have been cut.
    used: usize,
}

thread_local! {
    /// The rooms of each device that this thread launches on, from the first tensor on until pairs are
    /// gathered: so the same layers lie in the same places in every step.
    static ROOMS: RefCell<Vec<Room>> = const { RefCell::new(Vec::new()) };
}

/// So many bytes of a room; memory of their own where they are more than one has.
fn in_room(client: &Client, kind: Kind, bytes: usize) -> Handle {
    if bytes > kind.bytes() {
        return client.empty(bytes);
    }
    let service = client.service_id();
    // A thread also runs what others queued, on their streams: who reads a tensor waits for the stream that
    // its memory was made on, so that must be the one that writes it.
    let stream = StreamId::current();
    ROOMS.with_borrow_mut(|rooms| {
        let is_here = |room: &Room| {
            let whole = &room.whole;
            room.kind == kind && whole.service == service && whole.stream == stream
        };
        let fits = |room: &Room| is_here(room) && room.used + bytes <= kind.bytes();
        if !rooms.iter().any(fits) {
            rooms.retain(|room| !is_here(room));
            rooms.push(Room {
                kind,
                whole: client.empty(kind.bytes()),
                used: 0,
            });
        }
        let room = rooms
            .iter_mut()
            .find(|room| is_here(room))
            .expect("there is one now");
        let start = room.used;
        // The next one begins where a device can bind it.
        room.used += bytes.next_multiple_of(padded(1) * size_of::<f32>());
        let end = kind.bytes() - start - bytes;
        let whole = room.whole.clone();
        whole.offset_start(start as u64).offset_end(end as u64)
    })
}

/// The rooms' pairs were gathered: what comes next has others.
fn leave_rooms() {
    ROOMS.with_borrow_mut(Vec::clear);
}

fn pair_of_floats(client: &Client, counts: [usize; 2]) -> [Handle; 2] {
    let [first, second] = counts.map(|count| count * size_of::<f32>());
    #[cfg(test)]
    if let Some(pair) = guards::guarded_pair(client, [first, second]) {
        return pair;
    }
    let gap = padded(counts[0]) * size_of::<f32>();
    let whole = in_room(client, Kind::Pairs, gap + second);
    [
        whole.clone().offset_end((gap + second - first) as u64),
        whole.offset_start(gap as u64),
    ]
}

/// Two new tensors in one buffer, which `net_gather` reads by one binding.
fn pair<const M: usize, const N: usize>(
    like: &CubeTensor,
    first: [usize; M],
    second: [usize; N],
) -> (CubeTensor, CubeTensor) {
    let counts = [first.iter().product(), second.iter().product()];
    let [a, b] = pair_of_floats(&like.client, counts);
    let tensor = |handle: Handle, shape: Shape| {
        let (client, device) = (like.client.clone(), like.device.clone());
        CubeTensor::new_contiguous(client, device, shape, handle, DType::F32)
    };
    (tensor(a, Shape::new(first)), tensor(b, Shape::new(second)))
}

/// A new tensor in the room of its kind.
fn roomed<const D: usize>(like: &CubeTensor, kind: Kind, shape: [usize; D]) -> CubeTensor {
    #[cfg(test)]
    if guards::are_set() {
        return empty(like, shape);
    }
    let bytes = shape.iter().product::<usize>().max(1) * size_of::<f32>();
    let handle = in_room(&like.client, kind, bytes);
    let (client, device) = (like.client.clone(), like.device.clone());
    CubeTensor::new_contiguous(client, device, Shape::new(shape), handle, DType::F32)
}

/// Bindings of a launch that reads many tensors: one for all that lie in one allocation.
#[derive(Clone, Default)]
struct Buffers(Vec<Handle>);

/// The byte of its allocation that memory begins at.
fn begin(handle: &Handle) -> u64 {
    handle.offset_start.unwrap_or(0)
}

impl Buffers {
    /// The number of the binding that holds this memory, too: one is widened, or it gets its own.
    fn hold(&mut self, handle: &Handle) -> usize {
        let allocation = |handle: &Handle| handle.memory.descriptor().id;
        let end = |handle: &Handle| handle.offset_end.unwrap_or(0);
        let same = |known: &Handle| allocation(known) == allocation(handle);
        let Some(number) = self.0.iter().position(same) else {
            self.0.push(handle.clone());
            return self.0.len() - 1;
        };
        let known = &mut self.0[number];
        known.offset_start = Some(begin(known).min(begin(handle)));
        known.offset_end = Some(end(known).min(end(handle)));
        number
    }
}

/// A new tensor on the device of another.
fn empty<const D: usize>(like: &CubeTensor, shape: [usize; D]) -> CubeTensor {
    let handle = floats(&like.client, shape.iter().product());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        Shape::new(shape),
        handle,
        DType::F32,
    )
}
