//! The adversarial loop: resuming, freezing, and the same numbers on every backend.

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use demotic_core::arrays::{Arrays, weights_of};
use demotic_core::check::doctor::SMALL;
use demotic_core::data::{Dataset, Split};
use demotic_core::model::Init;
use demotic_core::report::labels::{Kind, label_maps};
use demotic_core::rng::{Rng, Stream};
use demotic_core::settings::Config;
use demotic_core::train::health::{Condition, Watch};
use demotic_core::train::{
    Checkpoint, Ending, Figure, Observer, RunDir, Session, Tick, Trainer, Validation,
};

use crate::data::pictures_of;

fn config(sets: &[&str]) -> Config {
    let tiny = [
        "seed=3",
        "data.styles=[\"openmoji-line\", \"openmoji\"]",
        "generator.latent_channels=4",
        "generator.encoder_blocks=1",
        "generator.context_blocks=1",
        "train.batch=3",
        "train.steps=8",
        "train.warmup_steps=2",
        "loss.composite_warmup_steps=2",
    ];
    let sets = SMALL.iter().chain(&tiny).chain(sets);
    let sets: Vec<String> = sets.map(|s| (*s).to_owned()).collect();
    Config::resolve(None, &sets).unwrap()
}

#[test]
fn a_resumed_run_equals_an_uninterrupted_one_to_the_bit() {
    for sets in [
        &["train.pairs=none"][..],
        &["train.pairs=all", "loss.prior=1"][..],
        &[
            "train.pairs=0.5",
            "train.batch=4",
            "train.accumulate=2",
            "train.image_pool=5",
            "train.schedule=cosine",
            "loss.r1=1",
            "loss.r1_interval_steps=2",
            "discriminator.spectral_norm=true",
            "discriminator.augment_prob=0.6",
        ][..],
        &["generator.kind=recurrent", "generator.style=latent"][..],
        &["generator.style=reference"][..],
    ] {
        let config = config(sets);
        let data = pictures_of(&config);
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();

        let mut whole = Trainer::new(config.clone(), data, &device).unwrap();
        (0..8).for_each(|_| whole.advance().expect("finite"));

        let mut first = Trainer::new(config.clone(), data, &device).unwrap();
        (0..3).for_each(|_| first.advance().expect("finite"));
        let path = first.save(folder.path()).unwrap();
        let mut second = Trainer::new(config, data, &device).unwrap();
        second.restore(&Checkpoint::load(&path).unwrap()).unwrap();
        assert_eq!(second.step(), 3);
        (0..5).for_each(|_| second.advance().expect("finite"));

        let [a, b] = [
            whole.save(&folder.path().join("a")),
            second.save(&folder.path().join("b")),
        ];
        let bytes =
            |path: std::path::PathBuf| std::fs::read(path.with_extension("safetensors")).unwrap();
        assert_eq!(bytes(a.unwrap()), bytes(b.unwrap()));
    }
}

#[test]
fn a_checkpoint_cut_at_any_byte_or_altered_anywhere_is_refused_and_the_earlier_one_loads() {
    let config = config(&[]);
    let data = pictures_of(&config);
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
    trainer.advance().unwrap();
    let earlier = trainer.save(&folder.path().join("earlier")).unwrap();
    trainer.advance().unwrap();
    let path = trainer.save(folder.path()).unwrap();
    for file in [path.clone(), path.with_extension("safetensors")] {
        let whole = std::fs::read(&file).unwrap();
        let refused = |bytes: &[u8], what: &str| {
            std::fs::write(&file, bytes).unwrap();
            let error = Checkpoint::load(&path).expect_err(what).to_string();
            assert!(
                error.contains("checkpoint")
                    && error.contains("no earlier checkpoint beside it is whole"),
                "{what}: {error}"
            );
        };
        // Every byte of the description; of the weights, whose length alone tells, every 97th.
        let stride = if whole.len() > 10_000 { 97 } else { 1 };
        for cut in (0..whole.len()).step_by(stride) {
            refused(
                &whole[..cut],
                &format!("cut at byte {cut} of {}", file.display()),
            );
        }
        refused(&[&whole[..], b"x"].concat(), "a byte too many");
        for at in (0..whole.len()).step_by(if stride == 1 { 1 } else { 1999 }) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, &format!("bit 0 of byte {at} of {}", file.display()));
        }
        std::fs::write(&file, &whole).unwrap();
    }
    let loaded = |path: &std::path::Path| Checkpoint::load(path).unwrap().info.step;
    assert_eq!([loaded(&earlier), loaded(&path)], [1, 2]);

    // The way out is named where there is one.
    for ending in ["json", "safetensors"] {
        let from = earlier.with_extension(ending);
        std::fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
    }
    std::fs::write(path.with_extension("safetensors"), b"cut").unwrap();
    let error = Checkpoint::load(&path).expect_err("cut").to_string();
    assert!(
        error.contains("that of step 1 is whole: use it by --checkpoint 1, or delete both step-00000002.json and step-00000002.safetensors"),
        "{error}"
    );
}

