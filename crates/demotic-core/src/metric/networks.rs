//! The evaluation of a trained run: its networks against held-out pictures.

use std::convert::Infallible;

use burn::tensor::Device;

use super::evaluation::{Evaluation, evaluate, from_prior};
use super::kid::LEAST_SET;
use super::recognition::recognition;
use crate::data::{Dataset, Split};
use crate::model::{Discriminator, Generator};
use crate::sample::{Fitted, Prior, sample};
use crate::settings::Config;
use crate::{recognize, translate};

/// Why some discriminators are not asked for styles.
pub const NO_STYLES_TOLD: &str = "the discriminator of this run cannot name styles: a loss.adversarial_kind other than \
    `likelihood` only trains the score of a patch's own style against that of fake";

/// Translates and scores every held-out pair, or sets of pictures where there are no pairs, samples from the
/// prior where training minded that, and has the discriminator name the style of every held-out picture. What
/// cannot be measured is said in the notes.
pub fn evaluate_networks(
    generator: &Generator,
    discriminator: &Discriminator,
    config: &Config,
    device: &Device,
    dataset: &Dataset,
    split: Split,
) -> Evaluation {
    let mut evaluation = evaluate_translations(generator, device, dataset, split);
    let mut draw = |style: usize, n: usize| {
        let codes = generator.table_codes(&vec![style as u32; n]);
        let fitted = Fitted::of(generator, device, dataset.training(), style);
        Ok::<_, Infallible>(
            [Prior::Normal, Prior::Fitted(&fitted)]
                .map(|prior| sample(generator, config, device, prior, &codes, 0, 1.0)),
        )
    };
    let Ok(prior) = from_prior(dataset, split, &mut draw);
    evaluation.prior = prior;
    if config.loss.adversarial_kind.tells_styles() {
        let size = dataset.size_px() as usize;
        let mut judge = |pictures: &[f32]| {
            Ok::<_, Infallible>(recognize::opinions(discriminator, device, pictures, size))
        };
        let Ok(found) = recognition(dataset, split, &mut judge);
        evaluation.recognition = found;
    } else {
        evaluation.notes.push(NO_STYLES_TOLD.to_owned());
    }
    if evaluation.directions.is_empty() {
        let lacks = format!("no {split} picture has a counterpart in another style");
        evaluation.notes.push(if evaluation.unpaired.is_empty() {
            format!(
                "{lacks}, and no two styles have {LEAST_SET} {split} pictures: nothing can be scored"
            )
        } else {
            format!("{lacks}: translations are scored as sets, by KID alone")
        });
    }
    evaluation
}

/// Translates and scores every held-out pair, or sets of pictures, alone.
pub fn evaluate_translations(
    generator: &Generator,
    device: &Device,
    dataset: &Dataset,
    split: Split,
) -> Evaluation {
    let size = dataset.size_px() as usize;
    let mut translator = |pictures: &[f32], _items: &[usize], _from: usize, to: usize| {
        let count = pictures.len() / (generator.channels() * size * size);
        let styles = vec![to as u32; count];
        Ok::<_, Infallible>(translate::translate(
            generator, device, pictures, size, &styles,
        ))
    };
    let Ok(evaluation) = evaluate(dataset, split, Some(&mut translator));
    evaluation
}
