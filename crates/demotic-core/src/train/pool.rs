//! Translations of earlier steps, shown to the discriminator among today's: it cannot forget what the
//! generator did before (Shrivastava et al. 2017).

use crate::number::{Real, Whole};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::arrays::{Array, Arrays, array_of};
use crate::rng::Rng;

/// At most `capacity` fakes, all styles together.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    capacity: usize,
    /// The style that each picture was translated into, and the picture: `[1, c, H, W]`, without a graph, in
    /// memory of its own.
    pictures: Vec<(u32, Tensor<4>)>,
}

impl Pool {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            pictures: vec![],
        }
    }

    /// What the discriminator is shown for `fakes`: until the pool is full each picture itself, which is also
    /// kept; then, half the time, an earlier one of the same style, whose place the new one takes.
    ///
    /// `fakes`: `[n, c, H, W]` for `styles`; the result likewise.
    pub(crate) fn exchange(&mut self, mut rng: Rng, fakes: Tensor<4>, styles: &[u32]) -> Tensor<4> {
        if self.capacity == 0 {
            return fakes;
        }
        let device = fakes.device();
        let shown = styles.iter().enumerate().map(|(number, style)| {
            let new = fakes.clone().narrow(0, number, 1);
            if self.pictures.len() < self.capacity {
                self.pictures.push((*style, own(new.clone())));
                return new;
            }
            let fits = |(known, _): &(u32, Tensor<4>)| known == style;
            let count = self
                .pictures
                .iter()
                .filter(|kept| fits(kept))
                .count()
                .to_u32();
            if count == 0 || rng.chance(0.5) {
                return new;
            }
            let chosen = rng.below(count) as usize;
            let place = self
                .pictures
                .iter_mut()
                .filter(|kept| fits(kept))
                .nth(chosen);
            let (_, kept) = place.expect("fewer were chosen from than there are");
            std::mem::replace(kept, own(new)).to_device(&device)
        });
        let shown = shown.collect();
        Tensor::cat(shown, 0)
    }

    /// The pictures and their styles as named arrays; nothing where the pool is empty.
    pub(crate) fn state(&self) -> Arrays {
        let mut arrays = Arrays::new();
        if !self.pictures.is_empty() {
            let (styles, pictures): (Vec<f32>, Vec<Tensor<4>>) = self
                .pictures
                .iter()
                .map(|(style, picture)| (style.to_f32(), picture.clone()))
                .unzip();
            let shape = vec![styles.len()];
            arrays.insert(
                "styles".into(),
                Array {
                    shape,
                    values: styles,
                },
            );
            arrays.insert("pictures".into(), array_of(Tensor::cat(pictures, 0)));
        }
        arrays
    }

    /// Takes a state back; of more pictures than there is room for, the first.
    pub(crate) fn restore(
        &mut self,
        mut arrays: Arrays,
        device: &Device,
    ) -> Result<(), Vec<String>> {
        self.pictures.clear();
        if arrays.is_empty() {
            return Ok(());
        }
        let (Some(pictures), Some(styles)) = (arrays.remove("pictures"), arrays.remove("styles"))
        else {
            return Err(vec!["the pool of fakes is not whole".into()]);
        };
        let shape: Result<[usize; 4], _> = pictures.shape.try_into();
        let Some(shape) = shape.ok().filter(|s| s[0] == styles.values.len()) else {
            return Err(vec![format!(
                "the pool of fakes does not hold one for each of its {} styles",
                styles.values.len()
            )]);
        };
        let whole = Tensor::<4>::from_data(TensorData::new(pictures.values, shape), device);
        let styles = styles.values.into_iter().map(Whole::to_u32);
        let kept = styles.enumerate().take(self.capacity);
        self.pictures = kept
            .map(|(number, style)| (style, own(whole.clone().narrow(0, number, 1))))
            .collect();
        Ok(())
    }
}

/// A copy in memory of its own: on the processor a slice shares its batch's, and would keep the whole of it.
fn own(picture: Tensor<4>) -> Tensor<4> {
    let first = Tensor::<1, Int>::from_data([0_i32], &picture.device());
    picture.select(0, first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::values_of;
    use crate::rng::Stream;

    /// Pictures of one value each.
    fn fakes(values: &[f32]) -> Tensor<4> {
        let shape = [values.len(), 1, 1, 1];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
    }

    #[test]
    fn a_full_pool_shows_half_the_time_an_earlier_picture_of_the_same_style_and_resumes_exactly() {
        let mut pool = Pool::new(4);
        let rng = |step| Rng::new(1, Stream::POOL, step);
        let first = values_of(pool.exchange(rng(0), fakes(&[0.0, 1.0, 2.0, 3.0]), &[0, 1, 0, 1]));
        assert_eq!(first, [0.0, 1.0, 2.0, 3.0]);
        let mut old = 0;
        for step in 1..200_u64 {
            let now: Vec<f32> = (0..4).map(|i| (4 * step + i).to_f32()).collect();
            if step == 100 {
                let mut again = Pool::new(4);
                again
                    .restore(pool.state(), &Device::flex())
                    .expect("it was just saved");
                pool = again;
            }
            let mut unbroken = pool.clone();
            let shown = values_of(pool.exchange(rng(step), fakes(&now), &[0, 1, 0, 1]));
            assert_eq!(
                shown,
                values_of(unbroken.exchange(rng(step), fakes(&now), &[0, 1, 0, 1]))
            );
            for (i, value) in shown.iter().enumerate() {
                // Even numbers are of style 0, odd ones for 1.
                assert_eq!(*value as usize % 2, i % 2);
                old += usize::from(*value != now[i]);
            }
        }
        assert!((300..500).contains(&old), "{old} of 796");
        // A pool that has become smaller keeps what it has room for.
        let (mut smaller, state) = (Pool::new(3), pool.state());
        smaller
            .restore(state.clone(), &Device::flex())
            .expect("it was just saved");
        assert_eq!(
            smaller.state()["pictures"].values,
            state["pictures"].values[..3]
        );
    }
}
