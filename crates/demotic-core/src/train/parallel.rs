//! A step's parts on several devices at once: a replica of both networks on each device, gradients summed on
//! the first.

use std::cell::OnceCell;
use std::panic::resume_unwind;
use std::thread;

use crate::number::Real;
use burn::module::Module;
use burn::tensor::{Device, StreamId, Tensor};

use super::inputs::Inputs;
use super::optimiser::replica;
use super::phases::Clock;
use super::step::{Generated, Part};
use super::terms::Computed;
use super::upload::Upload;
use crate::model::{Discriminator, Generator};
use crate::ops;
use crate::settings::Config;

/// The devices of one step, with their shares of its inputs. The first works with the networks themselves,
/// the others with replicas.
pub(crate) struct Team<'a> {
    own: Share<'a>,
    generated: Option<Generated>,
    others: Vec<Other<'a>>,
}

/// A device of a step beside the first.
struct Other<'a> {
    share: Share<'a>,
    replica: Replica,
    generated: Option<Generated>,
    /// Whether it is another machine's that no other share is on: see [`Self::on_stream`].
    is_alone: bool,
}

/// One device's share of a step: its parts, one after the other.
struct Share<'a> {
    config: &'a Config,
    device: &'a Device,
    inputs: &'a [Inputs],
    /// Each part's inputs on the device, once they are needed.
    uploads: Vec<OnceCell<Option<Upload>>>,
    /// Parts of the whole step, on all devices.
    parts: usize,
}

/// Both networks on another device than the first, with graphs of their own. Each follows its network as
/// soon as that is updated: the weights are on their way while the first device goes on.
pub(crate) struct Replica {
    device: Device,
    generator: Generator,
    discriminator: Discriminator,
}

impl<'a> Team<'a> {
    /// Gives each device an equal number of parts, in order. `replicas`: those of the other devices as the
    /// step before left them, where they still follow the networks; without them, both are sent.
    ///
    /// # Panics
    /// If there is no device or no part.
    pub(crate) fn new(
        config: &'a Config,
        devices: &'a [Device],
        inputs: &'a [Inputs],
        generator: &Generator,
        discriminator: &Discriminator,
        replicas: Vec<Replica>,
    ) -> Self {
        let shares = devices.iter().zip(inputs.chunks(config.train.accumulate));
        let mut shares = shares.map(|(device, share)| Share {
            config,
            device,
            inputs: share,
            uploads: share.iter().map(|_| OnceCell::new()).collect(),
            parts: inputs.len(),
        });
        let own = shares.next().expect("a step has a part and a device");
        let mut replicas = replicas.into_iter();
        let other = |share: Share<'a>| {
            let replica = replicas.next();
            let anew = || Replica::new(generator, discriminator, share.device);
            let shares = devices.iter().filter(|device| *device == share.device);
            Other {
                replica: replica.unwrap_or_else(anew),
                is_alone: ops::is_far(share.device) && shares.count() == 1,
                share,
                generated: None,
            }
        };
        Self {
            own,
            generated: None,
            others: shares.map(other).collect(),
        }
    }

    /// The discriminator's gradients over all parts; what was generated for them is kept for the generator.
    ///
    /// `shown(part, fakes, styles)`: what the discriminator sees for the fakes of a part of the first device,
    /// both `[n, c, H, W]`.
    pub(crate) fn discriminator_gradients(
        &mut self,
        generator: &Generator,
        discriminator: &Discriminator,
        shown: impl FnMut(usize, Tensor<4>, &[u32]) -> Tensor<4>,
        clock: &mut Clock,
    ) -> Computed {
        let stream = StreamId::current();
        let ((computed, generated), others) = on_all(
            || {
                self.own
                    .discriminator_gradients(generator, discriminator, shown, clock)
            },
            self.others
                .iter_mut()
                .map(|other| move || other.on_stream(stream, Other::discriminator_gradients))
                .collect(),
        );
        self.generated = generated;
        gathered(computed, others, discriminator, self.own.device)
    }

    /// The generator's gradients over all parts, against a discriminator that stays as it is; and the
    /// replicas of the other devices, for the next step.
    pub(crate) fn generator_gradients(
        self,
        generator: &Generator,
        discriminator: &Discriminator,
        clock: &mut Clock,
    ) -> (Computed, Vec<Replica>) {
        let mut others = self.others;
        for other in &mut others {
            other.replica.follow_discriminator(discriminator);
        }
        let stream = StreamId::current();
        let (computed, there) = on_all(
            || {
                self.own
                    .generator_gradients(generator, discriminator, self.generated, clock)
            },
            others
                .iter_mut()
                .map(|other| move || other.on_stream(stream, Other::generator_gradients))
                .collect(),
        );
        let computed = gathered(computed, there, generator, self.own.device);
        let replicas = others.into_iter().map(|other| other.replica);
        (computed, replicas.collect())
    }
}

