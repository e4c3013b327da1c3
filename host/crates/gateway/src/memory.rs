//! What the allocator keeps from one request to the next, and gives back to the system after many at once.
//!
//! Each of many had read and write buffers of a hundred kilobytes on the gateway's side. The allocator keeps what they
//! leave behind, for the next burst; but an adapter stands idle for most of its life, once for each job.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::shared::Shared;

/// So many requests at once leave enough behind to be looked for: a few megabytes.
const MANY: usize = 16;

/// The requests that are open, and the most that were since the last look.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Burst {
    /// One more.
    pub(crate) fn begin(&self) {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(open, Ordering::Relaxed);
    }

    /// Returns true if no request is open.
    fn is_over(&self) -> bool {
        self.open.load(Ordering::Relaxed) == 0
    }

    /// One less; says whether it was the last one of many, when nobody waits while the memory is given back.
    pub(crate) fn end(&self) -> bool {
        self.open.fetch_sub(1, Ordering::Relaxed) == 1
            && self.most.swap(0, Ordering::Relaxed) >= MANY
    }
}

/// Has the allocator keep what one request leaves for the next: with glibc's own thresholds the end of the heap goes to the
/// system and comes back with every request of an agent (a hundred kilobytes of body and as much of buffers), some fifty page
/// faults each time.
pub(crate) fn keep_a_request() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // From malloc.h.
        const M_TRIM_THRESHOLD: std::ffi::c_int = -1;
        const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
        // SAFETY: as glibc declares it, mallopt(3); the allocator takes its lock for it.
        unsafe extern "C" {
            safe fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        mallopt(M_TRIM_THRESHOLD, 4 << 20);
        mallopt(M_MMAP_THRESHOLD, 4 << 20);
    }
}

/// Gives back what a burst left behind, as its connections end after it, while no request is open.
pub(crate) fn give_back_soon(shared: Arc<Shared>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return give_back();
    };
    runtime.spawn(async move {
        for pause in [1, 100, 1000].map(Duration::from_millis) {
            tokio::time::sleep(pause).await;
            if shared.burst.is_over() {
                give_back();
            }
        }
    });
}

/// Has the allocator give back what it keeps. Elsewhere than with glibc allocators do so on their own.
fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: as glibc declares it, malloc_trim(3); it may be called by any thread at any time.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that begin (+) and end (-), and after how many of these the end of a burst is told.
    #[test]
    fn the_last_of_many_ends_a_burst() {
        let (many, few) = (MANY as i32, MANY as i32 - 1);
        for (what, course, told) in [
            ("one after the other", vec![1, -1, 1, -1], 0),
            ("a few at once", vec![few, -few], 0),
            ("many at once", vec![many, -many], 1),
            (
                "many, and more while they go",
                vec![many, -few, few, -many],
                1,
            ),
            ("many, then few", vec![many, -many, few, -few], 1),
            ("many twice", vec![many, -many, many, -many], 2),
        ] {
            let burst = Burst::default();
            let mut ends = 0;
            for step in course {
                for _ in 0..step {
                    burst.begin();
                }
                ends += (step..0).filter(|_| burst.end()).count();
            }
            assert_eq!(ends, told, "{what}");
        }
    }
}
