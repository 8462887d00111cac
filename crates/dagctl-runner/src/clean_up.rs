//! What an operator still has to undo after its future was dropped: processes to end, statements to cancel.

use std::future::Future;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Work that goes on after an operator was stopped; the attempt ends when it is done.
///
/// An operator is stopped by dropping its future. A guard inside it then calls [`CleanUp::spawn`] from its `Drop`.
#[derive(Debug, Clone, Default)]
pub struct CleanUp(OnceLock<Arc<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    tasks: TaskTracker,
    hurry: CancellationToken,
}

impl CleanUp {
    // Made when first needed: an `empty` task never does.
    fn inner(&self) -> &Arc<Inner> {
        self.0.get_or_init(Arc::default)
    }

    /// A handle for a guard, which shares the work of this one.
    #[must_use]
    pub fn share(&self) -> Self {
        self.inner();
        self.clone()
    }

    /// Starts a piece of work that the attempt waits for. Needs a tokio runtime.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.inner().tasks.spawn(work);
    }

    /// Waits `grace`, or not at all once there is a hurry.
    pub async fn grace(&self, grace: Duration) {
        tokio::select! {
            () = self.inner().hurry.cancelled() => (),
            () = sleep(grace) => (),
        }
    }

    /// Ends every grace period now: another worker may already be running this task.
    pub fn hurry(&self) {
        self.inner().hurry.cancel();
    }

    /// Waits until all work is done.
    pub async fn finished(&self) {
        if let Some(inner) = self.0.get() {
            inner.tasks.close();
            inner.tasks.wait().await;
        }
    }
}
