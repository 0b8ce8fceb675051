//! Weights without a run: one safetensors file with the averaged generator and the discriminator in half
//! precision, and in its metadata what they belong to. `demotic export` writes one; the program carries one,
//! [`BUILT_IN`].

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::checkpoint::{Checkpoint, CheckpointInfo};
use crate::arrays::{Array, Arrays};
use crate::data::fnv1a64;
use crate::error::Error;

/// The name that stands in a run's place for the weights in the program.
pub const BUILT_IN: &str = "built-in";
/// `demotic export` of the run that `assets/weights/README.md` describes. Static, as is every file in the
/// program: a constant lies in it once for each unit of code that reads it.
static BUILT_IN_FILE: &[u8] = include_bytes!("../../assets/weights/model.safetensors");
/// The file's metadata entry: the description of a checkpoint.
const ENTRY: &str = "demotic";
/// What a translation, a score or an opinion needs: neither optimiser, nor the generator before averaging.
const PARTS: [&str; 2] = ["average.", "discriminator."];

/// The styles of the weights in the program, by number.
///
/// # Errors
/// As `Checkpoint::built_in`.
pub fn built_in_styles() -> Result<Vec<String>, Error> {
    Ok(described(BUILT_IN_FILE, Path::new(BUILT_IN))?.styles)
}

/// What a file of weights says that they belong to.
fn described(bytes: &[u8], path: &Path) -> Result<CheckpointInfo, Error> {
    let refuse = |problem: String| Error::run(problem, path);
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e, path))?;
    let description = metadata
        .metadata()
        .as_ref()
        .and_then(|entries| entries.get(ENTRY))
        .ok_or_else(|| {
            refuse(format!(
                "these safetensors are not demotic's: their metadata have no entry `{ENTRY}`; for --run, write them by \
                 `demotic export --format weights`"
            ))
        })?;
    CheckpointInfo::parse(description).map_err(refuse)
}

fn damaged(error: &safetensors::SafeTensorError, path: &Path) -> Error {
    let is_onnx = path.extension().is_some_and(|ending| ending == "onnx");
    let problem = if is_onnx {
        "this is an ONNX file, for other programs; for --run, write the weights by `demotic export --format weights`"
            .to_owned()
    } else {
        format!("no weights of demotic, or cut: {error}; `demotic export` writes them")
    };
    Error::run(problem, path)
}

impl Checkpoint {
    /// The weights that the program carries.
    ///
    /// # Errors
    /// As `Checkpoint::open_weights`; a build whose weights do not fit it.
    pub(crate) fn built_in() -> Result<Self, Error> {
        Self::from_weights(BUILT_IN_FILE, Path::new(BUILT_IN))
    }

    /// Reads a file of weights.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::Run`] for a file that is cut, altered, of another version or of another
    /// program.
    pub(crate) fn open_weights(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        Self::from_weights(&bytes, path)
    }

    fn from_weights(bytes: &[u8], path: &Path) -> Result<Self, Error> {
        let refuse = |problem: String| Error::run(problem, path);
        let info = described(bytes, path)?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e, path))?;
        let mut arrays = Arrays::new();
        for (name, view) in file.iter() {
            if view.dtype() != Dtype::F16 {
                return Err(refuse(format!(
                    "`{name}` is {:?}, expected F16",
                    view.dtype()
                )));
            }
            let values = view.data().as_chunks::<2>().0.iter();
            let array = Array {
                shape: view.shape().to_vec(),
                values: values
                    .map(|pair| f16::from_le_bytes(*pair).to_f32())
                    .collect(),
            };
            arrays.insert(name.to_owned(), array);
        }
        let halves = Halves::of(&arrays);
        if info.tensors_bytes != halves.bytes() || info.tensors_fnv1a64 != halves.checksum() {
            return Err(refuse(
                "the weights are altered: the checksum differs".into(),
            ));
        }
        Ok(Self::from_parts(info, path, arrays))
    }

    /// The averaged generator's arrays, by their names in it.
    pub(crate) fn averaged(&self) -> Arrays {
        self.part("average")
    }

    /// The averaged generator and the discriminator as a file of weights: the same weights, the same bytes.
    ///
    /// # Errors
    /// [`Error::Run`] where a weight has no half-precision value (beyond 65,504).
    pub(crate) fn weights_file(&self) -> Result<Vec<u8>, Error> {
        let kept: Arrays = self
            .arrays()
            .iter()
            .filter(|(name, _)| PARTS.iter().any(|part| name.starts_with(part)))
            .map(|(name, array)| (name.clone(), array.clone()))
            .collect();
        let halves = Halves::of(&kept);
        if let Some(name) = halves.overflowing() {
            return Err(Error::run(
                format!("`{name}` has a weight beyond half precision (65,504)"),
                &self.path,
            ));
        }
        let info = CheckpointInfo {
            optimiser_steps: [0, 0],
            window_steps: 0,
            tensors_bytes: halves.bytes(),
            tensors_fnv1a64: halves.checksum(),
            ..self.info.clone()
        };
        let description = String::from_utf8(info.to_bytes()).expect("JSON is text");
        let views = halves.0.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F16, shape.clone(), bytes);
            (name, view.expect("two bytes a value"))
        });
        let metadata = HashMap::from([(ENTRY.to_owned(), description)]);
        Ok(safetensors::serialize(views, Some(metadata))
            .expect("names are unique and views are whole"))
    }
}

