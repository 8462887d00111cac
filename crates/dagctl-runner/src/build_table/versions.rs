//! Replaced tables, kept beside the live one for as many builds as the task says.

use dagctl_core::outcome::Failure;
use dagctl_core::sql_text::literal;

use super::fence;
use super::staging::{Build, MAX_NAME, shortened};
use crate::sql::session::Session;

/// A name for the table that is replaced now: `mau_summary__20261122T163000123`.
pub(crate) async fn name(session: &mut Session, build: &Build) -> Result<String, Failure> {
    let stamp = session
        .text("select to_char(clock_timestamp() at time zone 'UTC', 'YYYYMMDD\"T\"HH24MISSMS')")
        .await?;
    Ok(shortened(&build.name, &format!("__{stamp}"), MAX_NAME - 6))
}

/// What the `at`th index of a replaced table is called.
pub(crate) fn index_name(retired: &str, at: usize) -> String {
    format!("{retired}_i{at}")
}

/// Drops the kept tables beyond the newest `keep`.
pub(crate) async fn prune(session: &mut Session, build: &Build, keep: u16) -> Result<(), Failure> {
    let table = build.fence_table();
    let of_table = format!("table_name = {}", literal(&build.name));
    // A kept table becomes something to be dropped, so that a reader who holds it only delays that.
    session
        .execute(&format!(
            "update {table} set staging = kept_version, kept_version = null
             where {of_table} and kept_version is not null and kept_version not in (
                 select kept_version from {table} where {of_table} and kept_version is not null
                 order by published_at desc, kept_version desc limit {keep})"
        ))
        .await?;
    let old = session
        .query(&format!(
            "select staging from {table} where {of_table} and staging is not null and published_at is not null"
        ))
        .await?;
    for name in old.into_iter().flatten().flatten() {
        fence::drop_retired(session, build, &name).await?;
    }
    Ok(())
}
