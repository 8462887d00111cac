//! Publishes by giving the staging table the live one's name.

use std::time::{Duration, Instant};

use dagctl_core::operator::Target;
use dagctl_core::outcome::{Failure, FailureKind};
use tokio::time::sleep;

use super::carry_over::CarryOver;
use super::fence::{self, Published};
use super::live::{self, Live, View};
use super::staging::{Build, quoted};
use super::versions;
use crate::sql::session::{Session, took};

/// How long a moment without readers is looked for.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// Publishes a table that was not there.
pub(crate) async fn first(
    session: &mut Session,
    build: &Build,
    target: &Target,
    rows: u64,
) -> Result<(), Failure> {
    let plan = CarryOver::first(build, &target.primary_key);
    session.execute("begin").await?;
    plan.carry_out(session).await?;
    session.execute("commit").await?;
    session
        .execute(&format!("analyze {}", build.staging()))
        .await?;
    session.execute("begin").await?;
    fence::hold(session, build).await?;
    session
        .execute(&format!(
            "alter table {} rename to {}",
            build.staging(),
            quoted(&build.name)
        ))
        .await
        .map_err(|failure| match &failure.kind {
            // Somebody else made the table since we looked.
            FailureKind::SqlState(state) if state == "42P07" => changed(build),
            _ => failure,
        })?;
    rename_indexes(session, build, &plan).await?;
    let published = Published {
        rows,
        strategy: "rename",
        retired: None,
        kept_version: None,
    };
    fence::mark_published(session, build, published).await?;
    session.execute("commit").await?;
    session
        .log
        .line(format!("published {}", build.table()))
        .await;
    Ok(())
}

/// Makes the staging table like the live one, so that the swap itself is a few names.
pub(crate) async fn prepare(
    session: &mut Session,
    build: &Build,
    target: &Target,
) -> Result<CarryOver, Failure> {
    let since = Instant::now();
    session.execute("begin").await?;
    // Another build's swap waits until all is read of the one table.
    session
        .execute(&format!(
            "lock table {} in access share mode",
            build.table()
        ))
        .await?;
    session
        .execute("set local search_path = pg_catalog")
        .await?;
    let live = live::look(session, build)
        .await?
        .ok_or_else(|| changed(build))?;
    let plan = CarryOver::plan(session, build, &live, &target.primary_key).await?;
    session.execute("commit").await?;
    // Whatever is lost here in a crash of the server, nobody has seen; the publishing transaction is waited for.
    session
        .execute("begin; set local search_path = pg_catalog; set local synchronous_commit = off")
        .await?;
    plan.carry_out(session).await?;
    session.execute("commit").await?;
    session
        .execute(&format!("analyze {}", build.staging()))
        .await?;
    let text = format!("carried over: {} ({})", plan.words(), took(since.elapsed()));
    session.log.line(text).await;
    Ok(plan)
}