/// Arrays in half precision: name, shape, little-endian bytes.
struct Halves(Vec<(String, Vec<usize>, Vec<u8>)>);

impl Halves {
    fn of(arrays: &Arrays) -> Self {
        let halves = arrays.iter().map(|(name, array)| {
            let bytes = array
                .values
                .iter()
                .flat_map(|v| f16::from_f32(*v).to_le_bytes());
            (name.clone(), array.shape.clone(), bytes.collect())
        });
        Self(halves.collect())
    }

    fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, _, bytes)| bytes.len() as u64).sum()
    }

    /// Over names, shapes and values, in the order of names.
    fn checksum(&self) -> String {
        let mut whole = Vec::new();
        for (name, shape, bytes) in &self.0 {
            whole.extend(format!("{name}{shape:?}").into_bytes());
            whole.extend(bytes);
        }
        format!("{:016x}", fnv1a64(&whole))
    }

    /// The first array with a value that is not finite.
    fn overflowing(&self) -> Option<&str> {
        let is_finite = |bytes: &Vec<u8>| {
            let mut values = bytes.as_chunks::<2>().0.iter();
            values.all(|pair| f16::from_le_bytes(*pair).is_finite())
        };
        let array = self.0.iter().find(|(_, _, bytes)| !is_finite(bytes))?;
        Some(&array.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn built_in_weights_fit_this_build_and_are_written_back_as_they_were() {
        let checkpoint = Checkpoint::built_in().expect("the build's own weights");
        assert!(checkpoint.info.styles.len() >= 2);
        checkpoint.generator(&Device::flex()).expect("they fit");
        checkpoint.discriminator(&Device::flex()).expect("they fit");
        let written = checkpoint.weights_file().expect("finite weights");
        assert!(written.len() < 6 << 20, "{} bytes", written.len());
        let again = Checkpoint::from_weights(&written, Path::new("again")).expect("just written");
        assert_eq!(again.arrays(), checkpoint.arrays());
        assert_eq!(again.info.config, checkpoint.info.config);
        assert_eq!(again.info.styles, checkpoint.info.styles);
    }

    #[test]
    fn weights_that_are_cut_altered_or_foreign_are_refused_by_what_is_wrong() {
        let refused = |bytes: &[u8]| {
            let read = Checkpoint::from_weights(bytes, Path::new("w.safetensors"));
            read.expect_err("they are not whole").to_string()
        };
        let mut altered = BUILT_IN_FILE.to_vec();
        *altered.last_mut().expect("not empty") ^= 1;
        assert!(refused(&altered).contains("altered"));
        let cut = &BUILT_IN_FILE[..BUILT_IN_FILE.len() - 2];
        assert!(refused(cut).contains("or cut"));
        assert!(refused(b"").contains("or cut"));
        let foreign = safetensors::serialize(Vec::<(&str, TensorView<'_>)>::new(), None);
        assert!(refused(&foreign.expect("nothing can be written")).contains("not demotic's"));
    }
}
