//! What is learnt of words as one file: named arrays, and what they belong to.

use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::learn::LearnState;
use crate::arrays::{Array, Arrays};
use crate::data::fnv1a64;
use crate::error::Error;

/// Keys of the file's head.
const STATE: &str = "words";
const CHECKSUM: &str = "fnv1a64";

/// The bytes of a file.
pub fn write_learnt(state: &LearnState, arrays: &Arrays) -> Vec<u8> {
    let bytes: Vec<(&String, &Array, Vec<u8>)> = arrays
        .iter()
        .map(|(name, array)| {
            let values = array.values.iter().flat_map(|value| value.to_le_bytes());
            (name, array, values.collect())
        })
        .collect();
    let views = bytes.iter().map(|(name, array, bytes)| {
        let view =
            TensorView::new(Dtype::F32, array.shape.clone(), bytes).expect("four bytes a value");
        (name.as_str(), view)
    });
    let sum = checksum(
        bytes
            .iter()
            .map(|(name, _, bytes)| (name.as_str(), fnv1a64(bytes))),
    );
    let state = serde_json::to_string(state).expect("numbers and names can be written");
    let head = [(STATE.to_owned(), state), (CHECKSUM.to_owned(), sum)];
    safetensors::serialize(views, Some(head.into())).expect("names are unique and views are whole")
}

/// Of all arrays, by name.
fn checksum<'a>(sums: impl Iterator<Item = (&'a str, u64)>) -> String {
    let lines: Vec<String> = sums
        .map(|(name, sum)| format!("{name} {sum:016x}"))
        .collect();
    format!("{:016x}", fnv1a64(lines.join("\n").as_bytes()))
}

/// Reads a file of [`write_learnt`].
///
/// # Errors
/// [`Error::Run`] where it is damaged or something else; [`Error::Io`] where the system refuses.
pub fn read_learnt(path: &Path) -> Result<(LearnState, Arrays), Error> {
    let bytes = std::fs::read(path).map_err(Error::io("read what was learnt", path))?;
    parse(&bytes).map_err(|problem| {
        Error::run(
            format!("the learnt words cannot be read ({problem}); learn them anew with `demotic learn-words --restart`"),
            path,
        )
    })
}

fn parse(bytes: &[u8]) -> Result<(LearnState, Arrays), String> {
    let (_, head) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
    let head = head.metadata().clone().unwrap_or_default();
    let of = |key: &str| {
        head.get(key)
            .ok_or_else(|| format!("its head has no `{key}`"))
    };
    let state: LearnState = serde_json::from_str(of(STATE)?).map_err(|e| e.to_string())?;
    let stated = of(CHECKSUM)?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is {:?}, expected F32", view.dtype()));
        }
        let values = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b));
        let array = Array {
            shape: view.shape().to_vec(),
            values: values.collect(),
        };
        arrays.insert(name.to_owned(), array);
    }
    let sums = arrays.iter().map(|(name, array)| {
        let bytes: Vec<u8> = array
            .values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        (name.as_str(), fnv1a64(&bytes))
    });
    if checksum(sums) != *stated {
        return Err("its checksum is wrong".into());
    }
    Ok((state, arrays))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phrase::{Found, LearnOptions};

    #[test]
    fn files_read_back_and_any_damage_is_seen() {
        let state = LearnState {
            format: 1,
            options: LearnOptions::default(),
            fingerprint: "x".into(),
            part: 1,
            step: 2,
            updates: 3,
            best: None,
            waited: 0,
            found: Found::default(),
        };
        let array = Array {
            shape: vec![2, 2],
            values: vec![1.0, -2.0, 0.5, f32::MIN_POSITIVE],
        };
        let arrays: Arrays = [("a.b".to_owned(), array)].into();
        let bytes = write_learnt(&state, &arrays);
        assert_eq!(parse(&bytes), Ok((state, arrays)));
        for at in [bytes.len() - 1, bytes.len() - 9] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert_eq!(parse(&other), Err("its checksum is wrong".into()));
        }
        for cut in [0, 7, 20, bytes.len() - 1] {
            assert!(parse(&bytes[..cut]).is_err(), "{cut}");
        }
    }
}