/// Swaps the names, as soon as a moment is found in which nobody reads.
pub(crate) async fn swap(
    session: &mut Session,
    build: &Build,
    target: &Target,
    prepared: &CarryOver,
    rows: u64,
) -> Result<(), Failure> {
    let kept = target.keep_versions > 0;
    let since = Instant::now();
    let mut autovacuum_blocks = false;
    let retired = loop {
        let tried = Instant::now();
        session.execute("begin").await?;
        fence::hold(session, build).await?;
        session
            .execute("set local search_path = pg_catalog")
            .await?;
        let live = live::look(session, build)
            .await?
            .ok_or_else(|| changed(build))?;
        let budget = lock_budget(session, autovacuum_blocks).await?;
        match lock(session, build, &live, budget).await {
            Ok(views) => {
                // Named by the time under the lock: two builds that wait for it would find the same name before.
                let retired = versions::name(session, build).await?;
                let published = Published {
                    rows,
                    strategy: "rename",
                    retired: (!kept).then_some(retired.as_str()),
                    kept_version: kept.then_some(retired.as_str()),
                };
                let asked = Ask {
                    build,
                    target,
                    prepared,
                    views: &views,
                    retired: &retired,
                };
                asked.exchange(session).await?;
                fence::mark_published(session, build, published).await?;
                session.execute("commit").await?;
                let text = format!(
                    "published {} ({} {} re-pointed, {})",
                    build.table(),
                    views.len(),
                    if views.len() == 1 { "view" } else { "views" },
                    took(tried.elapsed())
                );
                session.log.line(text).await;
                break retired;
            }
            Err(failure) if is_busy(&failure) => {
                session.execute("rollback").await?;
                let blockers = blockers(session, &live).await?;
                if since.elapsed() > LOCK_PATIENCE {
                    let message = format!(
                        "{} was in use for {} s without a gap, and the build was not published; it is held by {}",
                        build.table(),
                        LOCK_PATIENCE.as_secs(),
                        if blockers.is_empty() {
                            "short reads"
                        } else {
                            &blockers
                        }
                    );
                    return Err(Failure::new(failure.kind, message));
                }
                autovacuum_blocks = blockers.contains("autovacuum");
                sleep(pause()).await;
            }
            Err(failure) => return Err(failure),
        }
    };
    if kept {
        session
            .log
            .line(format!("kept the replaced table as `{retired}`"))
            .await;
        session.undo = vec![];
        versions::prune(session, build, target.keep_versions).await
    } else {
        fence::drop_retired(session, build, &retired).await
    }
}

/// Locks the views and then the table, in the order in which a reader of a view does.
///
/// All waiting together ends before `deadlock_timeout`: a reader that takes two of them in another order
/// then waits for us a moment, and is never the one that the server picks as a deadlock's victim.
/// Autovacuum gives way only to who waits longer than that.
async fn lock(
    session: &mut Session,
    build: &Build,
    live: &Live,
    budget: Duration,
) -> Result<Vec<View>, Failure> {
    let busy = || Failure::new(FailureKind::SqlState("55P03".to_owned()), "busy");
    let views = live::views(session, live).await?;
    let since = Instant::now();
    let mut statements: Vec<_> = views
        .iter()
        // `lock table` on a view locks all that the view reads; this locks the view alone and changes nothing.
        .map(|view| format!("alter view {} owner to {}", view.name, view.owner))
        .collect();
    statements.push(format!(
        "lock table {} in access exclusive mode",
        build.table()
    ));
    for statement in statements {
        let left = budget.saturating_sub(since.elapsed()).as_millis();
        if left == 0 {
            return Err(busy());
        }
        session
            .execute(&format!("set local lock_timeout = {left}"))
            .await?;
        session.execute(&statement).await?;
    }
    // Another build or a person may have been faster.
    if live::look(session, build).await?.as_ref() != Some(live)
        || live::views(session, live).await? != views
    {
        return Err(busy());
    }
    if let Some(obstacle) = live::obstacle(session, live).await? {
        let message = format!("{} changed while it was built: {obstacle}", build.table());
        return Err(Failure::new(
            FailureKind::SqlState("40001".to_owned()),
            message,
        ));
    }
    Ok(views)
}

async fn lock_budget(session: &mut Session, autovacuum_blocks: bool) -> Result<Duration, Failure> {
    let sql = "select extract(epoch from current_setting('deadlock_timeout')::interval) * 1000";
    let timeout: f64 = session.text(sql).await?.parse().unwrap_or(1000.0);
    let part = if autovacuum_blocks { 1.5 } else { 0.7 };
    Ok(Duration::from_secs_f64(timeout.max(10.0) * part / 1000.0))
}

struct Ask<'a> {
    build: &'a Build,
    target: &'a Target,
    prepared: &'a CarryOver,
    views: &'a [View],
    retired: &'a str,
}

