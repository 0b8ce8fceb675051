//! Guards round the buffers that kernels write in this crate's own tests: what is written outside of one is
//! seen, and what is not written inside.

use std::cell::RefCell;

use cubecl::client::Client;
use cubecl::server::Handle;

/// Bytes of a guard: any device's binding alignment.
const GUARD: usize = 256;
const SENTINEL: u8 = 0xa5;

/// An allocation, and the bytes of it that kernels write: from where, and how many.
type Guarded = (Handle, Vec<[usize; 2]>);

thread_local! {
    /// Buffers made since a test on this thread began to look; none while none does.
    static GUARDED: RefCell<Option<Vec<Guarded>>> = const { RefCell::new(None) };
}

/// What runs of `sizes` bytes take with guards round them: where each begins, and all together.
fn laid_out(sizes: &[usize]) -> (Vec<[usize; 2]>, usize) {
    let mut at = GUARD;
    let mut places = Vec::new();
    for size in sizes {
        places.push([at, *size]);
        at += size.next_multiple_of(GUARD) + GUARD;
    }
    (places, at)
}

/// New memory for runs of `sizes` bytes each; where a test looks with guards round them, and all of it filled
/// with the sentinel.
fn guarded_runs<const N: usize>(client: &Client, sizes: [usize; N]) -> [Handle; N] {
    let (places, all) = laid_out(&sizes);
    let whole = GUARDED.with_borrow_mut(|guarded| match guarded {
        None => client.empty(all),
        Some(guarded) => {
            let whole = client.create_from_slice(&vec![SENTINEL; all]);
            guarded.push((whole.clone(), places.clone()));
            whole
        }
    });
    std::array::from_fn(|k| {
        let [at, size] = places[k];
        let end = (all - at - size) as u64;
        whole.clone().offset_start(at as u64).offset_end(end)
    })
}

/// `size` bytes.
pub(super) fn guarded(client: &Client, size: usize) -> Handle {
    let [handle] = guarded_runs(client, [size]);
    handle
}

/// Two runs of bytes in one allocation, where a test looks.
pub(super) fn guarded_pair(client: &Client, sizes: [usize; 2]) -> Option<[Handle; 2]> {
    are_set().then(|| guarded_runs(client, sizes))
}

/// True while a test on this thread looks.
pub(super) fn are_set() -> bool {
    GUARDED.with_borrow(Option::is_some)
}

/// Runs something, and reads every buffer that it made: written all through, and nowhere outside.
pub(super) fn within_guards<T>(client: &Client, what: &str, run: impl FnOnce() -> T) -> T {
    GUARDED.set(Some(vec![]));
    let result = run();
    let guarded = GUARDED.take().expect("set above");
    assert!(!guarded.is_empty(), "{what}");
    for (whole, places) in guarded {
        let bytes = client.read_one(whole).expect("the device is alive");
        let mut end = 0;
        for [at, size] in places.into_iter().chain([[bytes.len(), 0]]) {
            let outside = &bytes[end..at];
            assert!(
                outside.iter().all(|&byte| byte == SENTINEL),
                "written between {end} and {at}, {what}"
            );
            let unwritten = [SENTINEL; 4];
            let floats = bytes[at..at + size].chunks_exact(4);
            let missing = floats.filter(|word| *word == unwritten).count();
            assert_eq!(missing, 0, "floats never written of {size} bytes, {what}");
            end = at + size;
        }
    }
    result
}
