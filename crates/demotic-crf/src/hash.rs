//! FNV-1a, for what has to have the same hash in every build and on every machine: splits by name, caches on
//! disk, kernels by the text of their shader.

/// What an empty text hashes to.
const START: u64 = 0xcbf2_9ce4_8422_2325;

/// 64-bit FNV-1a of some bytes: `h = (h xor byte) * 0x100000001b3` from `h = 0xcbf29ce484222325`.
///
/// # Source
/// Fowler, Noll, Vo; the draft RFC `draft-eastlake-fnv`.
pub const fn fnv1a64(bytes: &[u8]) -> u64 {
    fnv1a64_from(START, bytes)
}

/// Goes on from an earlier hash.
pub const fn fnv1a64_from(hash: u64, bytes: &[u8]) -> u64 {
    let (mut hash, mut at) = (hash, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x100_0000_01b3);
        at += 1;
    }
    hash
}
