//! Waits for snapshots from before the build: they would see the renamed-in table empty.

use std::time::{Duration, Instant};

use dagctl_core::outcome::Failure;
use dagctl_core::sql_text::literal;
use tokio::time::sleep;

use super::staging::Build;
use crate::sql::session::Session;

/// How long they are waited for before the rows are replaced instead.
const PATIENCE: Duration = Duration::from_secs(10);
/// How far apart looks are: a fiftieth of the time waited so far, within these bounds. Most snapshots are those of builds
/// beside this one, which end some hundred milliseconds later; waiting takes hardly longer than it has to.
const PAUSES: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(50));
const PAUSES_OF_TIME_WAITED: u32 = 50;

/// Waits until no snapshot is older than the staging table's rows; who still has one when patience ends.
pub(crate) async fn wait(session: &mut Session, build: &Build) -> Result<Option<String>, Failure> {
    // All rows have one `xmin`. Snapshots taken from here on see them, so the list never grows.
    let older = format!(
        "backend_xmin is not null and age(backend_xmin) >= (select age(xmin) from {} limit 1)",
        build.staging()
    );
    let list = format!(
        "select pid, coalesce(xact_start::text, '') from pg_stat_activity
         where pid <> pg_backend_pid() and datname = current_database() and backend_type = 'client backend' and {older}"
    );
    let mut open: Vec<(String, String)> = session
        .query(&list)
        .await?
        .into_iter()
        .filter_map(|row| match &row[..] {
            [Some(pid), Some(start)] => Some((pid.clone(), start.clone())),
            _ => None,
        })
        .collect();
    let since = Instant::now();
    let mut told = false;
    while let Some((pid, start)) = open.first() {
        // The function beneath the view: of one process it costs a fifth.
        let still = format!(
            "select format('process %s (user %s, application %s)', pid, pg_get_userbyid(usesysid), quote_literal(application_name))
             from pg_stat_get_activity({pid}) where coalesce(xact_start::text, '') = {} and {older}",
            literal(start)
        );
        let holder = session.text(&still).await?;
        if holder.is_empty() {
            open.remove(0);
            continue;
        }
        if since.elapsed() >= PATIENCE {
            return Ok(Some(holder));
        }
        if !told {
            session
                .log
                .line(format!(
                    "waiting for a snapshot from before this build: {holder}"
                ))
                .await;
            told = true;
        }
        sleep((since.elapsed() / PAUSES_OF_TIME_WAITED).clamp(PAUSES.0, PAUSES.1)).await;
    }
    Ok(None)
}
