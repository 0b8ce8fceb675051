//! Photographs, told from drawings by their pixels.

use std::collections::BTreeSet;

use rayon::prelude::*;

use super::Picture;
use super::drawing::{Drawing, Format};
use super::paper::on_white;
use super::source::{DataSource, EMBEDDED, StyleContents};
use crate::number::{Real, Whole};

/// Blocks along the longer side. Their mean colours are looked at: a sensor's grain and the traces of a JPEG
/// are smaller, and a photograph has something in every block.
const BLOCKS: usize = 128;
/// Largest difference of a channel, of 255, between blocks of one colour.
const ALIKE: f32 = 2.0;
/// Share of blocks beside one of their colour below which a picture is a photograph. Of twelve photographs of
/// 427 to 1,411 px nine have 0.13 to 0.49, three with a plain sky or ground 0.66 to 0.74; of 600 emoji in
/// four styles at 128 and 512 px the least has 0.84, of 160 as JPEG of 256 px and quality 30 the least 0.56.
const PHOTOGRAPH: f32 = 0.55;
/// The share from which on one is a drawing, of any size; at 64 px the least of the emoji has 0.74.
const DRAWING: f32 = 0.65;
/// Fewest colours of a photograph, of 32 levels a channel. What is grey has 32 at most: pencil on rough paper
/// is not told from a photograph without colours.
const COLOURS: usize = 256;
/// Shortest longer side of what is called a photograph: in smaller pictures a JPEG's traces fill the blocks.
const LEAST_PX: u32 = 256;
/// Pictures of a style that are looked at.
const FEW: usize = 4;
/// Longer side of what is drawn to be looked at.
const DRAWN_PX: u32 = 256;

/// How the blocks of a picture look.
struct Looks {
    /// Share of those beside one of their colour.
    alike: f32,
    /// Their colours, of 32 levels a channel.
    colours: usize,
}

impl Picture {
    /// Whether the picture is plainly a photograph in colour: of 256 px at least, it has many colours and few
    /// places of one. A drawing is none, with gradients neither; a photograph of a drawing is what
    /// [`Picture::ground`] says.
    pub fn is_photograph(&self) -> bool {
        if self.width_px.max(self.height_px) < LEAST_PX {
            return false;
        }
        let looks = self.looks();
        looks.alike < PHOTOGRAPH && looks.colours >= COLOURS
    }

    fn looks(&self) -> Looks {
        let (blocks, columns) = self.blocks();
        let is_alike = |a: [f32; 3], b: [f32; 3]| {
            let mut channels = a.into_iter().zip(b);
            channels.all(|(a, b)| (a - b).abs() <= ALIKE)
        };
        let has_alike = |at: usize| {
            let column = at % columns;
            let beside = [
                (column > 0).then(|| at - 1),
                (column + 1 < columns).then(|| at + 1),
                at.checked_sub(columns),
                Some(at + columns),
            ];
            let beside = beside.into_iter().flatten();
            let mut others = beside.filter_map(|at| blocks.get(at));
            others.any(|other| is_alike(blocks[at], *other))
        };
        let alike = (0..blocks.len()).filter(|at| has_alike(*at)).count();
        let levels = blocks
            .iter()
            .map(|block| block.map(|value| value.to_u8() / 8));
        let colours: BTreeSet<[u8; 3]> = levels.collect();
        Looks {
            alike: alike.to_f32() / blocks.len().to_f32(),
            colours: colours.len(),
        }
    }

    /// Mean colours of blocks on white, row by row, and how many are in a row.
    fn blocks(&self) -> (Vec<[f32; 3]>, usize) {
        let [width, height] = [self.width_px, self.height_px].map(Whole::to_usize);
        let side = width.max(height).div_ceil(BLOCKS);
        let [columns, rows] = [width, height].map(|length| length.div_ceil(side));
        let pixels = self.premultiplied.as_chunks::<4>().0;
        let block = |at: usize| {
            let [top, left] = [at / columns * side, at % columns * side];
            let [bottom, right] = [(top + side).min(height), (left + side).min(width)];
            let mut sums = [0_u32; 3];
            for y in top..bottom {
                for pixel in &pixels[y * width + left..y * width + right] {
                    for (c, sum) in sums.iter_mut().enumerate() {
                        *sum += u32::from(on_white(*pixel, c));
                    }
                }
            }
            let count = ((bottom - top) * (right - left)).to_f32();
            sums.map(|sum| sum.to_f32() / count)
        };
        let blocks = (0..rows * columns).into_par_iter().map(block);
        (blocks.collect(), columns)
    }
}

/// Whether the pictures of a data source are drawings in each of these styles, as far as a few of each tell;
/// false also where they are gone.
pub fn are_drawings(source: &str, styles: &[String]) -> bool {
    if source == EMBEDDED {
        return true;
    }
    let contents = DataSource::find(source).and_then(|source| source.read(styles));
    contents.is_ok_and(|contents| contents.styles.iter().all(is_drawn))
}

/// Whether more than half of the pictures that can be looked at are drawings.
fn is_drawn(style: &StyleContents) -> bool {
    let all: Vec<&Drawing> = style.drawings.iter().flatten().collect();
    let stride = all.len().div_ceil(FEW).max(1);
    let few = all.into_iter().step_by(stride);
    let verdicts = few.filter_map(|picture| match picture.format {
        Format::Svg => Some(true),
        Format::Raster => {
            let picture = picture.sized(None, DRAWN_PX).ok()?;
            Some(picture.looks().alike >= DRAWING)
        }
    });
    let verdicts: Vec<bool> = verdicts.collect();
    2 * verdicts.iter().filter(|is_drawing| **is_drawing).count() > verdicts.len()
}