#[test]
fn a_batch_in_parts_is_trained_on_as_the_whole_batch() {
    // Mixed pictures are planned a part, so a discriminator that learns would go its own way after the first
    // step.
    let figures = |parts: &str, steps: usize| {
        let config = config(&[
            "train.batch=4",
            "train.pairs=0.5",
            "train.discriminator_rate=0",
            "loss.r1=1",
            "loss.prior=2",
            "loss.canvas=3",
            parts,
        ]);
        let data = pictures_of(&config);
        let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
        (0..steps).for_each(|_| trainer.advance().expect("finite"));
        let t = trainer.tick().unwrap().unwrap();
        [
            t[Figure::DReal],
            t[Figure::DFake],
            t[Figure::DRealProb],
            t[Figure::DFakeProb],
            t.figures
                .get(Figure::DR1)
                .expect("it is due in the first step"),
            t[Figure::GReconstruction],
            t[Figure::GCycle],
            t[Figure::GKl],
            t[Figure::GAdversarial],
            t[Figure::GPaired],
            t[Figure::GCanvas],
            t[Figure::GPrior],
            t[Figure::GLatent],
            t[Figure::GNorm],
        ]
    };
    for steps in [1, 3] {
        let whole = figures("train.accumulate=1", steps);
        let parts = figures("train.accumulate=2", steps);
        let close = |(a, b): (&f32, &f32)| *a > 0.0 && (a - b).abs() <= 1e-4 * a.abs();
        assert!(whole.iter().zip(&parts).all(close), "{whole:?} {parts:?}");
    }
}

#[test]
fn the_canvas_stays_where_its_change_is_a_loss() {
    let change = |weight: &str| {
        let config = config(&[
            "train.batch=4",
            "train.steps=40",
            "train.generator_rate=3e-3",
            weight,
        ]);
        let data = pictures_of(&config);
        let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
        (0..30).for_each(|_| trainer.advance().expect("finite"));
        trainer.tick().unwrap().unwrap();
        (0..10).for_each(|_| trainer.advance().expect("finite"));
        trainer.tick().unwrap().unwrap()[Figure::GCanvas]
    };
    // Without pairs and at these sizes: .035 and .016.
    let (free, held) = (change("loss.canvas=1e-6"), change("loss.canvas=50"));
    assert!(
        held > 0.0 && held < 0.8 * free,
        "{held} with the term, {free} without"
    );
    assert_eq!(change("loss.canvas=0"), 0.0);
}

#[test]
fn aligned_pairs_that_are_not_there_are_refused() {
    let config = config(&[
        "train.pairs=all",
        "train.paired_styles=aligned",
        "data.styles=fluent-flat,twemoji",
    ]);
    let data = pictures_of(&config);
    let error = Trainer::new(config, data, &Device::flex()).map(drop);
    let error = error.expect_err("these two draw anew").to_string();
    assert!(
        error.contains("train.paired_styles: `aligned`") && error.contains("use `any`"),
        "{error}"
    );
}

