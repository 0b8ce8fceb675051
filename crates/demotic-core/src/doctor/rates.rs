//! What a device can do at most: bytes copied and multiply-adds a second, measured.

use std::hint::black_box;
use std::time::Instant;

use burn::tensor::Device;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use wide::f32x8;

use crate::ops::is_flex;

/// A device's measured limits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Bytes read and written by a large copy, a second; none where the device could not be timed.
    pub copy_bytes_per_sec: Option<f64>,
    /// Fused multiply-adds in f32 a second, outside memory and matrix units; none where the device could not be timed.
    pub fma_per_sec: Option<f64>,
}

/// Measures: a second or two on a GPU or the processor, longer on a software adapter.
pub(super) fn measure(device: &Device) -> Rates {
    if is_flex(device) {
        return Rates {
            copy_bytes_per_sec: Some(copy_on_processor()),
            fma_per_sec: Some(fma_on_processor()),
        };
    }
    on_device(device)
}

#[cfg(feature = "wgpu")]
fn on_device(device: &Device) -> Rates {
    use burn::tensor::{MemoryAccess, ThroughputKey, ThroughputMode};
    use cubecl::ir::{ElemType, FloatKind};

    let copy = ThroughputKey {
        mode: ThroughputMode::memory(MemoryAccess::Copy),
    };
    let compute = ThroughputKey {
        mode: ThroughputMode::ComputeDirect {
            dtype: ElemType::Float(FloatKind::F32),
        },
    };
    let mut rates = Rates::default();
    for stat in device.performance_stats(&[copy, compute]) {
        let Ok(value) = stat.value else { continue };
        if stat.key == copy {
            rates.copy_bytes_per_sec = Some(value.bytes_per_s(&copy));
        } else {
            // The runtime counts a multiply and an add.
            rates.fma_per_sec = Some(value.ops_per_s() / 2.0);
        }
    }
    rates
}

#[cfg(not(feature = "wgpu"))]
fn on_device(_: &Device) -> Rates {
    Rates::default()
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

/// 128 MiB to another 128 MiB, out of reach of the caches.
fn copy_on_processor() -> f64 {
    const LEN: usize = 32 << 20;
    let (from, mut to) = (vec![1.0_f32; LEN], vec![0.0_f32; LEN]);
    let secs = shortest(|| {
        to.par_chunks_mut(1 << 18)
            .zip(from.par_chunks(1 << 18))
            .for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
    });
    (2 * LEN * size_of::<f32>()) as f64 / secs
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
    (threads * CHAINS * ROUNDS * 8) as f64 / secs
}
