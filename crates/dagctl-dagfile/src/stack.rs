//! Room for recursion: 64 levels of YAML need more stack in a debug build than a worker thread has.

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
