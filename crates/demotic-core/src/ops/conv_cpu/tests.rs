//! Both ways against the formula in float64.

use super::wide512::Wide;
use super::widths::Vectors;
use super::winograd::{self, CHANNELS, WEIGHT_CHANNELS};
use super::{ConvShape, bias_gradient, data_gradient, direct, forward, weight_gradient};
use crate::ops::testing::{noise, worst};

/// Straight from the formula, in f64: (y, dx, dw).
fn oracle(x: &[f32], w: &[f32], dy: &[f32], s: ConvShape) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (k, p) = (s.kernel, s.kernel / 2);
    let mut y = vec![0.0; dy.len()];
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; w.len()];
    for n in 0..s.batch {
        for o in 0..s.channels_out {
            for c in 0..s.channels_in {
                for row in 0..s.height {
                    for column in 0..s.width {
                        for ky in 0..k {
                            for kx in 0..k {
                                let (iy, ix) = (row + ky, column + kx);
                                if iy < p || ix < p || iy - p >= s.height || ix - p >= s.width {
                                    continue;
                                }
                                let xi = ((n * s.channels_in + c) * s.height + iy - p) * s.width
                                    + ix
                                    - p;
                                let wi = ((o * s.channels_in + c) * k + ky) * k + kx;
                                let yi =
                                    ((n * s.channels_out + o) * s.height + row) * s.width + column;
                                y[yi] += f64::from(w[wi]) * f64::from(x[xi]);
                                dx[xi] += f64::from(w[wi]) * f64::from(dy[yi]);
                                dw[wi] += f64::from(dy[yi]) * f64::from(x[xi]);
                            }
                        }
                    }
                }
            }
        }
    }
    (y, dx, dw)
}

