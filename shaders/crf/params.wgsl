// Chains of one direction: `ChainParams` of `op/wgsl/mod.rs`, field for field. Not every kernel reads all.
struct Params {
    chains: u32,         // or segments of all chains
    length: u32,
    inner: u32,          // chain c lies at (c / inner) * outer + (c % inner) * inner stride
    e_outer: u32,        // strides in elements
    e_inner: u32,
    e_step: u32,
    e_label: u32,
    y_outer: u32,
    y_inner: u32,
    y_step: u32,
    g_outer: u32,
    g_inner: u32,
    g_step: u32,
    g_label: u32,
    potentials_at: u32,  // this direction's first element
    sums_at: u32,        // this direction's first element
    unknown: i32,
    scale: f32,
    not_a_number: f32,   // WGSL has no literal for one
    segments: u32,       // of a chain
    edges_at: u32,       // in `forward`: vectors entering [l, chains], then leaving [l, chains]
};