#[cfg(test)]
mod tests {
    use image::RgbaImage;

    use super::*;
    use crate::data::Ground;
    use crate::rng::{Rng, Stream};

    const WIDTH: u32 = 384;
    const HEIGHT: u32 = 256;

    fn picture(colour: impl Fn(u32, u32) -> [f32; 3]) -> Picture {
        let pixel = |x, y| {
            let [red, green, blue] = colour(x, y).map(Whole::to_u8);
            image::Rgba([red, green, blue, 255])
        };
        RgbaImage::from_fn(WIDTH, HEIGHT, pixel).into()
    }

    fn far(x: u32, y: u32) -> f32 {
        (x.to_f32() - 192.0).hypot(y.to_f32() - 128.0)
    }

    /// Something at every scale, in every colour.
    fn photo_like() -> Picture {
        let mut rng = Rng::new(7, Stream::TEST, 0);
        let scales = [(64, 40.0_f32), (16, 25.0), (2, 15.0)].map(|(side, strength)| {
            let columns = WIDTH.div_ceil(side);
            let count = 3 * columns * HEIGHT.div_ceil(side);
            (side, strength, columns, rng.normals(count.to_usize()))
        });
        picture(|x, y| {
            [0, 1, 2].map(|c| {
                let parts = scales.iter().map(|(side, strength, columns, values)| {
                    let cell = (y / side * columns + x / side).to_usize();
                    strength * values[3 * cell + c]
                });
                128.0 + parts.sum::<f32>()
            })
        })
    }

    fn flat() -> Picture {
        picture(|x, y| match far(x, y) {
            r if r < 100.0 => [255.0, 204.0, 50.0],
            r if r < 106.0 => [40.0, 20.0, 0.0],
            _ => [255.0; 3],
        })
    }

    fn gradients() -> Picture {
        let between = |from: [f32; 3], to: [f32; 3], share: f32| {
            [0, 1, 2].map(|c| from[c] + (to[c] - from[c]) * share)
        };
        picture(|x, y| match far(x, y) / 100.0 {
            share if share < 1.0 => between([255.0, 220.0, 80.0], [200.0, 60.0, 20.0], share),
            _ => between([120.0, 180.0, 255.0], [255.0; 3], y.to_f32() / 256.0),
        })
    }

    #[test]
    fn a_photograph_is_told_from_drawings_flat_with_gradients_and_on_paper() {
        assert!(photo_like().is_photograph());
        for (drawing, name) in [(flat(), "flat"), (gradients(), "gradients")] {
            assert!(!drawing.is_photograph(), "{name}");
            assert!(drawing.looks().alike >= DRAWING, "{name}");
        }
        // A pencil's ring on grainy paper in a shade: another hint says what helps it.
        let mut rng = Rng::new(5, Stream::TEST, 0);
        let grain = rng.normals((WIDTH * HEIGHT).to_usize());
        let paper = picture(|x, y| {
            let light = 0.95 - 0.4 * x.to_f32() / WIDTH.to_f32();
            let is_ink = (76.0..84.0).contains(&far(x, y));
            let value = 255.0 * light * if is_ink { 0.6 } else { 1.0 };
            let value = value + 2.5 * grain[(y * WIDTH + x).to_usize()];
            [1.0, 0.98, 0.9].map(|tint| value * tint)
        });
        assert_eq!(paper.ground(), Some(Ground::Dim));
        assert!(!paper.is_photograph());
        // Texture in grey may be charcoal, and a small picture a JPEG's traces.
        let grey = Picture {
            premultiplied: photo_like()
                .premultiplied
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|[v, ..]| [*v, *v, *v, 255])
                .collect(),
            ..photo_like()
        };
        assert!(!grey.is_photograph());
        assert!(!photo_like().with_longer_side(LEAST_PX - 1).is_photograph());
        assert!(photo_like().with_longer_side(LEAST_PX).is_photograph());
        // Blocks at the edges are smaller, one pixel is a picture.
        let dot = Picture {
            width_px: 1,
            height_px: 1,
            premultiplied: vec![0; 4],
        };
        assert_eq!(dot.looks().colours, 1);
    }

    #[test]
    fn pictures_are_drawings_where_those_of_every_style_are() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, picture: &Picture| {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            let pixels = picture.straight_rgba();
            let image = RgbaImage::from_raw(picture.width_px, picture.height_px, pixels);
            image
                .expect("four bytes a pixel")
                .save(path)
                .expect("it can be written");
        };
        for number in 0..5 {
            write(&format!("drawn/flat/{number}.png"), &flat());
            write(&format!("drawn/soft/{number}.png"), &gradients());
            write(&format!("mixed/flat/{number}.png"), &flat());
            write(&format!("mixed/photo/{number}.png"), &photo_like());
        }
        let styles = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let folder = |name: &str| place.path().join(name).to_string_lossy().into_owned();
        assert!(are_drawings("emoji", &[]));
        assert!(are_drawings(&folder("drawn"), &styles(["flat", "soft"])));
        assert!(!are_drawings(&folder("mixed"), &styles(["flat", "photo"])));
        // Nobody knows of what is gone.
        assert!(!are_drawings(&folder("drawn"), &styles(["flat", "gone"])));
        assert!(!are_drawings(&folder("nowhere"), &[]));
    }
}
