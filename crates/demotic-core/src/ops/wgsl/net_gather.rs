//! Launches `net_gather.wgsl`: many arrays into one buffer, summands and their runs added up.

use burn::backend::TensorMetadata;
use burn_cubecl::tensor::CubeTensor;

use super::{Buffers, Constants, Launch, Shader, begin, empty, leave_rooms, shader, word};
use crate::ops::near::Places;
use crate::ops::{GATHERED, padded};

shader! {
    /// `net_gather.wgsl`.
    NetGather = "net_gather", 256
}

const PART: [&str; GATHERED] = [
    "PART_0", "PART_1", "PART_2", "PART_3", "PART_4", "PART_5", "PART_6",
];

/// Summands that one launch takes: with more rows beside the text the driver would not keep them, and every
/// launch would upload them again.
const ROWS: usize = 120;
/// Rows beside the text are a multiple of these, so that launches of some more summands share a kernel.
const ROWS_STEP: usize = 30;

/// Writes arrays into `flat`, each padded; `parts`: the summands that are there, plain.
pub(super) fn launch(flat: &CubeTensor, parts: &[CubeTensor], places: &Places) {
    let mut parts = parts.iter();
    let there = places.are_there.iter();
    let summands: Vec<Option<&CubeTensor>> = there
        .map(|is_there| is_there.then(|| parts.next().expect("as many as are there")))
        .collect();
    launch_spaced(flat, places.start, &summands, &places.sizes, padded);
    leave_rooms();
}

/// Up to seven plain arrays end to end, without gaps: `[n]`.
pub(super) fn join(parts: &[CubeTensor]) -> CubeTensor {
    let sizes = parts.iter().map(|part| part.shape().num_elements());
    let sizes: Vec<usize> = sizes.collect();
    let joined = empty(&parts[0], [sizes.iter().sum()]);
    let parts: Vec<Option<&CubeTensor>> = parts.iter().map(Some).collect();
    launch_spaced(&joined, 0, &parts, &sizes, |size| size);
    joined
}

/// `summands`: as many an array, one array after the other; `room`: what an array of a size takes.
fn launch_spaced(
    flat: &CubeTensor,
    start: usize,
    summands: &[Option<&CubeTensor>],
    sizes: &[usize],
    room: fn(usize) -> usize,
) {
    let each = summands.len() / sizes.len();
    let mut part = Part::new(start);
    for (summands, size) in summands.chunks(each).zip(sizes) {
        if !part.take(summands, *size, room(*size)) {
            part.launch(flat, each);
            part = Part::new(part.start + part.length);
            let is_taken = part.take(summands, *size, room(*size));
            assert!(is_taken, "{each} summands are more than a launch takes");
        }
    }
    part.launch(flat, each);
}

/// A summand on its way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summand {
    /// Where its array goes in the launch's part.
    pub(super) from: usize,
    /// 0 where there is none.
    pub(super) size: usize,
    pub(super) runs: usize,
    /// The number of its buffer.
    pub(super) buffer: usize,
    /// Byte of the memory that it begins at.
    pub(super) begin: u64,
}

/// What one launch writes.
struct Part {
    start: usize,
    length: usize,
    buffers: Buffers,
    summands: Vec<Summand>,
}

impl Part {
    fn new(start: usize) -> Self {
        Self {
            start,
            length: 0,
            buffers: Buffers::default(),
            summands: vec![],
        }
    }

    /// Takes an array, each summand by the binding of one that shares its memory or by one of its own; false
    /// where there is no room for all of them.
    fn take(&mut self, summands: &[Option<&CubeTensor>], size: usize, room: usize) -> bool {
        let mut buffers = self.buffers.clone();
        let mut taken = Vec::with_capacity(summands.len());
        for summand in summands {
            let from = self.length;
            let Some(summand) = summand else {
                taken.push(Summand {
                    from,
                    ..Summand::default()
                });
                continue;
            };
            let handle = &summand.handle;
            let buffer = buffers.hold(handle);
            taken.push(Summand {
                from,
                size,
                runs: summand.shape().num_elements() / size,
                buffer,
                begin: begin(handle),
            });
        }
        if buffers.0.len() > GATHERED || self.summands.len() + taken.len() > ROWS {
            return false;
        }
        self.buffers = buffers;
        self.summands.extend(taken);
        self.length += room;
        true
    }

    /// `each`: summands of an array.
    fn launch(&self, flat: &CubeTensor, each: usize) {
        let firsts: Vec<u64> = self.buffers.0.iter().map(begin).collect();
        let summands = self.summands.iter().map(|summand| Summand {
            begin: summand.begin.saturating_sub(firsts[summand.buffer]),
            ..*summand
        });
        let summands: Vec<Summand> = summands.collect();
        let constants = constants([self.start, self.length], &summands, [firsts.len(), each]);
        let mut launch = Launch::<NetGather>::new(constants);
        for (name, buffer) in PART.into_iter().zip(&self.buffers.0) {
            launch = launch.bind(name, buffer);
        }
        launch
            .bind_tensor("FLAT", flat)
            .over(&flat.client, self.length);
    }
}

/// `summands`: where they begin in their buffers, in bytes; `each` of them an array.
pub(super) fn constants(
    [start, length]: [usize; 2],
    summands: &[Summand],
    [buffers, each]: [usize; 2],
) -> Constants {
    let constants = summands
        .iter()
        .fold(Constants::default(), |constants, summand| {
            let begin =
                usize::try_from(summand.begin).expect("a buffer on a device") / size_of::<f32>();
            let runs = summand.runs * (GATHERED + 1) + summand.buffer;
            constants.row([summand.from, summand.size, runs, begin].map(word))
        });
    let rows = summands.len();
    let missing = rows.next_multiple_of(ROWS_STEP) - rows;
    (0..missing)
        .fold(constants, |constants, _| constants.row([0; 4]))
        .with("COUNT", buffers)
        .size("START", start)
        .size("LENGTH", length)
        .size("ARRAYS", summands.len() / each)
        .size("SUMMANDS", each)
}
