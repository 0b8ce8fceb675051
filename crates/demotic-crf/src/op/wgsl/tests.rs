//! Every kernel translates to every platform's language and writes inside its buffers; every shader has its
//! row and its launch file.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use burn::backend::DispatchDevice;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::tensor::{Device, TensorData};
use burn_cubecl::CubeBackend;
use naga::valid::{Capabilities, ValidationFlags, Validator};

use super::shaders::{Kernel, Shader};
use super::{
    BUFFERS, Guise, KernelCall, SHARED_BYTES, WORKGROUP, backend, crf_chain, crf_finish, crf_image,
    crf_lanes, crf_scale, crf_scan, crf_segments, crf_viterbi, guards,
};
use crate::cases::Numbers;
use crate::config::{Directions, FORBIDDEN, WgslKernel};
use crate::op::plan::{BLOCK, Evidence, Group, LOG_FLOOR, Order, Plan};
use crate::workload::test_adapter;

/// Every kernel that a plan can launch, as the launch code makes it.
fn kernels(l: usize, plan: &Plan, half: bool) -> Vec<Kernel> {
    let mut kernels = vec![
        crf_segments::kernel(l, plan, half),
        crf_scan::kernel(l),
        crf_viterbi::kernel(l, plan, half),
    ];
    kernels.extend(crf_scale::kernels());
    for gradient in [false, true] {
        for add in [false, true] {
            let guise = Guise {
                labels: l,
                plan,
                gradient,
                add,
                half,
            };
            kernels.extend(crf_chain::kernels(&guise));
            kernels.extend(crf_lanes::kernels(&guise));
        }
        kernels.extend(crf_finish::kernels(l, plan, gradient));
        kernels.push(crf_image::kernel(l, plan, gradient, half));
    }
    kernels
}

/// A kernel takes no more than a device is asked for; `crf_image` is asked for by itself.
fn hold_to_needs(shader: Shader, module: &naga::Module, name: &str) {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).unwrap();
    let (mut buffers, mut bytes) = (0, 0);
    for (_, variable) in module.global_variables.iter() {
        match variable.space {
            naga::AddressSpace::Storage { .. } => buffers += 1,
            naga::AddressSpace::WorkGroup => bytes += layouter[variable.ty].size as usize,
            _ => {}
        }
    }
    assert!(buffers <= BUFFERS, "{buffers} buffers: {name}");
    if shader != Shader::Image {
        let [invocations, ..] = module.entry_points[0].workgroup_size;
        assert!(
            invocations <= WORKGROUP && bytes <= SHARED_BYTES,
            "{invocations} invocations, {bytes} bytes: {name}"
        );
    }
}

/// Parses, validates and translates one kernel's text to every language that a wgpu platform takes.
fn translate(kernel: &Kernel, text: &str) {
    let name = format!("{:?} {:?}", kernel.shader, kernel.values);
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{name}\n{}", error.emit_to_string(text)));
    let info = Validator::new(
        ValidationFlags::all(),
        Capabilities::SHADER_FLOAT16_IN_FLOAT32,
    )
    .validate(&module)
    .unwrap_or_else(|error| panic!("{name}\n{}", error.emit_to_string(text)));
    hold_to_needs(kernel.shader, &module, &name);
    let spv =
        naga::back::spv::write_vec(&module, &info, &naga::back::spv::Options::default(), None)
            .unwrap();
    assert!(!spv.is_empty(), "{name}");
    let (msl, _) = naga::back::msl::write_string(
        &module,
        &info,
        &naga::back::msl::Options {
            fake_missing_bindings: true,
            ..Default::default()
        },
        &naga::back::msl::PipelineOptions::default(),
    )
    .unwrap();
    assert!(msl.contains("kernel void"), "{name}");
    let mut hlsl = String::new();
    let options = naga::back::hlsl::Options {
        fake_missing_bindings: true,
        ..Default::default()
    };
    naga::back::hlsl::Writer::new(
        &mut hlsl,
        &options,
        &naga::back::hlsl::PipelineOptions::default(),
    )
    .write(&module, &info, None)
    .unwrap();
    assert!(hlsl.contains("numthreads"), "{name}");
}

#[test]
fn every_kernel_translates_to_spirv_msl_and_hlsl() {
    let mut seen = HashSet::new();
    // Many plans have kernels in common.
    let mut translated = HashSet::new();
    let evidences = [
        Evidence::Gold,
        Evidence::Held { unknown: -1 },
        Evidence::Free,
        Evidence::LogPartition,
    ];
    let flags = [
        (false, false, false),
        (true, true, false),
        (false, true, true),
        (true, false, true),
    ];
    for labels in [3, 8, 16, 32] {
        for evidence in evidences {
            for (ragged, boundaries, half) in flags {
                // With more labels, only more is written out: one variant of each is enough.
                let every_variant = labels == 3;
                let usual = evidence == Evidence::Gold && ragged && boundaries;
                if !(every_variant || usual) {
                    continue;
                }
                let plan = Plan {
                    directions: if half {
                        Directions::Rows
                    } else {
                        Directions::Both
                    },
                    group: Group::Picture,
                    evidence,
                    order: Order::Grid,
                    ragged,
                    boundaries,
                    scale: 1.0,
                    kernel: WgslKernel::Auto,
                };
                for kernel in kernels(labels, &plan, half) {
                    seen.insert(kernel.shader);
                    let text = kernel.text();
                    if translated.insert(text.clone()) {
                        translate(&kernel, &text);
                    }
                }
            }
        }
    }
    assert_eq!(
        seen.len(),
        Shader::ALL.len(),
        "a shader without a translated kernel"
    );
}

