//! Every key of a configuration, declared once: meaning, type, default, range, and what it takes to have an
//! effect.

use super::choices::{
    AdversarialKind, AugmentProb, BestMetric, CanvasWeight, Channels, Counterparts, DIRECTIONS,
    Damaged, Directions, DiscriminatorHead, FilterKind, Fit, GeneratorKind, KernelKind, LearnWords,
    PairedStyles, Pairs, PhraseEncoderKind, Schedule, StyleKind, TransitionKind,
};
use super::declare::{
    at_least, between, count, described, multiple, not_negative, one_of, positive, settings,
    switch, with, words, words_or,
};

type Key = super::declare::Key<Config>;
type Condition = super::declare::Condition<Config>;

/// Most of whatever is counted in memory: pictures, channels, widths.
const MANY: usize = 4096;

const CRF: Condition = with("discriminator.head = crf", Config::has_crf);
const LEARNED: Condition = with(
    "discriminator.head = crf and discriminator.transitions = learned",
    |c| c.has_crf() && c.discriminator.transitions == TransitionKind::Learned,
);
const POTTS: Condition = with("discriminator.transitions = potts", |c| {
    c.has_crf() && c.discriminator.transitions == TransitionKind::Potts
});
const LAYERS: Condition = with(
    "discriminator.head = conv or dense, or discriminator.global",
    |c| {
        let head = c.discriminator.head;
        let is_layers = matches!(head, DiscriminatorHead::Conv | DiscriminatorHead::Dense);
        is_layers || c.discriminator.global
    },
);
const FILTER: Condition = with("generator.filter = on", Config::keeps_shapes);
const STYLE_CODES: Condition = with("generator.style = latent or reference", |c| {
    c.generator.style != StyleKind::Table
});

/// Keys that earlier versions had, all numbers: name, the value that had no effect, what to use instead.
pub(super) const REMOVED: &[(&str, f64, &str)] = &[
    ("loss.smoothness", 0.0, "`loss.r1` calms the discriminator"),
    ("augment.hue_max_degrees", 0.0, COLOURS_STAY),
    ("augment.brightness_max", 0.0, COLOURS_STAY),
];
const COLOURS_STAY: &str = "a style's colours are part of it; `discriminator.augment_prob` varies them for the discriminator";

