//! Launches `crf_scale.wgsl`: a gradient times the upstream gradient of its group.

use burn_cubecl::tensor::CubeTensor;

use super::shaders::Shader;
use super::template::Values;
use super::{Bindings, WORKGROUP};

/// `gradient` in `groups` equal pieces, each times its element of `upstream`; in place where nobody else
/// holds the gradient.
pub(super) fn launch(gradient: CubeTensor, upstream: &CubeTensor, groups: usize) -> CubeTensor {
    let elements = gradient.meta.shape().num_elements();
    let wide = (elements / groups).is_multiple_of(4)
        && gradient.handle.offset_start.unwrap_or(0).is_multiple_of(16);
    let words = if wide { elements / 4 } else { elements };
    let client = gradient.client.clone();
    let in_place = gradient.can_mut();
    let result = if in_place {
        gradient.handle.clone()
    } else {
        client.empty(elements * size_of::<f32>())
    };
    let params = [words as u32, (words / groups) as u32];
    let params = client.create_from_slice(bytemuck::cast_slice(&params));
    Bindings::default()
        .bind("GRADIENT_AT", &gradient.handle)
        .bind_if(!in_place, "SCALED", Some(&result))
        .bind("UPSTREAM", &upstream.handle)
        .bind("PARAMS", &params)
        .launch(
            &client,
            Shader::Scale,
            |bound| values(bound, wide, in_place),
            words.div_ceil(WORKGROUP as usize),
        );
    if in_place {
        gradient
    } else {
        CubeTensor {
            handle: result,
            ..gradient
        }
    }
}

fn values(values: Values, wide: bool, in_place: bool) -> Values {
    values.flag("WIDE", wide).flag("IN_PLACE", in_place)
}

/// Every kernel of this shader.
#[cfg(test)]
pub(super) fn kernels() -> [super::shaders::Kernel; 4] {
    let bound = super::shaders::numbered(&["GRADIENT_AT", "SCALED", "UPSTREAM", "PARAMS"]);
    [(true, true), (true, false), (false, true), (false, false)].map(|(wide, in_place)| {
        let values = values(bound.clone(), wide, in_place);
        super::shaders::Kernel::new(Shader::Scale, values, WORKGROUP)
    })
}