impl Share<'_> {
    fn part(&self, number: usize) -> Part<'_> {
        let inputs = &self.inputs[number];
        let upload = self.uploads[number].get_or_init(|| Upload::new(inputs, self.device));
        Part {
            config: self.config,
            device: self.device,
            inputs,
            upload: upload.as_ref(),
            share: 1.0 / self.parts.to_f32(),
        }
    }

    /// The discriminator's gradients, and what was generated for them. A share of one part keeps the graph of
    /// its translations for the generator's pass. A share of several parts generates only fakes here and
    /// everything again later: that saves the memory of those graphs.
    fn discriminator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        mut shown: impl FnMut(usize, Tensor<4>, &[u32]) -> Tensor<4>,
        clock: &mut Clock,
    ) -> (Computed, Option<Generated>) {
        let mut generated = None;
        let mut sum = None;
        for (number, inputs) in self.inputs.iter().enumerate() {
            let part = self.part(number);
            let fake = if self.inputs.len() == 1 {
                let pictures = part.generate(generator, clock);
                let fake = part.fakes(&pictures);
                generated = Some(pictures);
                fake
            } else {
                part.fakes_only(generator, clock)
            };
            let fake = shown(number, fake, &inputs.targets);
            let computed = part.discriminator_gradients(discriminator, fake, clock);
            sum = Some(added(sum, computed, discriminator));
        }
        (sum.expect("a share has a part"), generated)
    }

    /// The generator's gradients against a discriminator that stays as it is.
    fn generator_gradients(
        &self,
        generator: &Generator,
        discriminator: &Discriminator,
        mut generated: Option<Generated>,
        clock: &mut Clock,
    ) -> Computed {
        let mut sum = None;
        for number in 0..self.inputs.len() {
            let part = self.part(number);
            let pictures = generated
                .take()
                .unwrap_or_else(|| part.generate(generator, clock));
            let computed = part.generator_gradients(generator, discriminator, pictures, clock);
            sum = Some(added(sum, computed, generator));
        }
        sum.expect("a share has a part")
    }
}

impl Other<'_> {
    /// Works on a stream of the thread that waits for this one, where both never work on the device at once.
    /// Of a tensor that another stream made, Burn first makes one of this stream, whenever it is read: a wait
    /// and a message each, for every weight, and for all that one pass leaves to the next.
    fn on_stream<T>(&mut self, stream: StreamId, work: impl FnOnce(&mut Self) -> T) -> T {
        if self.is_alone {
            stream.executes(|| work(self))
        } else {
            work(self)
        }
    }

    /// The share's gradients of the discriminator; keeps what was generated.
    fn discriminator_gradients(&mut self) -> Computed {
        let mut clock = Clock::new(&self.replica.device);
        let (computed, generated) = self.share.discriminator_gradients(
            &self.replica.generator,
            &self.replica.discriminator,
            |_, fake, _| fake,
            &mut clock,
        );
        self.generated = generated;
        computed
    }

    /// The share's gradients of the generator.
    fn generator_gradients(&mut self) -> Computed {
        let mut clock = Clock::new(&self.replica.device);
        self.share.generator_gradients(
            &self.replica.generator,
            &self.replica.discriminator,
            self.generated.take(),
            &mut clock,
        )
    }
}

impl Replica {
    fn new(generator: &Generator, discriminator: &Discriminator, device: &Device) -> Self {
        Self {
            generator: replica(generator, device),
            discriminator: replica(discriminator, device),
            device: device.clone(),
        }
    }

    /// The generator as it stands after its update.
    pub(crate) fn follow_generator(&mut self, generator: &Generator) {
        self.generator = replica(generator, &self.device);
    }

    /// The discriminator as it stands after its update.
    pub(crate) fn follow_discriminator(&mut self, discriminator: &Discriminator) {
        self.discriminator = replica(discriminator, &self.device);
    }
}

/// Does the first device's work on this thread and the others' on one each, all at once; results in the order
/// of devices.
fn on_all<Own, There: Send>(
    own: impl FnOnce() -> Own,
    others: Vec<impl FnOnce() -> There + Send>,
) -> (Own, Vec<There>) {
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
fn gathered<M: Module>(
    own: Computed,
    others: impl IntoIterator<Item = Computed>,
    module: &M,
    device: &Device,
) -> Computed {
    others.into_iter().fold(own, |sum, computed| {
        added(Some(sum), computed.moved_to(device, module), module)
    })
}

/// The sum of what several parts computed for one network.
fn added<M: Module>(sum: Option<Computed>, computed: Computed, module: &M) -> Computed {
    match sum {
        None => computed,
        Some(sum) => Computed {
            gradients: sum.gradients.added(computed.gradients, module),
            measured: sum.measured.added(computed.measured),
        },
    }
}
