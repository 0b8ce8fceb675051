//! The only place that reads `shaders/`: each kernel's source, its constants, and what names it in the runtime's caches.

use std::sync::LazyLock;

use burn_wgpu::{KernelSource, SourceTemplate};
use cubecl::prelude::{CubeDim, KernelId};

use super::template::{Values, expand};

/// A kernel: a shader and the constants that make it one.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) shader: Shader,
    pub(crate) values: Values,
    pub(crate) workgroup: u32,
}

/// The shaders, by file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Shader {
    /// `crf_chain.wgsl`.
    Chain,
    /// `crf_lanes.wgsl`.
    Lanes,
    /// `crf_segments.wgsl`.
    Segments,
    /// `crf_scan.wgsl`.
    Scan,
    /// `crf_finish.wgsl`.
    Finish,
    /// `crf_image.wgsl`.
    Image,
    /// `crf_scale.wgsl`.
    Scale,
    /// `crf_viterbi.wgsl`.
    Viterbi,
}

impl Shader {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Chain,
        Self::Lanes,
        Self::Segments,
        Self::Scan,
        Self::Finish,
        Self::Image,
        Self::Scale,
        Self::Viterbi,
    ];

    pub(crate) const fn source(self) -> &'static str {
        match self {
            Self::Chain => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_chain.wgsl"
            )),
            Self::Lanes => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_lanes.wgsl"
            )),
            Self::Segments => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_segments.wgsl"
            )),
            Self::Scan => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_scan.wgsl"
            )),
            Self::Finish => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_finish.wgsl"
            )),
            Self::Image => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_image.wgsl"
            )),
            Self::Scale => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_scale.wgsl"
            )),
            Self::Viterbi => include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../shaders/crf_viterbi.wgsl"
            )),
        }
    }

    /// A hash of the text (FNV-1a): caches on disk outlive an edit, and never see the text themselves.
    fn text_hash(self) -> u64 {
        static HASHES: LazyLock<Vec<u64>> = LazyLock::new(|| {
            let fnv = |text: &str| {
                text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                    (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
                })
            };
            Shader::ALL.map(|shader| fnv(shader.source())).to_vec()
        });
        HASHES[self as usize]
    }
}

impl Kernel {
    pub(crate) fn text(&self) -> String {
        expand(self.shader.source(), &self.values)
    }
}

impl KernelSource for Kernel {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.text())
    }

    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
            .info((self.shader, self.shader.text_hash(), self.values.clone()))
            .cube_dim(CubeDim::new_1d(self.workgroup).0)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;
    use crate::grid::Directions;
    use crate::op::plan::{Evidence, Group, Order, Plan};
    use crate::op::wgpu::tests::kernels;

    /// Parses, validates and translates one kernel to every language that a wgpu platform takes.
    fn translate(kernel: &Kernel) {
        let text = kernel.text();
        let name = format!("{:?} {:?}", kernel.shader, kernel.values);
        let module = naga::front::wgsl::parse_str(&text)
            .unwrap_or_else(|error| panic!("{name}\n{}", error.emit_to_string(&text)));
        let info = Validator::new(
            ValidationFlags::all(),
            Capabilities::SHADER_FLOAT16_IN_FLOAT32,
        )
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}\n{}", error.emit_to_string(&text)));
        let spv =
            naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None)
                .unwrap();
        assert!(!spv.is_empty(), "{name}");
        let (msl, _) = naga::back::msl::write_string(
            &module,
            &info,
            &naga::back::msl::Options {
                fake_missing_bindings: true,
                ..Default::default()
            },
            &naga::back::msl::PipelineOptions::default(),
        )
        .unwrap();
        assert!(msl.contains("kernel void"), "{name}");
        let mut hlsl = String::new();
        let options = naga::back::hlsl::Options {
            fake_missing_bindings: true,
            ..Default::default()
        };
        naga::back::hlsl::Writer::new(
            &mut hlsl,
            &options,
            &naga::back::hlsl::PipelineOptions::default(),
        )
        .write(&module, &info, None)
        .unwrap();
        assert!(hlsl.contains("numthreads"), "{name}");
    }

    #[test]
    fn every_kernel_translates_to_spirv_msl_and_hlsl() {
        let mut seen = std::collections::HashSet::new();
        let evidences = [
            Evidence::Gold,
            Evidence::Held { unknown: -1 },
            Evidence::Free,
            Evidence::LogPartition,
        ];
        let flags = [
            (false, false, false),
            (true, true, false),
            (false, true, true),
            (true, false, true),
        ];
        for labels in [3, 8, 16, 32] {
            for evidence in evidences {
                for (ragged, boundaries, half) in flags {
                    // Beyond the smallest, what differs is how much is written out: one guise of each is enough.
                    let every_guise = labels == 3;
                    let usual = evidence == Evidence::Gold && ragged && boundaries;
                    if !(every_guise || usual) {
                        continue;
                    }
                    let plan = Plan {
                        directions: if half {
                            Directions::Rows
                        } else {
                            Directions::Both
                        },
                        group: Group::Picture,
                        evidence,
                        order: Order::Grid,
                        ragged,
                        boundaries,
                        scale: 1.0,
                        kernel: crate::config::WgslKernel::Auto,
                    };
                    for kernel in kernels(labels, &plan, half) {
                        seen.insert(kernel.shader);
                        translate(&kernel);
                    }
                }
            }
        }
        assert_eq!(
            seen.len(),
            Shader::ALL.len(),
            "a shader without a translated kernel"
        );
    }
}