#[test]
fn the_prior_is_trained_by_its_own_term_alone_and_seen_by_the_discriminator_half_the_time() {
    let first = |sets: &[&str]| {
        let config = config(&[&["train.batch=4", "discriminator.augment_prob=0"], sets].concat());
        let data = pictures_of(&config);
        let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
        trainer.advance().expect("finite");
        let figures = trainer.tick().unwrap().unwrap();
        (weights_of(trainer.generator()), figures)
    };
    let (_, without) = first(&[]);
    let (_, with) = first(&["loss.prior=1"]);
    assert_eq!(without[Figure::GPrior], 0.0);
    // Two of the four made pictures are others; reals, translations and what the generator does with them are
    // not.
    assert_ne!(with[Figure::DFake], without[Figure::DFake]);
    assert_eq!(
        (
            with[Figure::DReal],
            with[Figure::GReconstruction],
            with[Figure::GCycle],
            with[Figure::GKl]
        ),
        (
            without[Figure::DReal],
            without[Figure::GReconstruction],
            without[Figure::GCycle],
            without[Figure::GKl]
        )
    );
    // Nothing but the prior's term moves the generator: then it does, but not the encoder, which has no part
    // in it.
    let alone = [
        "loss.reconstruction=0",
        "loss.kl=0",
        "loss.cycle=0",
        "loss.adversarial=0",
    ];
    let (still, _) = first(&alone);
    let (moved, figures) = first(&[&alone[..], &["loss.prior=1", "loss.latent=0"]].concat());
    assert!(
        figures[Figure::GPrior] > 0.0 && figures[Figure::GNorm] > 0.0,
        "{figures:?}"
    );
    for (name, array) in &moved {
        let is_decoder = [
            "style",
            "from_latent",
            "context",
            "decoder",
            "ups",
            "output",
        ]
        .iter()
        .any(|part| name.starts_with(part));
        assert_eq!(*array != still[name], is_decoder, "{name}");
    }
    // Reading the latent back asks something of the encoder as well.
    let (read, figures) = first(&[&alone[..], &["loss.prior=1", "loss.latent=1"]].concat());
    assert!(figures[Figure::GLatent] > 0.0, "{figures:?}");
    assert!(read.iter().all(|(name, array)| *array != still[name]));
}

#[test]
fn figures_of_the_discriminator_are_those_of_its_own_scores_whatever_it_is_trained_by() {
    for (sets, is_likelihood) in [
        (&["loss.unary=1"][..], true),
        (
            &["discriminator.head=patch", "loss.adversarial_kind=hinge"],
            false,
        ),
    ] {
        let config = config(&[&["discriminator.augment_prob=0"], sets].concat());
        let data = pictures_of(&config);
        let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
        let (inputs, discriminator) = (trainer.next_inputs(), trainer.inference_discriminator());
        trainer.advance().expect("finite");
        let tick = trainer.tick().unwrap().unwrap();
        assert_eq!(tick.figures.get(Figure::DR1), None);

        let reals = &inputs["reals"];
        let pictures = TensorData::new(reals.values.clone(), [3, 3, 16, 16]);
        let emissions = discriminator.emissions(Tensor::from_data(pictures, &Device::flex()));
        let scores: Vec<f32> = emissions.clone().into_data().try_into_vec().unwrap();
        // [3, 3 labels, 16 patches]
        let mut probability = 0.0;
        for (scores, style) in scores.chunks_exact(48).zip(&inputs["real_styles"].values) {
            for patch in 0..16 {
                let at = |label: usize| f64::from(scores[label * 16 + patch]);
                let odds = if is_likelihood {
                    (at(1).exp() + at(2).exp()) / at(0).exp()
                } else {
                    (at(1 + *style as usize) - at(0)).exp()
                };
                probability += odds / (1.0 + odds) / 48.0;
            }
        }
        assert!(
            (f64::from(tick[Figure::DRealProb]) - probability).abs() < 1e-5,
            "{probability} {tick:?}"
        );
        assert!((0.0..=1.0).contains(&tick[Figure::DFakeProb]), "{tick:?}");
        if is_likelihood {
            let styles = inputs["real_styles"].values.iter();
            let labels: Vec<i32> = styles.flat_map(|style| [1 + *style as i32; 16]).collect();
            let labels = Tensor::from_data(TensorData::new(labels, [3, 4, 4]), &Device::flex());
            let nll = discriminator
                .negative_log_likelihood(emissions, labels)
                .mean();
            let nll: f32 = nll.into_scalar();
            assert!((tick[Figure::DReal] - nll).abs() < 1e-5, "{nll} {tick:?}");
        }
    }
}

