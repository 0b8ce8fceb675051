//! Hints on pictures of another kind than the weights know, which would become mush without a word.

use std::sync::OnceLock;

use demotic_core::data::{Ground, Picture, are_drawings};
use demotic_core::train::CheckpointInfo;

/// What would help a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// Light lines on dark.
    Dark,
    /// Lines on paper that is not white.
    Dim,
    /// A photograph, where drawings are known.
    Photograph,
}

impl Hint {
    /// In the order that they are told.
    pub(crate) const ALL: [Self; 3] = [Self::Dark, Self::Dim, Self::Photograph];

    /// What it is and what to do, in a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Dark => {
                "light lines on a dark ground; the weights know drawings on white: invert the picture"
            }
            Self::Dim => {
                "lines on paper that is not white; where it is a photographed drawing, --white-paper makes it so"
            }
            Self::Photograph => {
                "a photograph, as it seems, and the weights know drawings; train them on photographs, a folder a style: \
                 demotic train --from built-in --data DIR"
            }
        }
    }
}

/// What weights know.
#[derive(Debug)]
pub(crate) struct Known {
    source: String,
    styles: Vec<String>,
    /// Whether drawings on white are expected of a person.
    is_on_white: bool,
    /// Whether they were trained on drawings: looked at where a photograph comes.
    drawings: OnceLock<bool>,
}

impl Known {
    /// Of a checkpoint. `is_on_white`: whether lines on white paper are looked for.
    pub(crate) fn of(info: &CheckpointInfo, is_on_white: bool) -> Self {
        Self {
            source: info.config.data.source.clone(),
            styles: info.styles.clone(),
            is_on_white,
            drawings: OnceLock::new(),
        }
    }

    /// What would help this picture, where it is of a kind that they do not know.
    pub(crate) fn hint(&self, picture: &Picture) -> Option<Hint> {
        let ground = self.is_on_white.then(|| picture.ground()).flatten();
        match ground {
            Some(Ground::Dark) => Some(Hint::Dark),
            Some(Ground::Dim) => Some(Hint::Dim),
            None => self.is_strange(picture).then_some(Hint::Photograph),
        }
    }

    /// Whether it is a photograph, and the weights know drawings alone.
    pub(crate) fn is_strange(&self, picture: &Picture) -> bool {
        let know_drawings = || are_drawings(&self.source, &self.styles);
        picture.is_photograph() && *self.drawings.get_or_init(know_drawings)
    }
}
