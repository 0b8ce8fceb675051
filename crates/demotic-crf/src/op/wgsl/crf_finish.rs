//! Launches `crf_finish.wgsl`: sums over the chains of each group, in a fixed order.

use burn::tensor::Shape;
use burn_cubecl::tensor::CubeTensor;
use bytemuck::{Pod, Zeroable};
use cubecl::server::Handle;

use super::shaders::Shader;
use super::template::Values;
use super::{Bindings, KernelCall};
use crate::config::WgslKernel;
use crate::op::plan::{Evidence, Group, Plan};

/// Columns that one workgroup sums; larger groups take another round.
const ROUND: usize = 64;

/// `Direction` of `crf_finish.wgsl`, field for field.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FinishDirection {
    sums_at: u32,
    items: u32,
    group: u32,
    length: u32,
    inner: u32,
    y: [u32; 3],
    tables_at: u32,
}

/// One launch.
struct Round<'a> {
    call: &'a KernelCall,
    /// `[entries, columns]` of each direction.
    sums: &'a Handle,
    columns: &'a [usize],
    /// Columns that the first direction has in a group.
    group: usize,
    groups: usize,
    gradient: bool,
    /// Whether gold transitions are counted, and taken from the sums.
    count: bool,
}

/// Where a round's results go.
enum To<'a> {
    /// `[entries, groups]`, for another round.
    Sums(&'a Handle),
    /// Values `[groups]`, and tables `[d, groups, width]` where there is a gradient.
    Results(&'a Handle, Option<&'a Handle>),
}

/// Sums columns into groups: values `[groups]`, and tables `[d, groups, width]` where there is a gradient.
pub(super) fn launch(
    call: &KernelCall,
    mut sums: Handle,
    gradient: bool,
) -> (CubeTensor, Option<CubeTensor>) {
    let l = call.dims[1];
    let entries = call.entries(gradient);
    let groups = call.plan.groups(call.dims);
    let directions = call.lines.len();
    let mut columns = call.columns();
    // The scan's last pass has counted its own gold transitions.
    let scan = call.plan.kernel == WgslKernel::Scan;
    let mut count = gradient && call.plan.evidence == Evidence::Gold && !scan;
    // One long row of columns: pieces of it first, so that no lane walks them all.
    while call.plan.group == Group::All && columns[0] > ROUND {
        let pieces = columns[0].div_ceil(ROUND);
        let rounded = call.floats(entries * pieces);
        let round = Round {
            call,
            sums: &sums,
            columns: &columns,
            group: ROUND,
            groups: pieces,
            gradient,
            count,
        };
        round.launch(&To::Sums(&rounded));
        sums = rounded;
        columns = vec![pieces];
        count = false;
    }
    let values = call.floats(groups);
    let tables = gradient.then(|| call.floats(directions * groups * (entries - 1)));
    let round = Round {
        call,
        sums: &sums,
        columns: &columns,
        group: columns[0].div_ceil(groups),
        groups,
        gradient,
        count,
    };
    round.launch(&To::Results(&values, tables.as_ref()));
    let shape = Shape::new([directions, groups, call.plan.width(l)]);
    (
        call.tensor(Shape::new([groups]), values),
        tables.map(|tables| call.tensor(shape, tables)),
    )
}

impl Round<'_> {
    fn launch(&self, to: &To<'_>) {
        let call = self.call;
        let (count, ragged) = (self.count, call.plan.ragged);
        let params = self.params();
        let bound = Bindings::default()
            .bind("SUMS", self.sums)
            .bind_if(count, "LABELS_AT", Some(&call.labels.handle))
            .bind_if(count && ragged, "LENGTHS", Some(&call.lengths.handle));
        let bound = match *to {
            To::Sums(sums) => bound.bind("ROUNDED", sums),
            To::Results(values, tables) => {
                bound
                    .bind("VALUES", values)
                    .bind_if(true, "TABLES_AT", tables)
            }
        };
        bound.bind("PARAMS", &params).launch(
            &call.client,
            Shader::Finish,
            |bound| {
                let round = matches!(to, To::Sums(_));
                values(bound, call.dims[1], &call.plan, self.gradient, count, round)
            },
            self.groups,
        );
    }

    fn params(&self) -> Handle {
        let entries = self.call.entries(self.gradient);
        let mut bytes = Vec::new();
        bytes.extend_from_slice(bytemuck::bytes_of(&(self.groups as u32)));
        bytes.extend_from_slice(bytemuck::bytes_of(&self.call.plan.scale));
        let mut sums_at = 0;
        for (d, (lines, &columns)) in self.call.lines.iter().zip(self.columns).enumerate() {
            let y = lines.label;
            // Rows and columns of a picture differ in number: each direction has its own group size.
            let group = if d == 0 {
                self.group
            } else {
                columns.div_ceil(self.groups)
            };
            bytes.extend_from_slice(bytemuck::bytes_of(&FinishDirection {
                sums_at: sums_at as u32,
                items: columns as u32,
                group: group as u32,
                length: lines.length as u32,
                inner: lines.inner as u32,
                y: [y.outer, y.inner, y.step].map(|stride| stride as u32),
                tables_at: (d * self.groups * (entries - 1)) as u32,
            }));
            sums_at += entries * columns;
        }
        self.call.client.create_from_slice(&bytes)
    }
}

fn values(
    values: Values,
    l: usize,
    plan: &Plan,
    gradient: bool,
    count: bool,
    round: bool,
) -> Values {
    let width = if gradient { plan.width(l) } else { 0 };
    values
        .with("L", l)
        .with("L2", l * l)
        .with("D", plan.direction_count())
        .with("ENTRIES", width + 1)
        .with("WIDTH", width)
        .flag("COUNT", count)
        .flag("RAGGED", plan.ragged)
        .flag("TABLES", gradient && !round)
        .flag("ROUND", round)
}

/// Every kernel of this shader that a call like this one may launch.
#[cfg(test)]
pub(super) fn kernels(l: usize, plan: &Plan, gradient: bool) -> [super::shaders::Kernel; 2] {
    let bound = super::shaders::numbered(&[
        "SUMS",
        "LABELS_AT",
        "LENGTHS",
        "ROUNDED",
        "VALUES",
        "TABLES_AT",
        "PARAMS",
    ]);
    [false, true].map(|round| {
        let count = gradient && plan.evidence == Evidence::Gold;
        let values = values(bound.clone(), l, plan, gradient, count, round);
        super::shaders::Kernel::new(Shader::Finish, values, super::WORKGROUP)
    })
}
