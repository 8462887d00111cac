//! Ctrl-C and SIGTERM: the first one asks for a clean stop, the second one for a fast one.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancels `drain` at the first signal and `hurry` at the second.
pub(crate) fn watch(drain: CancellationToken, hurry: CancellationToken) -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("could not listen for signals");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    tokio::spawn(async move {
        next(&mut interrupt, &mut terminate).await;
        drain.cancel();
        next(&mut interrupt, &mut terminate).await;
        hurry.cancel();
    });
    Ok(())
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
}