#[test]
fn the_gradient_penalty_is_a_mean_over_the_steps_that_measure_it_and_of_one_size_in_every_picture()
{
    // The figure of each tick of so many steps.
    let penalties = |sets: &[&str], ticks: &[u32]| -> Vec<Option<f32>> {
        let config = config(&[sets, &["loss.r1=1", "loss.r1_interval_steps=3"]].concat());
        let data = pictures_of(&config);
        let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
        let tick = |steps: &u32| {
            (0..*steps).for_each(|_| trainer.advance().expect("finite"));
            trainer.tick().unwrap().unwrap().figures.get(Figure::DR1)
        };
        ticks.iter().map(tick).collect()
    };
    // Nothing learns: a step's figure is the same in a tick of its own and in one with idle steps.
    let still = ["train.discriminator_rate=0", "train.generator_rate=0"];
    let apart = penalties(&still, &[1, 2, 1]);
    assert_eq!(apart[1], None);
    let mean = f32::midpoint(apart[0].unwrap(), apart[2].unwrap());
    let together = penalties(&still, &[4])[0].unwrap();
    assert!(
        mean > 0.0 && (together - mean).abs() < 1e-5 * mean,
        "{together} {mean}"
    );

    let large = penalties(&["data.size_px=64"], &[1])[0].unwrap();
    let ratio = large / apart[0].unwrap();
    assert!((0.5..2.0).contains(&ratio), "64 px over 16 px: {ratio}");
}