#[test]
fn convolution_and_both_gradients_match_the_formula_on_ragged_shapes() {
    for (i, (batch, ci, co, h, w, kernel)) in [
        (1, 1, 1, 1, 1, 3),
        (2, 3, 5, 4, 7, 3),
        (1, 12, 12, 8, 8, 3),
        (3, 7, 26, 5, 9, 3),
        (2, 4, 6, 3, 17, 3),
        (2, 5, 7, 3, 3, 1),
        (1, 6, 8, 16, 16, 1),
        (2, 29, 30, 2, 11, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let s = ConvShape {
            batch,
            channels_in: ci,
            channels_out: co,
            height: h,
            width: w,
            kernel,
        };
        let x = noise(batch * ci * h * w, 3 * i as u32);
        let weight = noise(co * ci * kernel * kernel, 3 * i as u32 + 1);
        let dy = noise(batch * co * h * w, 3 * i as u32 + 2);
        let (y, dx, dw) = oracle(&x, &weight, &dy, s);
        // f32 sums of at most 3 * 5 * 9 * 29 products: rounding stays near 1e-6 of the largest value.
        assert!(worst(&forward(&x, &weight, None, s), &y) < 4e-6, "{s:?}");
        assert!(worst(&data_gradient(&weight, &dy, s), &dx) < 4e-6, "{s:?}");
        assert!(worst(&weight_gradient(&x, &dy, s), &dw) < 4e-6, "{s:?}");
        let bias = noise(co, 99);
        let with_bias = forward(&x, &weight, Some(&bias), s);
        let want: Vec<f64> = y
            .iter()
            .enumerate()
            .map(|(i, y)| y + f64::from(bias[i / (h * w) % co]))
            .collect();
        assert!(worst(&with_bias, &want) < 4e-6, "{s:?}");
        let db: Vec<f64> = (0..co)
            .map(|o| {
                dy.iter()
                    .enumerate()
                    .filter(|(i, _)| i / (h * w) % co == o)
                    .map(|(_, v)| f64::from(*v))
                    .sum()
            })
            .collect();
        assert!(worst(&bias_gradient(&dy, s), &db) < 4e-6, "{s:?}");
    }
}

fn shape(batch: usize, [channels_in, channels_out]: [usize; 2], sides: [usize; 2]) -> ConvShape {
    ConvShape {
        batch,
        channels_in,
        channels_out,
        height: sides[0],
        width: sides[1],
        kernel: 3,
    }
}

fn operands(s: ConvShape) -> [Vec<f32>; 3] {
    let area = s.batch * s.height * s.width;
    [
        noise(area * s.channels_in, 1),
        noise(9 * s.channels_in * s.channels_out, 2),
        noise(area * s.channels_out, 3),
    ]
}

/// Largest error against the formula, relative to the sum of the products' sizes.
fn worst_share(got: &[f32], want: &[f64], size: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let errors = got.iter().zip(want).zip(size);
    errors
        .map(|((got, want), size)| (f64::from(*got) - want).abs() / size)
        .fold(0.0, f64::max)
}

#[test]
fn each_number_is_within_2e_6_of_its_products_on_even_and_on_ragged_shapes() {
    for s in [
        shape(2, [48, 48], [16, 16]),
        shape(5, [12, 24], [8, 8]),
        shape(1, [96, 40], [33, 31]),
        shape(2, [29, 60], [10, 13]),
        shape(3, [13, 17], [3, 71]),
        shape(2, [16, 12], [4, 12]),
    ] {
        assert!(winograd::is_faster(s, CHANNELS), "{s:?}");
        let [x, w, dy] = operands(s);
        let (y, dx, dw) = oracle(&x, &w, &dy, s);
        let [sx, sw, sdy] = [&x, &w, &dy].map(|v| v.iter().map(|v| v.abs()).collect::<Vec<_>>());
        let (size_y, size_dx, size_dw) = oracle(&sx, &sw, &sdy, s);
        assert!(
            worst_share(&winograd::forward(&x, &w, None, s, wide()), &y, &size_y) < 2e-6,
            "{s:?}"
        );
        let got = winograd::data_gradient(&w, &dy, s, wide());
        assert!(worst_share(&got, &dx, &size_dx) < 2e-6, "{s:?}");
        let got = winograd::weight_gradient(&x, &dy, s, wide());
        assert!(worst_share(&got, &dw, &size_dw) < 2e-6, "{s:?}");
        let bias = noise(s.channels_out, 4);
        let got = winograd::forward(&x, &w, Some(&bias), s, wide());
        let without = winograd::forward(&x, &w, None, s, wide());
        for (i, (got, y)) in got.iter().zip(&without).enumerate() {
            let channel = i / (s.height * s.width) % s.channels_out;
            assert_eq!(*got, y + bias[channel], "{s:?}");
        }
    }
}

fn wide() -> Vectors {
    let wide = Wide::of_processor();
    Vectors {
        transforms: wide,
        products: wide,
    }
}

fn narrow() -> Vectors {
    Vectors {
        transforms: None,
        products: None,
    }
}

#[test]
fn vectors_of_eight_and_of_sixteen_give_the_same_bits() {
    if Wide::of_processor().is_none() {
        eprintln!("skipped: no AVX-512 in this processor, or no FMA in this build");
        return;
    }
    for s in [
        shape(1, [1, 1], [1, 1]),
        shape(9, [3, 5], [4, 7]),
        shape(2, [16, 17], [9, 13]),
        shape(3, [24, 24], [16, 16]),
        shape(5, [33, 40], [11, 15]),
        shape(1, [48, 49], [7, 30]),
        shape(9, [57, 72], [8, 8]),
        shape(2, [80, 7], [5, 17]),
        shape(1, [100, 97], [19, 12]),
        shape(4, [96, 48], [23, 33]),
    ] {
        let [x, w, dy] = operands(s);
        let bias = noise(s.channels_out, 4);
        let by_winograd = |wide| {
            [
                winograd::forward(&x, &w, Some(&bias), s, wide),
                winograd::data_gradient(&w, &dy, s, wide),
                winograd::weight_gradient(&x, &dy, s, wide),
            ]
            .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        };
        assert!(by_winograd(wide()) == by_winograd(narrow()), "{s:?}");
        // What shapes with few channels take.
        let mixed = Vectors {
            products: None,
            ..wide()
        };
        assert!(by_winograd(mixed) == by_winograd(narrow()), "{s:?}");
        for s in [s, ConvShape { kernel: 1, ..s }] {
            let w = &w[..s.channels_in * s.channels_out * s.kernel * s.kernel];
            let by_sums = |wide| {
                [
                    direct::forward(&x, w, Some(&bias), s, wide),
                    direct::data_gradient(w, &dy, s, wide),
                ]
                .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
            };
            assert!(by_sums(Wide::of_processor()) == by_sums(None), "{s:?}");
        }
    }
}

#[test]
fn one_thread_and_many_give_the_same_bits() {
    let s = shape(5, [24, 32], [18, 21]);
    let [x, w, dy] = operands(s);
    let bits = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("threads").install(|| {
            [
                winograd::forward(&x, &w, None, s, wide()),
                winograd::data_gradient(&w, &dy, s, wide()),
                winograd::weight_gradient(&x, &dy, s, wide()),
            ]
            .map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<_>>())
        })
    };
    let one = bits(1);
    assert_eq!(one, bits(2));
    assert_eq!(one, bits(7));
}

