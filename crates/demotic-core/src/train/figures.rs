//! The figures of a training step, one row each. The step measures them by name; screen, `stats.jsonl`,
//! checkpoints, page, comparison and doctor go through this table.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Index, IndexMut};

use crate::number::{Real, Whole};
use burn::tensor::Tensor;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::arrays::{Array, Arrays};
use crate::device::Asked;
use crate::ops;

/// How a figure is stored and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key in `stats.jsonl` and in checkpoints.
    pub key: &'static str,
    /// Its name on the screen.
    pub name: &'static str,
    /// Digits behind the point on the screen.
    pub digits: usize,
    /// When the screen has it.
    pub column: Column,
    /// The chart that it is plotted in.
    pub chart: Chart,
    /// Its line in that chart.
    pub series: &'static str,
}

/// When the screen has a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// On every line.
    Always,
    /// On the lines of runs that have it.
    WhereUsed,
    /// On none.
    Never,
}

/// Declares [`Figure`] and its table: one line per figure.
macro_rules! figures {
    ($($(#[doc = $doc:literal])+ $figure:ident = $key:literal, $name:literal, $digits:literal, $column:ident, $chart:ident, $series:literal;)+) => {
        /// What is measured in a training step, in the order of screen and files.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Figure {
            $($(#[doc = $doc])+ $figure,)+
        }

        impl Figure {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$figure),+];

            const ROWS: [Row; Self::ALL.len()] = [$(Row {
                key: $key,
                name: $name,
                digits: $digits,
                column: Column::$column,
                chart: Chart::$chart,
                series: $series,
            }),+];
        }
    };
}

figures! {
    /// Discriminator's loss on real pictures, nats per patch.
    DReal = "d_real", "d_real", 3, Always, Discriminator, "real";
    /// On fakes, nats per patch.
    DFake = "d_fake", "d_fake", 3, Always, Discriminator, "fake";
    /// On mixed pictures, nats per patch.
    DComposite = "d_composite", "d_mix", 3, Always, Discriminator, "mixed";
    /// D(real): probability that a patch of a real picture is real, by the patch's own scores; mean over
    /// patches.
    DRealProb = "d_real_prob", "D(real)", 3, Always, Probability, "real";
    /// D(fake): the same of fakes.
    DFakeProb = "d_fake_prob", "D(fake)", 3, Always, Probability, "fake";
    /// Mean absolute error of a picture decoded in its own style, in units of the [-1, 1] range.
    GReconstruction = "g_reconstruction", "g_rec", 4, Always, Errors, "itself";
    /// Mean absolute error there and back.
    GCycle = "g_cycle", "g_cyc", 4, Always, Errors, "there and back";
    /// Divergence of the posterior, nats per picture value.
    GKl = "g_kl", "g_kl", 4, Always, Divergence, "KL";
    /// Generator's loss against the discriminator, nats per patch.
    GAdversarial = "g_adversarial", "g_adv", 3, Always, Against, "translations";
    /// Mean absolute error against true translations, where there is none counted as 0.
    GPaired = "g_paired", "g_pair", 4, Always, Errors, "true pair";
    /// Mean absolute change of the canvas over all values; 0 without `loss.canvas`.
    GCanvas = "g_canvas", "g_canv", 4, WhereUsed, Errors, "canvas";
    /// Mean absolute error of the style code read from a translation; 0 where codes are the table's.
    GStyle = "g_style", "g_style", 4, WhereUsed, StyleCodes, "error";
    /// Mean absolute difference between translations by two codes of one style; 0 where codes are the
    /// table's.
    GDiversity = "g_diversity", "g_div", 4, WhereUsed, StyleCodes, "difference";
    /// Generator's loss against the discriminator of samples from the prior, nats per patch; 0 without
    /// `loss.prior`.
    GPrior = "g_prior", "g_prior", 4, WhereUsed, Against, "from the prior";
    /// Mean absolute error of the latent read from a sample, against the one it was decoded from; 0 without
    /// `loss.prior`.
    GLatent = "g_latent", "g_lat", 4, WhereUsed, Latent, "latent";
    /// Mean squared norm of the discriminator's gradient at real pictures, over the steps that measured it;
    /// none where no step did.
    DR1 = "d_r1", "d_r1", 4, WhereUsed, R1, "r1";
    /// Norm of the discriminator's gradients before clipping.
    DNorm = "d_norm", "d_norm", 3, Never, Gradients, "discriminator";
    /// Norm of the generator's gradients before clipping.
    GNorm = "g_norm", "g_norm", 3, Never, Gradients, "generator";
}

impl Figure {
    /// Its row of the table.
    pub const fn row(self) -> &'static Row {
        &Self::ROWS[self as usize]
    }

    /// The figure of a key.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|figure| figure.row().key == key)
    }

    /// Whether it is a loss or a term of one: no probability and no norm of gradients.
    pub(crate) fn is_loss(self) -> bool {
        !matches!(self.row().chart, Chart::Probability | Chart::Gradients)
    }

    /// Whether its mean is over the steps that measured it alone. Of the others, a step without the term
    /// counts as 0.
    fn is_where_measured(self) -> bool {
        self == Self::DR1
    }
}

