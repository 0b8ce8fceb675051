//! Numbers of other types: see `demotic_crf::number`.

pub use demotic_crf::number::{Real, Whole};
