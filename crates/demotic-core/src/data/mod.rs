//! Pictures on disk -> a data set of styles x names -> batches.
//!
//! `import` turns published archives into a data-set folder; `dataset` rasterises a data set at one size and splits it;
//! `sampler` draws training batches from the part that training may see. Nothing here knows a tensor.

mod archive;
mod augment;
mod cache;
mod dataset;
mod emoji;
mod error;
pub(crate) mod import;
pub(crate) mod index;
mod overlap;
mod picture;
mod sampler;
mod source;
mod split;

pub use augment::Augmentation;
pub(crate) use augment::render;
pub use cache::CachePolicy;
pub use dataset::{
    Dataset, DatasetOptions, DatasetSummary, PairKind, PairSummary, StyleInfo, StyleSummary,
    TrainItem, TrainingView,
};
pub use error::DataError;
pub use import::{ImportOptions, ImportReport, ImportedStyle, Selection, import};
pub(crate) use picture::multiplied;
pub use picture::{Channels, MAX_PICTURE_PIXELS, Picture};
pub use sampler::{Batch, MixedBatch, PairedBatch, Sampler, SamplerOptions};
pub use split::{Split, emoji_family, fnv1a64, split_of_family};