#[test]
fn a_step_saved_again_is_never_without_its_description() {
    let config = config(&[]);
    let data = pictures_of(&config);
    let folder = tempfile::tempdir().unwrap();
    let mut trainer = Trainer::new(config.clone(), data, &Device::flex()).unwrap();
    trainer.advance().unwrap();
    let path = trainer.save(folder.path()).unwrap();
    let changed = |path: &std::path::Path| std::fs::metadata(path).unwrap().modified().unwrap();
    let weights = path.with_extension("safetensors");
    let before = changed(&weights);
    let mut again = Trainer::new(config, data, &Device::flex()).unwrap();
    again.restore(&Checkpoint::load(&path).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    again.save(folder.path()).unwrap();
    // Weights that stand are not written anew: only the description is replaced, which is one rename.
    assert_eq!(changed(&weights), before);
    assert_eq!(Checkpoint::load(&path).unwrap().info.step, 1);
}

#[test]
fn two_devices_train_to_the_bit_as_one_that_works_in_two_parts_and_resume() {
    let device = Device::flex();
    let weights = |trainer: &Trainer<'_>| {
        [
            weights_of(trainer.generator()),
            weights_of(trainer.discriminator()),
            weights_of(trainer.average()),
        ]
    };
    for more in [
        &["train.pairs=all", "loss.prior=1"][..],
        &[
            "loss.composite_prob=1",
            "train.accumulate=2",
            "discriminator.spectral_norm=true",
            "loss.r1=1",
        ],
    ] {
        let two = config(&[&["train.batch=8"], more].concat());
        let mut one = two.clone();
        one.train.accumulate *= 2;
        let data = pictures_of(&two);
        let pair = |config: &Config| {
            Trainer::on_devices(config.clone(), data, &device, std::slice::from_ref(&device))
                .unwrap()
        };
        let mut alone = Trainer::new(one, data, &device).unwrap();
        let mut both = pair(&two);
        (0..4).for_each(|_| {
            alone.advance().expect("finite");
            both.advance().expect("finite");
        });
        // Sums of more than two parts run in another order.
        let is_exact = two.train.accumulate == 1;
        assert!(!is_exact || weights(&alone) == weights(&both), "{more:?}");
        let [half, most, _] = apart(&weights(&alone), &weights(&both));
        assert!(half <= 1e-6 && most <= 1e-4, "{more:?}: {half} {most}");
        let (a, b) = (
            alone.tick().unwrap().unwrap(),
            both.tick().unwrap().unwrap(),
        );
        for (a, b) in [
            (a[Figure::DReal], b[Figure::DReal]),
            (a[Figure::DComposite], b[Figure::DComposite]),
            (a[Figure::GCycle], b[Figure::GCycle]),
            (a[Figure::GNorm], b[Figure::GNorm]),
        ] {
            assert!((a - b).abs() <= 1e-4 * a.abs(), "{more:?}: {a} {b}");
        }

        let folder = tempfile::tempdir().unwrap();
        let path = both.save(folder.path()).unwrap();
        let mut resumed = pair(&two);
        resumed.restore(&Checkpoint::load(&path).unwrap()).unwrap();
        (0..2).for_each(|_| {
            both.advance().expect("finite");
            resumed.advance().expect("finite");
        });
        assert!(weights(&both) == weights(&resumed), "{more:?}");
        // Back in the midst of its steps: nothing of them is left on the other device.
        both.restore(&Checkpoint::load(&path).unwrap()).unwrap();
        (0..2).for_each(|_| both.advance().expect("finite"));
        assert!(weights(&both) == weights(&resumed), "{more:?}");
    }
    for (sets, expected) in [
        (&["train.batch=3"][..], "expected a multiple of 2"),
        (
            &["train.batch=4", "train.image_pool=8"],
            "train.image_pool: expected 0 with 2 devices",
        ),
    ] {
        let config = config(sets);
        let data = pictures_of(&config);
        let refused = Trainer::on_devices(config, data, &device, std::slice::from_ref(&device));
        let error = refused.err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn every_trained_parameter_moves_and_losses_are_finite() {
    for sets in [
        &[][..],
        &["generator.kind=recurrent", "generator.style=latent"],
        &["generator.style=reference", "discriminator.head=conv"],
        &["discriminator.head=dense"],
        &["discriminator.global=true", "loss.prior=1"],
    ] {
        let config = config(sets);
        let data = pictures_of(&config);
        every_parameter_moves(config, data);
    }
}

fn every_parameter_moves(config: Config, data: &Dataset) {
    let mut trainer = Trainer::new(config, data, &Device::flex()).unwrap();
    let before = (
        weights_of(trainer.average()),
        weights_of(trainer.discriminator()),
    );
    (0..8).for_each(|_| trainer.advance().expect("finite"));
    let after = (
        weights_of(trainer.average()),
        weights_of(trainer.discriminator()),
    );
    for (name, array) in before.0.iter().chain(&before.1) {
        let now = after.0.get(name).or(after.1.get(name)).unwrap();
        assert_ne!(now, array, "{name} did not move");
    }
    let tick = trainer.tick().unwrap().unwrap();
    assert!(
        tick[Figure::DReal] > 0.0 && tick[Figure::GAdversarial] > 0.0 && tick[Figure::GKl] > 0.0,
        "{tick:?}"
    );
}

#[test]
fn freezing_the_discriminator_leaves_the_gradient_to_the_picture_as_it_is() {
    let device = Device::flex().autodiff();
    let config = config(&[]);
    let discriminator = config
        .discriminator
        .init(config.domain(2), &mut Init::new(1, 1, &device))
        .unwrap();
    let values = Rng::new(1, Stream::TEST, 0).normals(2 * 3 * 16 * 16);
    let pictures = || {
        Tensor::<4>::from_data(TensorData::new(values.clone(), [2, 3, 16, 16]), &device)
            .require_grad()
    };
    let labels = || Tensor::from_data(TensorData::new(vec![1_i32; 2 * 16], [2, 4, 4]), &device);
    let gradient = |discriminator: &demotic_core::model::Discriminator| {
        let x = pictures();
        let loss = discriminator
            .negative_log_likelihood(discriminator.emissions(x.clone()), labels())
            .mean();
        x.grad(&loss.backward())
            .unwrap()
            .into_data()
            .try_into_vec::<f32>()
            .unwrap()
    };
    let free = gradient(&discriminator);
    assert!(free.iter().any(|g| g.abs() > 0.0));
    assert_eq!(free, gradient(&discriminator.clone().no_grad()));
}

#[cfg(feature = "wgpu")]
#[test]
fn a_gpu_step_agrees_with_the_processor_and_a_resumed_one_with_one_uncut() {
    if demotic_core::device::tested_adapters().is_empty() {
        eprintln!("skipped: no wgpu adapter");
        return;
    }
    let gpu = demotic_core::device::open("wgpu").map_or_else(
        |_| Device::wgpu(burn::tensor::DeviceKind::Cpu),
        |chosen| chosen.device,
    );
    // Few shapes: a software adapter tunes each for seconds.
    let config = config(&[
        "train.pairs=all",
        "generator.context_blocks=0",
        "generator.encoder_blocks=0",
    ]);
    let data = pictures_of(&config);
    let folder = tempfile::tempdir().unwrap();
    let ticks = [Device::flex(), gpu.clone()].map(|device| {
        let mut trainer = Trainer::new(config.clone(), data, &device).unwrap();
        trainer.advance().expect("finite");
        trainer.save(folder.path()).unwrap();
        trainer.advance().expect("finite");
        (
            trainer.tick().unwrap().unwrap(),
            weights_of(trainer.average()),
        )
    });
    let [(a, weights_a), (b, weights_b)] = ticks;
    // The GPU's own, which was saved last.
    let mut resumed = Trainer::new(config.clone(), data, &gpu).unwrap();
    let path = demotic_core::train::latest_checkpoint(folder.path()).unwrap();
    resumed
        .restore(&Checkpoint::load(&path.unwrap()).unwrap())
        .unwrap();
    resumed.advance().expect("finite");
    resumed.tick().unwrap().unwrap();
    for (name, uncut) in &weights_b {
        let cut = &weights_of(resumed.average())[name].values;
        let worst = uncut.values.iter().zip(cut).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0, f32::max);
        assert!(worst <= 1e-6, "{name}: {worst} apart after a resume");
    }
    for (x, y) in [
        (a[Figure::DReal], b[Figure::DReal]),
        (a[Figure::DFake], b[Figure::DFake]),
        (a[Figure::DComposite], b[Figure::DComposite]),
        (a[Figure::GReconstruction], b[Figure::GReconstruction]),
        (a[Figure::GKl], b[Figure::GKl]),
        (a[Figure::GCycle], b[Figure::GCycle]),
        (a[Figure::GAdversarial], b[Figure::GAdversarial]),
        (a[Figure::GPaired], b[Figure::GPaired]),
    ] {
        // f32 sums in another order.
        assert!((x - y).abs() <= 2e-4 * x.abs().max(0.1), "{a:?}\n{b:?}");
    }
    // Adam divides by the gradient's own size: where a gradient is nearly zero its sign may differ between
    // backends, so single weights may be a whole step (2e-4 at these rates) apart; most are not.
    let near = |what: &str, distances: [f32; 3]| {
        let [half, most, worst] = distances;
        eprintln!("{what}: half within {half}, 99 of 100 within {most}, worst {worst}");
        assert!(
            half < 1e-6 && most < 5e-5 && worst < 1e-3,
            "{what}: {distances:?}"
        );
    };
    near("adapter and flex", apart(&[weights_a], &[weights_b]));

    // Twice the same adapter, a replica each, and the adapter beside the processor: as one that works the
    // step in two parts. Parts of three pictures, as above: their shapes are tuned.
    let mut halves = config.clone();
    halves.train.batch = 6;
    let trained = |mut trainer: Trainer<'_>| {
        (0..2).for_each(|_| trainer.advance().expect("finite"));
        let tick = trainer.tick().unwrap().unwrap();
        let weights = [
            weights_of(trainer.generator()),
            weights_of(trainer.discriminator()),
        ];
        (tick, weights)
    };
    let pair = |first: &Device| {
        Trainer::on_devices(halves.clone(), data, first, std::slice::from_ref(&gpu)).unwrap()
    };
    let (both, both_weights) = trained(pair(&gpu));
    let (mixed, mixed_weights) = trained(pair(&Device::flex()));
    halves.train.accumulate = 2;
    let (alone, alone_weights) = trained(Trainer::new(halves, data, &gpu).unwrap());
    // The same kernels on the same numbers; only gradients and figures are added in another place.
    let figures = |t: &Tick| {
        [
            t[Figure::DReal],
            t[Figure::DFake],
            t[Figure::DComposite],
            t[Figure::GReconstruction],
            t[Figure::GKl],
            t[Figure::GCycle],
            t[Figure::GAdversarial],
            t[Figure::GPaired],
            t[Figure::DNorm],
            t[Figure::GNorm],
        ]
    };
    for (pair, tolerance) in [(figures(&both), 1e-4), (figures(&mixed), 2e-4)] {
        let alone = figures(&alone);
        let close = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance * a.abs();
        assert!(alone.iter().zip(&pair).all(close), "{alone:?} {pair:?}");
    }
    near("one adapter twice", apart(&alone_weights, &both_weights));
    near("adapter beside flex", apart(&alone_weights, &mixed_weights));
}

