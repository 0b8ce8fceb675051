//! The evaluation of a trained run: its networks against held-out pictures.

use std::convert::Infallible;

use crate::number::Whole;
use burn::tensor::Device;
use image::RgbaImage;

use super::evaluation::{Evaluation, evaluate, evaluate_with, from_prior};
use super::kid::LEAST_SET;
use super::memory::Memory;
use super::recognition::recognition;
use crate::data::{Channels, Dataset, Picture, Split};
use crate::model::{Discriminator, Generator};
use crate::sample::{Fitted, Prior, sample};
use crate::settings::Config;
use crate::translate::{AlphaRule, Framed, PaperRule};
use crate::{recognize, translate};

/// Why some discriminators are not asked for styles.
#[doc(hidden)]
pub const NAMES_NO_STYLE: &str = "the discriminator of this run cannot name styles: a loss.adversarial_kind other than \
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
    let mut memory = Memory::new(dataset);
    let mut evaluation = translations(generator, device, &mut memory, split);
    let mut draw = |style: usize, n: usize| {
        let codes = generator.table_codes(&vec![style.to_u32(); n]);
        let fitted = Fitted::of(generator, device, dataset.training(), style);
        Ok::<_, Infallible>(
            [Prior::Normal, Prior::Fitted(&fitted)]
                .map(|prior| sample(generator, config, device, prior, &codes, 0, 1.0)),
        )
    };
    let Ok(prior) = from_prior(&mut memory, split, &mut draw);
    evaluation.prior = prior;
    if config.loss.adversarial_kind.tells_styles() {
        let size = dataset.size_px() as usize;
        let mut recognizer = |pictures: &[f32]| {
            Ok::<_, Infallible>(recognize::opinions(discriminator, device, pictures, size))
        };
        let Ok(found) = recognition(dataset, split, &mut recognizer);
        evaluation.recognition = found;
    } else {
        evaluation.notes.push(NAMES_NO_STYLE.to_owned());
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
    translations(generator, device, &mut Memory::new(dataset), split)
}

fn translations(
    generator: &Generator,
    device: &Device,
    memory: &mut Memory<'_>,
    split: Split,
) -> Evaluation {
    let size = memory.dataset.size_px() as usize;
    let mut translator = |pictures: &[f32], _items: &[usize], _from: usize, to: usize| {
        let count = pictures.len() / (generator.channels() * size * size);
        let styles = vec![to.to_u32(); count];
        Ok::<_, Infallible>(translate::translate(
            generator, device, pictures, size, &styles,
        ))
    };
    let Ok(evaluation) = evaluate_with(memory, split, Some(&mut translator));
    evaluation
}

/// Like [`evaluate_translations`] at another size than the networks': pictures of the data set's size are
/// translated as `demotic translate` does, and compared with true pictures of that size. `numbers`: what each
/// style of the data set is to the generator; `side_px`: what it sees.
///
/// # Panics
/// If a style has no number.
pub fn evaluate_at_size(
    generator: &Generator,
    side_px: u32,
    device: &Device,
    dataset: &Dataset,
    numbers: &[u32],
    split: Split,
) -> Evaluation {
    let (size, side) = (dataset.size_px(), side_px as usize);
    let (channels, background) = (dataset.channels(), dataset.background());
    let framed = |premultiplied: Vec<u8>| {
        let picture = Picture {
            width_px: size,
            height_px: size,
            premultiplied,
        };
        Framed::new(picture, side_px, background, channels).with_paper(PaperRule::of(generator))
    };
    let mut translator = |_: &[f32], items: &[usize], from: usize, to: usize| {
        let seen = items.iter().map(|&item| dataset.rgba(from, item));
        let framed: Vec<Framed> = seen
            .map(|rgba| framed(on_ground(rgba, channels, background)))
            .collect();
        let squares: Vec<f32> = framed.iter().flat_map(Framed::square).collect();
        let styles = vec![numbers[to]; items.len()];
        let translated = translate::translate(generator, device, &squares, side, &styles);
        let len = generator.channels() * side * side;
        let back = |(framed, translated): (Framed, &[f32])| {
            let translated = match generator.filter() {
                Some(filter) => framed.laid_back(translated, filter, AlphaRule::Keep),
                None => framed.back(translated, AlphaRule::Keep),
            };
            let straight =
                RgbaImage::from_raw(translated.width_px, translated.height_px, translated.rgba)
                    .expect("a translation has four bytes a pixel");
            Picture::from(straight).planes(channels, background)
        };
        let each = framed.into_iter().zip(translated.chunks_exact(len));
        Ok::<_, Infallible>(each.flat_map(back).collect::<Vec<f32>>())
    };
    let Ok(mut evaluation) = evaluate(dataset, split, Some(&mut translator));
    evaluation.notes.push(format!(
        "translated and scored at {size} px; the network sees {side} px"
    ));
    evaluation
}

/// Premultiplied RGBA as a network of these channels means it: without transparency of its own, opaque on the
/// background.
fn on_ground(rgba: &[u8], channels: Channels, background: [u8; 3]) -> Vec<u8> {
    let mut rgba = rgba.to_vec();
    if channels != Channels::Rgba {
        for pixel in rgba.as_chunks_mut::<4>().0 {
            let clear = 255 - u32::from(pixel[3]);
            for (value, behind) in pixel.iter_mut().zip(background) {
                let behind = (clear * u32::from(behind) + 127) / 255;
                *value = (u32::from(*value) + behind).min(255).to_u8();
            }
            pixel[3] = 255;
        }
    }
    rgba
}
