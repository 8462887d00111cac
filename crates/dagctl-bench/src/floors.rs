//! What plain SQL reaches on the same cluster in the same minutes: the limits that dagctl is held against.

use crate::row::Better;

pub(crate) mod cycle;

/// Measures a floor directly before and after some work, and keeps the better of the two: the machine may be busy with
/// something else during one of them, and a floor that is too low would flatter.
pub(crate) async fn beside<T>(
    better: Better,
    mut floor: impl AsyncFnMut() -> anyhow::Result<f64>,
    work: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(f64, T)> {
    let before = floor().await?;
    let found = work().await?;
    let after = floor().await?;
    Ok((better.of(before, after), found))
}