/// How far apart all weights are: the middle one, the 99th of a hundred, the worst.
fn apart(a: &[Arrays], b: &[Arrays]) -> [f32; 3] {
    let values = |networks: &[Arrays]| -> Vec<f32> {
        let arrays = networks.iter().flat_map(Arrays::values);
        arrays.flat_map(|array| array.values.clone()).collect()
    };
    let (a, b) = (values(a), values(b));
    let mut apart: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).collect();
    apart.sort_by(f32::total_cmp);
    [apart.len() / 2, apart.len() * 99 / 100, apart.len() - 1].map(|place| apart[place])
}

#[test]
fn mixtures_on_label_maps_hold_made_patches_beside_real_ones() {
    for sets in [&["train.pairs=none"][..], &["data.size_px=32"]] {
        let config = config(sets);
        let data = pictures_of(&config);
        let device = Device::flex();
        let trainer = Trainer::new(config, data, &device).unwrap();
        let item = |style| (style, data.items(style, Split::Test)[0]);
        let maps = label_maps(
            trainer.average(),
            trainer.discriminator(),
            trainer.config().loss.adversarial_kind,
            data,
            &device,
            &[item(0), item(1), (0, data.items(0, Split::Test)[1])],
        );
        let telling = maps.iter().filter(|map| {
            let is_real = |label: &u32| *label > 0;
            map.kind == Kind::Mixed
                && map.truth.iter().any(is_real)
                && !map.truth.iter().all(is_real)
        });
        assert!(telling.count() >= 2);
    }
}

