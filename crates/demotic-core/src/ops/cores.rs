//! Long work of many small parts on the processor's threads.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use burn::tensor::Device;
use rayon::Yield;

use super::shapes::is_meeting;
use super::{is_far, is_flex};

/// Looks for a part to do, before the core is offered to another program.
const LOOKS: u32 = 16;
/// Pauses of the processor between two looks.
const PAUSES: u32 = 8;

/// Does `work` of these devices. Where they are one and its tensors live on this machine's processor, it is
/// done on a thread of rayon's pool, and the pool's other threads wait for parts of it awake.
///
/// A step of training hands over some two hundred parts of a tenth of a millisecond each. From a thread
/// beside the pool every one costs two switches between threads, and a thread that has fallen asleep takes
/// about as long to wake as its part takes to do (`benches/RESULTS.md`).
///
/// `work` must not wait for another thread that needs the pool: it may hold the only one there is.
pub(crate) fn on_cores<R: Send>(devices: &[Device], work: impl FnOnce() -> R + Send) -> R {
    match devices {
        // Whoever asks for the shapes met asks for those of its own thread.
        [device] if is_flex(device) && !is_far(device) && !is_meeting() => with_all_awake(work),
        _ => work(),
    }
}

/// Says, however the work ends, that it has.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn with_all_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let has_ended = AtomicBool::new(false);
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        let has_ended = &has_ended;
        scope.spawn_broadcast(move |_, thread| {
            // The thread of the work itself finds this, too, where it waits for a part.
            if Some(thread.index()) != own {
                do_parts_until(has_ended);
            }
        });
        let _ended = Ended(has_ended);
        work()
    })
}

fn do_parts_until(has_ended: &AtomicBool) {
    let mut looks = 0;
    while !has_ended.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(Yield::Executed) {
            looks = 0;
        } else if looks < LOOKS {
            looks += 1;
            (0..PAUSES).for_each(|_| spin_loop());
        } else {
            looks = 0;
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rayon::prelude::*;

    use super::*;

    #[test]
    fn work_in_parts_ends_with_its_result_or_its_panic_on_one_thread_and_on_many() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads");
            let parts = || (0..1000_u64).into_par_iter().map(|i| i * i).sum::<u64>();
            for _ in 0..50 {
                // The pool's own threads hand over other work in the middle of it.
                let sum = pool.install(|| with_all_awake(|| parts() + with_all_awake(parts)));
                assert_eq!(sum, 2 * 332_833_500);
            }
            let failing = || {
                pool.install(|| with_all_awake(|| assert!(parts() == 0, "no result")));
            };
            assert!(catch_unwind(AssertUnwindSafe(failing)).is_err());
            assert_eq!(pool.install(parts), 332_833_500);
        }
    }

    #[test]
    fn a_processor_beside_others_keeps_its_thread() {
        let flex = Device::flex();
        let thread = || thread::current().id();
        let here = thread();
        assert_ne!(on_cores(std::slice::from_ref(&flex), thread), here);
        assert_eq!(on_cores(&[flex.clone(), flex], thread), here);
    }
}
