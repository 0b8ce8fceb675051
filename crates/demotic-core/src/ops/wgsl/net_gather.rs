//! Launches `net_gather.wgsl`: several arrays into one buffer, runs added up.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;
use cubecl::server::Handle;

use super::{Constants, Launch, Shader, empty, shader, word};
use crate::ops::{GATHERED, padded};

shader! {
    /// `net_gather.wgsl`.
    NetGather = "net_gather", 256
}

const PART: [&str; GATHERED] = [
    "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "PART_5", "PART_6",
];

/// Writes `parts`, plain, into `flat` from `start` on, each padded; `sizes`: what each takes there.
pub(super) fn launch(flat: &CubeTensor, start: usize, parts: &[CubeTensor], sizes: &[usize]) {
    launch_spaced(flat, start, parts, sizes, padded);
}

/// Up to seven plain arrays end to end, without gaps: `[n]`.
pub(super) fn join(parts: &[CubeTensor]) -> CubeTensor {
    let sizes = parts.iter().map(|part| part.shape().num_elements());
    let sizes: Vec<usize> = sizes.collect();
    let joined = empty(&parts[0], [sizes.iter().sum()]);
    launch_spaced(&joined, 0, parts, &sizes, |size| size);
    joined
}

/// `room`: what an array of a size takes.
fn launch_spaced(
    flat: &CubeTensor,
    start: usize,
    parts: &[CubeTensor],
    sizes: &[usize],
    room: fn(usize) -> usize,
) {
    let (mut buffers, mut first, mut length) = (Vec::new(), start, 0);
    for (part, size) in parts.iter().zip(sizes) {
        let array = Array {
            from: length,
            size: *size,
            runs: part.shape().num_elements() / size,
            begin: begin(&part.handle),
        };
        if !take(&mut buffers, &part.handle, array) {
            launch_buffers(flat, first, &buffers, length);
            (buffers, first, length) = (Vec::new(), first + length, 0);
            take(&mut buffers, &part.handle, Array { from: 0, ..array });
        }
        length += room(*size);
    }
    launch_buffers(flat, first, &buffers, length);
}

/// An array on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Array {
    /// Where it goes in the launch's part.
    pub(super) from: usize,
    pub(super) size: usize,
    pub(super) runs: usize,
    /// Byte of the memory that it begins at.
    pub(super) begin: u64,
}

/// What one binding holds.
struct Buffer {
    handle: Handle,
    arrays: Vec<Array>,
}

fn begin(handle: &Handle) -> u64 {
    handle.offset_start.unwrap_or(0)
}

/// Takes an array into a launch, by the binding of one that shares its memory or by one of its own; false
/// where there is no room.
fn take(buffers: &mut Vec<Buffer>, handle: &Handle, array: Array) -> bool {
    let memory = |handle: &Handle| handle.memory.descriptor().id;
    let shared = buffers
        .iter_mut()
        .find(|buffer| buffer.arrays.len() == 1 && memory(&buffer.handle) == memory(handle));
    if let Some(buffer) = shared {
        let own = &mut buffer.handle;
        own.offset_start = Some(begin(own).min(begin(handle)));
        own.offset_end = Some(
            own.offset_end
                .unwrap_or(0)
                .min(handle.offset_end.unwrap_or(0)),
        );
        buffer.arrays.push(array);
        return true;
    }
    if buffers.len() == GATHERED {
        return false;
    }
    buffers.push(Buffer {
        handle: handle.clone(),
        arrays: vec![array],
    });
    true
}

fn launch_buffers(flat: &CubeTensor, start: usize, buffers: &[Buffer], length: usize) {
    let rows = buffers.iter().map(|buffer| {
        let first = begin(&buffer.handle);
        let array = |k: usize| {
            let array = buffer.arrays.get(k)?;
            let begin = array.begin - first;
            Some(Array { begin, ..*array })
        };
        [0, 1].map(|k| array(k).unwrap_or_default())
    });
    let rows: Vec<[Array; 2]> = rows.collect();
    let mut launch = Launch::<NetGather>::new(constants(start, &rows, length));
    for (name, buffer) in PART.into_iter().zip(buffers) {
        launch = launch.bind(name, &buffer.handle);
    }
    launch.bind_tensor("FLAT", flat).over(&flat.client, length);
}

/// The arrays of each buffer, from whose beginning they are counted.
pub(super) fn constants(start: usize, buffers: &[[Array; 2]], length: usize) -> Constants {
    let constants = buffers
        .iter()
        .fold(Constants::default(), |constants, arrays| {
            let row = |array: &Array| {
                let begin =
                    usize::try_from(array.begin).expect("a buffer on a device") / size_of::<f32>();
                [array.from, array.size, array.runs, begin].map(word)
            };
            let [first, second] = arrays;
            let constants = constants.row(row(first)).row(row(second));
            constants.row([0; 4]).row([0; 4])
        });
    constants
        .with("COUNT", buffers.len())
        .size("START", start)
        .size("LENGTH", length)
}