#[test]
fn a_discriminator_against_a_generator_that_stands_still_is_said_to_win() {
    let config = config(&[
        "train.generator_rate=0",
        "train.discriminator_rate=0.003",
        "train.steps=800",
    ]);
    let data = pictures_of(&config);
    let mut trainer = Trainer::new(config.clone(), data, &Device::flex()).unwrap();
    let mut watch = Watch::new(&config);
    let mut begun = Vec::new();
    let mut last = None;
    for _ in 0..40 {
        (0..20).for_each(|_| trainer.advance().expect("finite"));
        let tick = trainer.tick().unwrap().unwrap();
        begun.extend(watch.observe(&tick));
        let left = tick.secs_per_kimg / 1000.0 * 3.0 * (800 - tick.step) as f64;
        assert!((tick.secs_left - left).abs() <= 1e-9 * left, "{tick:?}");
        if !begun.is_empty() {
            break;
        }
        last = Some(tick);
    }
    assert_eq!(begun, [Condition::DiscriminatorWins], "{last:?}");
}

/// Takes its time at every validation, and keeps what it hears.
#[derive(Default)]
struct Slow(Vec<Tick>);

const SLOWNESS: std::time::Duration = std::time::Duration::from_millis(200);

impl Observer for Slow {
    type Error = demotic_core::Error;

    fn ticked(&mut self, _trainer: &Trainer<'_>, tick: &Tick) -> Result<(), Self::Error> {
        self.0.push(tick.clone());
        Ok(())
    }

    fn validate(&mut self, _trainer: &Trainer<'_>) -> Option<Validation> {
        std::thread::sleep(SLOWNESS);
        None
    }
}

#[test]
fn the_time_left_counts_validations_that_are_yet_to_come() {
    let config = config(&["train.tick_steps=2", "train.checkpoint_steps=4"]);
    let data = pictures_of(&config);
    let trainer = Trainer::new(config, data, &Device::flex()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::fresh(&folder.path().join("run")).unwrap();
    let mut heard = Slow::default();
    let ending = Session::new(trainer, &run)
        .unwrap()
        .run(&mut heard)
        .unwrap();
    assert_eq!(ending, Ending::Done);
    let beyond: Vec<f64> = heard
        .0
        .iter()
        .map(|tick| tick.secs_left - tick.secs_per_kimg / 1000.0 * 3.0 * (8 - tick.step) as f64)
        .collect();
    // Steps 2 and 4 are reported before the first validation, 6 and 8 before the second and last.
    let [first, second, third, last] = beyond[..] else {
        panic!("four ticks: {beyond:?}")
    };
    assert!(first.abs() < 1e-9 && second.abs() < 1e-9, "{beyond:?}");
    let least = SLOWNESS.as_secs_f64() - 1e-9;
    assert!(third >= least && last >= least, "{beyond:?}");
    // One of them, and not two.
    assert!((third - last).abs() < 1e-9, "{beyond:?}");
}
