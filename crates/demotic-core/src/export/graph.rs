//! ONNX, as far as a network of convolutions needs it: nodes, constants, and the file round them.
//!
//! # Source
//! `onnx.proto3` of ONNX 1.13 (operator set 18, intermediate representation 8); numbers of fields and of
//! types are its own.

use std::collections::BTreeSet;

use crate::arrays::Array;
use crate::number::Whole;
use crate::protobuf::Message;

/// Version of the operators: of 2022, read by every runtime since.
pub(super) const OPERATORS: i64 = 18;
const REPRESENTATION: i64 = 8;
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// What stands beside a node's inputs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Attribute<'a> {
    Int(i64),
    Float(f32),
    Ints(&'a [i64]),
    Text(&'a str),
}

/// An input or output of the whole: its name, and its extents: numbers, or names of what varies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    pub(super) is_float: bool,
    pub(super) extents: &'a [Extent<'a>],
}

/// One extent of a [`Port`].
#[derive(Clone, Copy, Debug)]
pub(super) enum Extent<'a> {
    Is(usize),
    Varies(&'a str),
}

/// A graph that grows node by node, each behind what it reads.
#[derive(Debug, Default)]
pub(super) struct Graph {
    message: Message,
    nodes: usize,
    constants: BTreeSet<String>,
}

impl Graph {
    /// A node of one output, whose name is returned. An empty input is one that is left out.
    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> String {
        let [output] = self.node_of(operator, inputs, attributes);
        output
    }

    /// A node of several outputs.
    pub(super) fn node_of<const N: usize>(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute<'_>)],
    ) -> [String; N] {
        let number = self.nodes;
        let outputs = std::array::from_fn(|i| match i {
            0 => format!("{operator}_{number}"),
            i => format!("{operator}_{number}_{i}"),
        });
        self.add(operator, inputs, &outputs, attributes);
        outputs
    }

    /// The node whose output is the graph's.
    pub(super) fn last_node(&mut self, operator: &str, inputs: &[&str], output: &str) {
        self.add(operator, inputs, &[output.to_owned()], &[]);
    }

    fn add(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[String],
        attributes: &[(&str, Attribute<'_>)],
    ) {
        let mut node = Message::default();
        for input in inputs {
            node.bytes(1, input);
        }
        for output in outputs {
            node.bytes(2, output);
        }
        node.bytes(3, &outputs[0]);
        node.bytes(4, operator);
        for (name, attribute) in attributes {
            node.message(5, attribute.message(name));
        }
        self.message.message(1, node);
        self.nodes += 1;
    }

    /// Numbers by name, written once however often they are asked for.
    pub(super) fn floats(&mut self, name: &str, array: &Array) -> String {
        if self.constants.insert(name.to_owned()) {
            let bytes: Vec<u8> = array.values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.constant(name, FLOAT, &array.shape, &bytes);
        }
        name.to_owned()
    }

    /// One number, without extents.
    pub(super) fn float(&mut self, value: f32) -> String {
        let array = Array {
            shape: vec![],
            values: vec![value],
        };
        self.floats(&format!("value_{value}"), &array)
    }

    /// A row of whole numbers.
    pub(super) fn ints(&mut self, values: &[i64]) -> String {
        let words: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.whole(&format!("row_{}", words.join("_")), &[values.len()], values)
    }

    /// One whole number, without extents.
    pub(super) fn int(&mut self, value: i64) -> String {
        self.whole(&format!("number_{value}"), &[], &[value])
    }

    fn whole(&mut self, name: &str, shape: &[usize], values: &[i64]) -> String {
        if self.constants.insert(name.to_owned()) {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.constant(name, INT64, shape, &bytes);
        }
        name.to_owned()
    }

    fn constant(&mut self, name: &str, kind: i64, shape: &[usize], bytes: &[u8]) {
        let mut tensor = Message::default();
        for extent in shape {
            tensor.number(1, extent.to_i64());
        }
        tensor.number(2, kind);
        tensor.bytes(8, name);
        tensor.bytes(9, bytes);
        self.message.message(5, tensor);
    }

    /// The file.
    pub(super) fn into_file(
        mut self,
        name: &str,
        about: &str,
        [inputs, outputs]: [&[Port<'_>]; 2],
        metadata: &[(&str, String)],
    ) -> Vec<u8> {
        self.message.bytes(2, name);
        for (field, ports) in [(11, inputs), (12, outputs)] {
            for port in ports {
                self.message.message(field, port.message());
            }
        }
        let mut operators = Message::default();
        operators.bytes(1, "");
        operators.number(2, OPERATORS);
        let mut model = Message::default();
        model.number(1, REPRESENTATION);
        model.bytes(2, "demotic");
        model.bytes(3, env!("CARGO_PKG_VERSION"));
        model.bytes(6, about);
        model.message(7, self.message);
        model.message(8, operators);
        for (key, value) in metadata {
            let mut entry = Message::default();
            entry.bytes(1, key);
            entry.bytes(2, value);
            model.message(14, entry);
        }
        model.into_bytes()
    }
}

impl Attribute<'_> {
    fn message(self, name: &str) -> Message {
        let mut message = Message::default();
        message.bytes(1, name);
        let kind = match self {
            Self::Float(value) => {
                message.float(2, value);
                1
            }
            Self::Int(value) => {
                message.number(3, value);
                2
            }
            Self::Text(value) => {
                message.bytes(4, value);
                3
            }
            Self::Ints(values) => {
                for value in values {
                    message.number(8, *value);
                }
                7
            }
        };
        message.number(20, kind);
        message
    }
}

impl Port<'_> {
    fn message(&self) -> Message {
        let mut shape = Message::default();
        for extent in self.extents {
            let mut message = Message::default();
            match extent {
                Extent::Is(length) => message.number(1, length.to_i64()),
                Extent::Varies(name) => message.bytes(2, name),
            }
            shape.message(1, message);
        }
        let mut tensor = Message::default();
        tensor.number(1, if self.is_float { FLOAT } else { INT64 });
        tensor.message(2, shape);
        let mut kind = Message::default();
        kind.message(1, tensor);
        let mut port = Message::default();
        port.bytes(1, self.name);
        port.message(2, kind);
        port
    }
}