impl Ask<'_> {
    /// The few catalog writes that readers wait for.
    async fn exchange(&self, session: &mut Session) -> Result<(), Failure> {
        let build = self.build;
        let live = live::look(session, build)
            .await?
            .ok_or_else(|| changed(build))?;
        let plan = CarryOver::plan(session, build, &live, &self.target.primary_key).await?;
        if plan != *self.prepared {
            return Err(changed(build));
        }
        // Read after the rename, a view's definition would name the old table.
        let mut definitions = vec![];
        for view in self.views {
            let name = dagctl_core::sql_text::literal(&view.name);
            let sql = format!("select pg_get_viewdef({name}::regclass)");
            definitions.push(session.text(&sql).await?);
        }
        session
            .execute(&format!(
                "alter table {} rename to {}",
                build.table(),
                quoted(self.retired)
            ))
            .await?;
        for (at, (_, name)) in plan.renamed.iter().enumerate() {
            let retired = versions::index_name(self.retired, at + 1);
            let sql = format!(
                "alter index if exists {} rename to {}",
                build.in_schema(name),
                quoted(&retired)
            );
            session.execute(&sql).await?;
        }
        session
            .execute(&format!(
                "alter table {} rename to {}",
                build.staging(),
                quoted(&build.name)
            ))
            .await?;
        rename_indexes(session, build, &plan).await?;
        for (view, definition) in self.views.iter().zip(&definitions) {
            let sql = format!(
                "create or replace view {} {} as {definition}",
                view.name, view.options
            );
            session
                .execute(&sql)
                .await
                .map_err(|failure| blame(failure, view, build))?;
        }
        Ok(())
    }
}

async fn rename_indexes(
    session: &mut Session,
    build: &Build,
    plan: &CarryOver,
) -> Result<(), Failure> {
    for (temporary, name) in &plan.renamed {
        let taken = format!(
            "select to_regclass({}) is not null",
            dagctl_core::sql_text::literal(&build.in_schema(name))
        );
        if session.text(&taken).await? == "t" {
            // A name is not worth a build.
            session
                .log
                .line(format!(
                    "index `{temporary}` keeps its name: `{name}` is taken"
                ))
                .await;
            continue;
        }
        let sql = format!(
            "alter index {} rename to {}",
            build.in_schema(temporary),
            quoted(name)
        );
        session.execute(&sql).await?;
    }
    Ok(())
}

fn blame(failure: Failure, view: &View, build: &Build) -> Failure {
    let reason = failure.message.lines().next().unwrap_or_default();
    let message = format!(
        "view {} cannot read the new {}: {reason}\n\
         the old table stands; change the view or `main_sql` so that the columns it reads keep name, type and order, \
         or set `swap: replace_rows`",
        view.name,
        build.table()
    );
    Failure { message, ..failure }
}

fn changed(build: &Build) -> Failure {
    let message = format!(
        "{} was changed or replaced while it was built, and the build was not published: try again",
        build.table()
    );
    Failure::new(FailureKind::SqlState("40001".to_owned()), message)
}

/// Whether trying again in a moment may help: a lock was not to be had, or was on the other side of a deadlock.
pub(crate) fn is_busy(failure: &Failure) -> bool {
    match &failure.kind {
        FailureKind::SqlState(state) => matches!(state.as_str(), "55P03" | "40P01"),
        _ => false,
    }
}

/// Who holds the table, for a person.
pub(crate) async fn blockers(session: &mut Session, live: &Live) -> Result<String, Failure> {
    let sql = format!(
        "select string_agg(distinct format('process %s (%s, %s)', a.pid, coalesce(a.usename, a.backend_type), coalesce(a.state, 'active')), ', ')
         from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
         where l.relation = {} and l.granted and l.pid <> pg_backend_pid()",
        if live.oid.is_empty() { "0" } else { &live.oid }
    );
    session.text(&sql).await
}

/// A pause before the next try, never the same as a neighbour's.
pub(crate) fn pause() -> Duration {
    Duration::from_millis(rand::random_range(30..=300))
}
