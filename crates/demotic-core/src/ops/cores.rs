//! Long work of many small parts on the processor's threads.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
/// done on a thread of rayon's pool, and while it is the only one the pool's other threads wait for parts of
/// it awake.
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

/// How many works are being done. Threads wait awake for the parts of one alone: a thread that has a work of
/// its own and takes the waiting for another's in the middle of it would not come back before that one ends,
/// and two works that wait like this for each other never end.
static AT_WORK: AtomicUsize = AtomicUsize::new(0);

/// Says, however the work ends, that it has.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        AT_WORK.fetch_sub(1, Ordering::AcqRel);
    }
}

fn with_all_awake<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| {
        let ended = Ended(Arc::default());
        if AT_WORK.fetch_add(1, Ordering::AcqRel) == 0 {
            let own = rayon::current_thread_index();
            let has_ended = Arc::clone(&ended.0);
            // Nobody waits for these: a thread that comes late finds the end, and goes.
            rayon::spawn_broadcast(move |thread| {
                // The thread of the work itself finds this, too, where it waits for a part.
                if Some(thread.index()) != own {
                    do_parts_until(&has_ended);
                }
            });
        }
        work()
    })
}

/// Until the work has ended, or another one has begun beside it.
fn do_parts_until(has_ended: &AtomicBool) {
    let mut looks = 0;
    while !has_ended.load(Ordering::Acquire) && AT_WORK.load(Ordering::Acquire) == 1 {
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
    fn works_beside_each_other_all_end() {
        let parts = || (0..1000_u64).into_par_iter().map(|i| i * i).sum::<u64>();
        for threads in [2, 4] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.expect("threads");
            let works = || {
                (0..100).into_par_iter().for_each(|_| {
                    assert_eq!(with_all_awake(parts), 332_833_500);
                });
            };
            // From the pool's own threads, and from threads beside it.
            pool.install(works);
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..200 {
                            let sum = pool.install(|| with_all_awake(parts));
                            assert_eq!(sum, 332_833_500);
                        }
                    });
                }
            });
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
