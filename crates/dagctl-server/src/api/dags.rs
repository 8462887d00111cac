//! `GET /dags`, `GET` and `PATCH /dags/{dag_id}`.

use axum::Json;
use axum::extract::{Path, State};
use axum::routing::get;
use dagctl_api::dags::{Dag, DagDetail, DagPatch};
use dagctl_api::{Page, PageQuery};
use dagctl_store::audit::AuditEntry;
use dagctl_store::dags::Paused;
use dagctl_store::views::dags::{DagFilter, DagRow};

use super::{Ask, Body, convert, dag_id, limit};
use crate::App;
use crate::auth::{Caller, Operator, Viewer};
use crate::clock::now;
use crate::error::{Answer, Failure};
use crate::routes::Routes;

pub(super) fn routes() -> Routes {
    Routes::default()
        .route("/api/v1/dags", get(list))
        .route("/api/v1/dags/{dag_id}", get(show).patch(change))
}

/// DAGs by name.
async fn list(
    State(app): State<App>,
    _: Viewer,
    Ask(query): Ask<PageQuery>,
) -> Answer<Json<Page<Dag>>> {
    let limit = limit(query.limit);
    let rows = app
        .store()
        .dag_rows(&DagFilter {
            after: query.after,
            limit: limit + 1,
            ..DagFilter::default()
        })
        .await?;
    let keys: Vec<_> = rows.iter().map(|it| it.dag_key).collect();
    let mut runs = app.store().last_runs(&keys, 14).await?;
    let now = now();
    let mut page = super::page(rows, limit, |it| it.dag_id.clone(), |it| it);
    let items = page
        .items
        .drain(..)
        .map(|row| {
            let last = runs.remove(&row.dag_key).unwrap_or_default();
            convert::dag(row, last, now)
        })
        .collect();
    Ok(Json(Page {
        items,
        next: page.next,
    }))
}

/// A DAG with its definition.
async fn show(
    State(app): State<App>,
    _: Viewer,
    Path(dag_id): Path<String>,
) -> Answer<Json<DagDetail>> {
    let row = find(&app, &dag_id).await?;
    Ok(Json(detail(&app, row).await?))
}

/// Switches a schedule off or on.
async fn change(
    State(app): State<App>,
    operator: Operator,
    Path(dag_id): Path<String>,
    Body(patch): Body<DagPatch>,
) -> Answer<Json<DagDetail>> {
    let paused = match patch.is_paused {
        true => Paused::Yes,
        false => Paused::No,
    };
    set_paused(&app, &operator, &dag_id, paused).await?;
    let row = find(&app, &dag_id).await?;
    Ok(Json(detail(&app, row).await?))
}

/// Switches a schedule off or on, and remembers who did.
pub(crate) async fn set_paused(
    app: &App,
    caller: &Caller,
    dag: &str,
    paused: Paused,
) -> Answer<()> {
    let id = dag_id(dag)?;
    let changed = app.engine().set_paused(&id, paused).await?;
    if changed {
        app.store()
            .audit(AuditEntry {
                who: caller.name(),
                action: match paused {
                    Paused::Yes => "dag.pause",
                    Paused::No => "dag.unpause",
                },
                object: dag,
                ..AuditEntry::default()
            })
            .await?;
    }
    Ok(())
}

pub(crate) async fn find(app: &App, dag_id: &str) -> Answer<DagRow> {
    app.store()
        .dag_row(dag_id)
        .await?
        .ok_or_else(|| Failure::unknown_dag(dag_id))
}

async fn detail(app: &App, row: DagRow) -> Answer<DagDetail> {
    let mut runs = app.store().last_runs(&[row.dag_key], 14).await?;
    let last_runs = runs.remove(&row.dag_key).unwrap_or_default();
    let max_active_runs = row.max_active_runs;
    let (mut doc_md, mut git_commit, mut params, mut tasks) = (None, None, vec![], vec![]);
    if let Some(version) = row.version {
        let dag = app.engine().dag(version).await.map_err(Failure::internal)?;
        let operators: Vec<String> = app
            .store()
            .version_tasks(version, i64::MAX)
            .await?
            .into_iter()
            .map(|it| it.operator)
            .collect();
        doc_md.clone_from(&dag.spec.doc_md);
        params = convert::params(&dag.spec.params);
        tasks = convert::dag_tasks(&dag, &operators);
        git_commit = app.store().version_commit(version).await?;
    }
    Ok(DagDetail {
        dag: convert::dag(row, last_runs, now()),
        doc_md,
        git_commit,
        max_active_runs,
        params,
        tasks,
    })
}
