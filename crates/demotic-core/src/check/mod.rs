//! What checks the rest, and nothing below uses: devices ([`doctor`], [`examined`], [`compare`],
//! [`fastest`](mod@fastest), [`kernels`]), what a run would take ([`estimate`](mod@estimate)), and choices
//! ([`ablation`]).

pub mod ablation;
mod ablation_shown;
pub mod compare;
pub mod doctor;
pub mod estimate;
pub mod examined;
pub mod fastest;
pub mod kernels;
