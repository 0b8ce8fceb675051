//! Summaries of a transition matrix, on the host: how strongly labels persist, and how far a label influences
//! others.

use crate::number::Real;
/// Mean over labels of `A[i][i] - log mean over j != i of exp(A[i][j])`, in nats: 0 where neighbours are
/// independent.
///
/// `transitions`: `l * l` effective scores, row by row. 0 for a single label.
///
/// # Panics
/// If the slice is not `l * l` long.
pub fn stay_log_odds(transitions: &[f32], labels: usize) -> f32 {
    assert_eq!(
        transitions.len(),
        labels * labels,
        "transitions must be labels x labels"
    );
    if labels < 2 {
        return 0.0;
    }
    let mut sum = 0.0f64;
    for (i, row) in transitions.chunks_exact(labels).enumerate() {
        let others: f64 = row
            .iter()
            .enumerate()
            .filter(|&(j, _)| j != i)
            .map(|(_, &a)| f64::from(a).exp())
            .sum();
        sum += f64::from(row[i]) - (others / (labels - 1).to_f64()).ln();
    }
    (sum / labels.to_f64()).to_f32()
}

/// `-1 / log |lambda_2|` in patches, `lambda_2` the second eigenvalue (relative to the first) of `exp(A)`:
/// the distance over which one label's influence on another falls by e, with flat emissions.
///
/// 0 where neighbours are independent, infinite where labels cannot change. `transitions`: `l * l` effective
/// scores, row by row. Found by power iteration: on `exp(A)`, then on it with the first eigenvalue taken out.
///
/// # Panics
/// If the slice is not `l * l` long.
pub fn coupling_length(transitions: &[f32], labels: usize) -> f32 {
    assert_eq!(
        transitions.len(),
        labels * labels,
        "transitions must be labels x labels"
    );
    let top = transitions
        .iter()
        .copied()
        .fold(f32::NEG_INFINITY, f32::max);
    let mut m: Vec<f64> = transitions
        .iter()
        .map(|&a| f64::from(a - top).exp())
        .collect();
    let l = labels;
    let times = |m: &[f64], v: &[f64]| -> Vec<f64> {
        m.chunks_exact(l)
            .map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum())
            .collect()
    };
    // The first eigenvectors are positive (Perron), so plain power iteration from ones finds them.
    let perron = |m: &[f64]| -> (f64, Vec<f64>) {
        let mut v = vec![1.0; l];
        let mut value = 1.0;
        for _ in 0..10_000 {
            let next = times(m, &v);
            let norm = next.iter().sum::<f64>();
            let next: Vec<f64> = next.iter().map(|x| x / norm).collect();
            let change: f64 = next.iter().zip(&v).map(|(a, b)| (a - b).abs()).sum();
            v = next;
            value = norm;
            if change < 1e-14 {
                break;
            }
        }
        (value, v)
    };
    let (_, right) = perron(&m);
    let first = times(&m, &right).iter().sum::<f64>() / right.iter().sum::<f64>();
    let transposed: Vec<f64> = (0..l * l).map(|k| m[(k % l) * l + k / l]).collect();
    let (_, left) = perron(&transposed);
    let overlap: f64 = left.iter().zip(&right).map(|(a, b)| a * b).sum();
    for i in 0..l {
        for j in 0..l {
            m[i * l + j] -= first * right[i] * left[j] / overlap;
        }
    }
    // |lambda_2| as the growth over many steps: holds for a complex pair too, where one step does not settle.
    let mut v: Vec<f64> = (0..l)
        .map(|k| ((k * 7919 + 13) % 101).to_f64() / 101.0 - 0.5)
        .collect();
    let (warm, counted) = (200, 2000);
    let mut growth = 0.0;
    for step in 0..warm + counted {
        v = times(&m, &v);
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if norm < first * 1e-13 {
            return 0.0;
        }
        if step >= warm {
            growth += norm.ln();
        }
        for x in &mut v {
            *x /= norm;
        }
    }
    let ratio = growth / f64::from(counted) - first.ln();
    if ratio >= 0.0 {
        f32::INFINITY
    } else {
        (-1.0 / ratio).to_f32()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn potts_has_its_closed_form() {
        // exp(A) = (e^c - 1) I + ones: lambda_1 = e^c - 1 + l, lambda_2 = e^c - 1.
        for (labels, c) in [(2, 1.0f32), (3, 2.0), (7, 0.5)] {
            let a: Vec<f32> = (0..labels * labels)
                .map(|k| if k % (labels + 1) == 0 { c } else { 0.0 })
                .collect();
            let (first, second) = (c.exp() - 1.0 + labels.to_f32(), c.exp() - 1.0);
            let expected = -1.0 / (second / first).ln();
            assert!((coupling_length(&a, labels) - expected).abs() < 1e-4 * expected);
            assert!((stay_log_odds(&a, labels) - c).abs() < 1e-6);
        }
        assert_eq!(coupling_length(&[0.0; 9], 3), 0.0);
        assert_eq!(stay_log_odds(&[0.0; 9], 3), 0.0);
    }
}
