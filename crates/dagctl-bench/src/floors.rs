//! What plain SQL reaches on the same cluster in the same minutes: the limits that dagctl is held against.

use crate::row::Better;

pub(crate) mod chain;
pub(crate) mod commit;
pub(crate) mod create;
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

/// Runs a floor of short times in a thread of its own: else a wake-up between two of our threads would count as
/// Postgres's time. Pools do not travel, so the floor connects by itself.
pub(crate) async fn alone<T, F>(floor: impl FnOnce() -> F + Send + 'static) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<T>>,
{
    tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(floor())
    })
    .await?
}

/// The rate of two things done one after the other, each at its own rate.
pub(crate) fn one_after_the_other(one: f64, other: f64) -> f64 {
    1.0 / (1.0 / one + 1.0 / other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_one_after_the_other_are_slower_than_each() {
        assert!((one_after_the_other(60.0, 30.0) - 20.0).abs() < 1e-9);
    }

    #[tokio::test]
    async fn the_better_of_two_floors_counts() {
        let mut floors = [3.0, 5.0].into_iter();
        let measured = beside(
            Better::Lower,
            async || Ok(floors.next().unwrap()),
            async || Ok("found"),
        );
        assert_eq!(measured.await.unwrap(), (3.0, "found"));
    }
}
