//! A step's parts on several devices at once: a replica of both networks on each device, gradients summed on the first.

use std::panic::resume_unwind;
use std::thread;

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::Config;
use crate::model::{Discriminator, Generator};

use super::inputs::Inputs;
use super::optimiser::sum_of_gradients;
use super::phases::Clock;
use super::step::{Computed, Drawn, Part};

/// One device's share of a step: its parts, one after the other.
pub(crate) struct Share<'a> {
    config: &'a Config,
    device: &'a Device,
    inputs: &'a [Inputs],
    /// Of the whole step, on all devices.
    parts: usize,
}

/// Both networks on another device than the first, for one step.
pub(crate) struct Replica {
    device: Device,
    generator: Generator,
    discriminator: Discriminator,
    drawn: Option<Drawn>,
}

/// The shares of devices in order: an equal number of parts each.
pub(crate) fn shares<'a>(
    config: &'a Config,
    first: &'a Device,
    others: &'a [Device],
    inputs: &'a [Inputs],
) -> Vec<Share<'a>> {
    std::iter::once(first)
        .chain(others)
        .zip(inputs.chunks(config.train.accumulate))
        .map(|(device, share)| Share {
            config,
            device,
            inputs: share,
            parts: inputs.len(),
        })
        .collect()
}

impl Share<'_> {
    fn part<'b>(&'b self, inputs: &'b Inputs) -> Part<'b> {
        Part {
            config: self.config,
            device: self.device,
            inputs,
            share: 1.0 / self.parts as f32,
        }
    }

    /// The discriminator's gradients, and what was drawn for them. The graph of a share in one part is kept; of several, whose
    /// graphs would take the memory that parts are to save, only the translations are drawn. `shown` gives what the discriminator sees for the made pictures of a
    /// part, by its number, the pictures and their styles.
    pub(crate) fn discriminator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        mut shown: impl FnMut(usize, Tensor<4>, &[u32]) -> Tensor<4>,
        clock: &mut Clock,
    ) -> (Computed, Option<Drawn>) {
        let mut drawn = None;
        let mut sum = None;
        for (number, inputs) in self.inputs.iter().enumerate() {
            let part = self.part(inputs);
            let fake = if self.inputs.len() == 1 {
                let pictures = part.draw(generator, clock);
                let fake = part.made(&pictures);
                drawn = Some(pictures);
                fake
            } else {
                part.drawn_as_made(generator, clock)
            };
            let fake = shown(number, fake, &inputs.targets);
            let computed = part.discriminator_gradients(discriminator, fake, clock);
            sum = Some(added(sum, computed, discriminator));
        }
        (sum.expect("a share has a part"), drawn)
    }

    /// The generator's gradients against a discriminator that stays as it is.
    pub(crate) fn generator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        mut drawn: Option<Drawn>,
        clock: &mut Clock,
    ) -> Computed {
        let mut sum = None;
        for inputs in self.inputs {
            let part = self.part(inputs);
            let pictures = drawn.take().unwrap_or_else(|| part.draw(generator, clock));
            let computed = part.generator_gradients(generator, discriminator, pictures, clock);
            sum = Some(added(sum, computed, generator));
        }
        sum.expect("a share has a part")
    }
}

impl Replica {
    /// Copies of both networks, with graphs of their own.
    pub(crate) fn new(
        generator: &Generator,
        discriminator: &Discriminator,
        device: &Device,
    ) -> Self {
        let autodiff = device.clone().autodiff();
        Self {
            generator: generator.clone().fork(&autodiff),
            discriminator: discriminator.clone().fork(&autodiff),
            device: device.clone(),
            drawn: None,
        }
    }

    /// The share's gradients of the discriminator; keeps what was drawn.
    pub(crate) fn discriminator_gradients(mut self, share: &Share<'_>) -> (Computed, Self) {
        let mut clock = Clock::new(&self.device);
        let (computed, drawn) = share.discriminator_gradients(
            &self.generator,
            &self.discriminator,
            |_, fake, _| fake,
            &mut clock,
        );
        self.drawn = drawn;
        (computed, self)
    }

    /// The discriminator as it stands after its update.
    pub(crate) fn follow(&mut self, discriminator: &Discriminator) {
        self.discriminator = discriminator.clone().fork(&self.device.clone().autodiff());
    }

    /// The share's gradients of the generator.
    pub(crate) fn generator_gradients(self, share: &Share<'_>) -> Computed {
        let mut clock = Clock::new(&self.device);
        share.generator_gradients(&self.generator, &self.discriminator, self.drawn, &mut clock)
    }
}

/// Does the first device's work on this thread and the others' on one each, all at once; results in the order of devices.
pub(crate) fn on_all<Own, Other: Send>(
    own: impl FnOnce() -> Own,
    others: Vec<impl FnOnce() -> Other + Send>,
) -> (Own, Vec<Other>) {
    thread::scope(|scope| {
        let running: Vec<_> = others.into_iter().map(|work| scope.spawn(work)).collect();
        let own = own();
        let others = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
        (own, others.collect())
    })
}

/// The sum over devices on the first one, always in the same order.
pub(crate) fn gathered<M: Module>(
    own: Computed,
    others: impl IntoIterator<Item = Computed>,
    module: &M,
    device: &Device,
) -> Computed {
    others.into_iter().fold(own, |sum, computed| {
        let computed = Computed {
            gradients: computed.gradients.to_device(device, module),
            figures: computed.figures.to_device(device),
        };
        added(Some(sum), computed, module)
    })
}

/// The sum of what several parts computed for one network.
fn added<M: Module>(sum: Option<Computed>, computed: Computed, module: &M) -> Computed {
    match sum {
        None => computed,
        Some(sum) => Computed {
            gradients: sum_of_gradients(module, sum.gradients, computed.gradients),
            figures: sum.figures + computed.figures,
        },
    }
}
