// Numbers that all ways to compute have in common (`config.rs`, `op/plan.rs`; a test compares), and what is
// raised to the power of e: scores below LOG_FLOOR count as that.
const FORBIDDEN = -1.0e30;
const LOG_FLOOR = -41.0;
const BLOCK = 32u;

// Not max(): a NaN must come out as one.
fn scaled(x: f32) -> f32 {
    return exp(select(x, LOG_FLOOR, x < LOG_FLOOR));
}
