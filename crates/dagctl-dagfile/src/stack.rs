//! Room for recursion: 64 levels of YAML need more stack in a debug build than a worker thread has.
//! And all cores for many files.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Runs `work` on a thread of its own with a large stack, and waits for it.
pub(crate) fn with_room<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut result = None;
    thread::scope(|scope| {
        let spawned = thread::Builder::new()
            .name("dagfile".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || result = work.take().map(|it| it()));
        // Without threads to spare the caller's own stack must do; most files are flat.
        if let Ok(handle) = spawned
            && let Err(panic) = handle.join()
        {
            std::panic::resume_unwind(panic);
        }
    });
    match (result, work) {
        (Some(it), _) => it,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("work that was taken left its result or a panic"),
    }
}

/// Below so many items a second thread costs more than it saves.
const MANY: usize = 8;

/// Does `work` for every item, on threads with room, and answers in the order of the items.
pub(crate) fn in_parallel<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    if items.is_empty() {
        return vec![];
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let share = || {
        let mut done = vec![];
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            match items.get(at) {
                Some(item) => done.push((at, work(item))),
                None => return done,
            }
        }
    };
    let mut done = thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(items.len() / MANY))
            .filter_map(|_| {
                let builder = thread::Builder::new().name("dagfile".to_owned());
                builder
                    .stack_size(STACK_BYTES)
                    .spawn_scoped(scope, share)
                    .ok()
            })
            .collect();
        let mut done = with_room(share);
        for it in others {
            match it.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, it)| it).collect()
}
