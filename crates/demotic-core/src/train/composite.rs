//! Pictures put together from real and fake patches, with the label grid that the chains learn their
//! transitions from.
//!
//! Without them label grids are constant and a chain has nothing to learn (own derivation;
//! `CutMix` in Schonfeld et al. 2020 and `LabelMix` in Sushko et al. 2021 are relatives).

use crate::number::{Real, Whole};
use crate::rng::Rng;

/// Plan of one batch of mixed pictures over a pool of `n` real pictures followed by `n` fakes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Composites {
    /// Pool index shown where the mask is 1: `[m]`.
    pub(crate) inside: Vec<i32>,
    /// Pool index shown where the mask is 0: `[m]`.
    pub(crate) outside: Vec<i32>,
    /// `[m, 1, H, W]`, 0 or 1, constant over a patch.
    pub(crate) mask: Vec<f32>,
    /// `[m, h, w]`
    pub(crate) labels: Vec<i32>,
    /// `[m, h, w]`: the style that a patch has or was translated into.
    pub(crate) styles: Vec<u32>,
}

/// Sizes of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Patches along a side.
    pub(crate) grid: usize,
    /// Pixels along a patch's side.
    pub(crate) stride: usize,
}

/// Draws `count` mixed pictures as training has them: see [`plan_in`].
pub(crate) fn plan(
    rng: Rng,
    count: usize,
    prob: f32,
    styles_real: &[u32],
    styles_fake: &[u32],
    layout: Layout,
) -> Composites {
    let shape = |rng: &mut Rng, grid: usize| {
        if rng.chance(0.5) {
            boxes(rng, grid)
        } else {
            blobs(rng, grid)
        }
    };
    plan_in(rng, count, prob, [styles_real, styles_fake], layout, shape)
}

/// Draws `count` mixed pictures. `styles[0][i]` and `styles[1][i]` are the styles of the pool's real and fake
/// half; a picture is mixed with probability `prob`, otherwise left pure. `shape` draws which patches of a
/// grid lie inside.
pub(crate) fn plan_in(
    mut rng: Rng,
    count: usize,
    prob: f32,
    styles: [&[u32]; 2],
    layout: Layout,
    shape: impl Fn(&mut Rng, usize) -> Vec<bool>,
) -> Composites {
    let [styles_real, styles_fake] = styles;
    let n = styles_real.len();
    let style = |i: usize| {
        if i < n {
            styles_real[i]
        } else {
            styles_fake[i - n]
        }
    };
    let label = |i: usize| {
        if i < n {
            1 + styles_real[i].to_i32()
        } else {
            0
        }
    };
    let side = layout.grid * layout.stride;
    let mut plan = Composites {
        inside: vec![],
        outside: vec![],
        mask: vec![],
        labels: vec![],
        styles: vec![],
    };
    for _ in 0..count {
        // Half of the mixtures: fake and real of one style. A quarter: real of two styles. The rest are
        // controls whose seams mean nothing: fake with fake, real with real of the same style. A batch that
        // lacks the partner leaves the picture pure.
        let kind = rng.uniform();
        let is_real_alone = (0.5..0.75).contains(&kind);
        let choices = if is_real_alone { n } else { 2 * n };
        let first = rng.below(choices.to_u32()) as usize;
        let fits = |other: usize| {
            let fake = (first >= n, other >= n);
            if kind < 0.5 {
                fake.0 != fake.1 && style(first) == style(other)
            } else if is_real_alone {
                !fake.1 && style(first) != style(other)
            } else {
                fake.0 == fake.1 && style(first) == style(other) && first != other
            }
        };
        let partners: Vec<usize> = (0..2 * n).filter(|&other| fits(other)).collect();
        let mixed = rng.chance(prob) && !partners.is_empty();
        let second = if mixed {
            partners[rng.below(partners.len().to_u32()) as usize]
        } else {
            first
        };
        let cells = shape(&mut rng, layout.grid);
        plan.inside.push(first.to_i32());
        plan.outside.push(second.to_i32());
        let shown = |&inside: &bool| if inside { first } else { second };
        plan.labels.extend(cells.iter().map(shown).map(label));
        plan.styles.extend(cells.iter().map(shown).map(style));
        for y in 0..side {
            let row = &cells[y / layout.stride * layout.grid..][..layout.grid];
            plan.mask
                .extend((0..side).map(|x| f32::from(u8::from(row[x / layout.stride]))));
        }
    }
    plan
}

/// One to three boxes.
fn boxes(rng: &mut Rng, grid: usize) -> Vec<bool> {
    let mut cells = vec![false; grid * grid];
    for _ in 0..=rng.below(3) {
        let mut span = || {
            let len = 1 + rng.below((grid.to_u32() * 2).div_ceil(3)) as usize;
            let start = rng.below((grid + 1 - len).to_u32()) as usize;
            start..start + len
        };
        let (rows, columns) = (span(), span());
        for y in rows {
            cells[y * grid..][columns.clone()].fill(true);
        }
    }
    cells
}

