//! Guards round the buffers of this crate's own tests: what a kernel writes outside of one is seen.

use std::cell::RefCell;

use cubecl::client::Client;
use cubecl::server::Handle;

/// Bytes of a guard: any device's binding alignment.
const GUARD: usize = 256;
const SENTINEL: u8 = 0xa5;

thread_local! {
    static GUARDED: RefCell<Vec<(Handle, usize)>> = const { RefCell::new(vec![]) };
}

/// `size` bytes between two guards; the whole allocation is filled with the sentinel.
pub(super) fn guarded(client: &Client, size: usize) -> Handle {
    let tail = size.next_multiple_of(GUARD) - size + GUARD;
    let whole = client.create_from_slice(&vec![SENTINEL; GUARD + size + tail]);
    GUARDED.with_borrow_mut(|guarded| guarded.push((whole.clone(), size)));
    whole.offset_start(GUARD as u64).offset_end(tail as u64)
}

/// Forgets the thread's buffers.
pub(super) fn forget() {
    GUARDED.with_borrow_mut(Vec::clear);
}

/// Reads every buffer since [`forget`]: written, and nowhere outside.
pub(super) fn assert_whole(client: &Client, what: &str) {
    let guarded = GUARDED.take();
    assert!(guarded.len() >= 3);
    for (whole, size) in guarded {
        let bytes = client.read_one(whole).expect("the device is alive");
        let clean = |bytes: &[u8]| bytes.iter().all(|&byte| byte == SENTINEL);
        assert!(
            clean(&bytes[..GUARD]),
            "written before a buffer of {size} bytes, {what}"
        );
        assert!(
            clean(&bytes[GUARD + size..]),
            "written behind a buffer of {size} bytes, {what}"
        );
        // And what lies between has been written: a launch that never ran would leave the sentinel
        // everywhere.
        assert!(
            !clean(&bytes[GUARD..GUARD + size]),
            "a buffer of {size} bytes was never written, {what}"
        );
    }
}