settings! {
    /// Everything a run depends on besides its pictures and its device.
    Config {
        /// Seed of every random number: initial weights, batches, augmentation, noise.
        seed: u64 = 0, count();
    }

    /// Which pictures.
    data: DataConfig {
        /// `emoji` (built in), a folder of style folders `DIR/<style>/<name>.png`, or a data set made by
        /// `demotic data import`.
        source: String = "emoji".into(), described("");
        /// Side in pixels of the square that pictures are fitted to and the networks see.
        size_px: u32 = 64, multiple(8, 16, 256);
        /// How a picture of another shape comes into the square: `auto`: whole, and what is left continues
        /// it, in its edge's colour where that is plain or transparent, else as its mirror image; `pad`:
        /// whole, on the background; `mirror`: whole, always mirrored; `crop`: its middle alone. Where styles
        /// differ in shape, the bars of `pad` become part of a style.
        fit: Fit = Fit::Auto, words(Fit::WORDS);
        /// Styles by name, in this order; empty takes all there are.
        styles: Vec<String> = Vec::new(), described("none, or two and more");
        /// Colour that transparent pixels are composed on.
        background: String = "#ffffff".into(), described("`#rrggbb`");
        /// What equal names in two styles mean: `names`: counterparts, which scores are computed against;
        /// `none`: nothing, as with pictures that a camera or a script has numbered.
        pairs: Counterparts = Counterparts::Names, words(Counterparts::WORDS);
        /// What becomes of a data set with damaged pictures: `refuse` names them all and stops; `skip` goes
        /// on without them and says which (`--skip-damaged`).
        damaged: Damaged = Damaged::Refuse, words(Damaged::WORDS);
        /// What the networks see and generate: `rgb` on the background; `rgba`: colour on the background and
        /// alpha, so that the translation of a sticker is a sticker (`translate` then has no `--alpha`);
        /// `grey`. Scores and grids show rgba on the background; with `grey` they show true pictures in grey,
        /// too.
        channels: Channels = Channels::Rgb, words(Channels::WORDS);
    }

    /// How training pictures are varied.
    augment: Augmentation {
        /// Probability of a left-right mirror image; 0 for writing.
        flip_prob: f32 = 0.5, between(0.0, 1.0);
        /// Probability of a shift, a scaling and a rotation together; other pictures stay sharp to the pixel.
        affine_prob: f32 = 0.5, between(0.0, 1.0);
        /// Largest shift along each axis, as a share of the side.
        shift_max: f32 = 0.06, between(0.0, 0.5);
        /// Largest scaling up or down, as a share: 0.1 is 0.9 to 1.1.
        scale_max: f32 = 0.1, between(0.0, 0.5);
        /// Largest rotation either way.
        rotate_max_degrees: f32 = 8.0, between(0.0, 180.0);
        /// Largest growth of a translated picture's ink to every side, as a share of the side: strokes get
        /// wider, so that a doodle by a broad pen is known, too. Half of the pictures keep theirs; what
        /// the discriminator takes for real always does. 0 is off.
        stroke_max: f32 = 0.0, between(0.0, 0.2);
    }

    /// The VAE that encodes a picture and decodes it in a style.
    generator: GeneratorConfig {
        /// `conv` generates a picture at once; `recurrent` in steps on a canvas, with a convolutional GRU and
        /// a latent a step (DRAW), at several times the cost: take a `latent_stride` of 4.
        kind: GeneratorKind = GeneratorKind::Conv, words(GeneratorKind::WORDS);
        /// Steps of a recurrent generator.
        draw_steps: usize = 4, between(1, MANY),
            only with("generator.kind = recurrent", |c| c.generator.kind == GeneratorKind::Recurrent);
        /// Channels of the latent; of each step's latent in a recurrent generator.
        latent_channels: usize = 16, between(1, MANY);
        /// Pixels of the picture's side to one cell of the latent.
        latent_stride: usize = 2, one_of([2, 4, 8]);
        /// Channels at the latent's size, at least `channels_min`; halved each time the picture doubles.
        channels: usize = 48, between(1, MANY);
        /// The fewest channels of any stage.
        channels_min: usize = 24, between(1, MANY);
        /// Residual blocks of the encoder at the latent's size.
        encoder_blocks: usize = 2, count();
        /// Residual blocks of the decoder at the latent's size.
        decoder_blocks: usize = 2, count();
        /// Residual blocks of the decoder at half the latent's size, which see more of the picture for a
        /// quarter of the cost.
        context_blocks: usize = 2, count();
        /// `on` lays a translation into its input along edges, in training and in use: the decoder's change
        /// of the input is averaged within regions and stops at edges (domain transform, Gastal and Oliveira
        /// 2011), so that fills are flat and outlines are the input's own; `off` takes what the decoder
        /// generates.
        filter: FilterKind = FilterKind::On, words(FilterKind::WORDS);
        /// Distance over which a change spreads where no edge stops it, in sides of the picture.
        filter_reach: f32 = 0.3125, between(0.01, 100.0), only FILTER;
        /// How much the input's edges stop a change: across a step of a tenth of the full range its weight
        /// falls by `exp(-filter_edge / 5)`.
        filter_edge: f32 = 5.0, between(0.0, 1000.0), only FILTER;
        /// How much edges of the translation itself stop it; above 0 where shapes move from style to style.
        filter_edge_fake: f32 = 5.0, between(0.0, 1000.0), only FILTER;
        /// Where style codes come from: a learned `table`; `latent`: from noise by a mapping network
        /// (`translate --style-seed`); `reference`: from a picture by an encoder (`translate --reference`,
        /// also with `latent`). Without a seed or a picture, each style's mean code, with which a quarter of
        /// training's translations are generated.
        style: StyleKind = StyleKind::Table, words(StyleKind::WORDS);
        /// Entries of a style code.
        style_dims: usize = 32, between(1, MANY);
        /// Noise values that the mapping network turns into a style code.
        style_noise_dims: usize = 16, between(1, MANY),
            only with("generator.style = latent", |c| c.generator.style == StyleKind::Latent);
        /// Channels of the style encoder at half the picture's size, doubled below; a quarter of the mapping
        /// network's width.
        style_channels: usize = 24, between(1, MANY), only STYLE_CODES;
    }

    /// The classifier of patches that the generator trains against.
    discriminator: DiscriminatorConfig {
        /// `crf` connects neighbouring patches by chains; `patch` classifies each patch alone; `conv` adds
        /// two 3x3 convolutions over the patches' scores to them; `dense` adds two fully connected layers
        /// over all scores of a picture (the number of weights grows with the number of patches).
        head: DiscriminatorHead = DiscriminatorHead::Crf, words(DiscriminatorHead::WORDS);
        /// Channels at half the picture's size; doubled at a quarter of it.
        channels: usize = 72, between(1, MANY);
        /// Bound of the learned transitions, in nats.
        a_max: f32 = 1.0, positive(), only LEARNED;
        /// Scores from label to label along the chains: `learned`, or `potts`: fixed, `discriminator.potts`
        /// for staying.
        transitions: TransitionKind = TransitionKind::Learned, words(TransitionKind::WORDS), only CRF;
        /// Score of staying at a label where transitions are fixed, in nats.
        potts: f32 = 2.0, between(-20.0, 20.0), only POTTS;
        /// Which chains count.
        directions: Directions = Directions::Both, words(DIRECTIONS), only CRF;
        /// Whether the scores that the chains start from see the whole picture: two fully connected layers
        /// over all scores are added to them (the number of weights grows with the number of patches).
        /// `dense` is the same without transitions.
        global: bool = false, switch(), only CRF;
        /// Width of the hidden layer of the `conv` and `dense` heads and of `discriminator.global`.
        head_width: usize = 64, between(1, MANY), only LAYERS;
        /// Whether the trunk's weights are divided by their largest singular value, found by one power
        /// iteration a step.
        spectral_norm: bool = false, switch();
        /// Probability of each change (colour; translation by up to 1/8; a hole of half the side) of real and
        /// fake pictures before the discriminator sees them; `auto` is `1 - n/1000` within 0 and 0.8, with
        /// `n` the training pictures of the rarest style.
        augment_prob: AugmentProb = AugmentProb::Auto, words_or(&["auto"], "0 to 1");
    }

    /// Weights of the loss terms.
    loss: LossConfig {
        /// Mean absolute error of a picture encoded and decoded in its own style.
        reconstruction: f32 = 10.0, not_negative();
        /// Kullback-Leibler divergence of the posterior from N(0, 1), nats per picture value.
        kl: f32 = 0.03, not_negative();
        /// Mean absolute error of a picture translated there and back.
        cycle: f32 = 5.0, not_negative();
        /// Deviation of the noise added to a translation before it is translated back, where the picture's
        /// range is 2. Without it the translation may hide the input in faint patterns that serve the way
        /// back (Chu et al. 2017).
        cycle_noise: f32 = 0.15, not_negative();
        /// Whether the way back also trains the way there. A translation that is rewarded for bringing its
        /// input back hides what the target style cannot hold, such as colours as speckle in line art.
        cycle_through: bool = false, switch();
        /// Likelihood, under the discriminator, that every patch of a translation is real and of the target
        /// style.
        adversarial: f32 = 2.0, not_negative();
        /// The same for samples from the prior in the translations' styles; half of the discriminator's fakes
        /// are then samples (Larsen et al. 2016). It trains what `demotic sample --prior normal` generates;
        /// the default `--prior fitted` needs no training. Take a coarse, short latent
        /// (`generator.latent_stride = 8`), a discriminator that sees whole pictures (`discriminator.global`)
        /// and many steps: [what 2,000 came to](../docs/scoring.md#sample).
        prior: f32 = 0.0, not_negative();
        /// Mean absolute error of the latent encoded from a sample against the latent that it was decoded
        /// from: without it all samples may look alike (Zhu et al. 2017, BicycleGAN).
        latent: f32 = 1.0, not_negative(), only with("loss.prior above 0", |c| c.loss.prior > 0.0);
        /// The loss that the two networks train on: `likelihood` of all labels under the head; `hinge`,
        /// `least-squares` and `non-saturating` take, for every patch, the score of its style (its own, or
        /// the target) less the score of fake, and need the head `patch`, `conv` or `dense`.
        adversarial_kind: AdversarialKind = AdversarialKind::Likelihood, words(AdversarialKind::WORDS);
        /// Whether the generator trains on single patches while the discriminator trains on chains.
        adversarial_patchwise: bool = false, switch(), only CRF;
        /// Weight, in the discriminator's loss, of each patch's own cross-entropy beside the chains'
        /// likelihood.
        unary: f32 = 0.0, not_negative(), only CRF;
        /// Mean absolute error against the true translation, where `train.pairs` shows it.
        paired: f32 = 10.0, not_negative(), only with("train.pairs above 0", |c| c.train.pairs.share() > 0.0);
        /// Mean absolute change of the canvas: of those pixels of an input without ink from which a way
        /// without ink leads to the border. Where styles fill the square differently, the discriminator asks
        /// for colour beside a drawing; this term prevents that. `auto` is 2 where they do, training does not
        /// show every style at many sizes and `generator.filter = on` keeps shapes where they are, else 0.
        canvas: CanvasWeight = CanvasWeight::Auto, words_or(&["auto"], "0 or more");
        /// Mean absolute error of the style code encoded from a translation against the one it was generated
        /// with.
        style: f32 = 1.0, not_negative(), only STYLE_CODES;
        /// Mean absolute difference between translations of one picture with two codes of one style, which is
        /// to be large; the weight falls to 0 over the run.
        diversity: f32 = 1.0, not_negative(), only STYLE_CODES;
        /// Share of the discriminator's third batch that is composites, where the batch has a partner; the
        /// others stay pure. Half of the composites are real and fake of one style, a quarter two real
        /// styles, a quarter controls whose seams mean nothing (both real or both fake, of one style).
        composite_prob: f32 = 0.5, between(0.0, 1.0);
        /// Steps over which the share of composites rises from zero.
        composite_warmup_steps: u64 = 200, count(),
            only with("loss.composite_prob above 0", |c| c.loss.composite_prob > 0.0);
        /// R1: half the squared norm of the gradient, at real pictures, of the discriminator's logits (score
        /// of the picture's style less score of fake) summed over patches and divided by the root of their
        /// number, so that the picture's size does not matter; by finite differences (Mescheder et al. 2018).
        /// 0.1 calms a discriminator that wins; 1 and more cost style ([guide](../docs/guide.md)).
        r1: f32 = 0.0, not_negative();
        /// Steps from one evaluation of that term to the next; it then counts as many times.
        r1_interval_steps: u64 = 16, at_least(1), only with("loss.r1 above 0", |c| c.loss.r1 > 0.0);
    }

    /// Lengths, rates and intervals.
    train: TrainConfig {
        /// Generator steps (`--steps`).
        steps: u64 = 100_000, at_least(1);
        /// Pictures a step.
        batch: usize = 16, between(1, MANY);
        /// Equal parts that a step's pictures are worked in, one after the other: same gradients (composites
        /// are made within a part), less memory, and pictures are generated twice.
        accumulate: usize = 1, described("a divisor of `train.batch`");
        /// Whether true translations are shown: `none`, `all`, or for this share of a batch's pictures,
        /// spread evenly; the others are sampled independently.
        pairs: Pairs = Pairs::None, words_or(&["none", "all"], "0 to 1");
        /// Pairs of which styles: `any`, or `aligned`: of styles drawn over the same outlines alone. Where
        /// things are drawn anew, the mean of all places that they might have is a blurred one.
        paired_styles: PairedStyles = PairedStyles::Any, words(PairedStyles::WORDS),
            only with("train.pairs above 0", |c| c.train.pairs.share() > 0.0);
        /// Adam's rate for the generator.
        generator_rate: f64 = 2e-4, between(0.0, 1.0);
        /// Adam's rate for the discriminator's trunk.
        discriminator_rate: f64 = 2e-4, between(0.0, 1.0);
        /// The transitions' rate over the trunk's: with the same rate they hardly move.
        transition_rate_factor: f64 = 10.0, between(0.0, 1e4), only LEARNED;
        /// Adam's decay of the first moment.
        beta_1: f64 = 0.5, between(0.0, 0.9999);
        /// Adam's decay of the second moment.
        beta_2: f64 = 0.99, between(0.0, 0.999_999);
        /// How rates go after the warm-up: constant, then down to a hundredth, `linear` or along half a
        /// `cosine`; or `constant` to the end.
        schedule: Schedule = Schedule::Linear, words(Schedule::WORDS);
        /// Part of the run after which rates fall; 1 keeps them constant.
        decay_from: f64 = 0.4, between(0.0, 1.0),
            only with("train.schedule = linear or cosine", |c| c.train.schedule != Schedule::Constant);
        /// Steps over which rates rise from zero.
        warmup_steps: u64 = 100, count();
        /// Translations of earlier steps that are kept; the discriminator sees one of them half the time in
        /// place of a new one of the same style (50 in CycleGAN). Saved in checkpoints; 0 keeps none.
        image_pool: usize = 0, between(0, 10_000);
        /// Largest norm of all gradients of a network together; larger ones are scaled down. 0 does not clip.
        gradient_norm_max: f32 = 10.0, not_negative();
        /// Steps over which the moving average of the generator's weights halves its memory; a quarter of the
        /// steps done while that is less, so that the first weights are soon forgotten (the ramp-up of Karras
        /// et al. 2020, there 5 %).
        ema_half_life_steps: f64 = 200.0, between(0.0, 1e9);
        /// Steps from one line of figures to the next.
        tick_steps: u64 = 100, at_least(1);
        /// Steps from one sample grid to the next.
        sample_steps: u64 = 1000, at_least(1);
        /// Steps from one checkpoint to the next.
        checkpoint_steps: u64 = 1000, at_least(1);
        /// Newest checkpoints kept; older ones are deleted, the best one never.
        checkpoints_kept: usize = 2, between(1, MANY);
        /// Figure on validation pictures that names the best checkpoint; `auto`: `overall` (`perceptual + kid
        /// / 200`) where they have counterparts and every style has 30 of them, else `perceptual`, `kid` or
        /// `cycle_l1`, the first that can be measured.
        best_metric: BestMetric = BestMetric::Auto, words(BestMetric::WORDS);
        /// How often a run may go back to its last checkpoint because a loss or gradient was not finite.
        rollbacks_max: u32 = 3, count();
        /// Factor of both rates at each roll-back.
        rollback_rate: f64 = 0.5, between(1e-6, 1.0),
            only with("train.rollbacks_max above 0", |c| c.train.rollbacks_max > 0);
        /// Whether event files for TensorBoard are written into the run's `tensorboard/`.
        tensorboard: bool = false, switch();
    }

    /// What the ideas of the pictures are called (`demotic learn-words`).
    words: WordsConfig {
        /// Whether `demotic train` learns words at its end: `auto`: where the run's own pictures have phrases
        /// and it has 1,000 steps or more; `always`; `never`.
        learn: LearnWords = LearnWords::Auto, words(LearnWords::WORDS);
        /// How a phrase becomes a code: `grams`: the sum of its hashed letter groups; `recurrent`: by a gated
        /// recurrent network over its letters.
        encoder: PhraseEncoderKind = PhraseEncoderKind::Grams, words(PhraseEncoderKind::WORDS);
        /// Most steps of the phrase encoder.
        encoder_steps: u64 = 2000, at_least(1);
        /// Looks at validation phrases, one every 100 steps, without gain after which the phrase encoder
        /// stops; the best weights stay. 0 does not look and takes the last ones.
        patience: u64 = 3, count();
        /// Share of letter groups, or letters, that are left out of each phrase while learning.
        drop: f32 = 0.3, between(0.0, 0.95);
        /// Steps of the speaker of each language.
        speaker_steps: u64 = 700, at_least(1);
        /// Steps of the text discriminator.
        discriminator_steps: u64 = 400, at_least(1);
        /// Steps of what writes kaomoji, and of its discriminator; 0 leaves both out.
        kaomoji_steps: u64 = 300, count();
        /// Steps of the reader of pictures; 0 leaves it out.
        reader_steps: u64 = 1500, count();
        /// Steps in which each speaker and the text discriminator learn from each other, after all else.
        adversarial_steps: u64 = 0, count();
    }

    /// How a graphics processor computes.
    device: DeviceConfig {
        /// Convolutions of `wgpu` devices that take WGSL: `own` kernels, `burn`'s, or `auto`: in the first
        /// step both are timed on the device, a layer at a time, and the faster is taken; that is kept for
        /// the device, its driver and this build. A software adapter is not timed and takes `own`.
        kernels: KernelKind = KernelKind::Auto, words(KernelKind::WORDS);
    }
}
