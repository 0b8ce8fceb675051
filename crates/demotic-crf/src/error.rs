//! What can go wrong before a kernel runs: shapes, label counts, and an implementation that the device cannot
//! run.

use crate::config::Implementation;

/// Why a CRF could not be created or run.
#[derive(Debug, thiserror::Error, Clone, PartialEq)]
#[non_exhaustive]
pub enum CrfError {
    /// A tensor's shape is not the layer's.
    #[error("{what} has the wrong shape: expected {expected}, got {got:?}")]
    Shape {
        /// The argument's name.
        what: &'static str,
        /// The shape wanted, axes by name.
        expected: String,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// The label count is outside what the layer computes.
    #[error(
        "a CRF over {labels} labels cannot run on {implementation:?}: expected {least}..={most}; \
         merge labels or ask for Implementation::Reference"
    )]
    Labels {
        /// The count asked for.
        labels: usize,
        /// The smallest count that works there.
        least: usize,
        /// The largest count that works there.
        most: usize,
        /// The implementation that refuses.
        implementation: Implementation,
    },
    /// The device cannot run the implementation asked for.
    #[error(
        "{implementation:?} cannot run on this device ({device}): {reason}; ask for Implementation::Auto or another device"
    )]
    Unavailable {
        /// The implementation asked for.
        implementation: Implementation,
        /// The device, as its runtime names itself.
        device: String,
        /// What is missing.
        reason: &'static str,
    },
    /// A configuration value is outside its range.
    #[error("{key} = {got} is out of range: expected {expected}")]
    Config {
        /// The field.
        key: &'static str,
        /// Its value.
        got: String,
        /// The range.
        expected: &'static str,
    },
}
