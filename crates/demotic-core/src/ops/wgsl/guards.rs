//! Guards round the buffers that kernels write in this crate's own tests: what is written outside of one is
//! seen, and what is not written inside.

use std::cell::RefCell;

use cubecl::client::Client;
use cubecl::server::Handle;

/// Bytes of a guard: any device's binding alignment.
const GUARD: usize = 256;
const SENTINEL: u8 = 0xa5;

thread_local! {
    /// Buffers made since a test on this thread began to look; none while none does.
    static GUARDED: RefCell<Option<Vec<(Handle, usize)>>> = const { RefCell::new(None) };
}

/// `size` bytes, between two guards where a test looks; the whole allocation is filled with the sentinel.
pub(super) fn guarded(client: &Client, size: usize) -> Handle {
    GUARDED.with_borrow_mut(|guarded| {
        let Some(guarded) = guarded else {
            return client.empty(size);
        };
        let tail = size.next_multiple_of(GUARD) - size + GUARD;
        let whole = client.create_from_slice(&vec![SENTINEL; GUARD + size + tail]);
        guarded.push((whole.clone(), size));
        whole.offset_start(GUARD as u64).offset_end(tail as u64)
    })
}

/// Runs something, and reads every buffer that it made: written all through, and nowhere outside.
pub(super) fn within_guards<T>(client: &Client, what: &str, run: impl FnOnce() -> T) -> T {
    GUARDED.set(Some(vec![]));
    let result = run();
    let guarded = GUARDED.take().expect("set above");
    assert!(!guarded.is_empty(), "{what}");
    for (whole, size) in guarded {
        let bytes = client.read_one(whole).expect("the device is alive");
        let clean = |bytes: &[u8]| bytes.iter().all(|&byte| byte == SENTINEL);
        assert!(
            clean(&bytes[..GUARD]),
            "written before {size} bytes, {what}"
        );
        assert!(
            clean(&bytes[GUARD + size..]),
            "written behind {size} bytes, {what}"
        );
        let unwritten = [SENTINEL; 4];
        let floats = bytes[GUARD..GUARD + size].chunks_exact(4);
        let missing = floats.filter(|word| *word == unwritten).count();
        assert_eq!(missing, 0, "floats never written of {size} bytes, {what}");
    }
    result
}