#[test]
fn no_picture_has_no_gradient_whatever_was_computed_before() {
    let s = shape(2, [16, 24], [8, 12]);
    let [x, _, dy] = operands(s);
    assert!(winograd::weight_gradient(&x, &dy, s, wide()) != vec![0.0; 16 * 24 * 9]);
    let none = ConvShape { batch: 0, ..s };
    assert_eq!(
        winograd::weight_gradient(&[], &[], none, wide()),
        vec![0.0; 16 * 24 * 9]
    );
}

#[test]
fn a_picture_has_the_same_bits_alone_and_in_a_batch() {
    let s = shape(3, [16, 24], [8, 12]);
    let [x, w, _] = operands(s);
    let alone = ConvShape { batch: 1, ..s };
    let batch = winograd::forward(&x, &w, None, s, wide());
    for (x, y) in x.chunks(x.len() / 3).zip(batch.chunks(batch.len() / 3)) {
        assert_eq!(winograd::forward(x, &w, None, alone, wide()), y);
    }
}

#[test]
fn what_is_not_finite_reaches_all_that_it_is_summed_into() {
    let s = shape(1, [12, 12], [8, 8]);
    for bad in [f32::NAN, f32::INFINITY] {
        let [mut x, w, mut dy] = operands(s);
        x[3 * 8 + 3] = bad;
        dy[3 * 8 + 3] = bad;
        let (y, dx, dw) = (
            winograd::forward(&x, &w, None, s, wide()),
            winograd::data_gradient(&w, &dy, s, wide()),
            winograd::weight_gradient(&x, &operands(s)[2], s, wide()),
        );
        for values in [&y, &dx] {
            for plane in values.chunks(64) {
                for (row, column) in (2..5).flat_map(|r| (2..5).map(move |c| (r, c))) {
                    assert!(!plane[row * 8 + column].is_finite(), "{row} {column}");
                }
            }
        }
        // The first input channel's taps, of every output channel.
        for taps in dw.chunks(12 * 9).map(|row| &row[..9]) {
            assert!(taps.iter().all(|tap| !tap.is_finite()));
        }
    }
}

#[test]
fn few_channels_pictures_less_than_half_of_their_tiles_and_1x1_are_left_to_the_sum_itself() {
    let is_faster = |channels, sides| winograd::is_faster(shape(1, channels, sides), CHANNELS);
    assert!(is_faster([12, 12], [4, 4]));
    assert!(!is_faster([11, 12], [4, 4]));
    assert!(!is_faster([24, 3], [64, 64]));
    assert!(!is_faster([96, 96], [5, 5]));
    let s = shape(1, [96, 96], [16, 16]);
    assert!(!winograd::is_faster(ConvShape { kernel: 1, ..s }, CHANNELS));
    let stem = shape(1, [12, 96], [32, 32]);
    assert!(!winograd::is_faster(stem, WEIGHT_CHANNELS));
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let s = ConvShape {
        batch: 1,
        channels_in: 1,
        channels_out: 3,
        height: 8,
        width: 8,
        kernel: 3,
    };
    let refused = |work: fn(ConvShape) -> Vec<f32>| {
        assert!(std::panic::catch_unwind(move || work(s)).is_err());
    };
    refused(|s| forward(&[0.0; 63], &[0.0; 27], None, s));
    refused(|s| forward(&[0.0; 64], &[0.0; 26], None, s));
    refused(|s| forward(&[0.0; 64], &[0.0; 27], Some(&[0.0; 2]), s));
    refused(|s| forward(&[0.0; 64], &[0.0; 75], None, ConvShape { kernel: 5, ..s }));
    refused(|s| data_gradient(&[0.0; 27], &[0.0; 64], s));
    refused(|s| weight_gradient(&[0.0; 64], &[0.0; 64], s));
    refused(|s| bias_gradient(&[0.0; 191], s));
}
