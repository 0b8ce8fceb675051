//! Pictures on disk -> a data set of styles x names -> batches.
//!
//! `import` turns published archives into a data-set folder; `dataset` rasterises a data set at one size and
//! splits it; `sampler` draws training batches from the part that training may see. Nothing here knows a
//! tensor.

pub(crate) mod archive;
mod augment;
mod cache;
pub(crate) mod canvas;
mod colour;
mod dataset;
mod drawing;
mod emoji;
mod font;
mod foreign;
pub(crate) mod import;
pub(crate) mod index;
mod jpeg;
mod layout;
mod lettering;
mod options;
mod overlap;
mod pairing;
mod paper;
mod passed_over;
pub(crate) mod pen;
mod photograph;
mod picture;
mod rasterised;
mod sampler;
pub(crate) mod source;
mod split;
pub(crate) mod strokes;
mod summary;
mod svg;
mod svg_extent;
mod svg_sheet;
mod svg_source;
pub(crate) mod svg_text;
mod svg_work;
mod tif;
mod whole;

pub use crate::error::DataError;
pub use crate::settings::{Augmentation, Channels, Counterparts, Damaged, Fit, PairedStyles};
pub use cache::CachePolicy;
pub use dataset::{Dataset, TrainItem, TrainingView};
#[doc(hidden)]
pub use demotic_crf::hash::fnv1a64;
pub use drawing::PICTURE_ENDINGS;
pub use import::{ImportOptions, ImportReport, ImportedStyle, Selection, import};
#[doc(hidden)]
pub use lettering::{Lettering, has_letters, lettering};
pub use options::DatasetOptions;
pub use paper::Ground;
#[doc(hidden)]
pub use passed_over::Leftovers;
pub use passed_over::PassedOver;
#[doc(hidden)]
pub use photograph::are_drawings;
pub use picture::Picture;
#[doc(hidden)]
pub use picture::signed_png;
pub(crate) use picture::{BRIGHTNESS, MAX_PICTURE_PIXELS, multiplied};
pub(crate) use sampler::{Batch, MixedBatch};
#[doc(hidden)]
pub use sampler::{Sampler, SamplerOptions};
#[doc(hidden)]
pub use source::is_archive;
pub use source::{Originals, StyleInfo};
#[doc(hidden)]
pub use split::split_of_family;
pub use split::{Split, emoji_family};
pub use summary::{DatasetSummary, LeftOut, PairKind, PairSummary, StyleSummary};
