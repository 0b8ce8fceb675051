//! The only place that reads the CRF's shaders: each kernel's source, its constants, and what names it in the
//! runtime's caches.

use std::sync::LazyLock;

use burn_wgpu::{KernelSource, SourceTemplate};
use cubecl::prelude::{CubeDim, KernelId};

use super::template::{Values, expand};
use crate::hash::fnv1a64;

/// A kernel: a shader and the constants that make it one.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    pub(crate) shader: Shader,
    pub(crate) values: Values,
    pub(crate) workgroup: u32,
}

/// The text of a file in `shaders/`, by its path there without `.wgsl`.
macro_rules! shader_text {
    ($path:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../shaders/",
            $path,
            ".wgsl"
        ))
    };
}

/// Declares the shaders by the stem that their files, launch files and rows in `shaders/README.md` share.
macro_rules! shaders {
    ($($name:ident = $stem:literal,)*) => {
        /// The shaders.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Shader {
            $(#[doc = concat!("`", $stem, ".wgsl`.")] $name,)*
        }

        impl Shader {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// `crf_chain` and so on.
            #[cfg(test)]
            pub(crate) const fn stem(self) -> &'static str {
                match self {
                    $(Self::$name => $stem,)*
                }
            }

            const fn file(self) -> &'static str {
                match self {
                    $(Self::$name => shader_text!($stem),)*
                }
            }
        }
    };
}

shaders! {
    Chain = "crf_chain",
    Lanes = "crf_lanes",
    Image = "crf_image",
    Segments = "crf_segments",
    Scan = "crf_scan",
    Finish = "crf_finish",
    Scale = "crf_scale",
    Viterbi = "crf_viterbi",
}

/// What several shaders have in common: the text that `//: include NAME` stands for.
fn shared(name: &str) -> &'static str {
    match name {
        "emissions" => shader_text!("crf/emissions"),
        "numbers" => shader_text!("crf/numbers"),
        "params" => shader_text!("crf/params"),
        _ => panic!("a shader includes `{name}`, which is not in shaders/crf"),
    }
}

impl Shader {
    /// Its template: the file's text, with what it includes.
    pub(crate) fn source(self) -> String {
        let lines = self
            .file()
            .lines()
            .map(|line| line.strip_prefix("//: include ").map_or(line, shared));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// A hash of the text: caches on disk outlive an edit, and never see the text themselves.
    fn text_hash(self) -> u64 {
        static HASHES: LazyLock<Vec<u64>> = LazyLock::new(|| {
            let texts = Shader::ALL.iter().map(|shader| shader.source());
            texts.map(|text| fnv1a64(text.as_bytes())).collect()
        });
        HASHES[self as usize]
    }
}

impl Kernel {
    /// A shader with its constants and the workgroup's size.
    pub(crate) fn new(shader: Shader, values: Values, workgroup: u32) -> Self {
        Self {
            shader,
            values: values.with("WG", workgroup),
            workgroup,
        }
    }

    pub(crate) fn text(&self) -> String {
        expand(&self.shader.source(), &self.values)
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

/// Names as binding numbers, in order: what a launch would bind.
#[cfg(test)]
pub(crate) fn numbered(names: &[&str]) -> Values {
    names
        .iter()
        .enumerate()
        .fold(Values::default(), |values, (at, name)| {
            values.with(name, at)
        })
}