/// Figures that belong together: a chart of the page, a line of the screen's legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// The discriminator's loss.
    Discriminator,
    /// Its probability that a patch is real.
    Probability,
    /// The generator's adversarial loss.
    Against,
    /// Errors of pictures.
    Errors,
    /// Errors of latents.
    Latent,
    /// Errors and differences of style codes.
    StyleCodes,
    /// The posterior.
    Divergence,
    /// Norms of gradients.
    Gradients,
    /// The gradient penalty.
    R1,
}

impl Chart {
    /// All of them, in the page's order.
    pub const ALL: [Self; 9] = [
        Self::Discriminator,
        Self::Probability,
        Self::Against,
        Self::Errors,
        Self::Latent,
        Self::StyleCodes,
        Self::Divergence,
        Self::Gradients,
        Self::R1,
    ];

    /// Its heading, and what its numbers are.
    pub const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Discriminator => (
                "Discriminator",
                "its loss by kind of picture, nats per patch",
            ),
            Self::Probability => (
                "D(x)",
                "mean probability that a patch is real, by its own scores",
            ),
            Self::Against => (
                "Generator against it",
                "nats per patch, lower: more convincing",
            ),
            Self::Errors => ("Reconstruction", "mean absolute error of the range 2"),
            Self::Latent => ("Latent", "read back from a sample: mean absolute error"),
            Self::StyleCodes => (
                "Style codes",
                "mean absolute error of a code read back; mean absolute difference by two codes of one style, larger is better",
            ),
            Self::Divergence => ("Divergence", "nats per picture value"),
            Self::Gradients => ("Gradients", "norm before clipping"),
            Self::R1 => (
                "R1",
                "squared gradient of the discriminator at real pictures",
            ),
        }
    }

    /// What its numbers are, in a word or two.
    pub const fn axis(self) -> &'static str {
        match self {
            Self::Discriminator | Self::Against => "nats a patch",
            Self::Probability => "probability",
            Self::Errors | Self::Latent => "mean absolute error",
            Self::StyleCodes => "mean absolute",
            Self::Divergence => "nats a value",
            Self::Gradients => "norm",
            Self::R1 => "squared norm",
        }
    }

    /// Its figures.
    pub fn figures(self) -> impl Iterator<Item = Figure> {
        Figure::ALL
            .iter()
            .copied()
            .filter(move |figure| figure.row().chart == self)
    }
}

/// Figures by name, each the mean over some steps; none where no step measured it.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures([Option<f32>; Figure::ALL.len()]);

impl Default for Figures {
    fn default() -> Self {
        Self([None; Figure::ALL.len()])
    }
}

