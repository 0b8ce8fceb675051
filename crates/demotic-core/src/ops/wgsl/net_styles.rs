//! Launches `net_styles.wgsl`: gradients by a style code and by what the normalisations that read it learn.

use burn_cubecl::tensor::CubeTensor;

use super::{
    Buffers, Constants, DISPATCH_MAX, Launch, Shader, begin, count, dims, empty, shader, word,
};
use crate::ops::padded;

shader! {
    /// `net_styles.wgsl`.
    NetStyles = "net_styles"
}

/// Buffers of arrays that one launch binds, beside the code, the result and what came before.
pub(super) const PARTS: usize = 5;

const PART: [&str; PARTS] = ["PART_0", "PART_1", "PART_2", "PART_3", "PART_4"];

/// Normalisations that one launch takes: with more rows beside the text the driver would not keep them.
const NORMS: usize = 60;

/// The gradients by the code `[b, s]`, on top of `before`, and by each normalisation's matrix and bias, one
/// after the other, each padded, `length` elements; from those by scales and shifts, each with its matrix.
/// All plain.
pub(super) fn launch(
    code: &CubeTensor,
    mut before: Option<&CubeTensor>,
    norms: &[(CubeTensor, CubeTensor)],
    length: usize,
) -> CubeTensor {
    let codes @ [b, s] = dims(code);
    let result = empty(code, [length]);
    let mut part = Part::new(codes, b * s, padded(b * s));
    for (daffine, weight) in norms {
        if !part.take(daffine, weight) {
            part.launch(code, &result, before.take());
            part = Part {
                is_onto: true,
                ..Part::new(codes, part.end, part.end)
            };
            let is_taken = part.take(daffine, weight);
            assert!(is_taken, "two arrays lie in two buffers at most, width {s}");
        }
    }
    part.launch(code, &result, before);
    result
}

/// A normalisation, as a kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Norm {
    /// Where its gradients stand in the result.
    pub(super) from: usize,
    /// Twice its channels.
    pub(super) width: usize,
    /// Numbers of the buffers of the gradients by scales and shifts, and of the matrix.
    pub(super) buffers: [usize; 2],
    /// The bytes that they begin at.
    pub(super) begin: [u64; 2],
}

/// What one launch computes.
struct Part {
    /// Pictures, and entries of a code.
    codes: [usize; 2],
    /// The first element of the result that it writes behind those by the code, and the one behind the last.
    start: usize,
    end: usize,
    /// Those by the code are added to what an earlier launch left.
    is_onto: bool,
    buffers: Buffers,
    norms: Vec<Norm>,
}

impl Part {
    fn new(codes: [usize; 2], start: usize, end: usize) -> Self {
        Self {
            codes,
            start,
            end,
            is_onto: false,
            buffers: Buffers::default(),
            norms: vec![],
        }
    }

    /// Takes a normalisation; false where there is no room for it.
    fn take(&mut self, daffine: &CubeTensor, weight: &CubeTensor) -> bool {
        let mut buffers = self.buffers.clone();
        let numbers = [daffine, weight].map(|tensor| buffers.hold(&tensor.handle));
        if buffers.0.len() > PARTS || self.norms.len() == NORMS {
            return false;
        }
        let [s, width] = dims(weight);
        self.norms.push(Norm {
            from: self.end,
            width,
            buffers: numbers,
            begin: [daffine, weight].map(|tensor| begin(&tensor.handle)),
        });
        self.buffers = buffers;
        self.end += padded(s * width) + padded(width);
        true
    }

    fn launch(&self, code: &CubeTensor, result: &CubeTensor, before: Option<&CubeTensor>) {
        let firsts: Vec<u64> = self.buffers.0.iter().map(begin).collect();
        let norms = self.norms.iter().map(|norm| {
            let [daffine, weight] = norm.buffers.map(|number| firsts[number]);
            Norm {
                begin: [norm.begin[0] - daffine, norm.begin[1] - weight],
                ..*norm
            }
        });
        let norms: Vec<Norm> = norms.collect();
        let flags = [before.is_some(), self.is_onto];
        let range = [self.start, self.end];
        let constants = constants(self.codes, range, &norms, firsts.len(), flags);
        let mut launch = Launch::<NetStyles>::new(constants);
        for (name, buffer) in PART.into_iter().zip(&self.buffers.0) {
            launch = launch.bind(name, buffer);
        }
        let launch = launch
            .bind_tensor("CODE_AT", code)
            .bind_tensor("RESULT", result);
        let launch = match before {
            Some(before) => launch.bind_tensor("BEFORE", before),
            None => launch,
        };
        let elements = (self.end - self.start).div_ceil(NetStyles::WORKGROUP as usize);
        let groups = count(self.codes.iter().product::<usize>() + elements);
        let x = groups.clamp(1, DISPATCH_MAX);
        launch.groups(&code.client, [x, groups.div_ceil(x), 1]);
    }
}

/// `norms`: where their arrays begin in their buffers.
pub(super) fn constants(
    [batch, code]: [usize; 2],
    [start, end]: [usize; 2],
    norms: &[Norm],
    buffers: usize,
    [is_added, is_onto]: [bool; 2],
) -> Constants {
    let constants = norms.iter().fold(Constants::default(), |constants, norm| {
        let begin = norm
            .begin
            .map(|begin| usize::try_from(begin).expect("a buffer on a device") / size_of::<f32>());
        let room = padded(code * norm.width);
        let [daffine, weight] = norm.buffers;
        constants
            .row([norm.from, norm.width, begin[0], begin[1]].map(word))
            .row([daffine, weight, room, 0].map(word))
    });
    constants
        .with("HALF", NetStyles::WORKGROUP as usize / 2)
        .with("COUNT", buffers)
        .size("NORMS", norms.len())
        .size("BATCH", batch)
        .size("CODE", code)
        .size("CODES", batch * code)
        .size("START", start)
        .size("END", end)
        .flag("ADDED", is_added)
        .flag("ONTO", is_onto)
}
