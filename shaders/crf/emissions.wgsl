// Emissions, f32, or f16 two to a word where HALF, and the one at an element's index.
//: if HALF
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<u32>;
//: else
@group(0) @binding({{EMISSIONS}}) var<storage, read_write> emissions: array<f32>;
//: end

fn emission(at: u32) -> f32 {
//: if HALF
    let pair = unpack2x16float(emissions[at >> 1u]);
    return select(pair.x, pair.y, (at & 1u) == 1u);
//: else
    return emissions[at];
//: end
}