impl Figures {
    /// A figure, where it was measured.
    pub fn get(&self, figure: Figure) -> Option<f32> {
        self.0[figure as usize]
    }

    /// Every figure in order; one that was not measured counts as 0.
    pub fn iter(&self) -> impl Iterator<Item = (Figure, f32)> {
        let values = self.0.iter().map(|value| value.unwrap_or(0.0));
        Figure::ALL.iter().copied().zip(values)
    }
}

/// If a figure comes twice, the later value counts.
impl FromIterator<(Figure, f32)> for Figures {
    fn from_iter<I: IntoIterator<Item = (Figure, f32)>>(values: I) -> Self {
        let mut figures = Self::default();
        for (figure, value) in values {
            figures[figure] = value;
        }
        figures
    }
}

/// A figure that was not measured counts as 0.
impl Index<Figure> for Figures {
    type Output = f32;

    fn index(&self, figure: Figure) -> &f32 {
        self.0[figure as usize].as_ref().unwrap_or(&0.0)
    }
}

/// A figure that was not measured becomes 0 first.
impl IndexMut<Figure> for Figures {
    fn index_mut(&mut self, figure: Figure) -> &mut f32 {
        self.0[figure as usize].get_or_insert(0.0)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (figure, value) in Figure::ALL.iter().zip(&self.0) {
            map.serialize_entry(figure.row().key, value)?;
        }
        map.end()
    }
}

