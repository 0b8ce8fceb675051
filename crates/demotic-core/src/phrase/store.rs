//! What is learnt of words as one file: named arrays, and what they belong to.

use std::path::Path;

use safetensors::tensor::SafeTensors;

use super::learn::LearnState;
use crate::arrays::{Arrays, from_safetensors, little_endian, to_safetensors};
use crate::data::fnv1a64;
use crate::error::Error;

/// Keys of the file's head.
const STATE: &str = "words";
const CHECKSUM: &str = "fnv1a64";

/// The bytes of a file.
pub fn write_learnt(state: &LearnState, arrays: &Arrays) -> Vec<u8> {
    let state = serde_json::to_string(state).expect("numbers and names can be written");
    let head = [
        (STATE.to_owned(), state),
        (CHECKSUM.to_owned(), checksum(arrays)),
    ];
    to_safetensors(arrays, Some(head.into()))
}

/// Checksum of all arrays, by name.
fn checksum(arrays: &Arrays) -> String {
    let lines: Vec<String> = arrays
        .iter()
        .map(|(name, array)| format!("{name} {:016x}", fnv1a64(&little_endian(array))))
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
    let arrays = from_safetensors(bytes)?;
    if checksum(&arrays) != *stated {
        return Err("its checksum is wrong".into());
    }
    Ok((state, arrays))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrays::Array;
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
