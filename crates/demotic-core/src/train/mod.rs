//! The adversarial training. [`Trainer`] takes a step at a time: inputs from the host (`inputs`), the
//! arithmetic of a part (`step`), the parts on their devices (`parallel`), the optimisers (`optimiser`).
//! `figures` names what a step measures. [`Session`] drives a trainer to its run's end, in the run's folder
//! ([`run`]).

mod best;
mod checkpoint;
pub(crate) mod composite;
mod diff_augment;
pub(crate) mod figures;
mod fills;
mod header;
pub mod health;
mod inputs;
mod kernels;
pub(crate) mod launches;
mod optimiser;
mod parallel;
mod phases;
mod pool;
mod record;
pub mod run;
mod session;
mod start;
mod step;
mod terms;
mod tick;
pub(crate) mod traffic;
mod trainer;
mod upload;
mod weights;
mod window;

pub use best::Best;
pub use checkpoint::{Checkpoint, CheckpointInfo, latest_checkpoint};
pub(crate) use composite::{Composites, Layout, plan};
pub use figures::{Chart, Column, Figure, Figures, Row};
pub use header::{Fact, Header};
#[doc(hidden)]
pub use kernels::measured_on;
pub(crate) use launches::Launches;
#[cfg(all(test, feature = "wgpu"))]
pub(crate) use launches::{adapter, turn};
pub(crate) use optimiser::{Adam, Gradients};
pub use phases::Phases;
pub use record::{Event, Record};
pub use run::RunDir;
pub use session::{Ending, Observer, Session, Validation};
pub use start::Origin;
pub(crate) use step::style_planes;
pub use tick::Tick;
#[doc(hidden)]
pub use traffic::Traffic;
pub use trainer::Trainer;
pub use weights::{BUILT_IN, built_in_styles};