/// A key that is missing, as in the file of an earlier build, was not measured; one that is no figure's is
/// passed over.
impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Figures;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("figures by their keys")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Figures, M::Error> {
                let mut figures = Figures::default();
                while let Some(key) = map.next_key::<String>()? {
                    match Figure::of_key(&key) {
                        Some(figure) => figures.0[figure as usize] = map.next_value()?,
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(figures)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

/// What one step measured, still on its device.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// One a value; none where it is no figure.
    figures: Vec<Option<Figure>>,
    /// Vectors, one after the other.
    values: Vec<Tensor<1>>,
}

impl Measured {
    /// Figures with values `[1]`.
    pub(crate) fn new(measured: Vec<(Figure, Tensor<1>)>) -> Self {
        let measured = measured.into_iter();
        let (figures, values) = measured
            .map(|(figure, value)| (Some(figure), value))
            .unzip();
        Self::of(figures, values)
    }

    /// Figures, and their values one after the other.
    pub(crate) fn of(figures: Vec<Option<Figure>>, values: Vec<Tensor<1>>) -> Self {
        let counted: usize = values.iter().map(|values| values.dims()[0]).sum();
        assert_eq!(counted, figures.len(), "a value for each figure");
        Self { figures, values }
    }

    /// Every value times a part's share of the step.
    pub(crate) fn scaled(self, share: f32) -> Self {
        let values = self.values.into_iter();
        Self {
            values: values.map(|values| values.mul_scalar(share)).collect(),
            ..self
        }
    }

    /// What [`Self::of`] makes them of.
    pub(crate) fn into_parts(self) -> (Vec<Option<Figure>>, Vec<Tensor<1>>) {
        (self.figures, self.values)
    }

    /// The sums of two parts; what only one of them measured is that one's.
    pub(crate) fn added(self, other: Self) -> Self {
        if self.figures == other.figures {
            let sum = ops::join(self.values) + ops::join(other.values);
            return Self {
                figures: self.figures,
                values: vec![sum],
            };
        }
        let mut sums: BTreeMap<Figure, Tensor<1>> = BTreeMap::new();
        for part in [self, other] {
            let values = ops::join(part.values).split(1, 0);
            for (figure, value) in part.figures.into_iter().zip(values) {
                let Some(figure) = figure else { continue };
                let sum = match sums.remove(&figure) {
                    Some(sum) => sum + value,
                    None => value,
                };
                sums.insert(figure, sum);
            }
        }
        Self::new(sums.into_iter().collect())
    }

    /// What several passes of a step measured, one after the other.
    pub(crate) fn joined(passes: [Self; 3]) -> Self {
        let (mut figures, mut values) = (Vec::new(), Vec::new());
        for pass in passes {
            figures.extend(pass.figures);
            values.extend(pass.values);
        }
        Self { figures, values }
    }

    /// Begins to read the values: they are waited for when they are looked at.
    pub(crate) fn read(self) -> Reading {
        Reading {
            figures: self.figures,
            data: Asked::of(ops::join(self.values)),
        }
    }
}

/// Values on their way to the host.
#[derive(Debug)]
pub(crate) struct Reading {
    figures: Vec<Option<Figure>>,
    data: Asked,
}

impl Reading {
    /// Waits for the values.
    pub(crate) fn values(self) -> Vec<(Figure, f32)> {
        let data = self.data.wait();
        let values: Vec<f32> = data.try_into_vec().expect("losses and norms are f32");
        let all = self.figures.into_iter().zip(values);
        all.filter_map(|(figure, value)| Some((figure?, value)))
            .collect()
    }
}

/// Sums of figures over steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// Sum, and number of the steps that measured it.
    measured: BTreeMap<Figure, (f32, u64)>,
    /// All steps.
    steps: u64,
}

impl Sums {
    /// Numbers of a checkpoint of format 4.
    pub(crate) const FORMAT_4: usize = 17;

    /// Adds a step.
    pub(crate) fn add(&mut self, step: &[(Figure, f32)]) {
        self.steps += 1;
        for (figure, value) in step {
            // The sum of nothing is -0: adding to it changes no number.
            let (sum, count) = self.measured.entry(*figure).or_insert((-0.0, 0));
            *sum += value;
            *count += 1;
        }
    }

    /// Steps added.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The means. Of the gradient penalty it is over the steps that measured it; of any other figure over
    /// all, and a step without the term counts as 0.
    pub(crate) fn means(&self) -> Figures {
        let mut means = Figures::default();
        for figure in Figure::ALL {
            let measured = self.measured.get(figure);
            means.0[*figure as usize] = if figure.is_where_measured() {
                measured.map(|(sum, count)| sum / count.to_f32())
            } else {
                Some(measured.map_or(0.0, |(sum, _)| sum / self.steps.to_f32()))
            };
        }
        means
    }

    /// As arrays by key, each `[sum, steps that measured it]`; nothing without a step.
    pub(crate) fn arrays(&self) -> Arrays {
        let array = |sum: f32, count: u64| Array {
            shape: vec![2],
            values: vec![sum, count.to_f32()],
        };
        let of = |(figure, (sum, count)): (&Figure, &(f32, u64))| {
            (figure.row().key.to_owned(), array(*sum, *count))
        };
        self.measured.iter().map(of).collect()
    }

    /// Takes arrays back that [`Self::arrays`] gave for `steps` steps.
    ///
    /// # Errors
    /// A line for each array that is none.
    pub(crate) fn restored(steps: u64, arrays: &Arrays) -> Result<Self, Vec<String>> {
        let mut sums = Self {
            steps,
            ..Self::default()
        };
        let mut problems = Vec::new();
        for (key, array) in arrays {
            match (Figure::of_key(key), &array.values[..]) {
                (Some(figure), [sum, count]) => {
                    sums.measured.insert(figure, (*sum, count.to_u64()));
                }
                _ => problems.push(format!("`{key}` {:?} is no sum of a figure", array.shape)),
            }
        }
        if problems.is_empty() {
            Ok(sums)
        } else {
            Err(problems)
        }
    }

    /// The sums of a checkpoint of format 4, which held one number a figure in this order.
    /// `measured(figure)`: in how many of the steps.
    pub(crate) fn of_format_4(
        steps: u64,
        values: &[f32],
        measured: impl Fn(Figure) -> u64,
    ) -> Option<Self> {
        use Figure as F;
        const ORDER: [Figure; Sums::FORMAT_4] = [
            F::DReal,
            F::DFake,
            F::DComposite,
            F::DRealProb,
            F::DFakeProb,
            F::DR1,
            F::GReconstruction,
            F::GKl,
            F::GCycle,
            F::GAdversarial,
            F::GPaired,
            F::GStyle,
            F::GDiversity,
            F::GPrior,
            F::GLatent,
            F::DNorm,
            F::GNorm,
        ];
        if values.len() != ORDER.len() {
            return None;
        }
        let of = |(figure, sum): (&Figure, &f32)| {
            let count = measured(*figure);
            (count > 0).then_some((*figure, (*sum, count)))
        };
        Some(Self {
            measured: ORDER.iter().zip(values).filter_map(of).collect(),
            steps,
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn rows_are_found_by_their_keys_and_no_two_share_a_name() {
        let mut names = std::collections::BTreeSet::new();
        for figure in Figure::ALL {
            let row = figure.row();
            assert_eq!(Figure::of_key(row.key), Some(*figure));
            assert!(names.insert(row.key) | names.insert(row.name), "{row:?}");
            assert!(Chart::ALL.contains(&row.chart), "{row:?}");
        }
        assert_eq!(Figure::of_key("d_nothing"), None);
        let charted: usize = Chart::ALL.iter().map(|chart| chart.figures().count()).sum();
        assert_eq!(charted, Figure::ALL.len());
    }

    #[test]
    fn means_are_over_all_steps_but_of_the_penalty_over_those_that_measured_it() {
        let mut sums = Sums::default();
        sums.add(&[
            (Figure::DReal, 1.0),
            (Figure::DR1, 8.0),
            (Figure::GPaired, 3.0),
        ]);
        sums.add(&[(Figure::DReal, 2.0)]);
        let means = sums.means();
        assert_eq!(
            [Figure::DReal, Figure::DR1, Figure::GPaired, Figure::GStyle]
                .map(|figure| means.get(figure)),
            [Some(1.5), Some(8.0), Some(1.5), Some(0.0)]
        );
        let arrays = sums.arrays();
        assert_eq!(Sums::restored(2, &arrays), Ok(sums));
        let alone = Sums::default();
        assert_eq!(alone.means().get(Figure::DR1), None);
        let strange: Arrays = [("d_nothing".to_owned(), arrays["d_real"].clone())].into();
        assert!(Sums::restored(2, &strange).is_err());
    }

    #[test]
    fn parts_that_measured_different_figures_add_up() {
        let device = Device::flex();
        let of = |measured: &[(Figure, f32)]| {
            let one = |value: f32| Tensor::<1>::from_data([value], &device);
            Measured::new(
                measured
                    .iter()
                    .map(|(figure, value)| (*figure, one(*value)))
                    .collect(),
            )
        };
        let both =
            of(&[(Figure::GKl, 1.0), (Figure::GPaired, 2.0)]).added(of(&[(Figure::GKl, 0.5)]));
        assert_eq!(
            both.read().values(),
            [(Figure::GKl, 1.5), (Figure::GPaired, 2.0)]
        );
        let same = of(&[(Figure::GKl, 1.0)]).added(of(&[(Figure::GKl, 0.5)]));
        assert_eq!(same.read().values(), [(Figure::GKl, 1.5)]);
    }

    #[test]
    fn figures_read_back_from_their_json_and_from_that_of_another_build() {
        let mut figures = Figures::default();
        figures[Figure::GKl] = 0.1;
        let text = serde_json::to_string(&figures).expect("figures are JSON");
        assert!(
            text.contains("\"g_kl\":0.1,") && text.contains("\"d_r1\":null"),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<Figures>(&text).expect("it was just written"),
            figures
        );
        let other = r#"{"g_kl": 0.1, "g_of_tomorrow": [1]}"#;
        assert_eq!(
            serde_json::from_str::<Figures>(other).expect("it is an object"),
            figures
        );
    }
}
