//! What a device can do at most: bytes copied and multiply-adds a second, measured.

use std::hint::black_box;
use std::time::Instant;

use crate::number::Real;
use burn::tensor::Device;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use wide::f32x8;

use crate::ops::{is_far, is_flex};

/// A device's measured limits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes read and written a second by a pass over a large tensor, as of `demotic bench`; none where the
    /// device could not be timed.
    pub copy_bytes_per_sec: Option<f64>,
    /// Fused multiply-adds in f32 a second, outside memory and matrix units; none where the device could not
    /// be timed.
    pub fma_per_sec: Option<f64>,
}

/// Measures: a second or two on a GPU or the processor, longer on a software adapter.
///
/// # Panics
/// Where the device is lost.
pub fn measure(device: &Device) -> Rates {
    Rates {
        copy_bytes_per_sec: Some(demotic_crf::workload::copy_bytes_per_sec(device)),
        fma_per_sec: if is_far(device) {
            // Its processor is not this one, and its drivers are out of reach.
            None
        } else if is_flex(device) {
            Some(fma_on_processor())
        } else {
            fma_on_device(device)
        },
    }
}

#[cfg(feature = "wgpu")]
fn fma_on_device(device: &Device) -> Option<f64> {
    use burn::tensor::{ThroughputKey, ThroughputMode};
    use cubecl::ir::{ElemType, FloatKind};

    let compute = ThroughputKey {
        mode: ThroughputMode::ComputeDirect {
            dtype: ElemType::Float(FloatKind::F32),
        },
    };
    let stats = device.performance_stats(&[compute]);
    let value = stats.into_iter().find_map(|stat| stat.value.ok())?;
    // The runtime counts a multiply and an add.
    Some(value.ops_per_s() / 2.0)
}

#[cfg(not(feature = "wgpu"))]
fn fma_on_device(_: &Device) -> Option<f64> {
    None
}

/// The shortest of a few runs, in seconds.
fn shortest(mut run: impl FnMut()) -> f64 {
    let times = (0..5).map(|_| {
        let started = Instant::now();
        run();
        started.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Ten independent chains a thread, enough to hide the latency of one.
fn fma_on_processor() -> f64 {
    const CHAINS: usize = 10;
    const ROUNDS: usize = 2_000_000;
    let threads = rayon::current_num_threads();
    let secs = shortest(|| {
        (0..threads).into_par_iter().for_each(|_| {
            let (factor, term) = black_box((f32x8::splat(0.999), f32x8::splat(0.001)));
            let mut chains = [f32x8::splat(1.0); CHAINS];
            for _ in 0..ROUNDS {
                for chain in &mut chains {
                    *chain = chain.mul_add(factor, term);
                }
            }
            black_box(chains);
        });
    });
    (threads * CHAINS * ROUNDS * 8).to_f64() / secs
}