/// Files of a folder whose names begin with `crf_` and end so, without the ending.
fn stems(folder: &Path, ending: &str) -> BTreeSet<String> {
    let files = std::fs::read_dir(folder).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("crf_"))
        .filter_map(|name| name.strip_suffix(ending).map(str::to_owned))
        .collect()
}

/// `crf_chain.wgsl`, `crf_chain.rs`, a row of `shaders/README.md` and the bench label `chain` belong
/// together.
#[test]
fn shader_launch_file_row_and_bench_share_a_stem() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shaders = root.join("../../shaders");
    let declared: BTreeSet<String> = Shader::ALL.iter().map(|s| s.stem().to_owned()).collect();
    assert_eq!(stems(&shaders, ".wgsl"), declared);
    assert_eq!(stems(&root.join("src/op/wgsl"), ".rs"), declared);

    let readme = std::fs::read_to_string(shaders.join("README.md")).unwrap();
    // | `crf_chain.wgsl` | computes | one invocation | runs where | timed by |
    let rows: Vec<Vec<&str>> = readme
        .lines()
        .filter(|line| line.starts_with("| `crf_"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let named = rows.iter().map(|row| {
        row[0]
            .trim_matches('`')
            .trim_end_matches(".wgsl")
            .to_owned()
    });
    assert_eq!(named.collect::<BTreeSet<_>>(), declared);
    // A kernel that can be asked for is timed under its stem; the others with those that they serve.
    for row in rows {
        let stem = row[0].trim_matches('`').trim_end_matches(".wgsl");
        let asked = WgslKernel::ALL
            .into_iter()
            .find(|kernel| stem == format!("crf_{}", kernel.name()));
        match asked {
            Some(kernel) => {
                let label = format!("/{}/", kernel.name());
                assert!(row[4].contains(&label), "{stem} is timed by {label}");
            }
            None => assert!(
                row[4].starts_with("with `crf_") || row[4].contains(stem),
                "{stem} is timed by {}",
                row[4]
            ),
        }
    }
}

#[test]
fn shaders_have_the_numbers_of_the_other_implementations() {
    let text = Shader::Chain.source();
    let number = |name: &str| -> f32 {
        let start = format!("const {name} = ");
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        let value = line.unwrap().trim_end_matches(';').trim_end_matches('u');
        value.parse().unwrap()
    };
    assert_eq!(number("FORBIDDEN"), FORBIDDEN);
    assert_eq!(number("LOG_FLOOR"), LOG_FLOOR);
    assert_eq!(number("BLOCK"), BLOCK as f32);
}

/// Runs a call whose last workgroups are only partly filled, and reads every guard.
fn guards_stay(device: &Device, plan: Plan, dims: [usize; 4]) {
    let DispatchDevice::Cube(cube) = device.as_dispatch() else {
        unreachable!("a wgpu device")
    };
    let [b, l, h, w] = dims;
    let numbers = |count: usize, stream| Numbers::new(61, stream).normals(count, 1.0);
    let data = |values: Vec<f32>, shape: &[usize]| {
        CubeBackend::float_from_data(TensorData::new(values, shape.to_vec()), cube)
    };
    let ints = |values: Vec<i32>, shape: &[usize]| {
        CubeBackend::int_from_data(TensorData::new(values, shape.to_vec()), cube)
    };
    let call = KernelCall::new(
        data(numbers(b * l * h * w, 0), &dims),
        ints(Numbers::new(61, 1).labels(b * h * w, l), &[b, h, w]),
        data(
            numbers(plan.direction_count() * plan.width(l), 2),
            &[plan.direction_count(), plan.width(l)],
        ),
        ints(
            (0..(b * h) as i32).map(|n| n % (w as i32 + 1)).collect(),
            &[b * h],
        ),
        plan,
    );
    guards::forget();
    let gradient = call.floats(b * l * h * w);
    backend::run(&call, Some(&gradient));
    if !plan.rows_and_columns().eq([true, false]) {
        crf_viterbi::launch(&call);
    }
    guards::assert_whole(&call.client, &format!("{plan:?}"));
}

#[test]
fn kernels_write_inside_their_buffers() {
    let Some(device) = test_adapter() else { return };
    for kernel in WgslKernel::ALL {
        let grid = Plan {
            directions: Directions::Both,
            group: Group::Picture,
            evidence: Evidence::Gold,
            order: Order::Grid,
            ragged: false,
            boundaries: false,
            scale: 0.5,
            kernel,
        };
        guards_stay(&device, grid, [3, 3, 5, 7]);
        if kernel == WgslKernel::Image {
            continue; // pictures only
        }
        let sequence = Plan {
            directions: Directions::Rows,
            group: Group::All,
            order: Order::Sequence,
            ragged: true,
            boundaries: true,
            ..grid
        };
        guards_stay(&device, sequence, [1, 5, 131, 9]);
    }
}
