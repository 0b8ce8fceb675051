//! How a data set is loaded.

use super::CachePolicy;
use crate::error::Error;
use crate::settings::{Channels, Counterparts, Damaged, DataConfig, Fit};

/// How a data set is loaded.
#[derive(Debug, Clone)]
pub struct DatasetOptions {
    /// Side of the square that every picture is fitted into.
    pub size_px: u32,
    /// How pictures of another shape come into it.
    pub fit: Fit,
    /// Styles to load, in this order; all, by name, if empty.
    pub styles: Vec<String>,
    /// What transparent pixels show.
    pub background: [u8; 3],
    /// Colour channels.
    pub channels: Channels,
    /// What equal names mean.
    pub pairs: Counterparts,
    /// What becomes of damaged pictures.
    pub damaged: Damaged,
    /// Where rasterised pictures are kept between runs.
    pub cache: CachePolicy,
}

impl Default for DatasetOptions {
    /// 32 px, all styles, on white.
    fn default() -> Self {
        Self {
            size_px: 32,
            fit: Fit::Auto,
            styles: Vec::new(),
            background: [255; 3],
            channels: Channels::Rgb,
            pairs: Counterparts::Names,
            damaged: Damaged::Refuse,
            cache: CachePolicy::Platform,
        }
    }
}

impl DataConfig {
    /// How the pictures are loaded.
    ///
    /// # Errors
    /// [`Error::Config`] where the background is not `#rrggbb`.
    pub fn options(&self, cache: CachePolicy) -> Result<DatasetOptions, Error> {
        let background = self
            .background_rgb()
            .map_err(|problem| Error::Config(vec![problem]))?;
        Ok(DatasetOptions {
            size_px: self.size_px,
            fit: self.fit,
            styles: self.styles.clone(),
            background,
            channels: self.channels,
            pairs: self.pairs,
            damaged: self.damaged,
            cache,
        })
    }
}
