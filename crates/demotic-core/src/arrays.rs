//! Parameters by name: out of a network into plain numbers, into the bytes of a file, and back.

use std::collections::{BTreeMap, HashMap};

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A named array on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Row-major values.
    pub values: Vec<f32>,
}

/// Named arrays, in name order.
pub type Arrays = BTreeMap<String, Array>;

/// Every float parameter of a network by its path, such as `encoder.0.convs.1.weight`.
pub fn weights_of<M: Module>(module: &M) -> Arrays {
    struct Collect {
        path: Vec<String>,
        arrays: Arrays,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.arrays
                .insert(self.path.join("."), array_of(param.val()));
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        arrays: Arrays::new(),
    };
    module.visit(&mut collect);
    collect.arrays
}

/// Names of the parameters that training changes by gradients.
pub(crate) fn trained_names<M: Module>(module: &M) -> Vec<String> {
    struct Collect {
        path: Vec<String>,
        names: Vec<String>,
    }
    impl ModuleVisitor for Collect {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.names.push(self.path.join("."));
            }
        }
    }
    let mut collect = Collect {
        path: Vec::new(),
        names: Vec::new(),
    };
    module.visit(&mut collect);
    collect.names
}

/// A tensor's numbers on the host.
pub(crate) fn array_of<const D: usize>(tensor: Tensor<D>) -> Array {
    let shape = tensor.dims().to_vec();
    Array {
        shape,
        values: values_of(tensor),
    }
}

/// A float tensor read back: waits for the device.
pub(crate) fn values_of<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec::<f32>()
        .expect("parameters and losses are f32")
}

/// The network with every parameter replaced by the array of its name.
///
/// # Errors
/// One line for each name that is missing, unexpected, or of another shape.
pub(crate) fn with_weights<M: Module>(module: M, arrays: &Arrays) -> Result<M, Vec<String>> {
    struct Replace<'a> {
        path: Vec<String>,
        arrays: &'a Arrays,
        used: usize,
        problems: Vec<String>,
    }
    impl ModuleMapper for Replace<'_> {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_owned());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let name = self.path.join(".");
            let shape = param.val().dims().to_vec();
            match self.arrays.get(&name) {
                Some(array) if array.shape == shape => {
                    self.used += 1;
                    replaced(
                        param,
                        TensorData::new(array.values.clone(), array.shape.clone()),
                    )
                }
                Some(array) => {
                    self.problems.push(format!(
                        "`{name}` has shape {:?}, this network needs {shape:?}",
                        array.shape
                    ));
                    param
                }
                None => {
                    self.problems.push(format!("`{name}` {shape:?} is missing"));
                    param
                }
            }
        }
    }
    let mut replace = Replace {
        path: Vec::new(),
        arrays,
        used: 0,
        problems: Vec::new(),
    };
    let module = module.map(&mut replace);
    let surplus = arrays
        .len()
        .saturating_sub(replace.used + replace.problems.len());
    if replace.problems.is_empty() && surplus > 0 {
        replace.problems.push(format!(
            "{surplus} arrays belong to no parameter of this network"
        ));
    }
    if replace.problems.is_empty() {
        Ok(module)
    } else {
        Err(replace.problems)
    }
}

/// The bytes of a safetensors file of these arrays, with a head where there is one.
pub(crate) fn to_safetensors(arrays: &Arrays, head: Option<HashMap<String, String>>) -> Vec<u8> {
    let bytes: Vec<(&String, &Array, Vec<u8>)> = arrays
        .iter()
        .map(|(name, array)| (name, array, little_endian(array)))
        .collect();
    let views = bytes.iter().map(|(name, array, bytes)| {
        let view =
            TensorView::new(Dtype::F32, array.shape.clone(), bytes).expect("four bytes a value");
        (name.as_str(), view)
    });
    safetensors::serialize(views, head).expect("names are unique and views are whole")
}

/// The arrays of a safetensors file.
///
/// # Errors
/// A sentence where the file is damaged or an array is not of single precision.
pub(crate) fn from_safetensors(bytes: &[u8]) -> Result<Arrays, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    let mut arrays = Arrays::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is {:?}, expected F32", view.dtype()));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        let shape = view.shape().to_vec();
        arrays.insert(name.to_owned(), Array { shape, values });
    }
    Ok(arrays)
}

/// An array's values as a file has them.
pub(crate) fn little_endian(array: &Array) -> Vec<u8> {
    array.values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// A parameter with new numbers, keeping its identity, device and gradient setting.
fn replaced<const D: usize>(param: Param<Tensor<D>>, data: TensorData) -> Param<Tensor<D>> {
    let device = param.val().device().inner();
    update(param, |_| Tensor::from_data(data, &device))
}

/// Maps a parameter's plain tensor, outside any graph, keeping identity and gradient setting.
pub(crate) fn update<const D: usize>(
    param: Param<Tensor<D>>,
    f: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Param<Tensor<D>> {
    let (id, tensor, mapper) = param.consume();
    let tracked = tensor.is_require_grad();
    let autodiff = tensor.is_autodiff();
    let plain = if autodiff { tensor.inner() } else { tensor };
    let new = f(plain);
    let new = if autodiff {
        Tensor::from_inner(new)
    } else {
        new
    };
    let new = if tracked { new.require_grad() } else { new };
    Param::from_mapped_value(id, new, mapper)
}