/// Smooth random field over a 4x4 lattice, cut at its middle.
fn blobs(rng: &mut Rng, grid: usize) -> Vec<bool> {
    let lattice = rng.normals(16);
    let at = |i: usize| i.to_f32() * 3.0 / (grid.max(2) - 1).to_f32();
    let mut field = Vec::with_capacity(grid * grid);
    for y in 0..grid {
        for x in 0..grid {
            let (fy, fx) = (at(y), at(x));
            let (iy, ix) = (fy.to_usize().min(2), fx.to_usize().min(2));
            let (ty, tx) = (fy - iy.to_f32(), fx - ix.to_f32());
            let v = |dy: usize, dx: usize| lattice[(iy + dy) * 4 + ix + dx];
            let top = v(0, 0) * (1.0 - tx) + v(0, 1) * tx;
            let bottom = v(1, 0) * (1.0 - tx) + v(1, 1) * tx;
            field.push(top * (1.0 - ty) + bottom * ty);
        }
    }
    let mut sorted = field.clone();
    sorted.sort_by(f32::total_cmp);
    let cut = sorted[field.len() / 2];
    field.into_iter().map(|v| v >= cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    const LAYOUT: Layout = Layout { grid: 8, stride: 4 };

    fn rng(step: u64) -> Rng {
        Rng::new(1, Stream::COMPOSITE, step)
    }

    #[test]
    fn labels_name_what_the_mask_shows() {
        let (real, fake) = ([0, 1, 0, 1], [1, 0, 1, 0]);
        let plan = plan(rng(2), 64, 1.0, &real, &fake, LAYOUT);
        let label = |i: i32| {
            if i < 4 {
                1 + real[i.to_usize()].to_i32()
            } else {
                0
            }
        };
        let mut kinds = std::collections::BTreeSet::new();
        for m in 0..64 {
            kinds.insert((label(plan.inside[m]), label(plan.outside[m])));
            for y in 0..8 {
                for x in 0..8 {
                    let inside = plan.mask[(m * 32 + y * 4 + 3) * 32 + x * 4 + 1] == 1.0;
                    let shown = if inside {
                        plan.inside[m]
                    } else {
                        plan.outside[m]
                    };
                    assert_eq!(plan.labels[(m * 8 + y) * 8 + x], label(shown));
                    let style = real.iter().chain(&fake).nth(shown.to_usize());
                    assert_eq!(Some(&plan.styles[(m * 8 + y) * 8 + x]), style);
                }
            }
        }
        // Fake with real, two real styles, and both controls all occur.
        for kind in [(0, 1), (1, 0), (1, 2), (0, 0), (1, 1)] {
            assert!(kinds.contains(&kind), "{kind:?} in {kinds:?}");
        }
    }

    #[test]
    fn half_are_made_with_real_a_quarter_two_real_styles_and_a_quarter_controls() {
        // Eight of each of two styles, real and fake: every kind finds a partner.
        let styles: Vec<u32> = (0..16).map(|i| i % 2).collect();
        let planned = 16_000;
        let mut counts = [0; 4];
        let layout = Layout { grid: 2, stride: 1 };
        let plan = plan(rng(5), planned, 1.0, &styles, &styles, layout);
        for (&a, &b) in plan.inside.iter().zip(&plan.outside) {
            let is_one_style = a % 2 == b % 2;
            let kind = match (a < 16, b < 16) {
                _ if a == b => 3,
                (is_real, is_too) if is_real != is_too => 0,
                (true, true) if !is_one_style => 1,
                _ => 2,
            };
            assert!(is_one_style || kind == 1, "{a} and {b}");
            counts[kind] += 1;
        }
        for (count, share) in counts.into_iter().zip([0.5, 0.25, 0.25, 0.0]) {
            // Four standard errors of a share of this many.
            let off = f64::from(count) / planned.to_f64() - share;
            assert!(
                off.abs() <= 4.0 * (share * (1.0 - share) / planned.to_f64()).sqrt(),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn probability_zero_mixes_nothing_and_a_plan_depends_on_its_step_alone() {
        let pure = plan(rng(2), 16, 0.0, &[0, 1], &[1, 0], LAYOUT);
        assert_eq!(pure.inside, pure.outside);
        let again = plan(rng(2), 16, 0.0, &[0, 1], &[1, 0], LAYOUT);
        assert_eq!(pure, again);
        assert_ne!(pure, plan(rng(3), 16, 0.0, &[0, 1], &[1, 0], LAYOUT));
    }

    #[test]
    fn masks_of_a_grid_cover_some_and_leave_some() {
        let mut rng = Rng::new(3, Stream::TEST, 0);
        for grid in [4, 8, 16] {
            let share = |cells: &[bool]| {
                cells.iter().filter(|c| **c).count().to_f32() / cells.len().to_f32()
            };
            let blob = share(&blobs(&mut rng, grid));
            assert!((0.3..0.7).contains(&blob), "{blob}");
            let many: f32 = (0..50).map(|_| share(&boxes(&mut rng, grid))).sum::<f32>() / 50.0;
            assert!((0.1..0.7).contains(&many), "{many}");
        }
    }
}
