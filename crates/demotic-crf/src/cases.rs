//! The one table of sizes that tests, gradient tests and benches share, and the reproducible numbers that
//! fill them.

use crate::number::{Real, Whole};

/// One size: `chains` chains of `length` positions over `labels` labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Positions in a chain, T.
    pub length: usize,
    /// Chains, B.
    pub chains: usize,
    /// Labels, L.
    pub labels: usize,
}

impl Case {
    /// A case of the table.
    pub const fn new(length: usize, chains: usize, labels: usize) -> Self {
        Self {
            length,
            chains,
            labels,
        }
    }

    /// `T16_B1024_L8`.
    pub fn name(&self) -> String {
        format!("T{}_B{}_L{}", self.length, self.chains, self.labels)
    }

    /// Positions in all.
    pub const fn positions(&self) -> usize {
        self.length * self.chains
    }

    /// Compulsory traffic of loss and gradient: emissions read, gradient written, one label byte per
    /// position.
    pub const fn bytes(&self) -> usize {
        (8 * self.labels + 1) * self.positions()
    }

    /// Multiply-adds of loss and gradient: forward, backward and pair sums, `L^2` each.
    pub const fn fmas(&self) -> usize {
        3 * self.labels * self.labels * self.positions()
    }
}

/// The sizes at which speed is stated.
pub const SPEED: [Case; 5] = [
    Case::new(16, 1024, 8),
    Case::new(32, 1024, 8),
    Case::new(64, 2048, 4),
    Case::new(64, 256, 16),
    Case::new(4096, 4, 8),
];

/// The grids `[b, l, h, w]` at which speed is stated: the quickstart's, one that fills a workgroup's memory,
/// and the two that a GPU's goals name.
pub const GRIDS: [[usize; 4]; 4] = [
    [8, 3, 8, 8],
    [16, 8, 16, 16],
    [16, 8, 32, 32],
    [64, 8, 64, 64],
];

/// The sizes at which every implementation is compared with float64: ragged, tiny, and long.
pub const SHAPES: [Case; 14] = [
    Case::new(1, 5, 2),
    Case::new(2, 3, 3),
    Case::new(3, 1, 5),
    Case::new(7, 9, 2),
    Case::new(16, 17, 4),
    Case::new(13, 8, 7),
    Case::new(33, 6, 8),
    Case::new(31, 65, 3),
    Case::new(20, 11, 12),
    Case::new(9, 4, 16),
    Case::new(64, 10, 6),
    Case::new(5, 3, 23),
    Case::new(8, 2, 32),
    Case::new(1024, 3, 4),
];

/// Reproducible numbers: a function of (seed, stream, step) and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    seed: u64,
    stream: u64,
}

impl Numbers {
    /// The numbers of one stream of one seed.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Self { seed, stream }
    }

    /// 64 random bits at `step`.
    ///
    /// # Source
    /// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014), applied to each key part in turn.
    pub const fn bits(&self, step: u64) -> u64 {
        const fn mix(mut z: u64) -> u64 {
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
        let golden = 0x9e37_79b9_7f4a_7c15u64;
        let a = mix(self.seed.wrapping_add(golden));
        let b = mix(a ^ self.stream.wrapping_mul(golden));
        mix(b.wrapping_add(step.wrapping_add(1).wrapping_mul(golden)))
    }

    /// Uniform in `[0, 1)` at `step`.
    pub fn uniform(&self, step: u64) -> f64 {
        (self.bits(step) >> 11).to_f64() / (1u64 << 53).to_f64()
    }

    /// Standard normal at `step` (Box-Muller over two uniforms).
    pub fn normal(&self, step: u64) -> f64 {
        let u = 1.0 - self.uniform(2 * step);
        let v = self.uniform(2 * step + 1);
        (-2.0 * u.ln()).sqrt() * (core::f64::consts::TAU * v).cos()
    }

    /// `count` normals of standard deviation `sd`.
    pub fn normals(&self, count: usize, sd: f64) -> Vec<f32> {
        (0..count as u64)
            .map(|step| (sd * self.normal(step)).to_f32())
            .collect()
    }

    /// `count` labels below `labels`.
    pub fn labels(&self, count: usize, labels: usize) -> Vec<i32> {
        (0..count as u64)
            .map(|step| (self.bits(step) % labels as u64).to_i32())
            .collect()
    }
}
