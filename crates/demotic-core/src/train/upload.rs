//! What a part of a step takes from the host, on its device in one piece: a copy each would flush the
//! device's queue as often.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::inputs::Inputs;
use crate::ops;

/// Inputs of one part in one buffer of a device. They are found by where they lie on the host, so it is of
/// use to the inputs alone that it was made of.
#[derive(Debug)]
pub(crate) struct Upload {
    flat: Tensor<1>,
    /// Where whole numbers have a buffer of their own: on other machines, where arrays are slices.
    whole: Option<Tensor<1, Int>>,
    /// Where each array begins in its buffer, by its address and length.
    starts: BTreeMap<(usize, usize), usize>,
}

impl Upload {
    /// None where a device takes every array as a tensor of its own: parts of a buffer are for those with our
    /// kernels, and for other machines, to which each tensor would be a message of its own.
    pub(crate) fn new(inputs: &Inputs, device: &Device) -> Option<Self> {
        if ops::is_far(device) {
            return Some(Self::of_slices(inputs, device));
        }
        if !ops::is_near_wgsl(device) {
            return None;
        }
        let mut words: Vec<f32> = Vec::new();
        let mut starts = BTreeMap::new();
        let mut begin = |key, words: &mut Vec<f32>| {
            words.resize(ops::padded(words.len()), 0.0);
            starts.insert(key, words.len());
        };
        for floats in inputs.floats() {
            begin(key(floats), &mut words);
            words.extend_from_slice(floats);
        }
        // Bit by bit: the device reads them as what they are.
        for numbers in inputs.whole_numbers() {
            begin(key(numbers), &mut words);
            words.extend(numbers.iter().map(|n| f32::from_bits(n.cast_unsigned())));
        }
        words.resize(ops::padded(words.len()), 0.0);
        let length = words.len();
        let data = TensorData::new(words, [length]);
        Some(Self {
            flat: Tensor::from_data(data, device),
            whole: None,
            starts,
        })
    }

    fn of_slices(inputs: &Inputs, device: &Device) -> Self {
        let (mut floats, mut numbers) = (Vec::new(), Vec::new());
        let mut starts = BTreeMap::new();
        for array in inputs.floats() {
            starts.insert(key(array), floats.len());
            floats.extend_from_slice(array);
        }
        for array in inputs.whole_numbers() {
            starts.insert(key(array), numbers.len());
            numbers.extend_from_slice(array);
        }
        let (floats_len, numbers_len) = (floats.len(), numbers.len());
        let numbers = TensorData::new(numbers, [numbers_len]);
        Self {
            flat: Tensor::from_data(TensorData::new(floats, [floats_len]), device),
            whole: Some(Tensor::from_data(numbers, device)),
            starts,
        }
    }

    /// An array of the inputs.
    pub(crate) fn floats<const D: usize>(
        &self,
        values: &[f32],
        shape: [usize; D],
    ) -> Option<Tensor<D>> {
        let start = *self.starts.get(&key(values))?;
        let flat = self.flat.clone();
        Some(match self.whole {
            None => ops::view(flat, start, shape),
            Some(_) => flat.narrow(0, start, values.len()).reshape(shape),
        })
    }

    /// An array of whole numbers of the inputs.
    pub(crate) fn whole_numbers<const D: usize>(
        &self,
        values: &[i32],
        shape: [usize; D],
    ) -> Option<Tensor<D, Int>> {
        let start = *self.starts.get(&key(values))?;
        Some(match &self.whole {
            None => ops::view_int(self.flat.clone(), start, shape),
            Some(whole) => whole.clone().narrow(0, start, values.len()).reshape(shape),
        })
    }
}

/// Where an array lies on the host.
fn key<T>(values: &[T]) -> (usize, usize) {
    (values.as_ptr().addr(), values.len())
}

#[cfg(all(test, feature = "wgpu"))]
mod tests {
    use super::*;
    use crate::arrays::values_of;
    use crate::data::{CachePolicy, Dataset};
    use crate::settings::Config;
    use crate::train::inputs::Feed;

    #[test]
    fn every_array_of_every_part_is_found_on_an_adapter_as_it_lies_on_the_host() {
        let Some(device) = crate::train::adapter() else {
            return;
        };
        let _turn = crate::train::turn();
        let sets = [
            "data.size_px=16",
            "data.styles=[\"openmoji-line\", \"openmoji\"]",
            "train.batch=4",
            "loss.prior=1",
        ]
        .map(str::to_owned);
        let config = Config::resolve(None, &sets).expect("a configuration of this file");
        let options = config.data.options(CachePolicy::Platform).expect("options");
        let dataset = Dataset::load(&config.data.source, &options).expect("the built-in emoji");
        let feed = Feed::new(&config, &dataset).expect("a feed");
        for inputs in feed.inputs(3, 2) {
            assert!(Upload::new(&inputs, &Device::flex()).is_none());
            let upload = Upload::new(&inputs, &device).expect("it takes views");
            let mut found = 0;
            for floats in inputs.floats().into_iter().filter(|f| !f.is_empty()) {
                let here = upload.floats(floats, [floats.len()]).expect("it is there");
                assert_eq!(values_of::<1>(here), floats);
                found += 1;
            }
            for numbers in inputs.whole_numbers().into_iter().filter(|n| !n.is_empty()) {
                let here = upload.whole_numbers(numbers, [numbers.len()]);
                let here: Tensor<1, Int> = here.expect("it is there");
                let here: Vec<i32> = here.into_data().try_into_vec().expect("they are i32");
                assert_eq!(here, numbers);
                found += 1;
            }
            assert!(found > 10, "{found}");
            assert!(upload.floats(&[1.0], [1]).is_none(), "it is another's");
        }
    }
}
