//! News of tables, on the pages of the DAGs and runs that they concern.

use dagctl_store::views::assets::{AssetEventRow, EventsOf};

use super::links;
use super::moment::{Clock, Moment};
use crate::App;
use crate::error::Answer;

/// News on one page.
const MOST: i64 = 20;

/// A task wrote a table.
pub(super) struct NewsLine {
    pub(super) asset: String,
    pub(super) dag_id: String,
    pub(super) run_id: String,
    pub(super) path: String,
    pub(super) at: Moment,
}

/// The newest events of something.
pub(super) async fn news(app: &App, of: &EventsOf<'_>, clock: &Clock) -> Answer<Vec<NewsLine>> {
    let rows = app.store().asset_events(of, MOST).await?;
    Ok(rows.into_iter().map(|it| line(it, clock)).collect())
}

fn line(row: AssetEventRow, clock: &Clock) -> NewsLine {
    NewsLine {
        path: links::task(&row.dag_id, &row.run_id, &row.task_id, -1),
        at: clock.short(row.created_at),
        asset: row.name,
        dag_id: row.dag_id,
        run_id: row.run_id,
    }
}
