//! Launches `crf_image.wgsl`: loss and gradient of small pictures, one workgroup per picture, nothing left to
//! finish.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use bytemuck::{Pod, Zeroable};
use cubecl::server::Handle;

use super::shaders::Shader;
use super::template::Values;
use super::{Bindings, KernelCall};
use crate::op::plan::Plan;

/// Bytes of a picture's emissions that one workgroup holds at most.
const EMISSION_BYTES_MAX: usize = 8 << 10;

/// `Params` of `crf_image.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ImageParams {
    pictures: u32,
    h: u32,
    w: u32,
    e: [u32; 4],
    y: [u32; 3],
    unknown: i32,
    scale: f32,
    not_a_number: f32,
}

/// How a workgroup holds a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    labels: usize,
    /// Bytes of its emissions.
    emission_bytes: usize,
    /// Elements of its x, a row one longer than it is.
    size: usize,
    /// Positions of the shorter and of the longer direction.
    sides: [usize; 2],
    workgroup: usize,
}

/// Values, and tables where there is a gradient.
pub(super) fn launch(
    call: &KernelCall,
    gradient: Option<&Handle>,
) -> (CubeTensor, Option<CubeTensor>) {
    let [b, l, h, w] = call.dims;
    let values = call.floats(b);
    let tables = gradient.map(|_| call.floats(2 * b * l * l));
    let stride = |tensor: &CubeTensor, axis: usize| tensor.meta.strides()[axis] as u32;
    let params = call.params(&ImageParams {
        pictures: b as u32,
        h: h as u32,
        w: w as u32,
        e: [0, 1, 2, 3].map(|axis| stride(&call.emissions, axis)),
        y: if call.reads_labels() {
            [0, 1, 2].map(|axis| stride(&call.labels, axis))
        } else {
            [0; 3]
        },
        unknown: call.unknown(),
        scale: call.plan.scale,
        not_a_number: f32::NAN,
    });
    let picture = Picture::new(l, h, w);
    Bindings::default()
        .bind("EMISSIONS", &call.emissions.handle)
        .bind("POTENTIALS", &call.potentials.handle)
        .bind_if(call.reads_labels(), "LABELS_AT", Some(&call.labels.handle))
        .bind_if(true, "GRADIENT_AT", gradient)
        .bind_if(true, "TABLES_AT", tables.as_ref())
        .bind("VALUES", &values)
        .bind("PARAMS", &params)
        .launch_sized(
            &call.client,
            Shader::Image,
            |bound| picture.values(bound, &call.plan, gradient.is_some(), call.is_half()),
            b,
            picture.workgroup as u32,
        );
    (
        call.tensor(Shape::new([b]), values),
        tables.map(|tables| call.tensor(Shape::new([2, b, l * l]), tables)),
    )
}

impl Picture {
    pub(super) fn new(labels: usize, h: usize, w: usize) -> Self {
        Self {
            labels,
            emission_bytes: labels * h * w * size_of::<f32>(),
            size: labels * h * (w + 1),
            sides: [h.min(w), h.max(w)],
            workgroup: (2 * h.max(w).next_power_of_two()).max(64),
        }
    }

    /// Whether the kernel takes it, on a device whose workgroups have so much memory and so many invocations.
    pub(super) fn fits(&self, memory_bytes: usize, invocations: u32) -> bool {
        let [short, long] = self.sides;
        let elements = 3 * self.size + 4 * self.labels * self.labels + self.workgroup;
        short > 1
            && long <= 128
            && self.emission_bytes <= EMISSION_BYTES_MAX
            && elements * size_of::<f32>() <= memory_bytes
            && self.workgroup <= invocations as usize
    }

    fn values(&self, values: Values, plan: &Plan, gradient: bool, half: bool) -> Values {
        let l = self.labels;
        values
            .with("L", l)
            .with("L2", l * l)
            .with("TABLES2", 2 * l * l)
            .with("HALF_WG", self.workgroup / 2)
            .with("SIZE", self.size)
            .with("SIZE2", 2 * self.size)
            .flag("GRADIENT", gradient)
            .flag("HALF", half)
            .evidence(plan)
    }
}

/// The kernel of this shader that a call like this one launches.
#[cfg(test)]
pub(super) fn kernel(l: usize, plan: &Plan, gradient: bool, half: bool) -> super::shaders::Kernel {
    let picture = Picture::new(l, 8, 6);
    let bound = super::shaders::numbered(&[
        "EMISSIONS",
        "POTENTIALS",
        "LABELS_AT",
        "GRADIENT_AT",
        "TABLES_AT",
        "VALUES",
        "PARAMS",
    ]);
    let values = picture.values(bound, plan, gradient, half);
    super::shaders::Kernel::new(Shader::Image, values, picture.workgroup as u32)
}
