//! Makes good texts the active versions of their DAGs, many at once.
//!
//! Two syncers may store the same folder at the same time. Both insert in the order of the DAGs' names and lock in that
//! of their keys, as everybody does, so neither waits for the other in a circle, and under the DAG's lock its versions
//! are the syncer's own.

use std::collections::{BTreeSet, HashMap};

use dagctl_core::asset::Asset;
use dagctl_core::dag::{Dag, DagSpec};
use dagctl_core::ids::{DagKey, DagVersionId};
use dagctl_core::schedule::Schedule;
use sqlx::{Postgres, Transaction};

use super::NewVersion;
use crate::plans::letter;
use crate::{Store, StoreError};

type Tx = Transaction<'static, Postgres>;

/// A row of `dag`, locked.
struct Locked {
    dag_key: i32,
    schedule: Option<String>,
}

impl Store {
    /// Stores a good text and makes it the DAG's active version. A text that is there already is only made active.
    pub async fn activate_version(
        &self,
        new: &NewVersion<'_>,
    ) -> Result<(DagKey, DagVersionId), StoreError> {
        let made = self.activate_versions(std::slice::from_ref(new)).await?;
        made.first().copied().ok_or(sqlx::Error::RowNotFound.into())
    }

    /// As [`Store::activate_version`] for texts of different DAGs, all or none; answers in their order.
    pub async fn activate_versions(
        &self,
        new: &[NewVersion<'_>],
    ) -> Result<Vec<(DagKey, DagVersionId)>, StoreError> {
        let mut tx = self.begin().await?;
        let pools = pools(&mut tx, new).await?;
        let queues = queues(&mut tx, new).await?;
        let locked = lock(&mut tx, new).await?;
        let keyed: Vec<(i32, &NewVersion<'_>)> = new
            .iter()
            .filter_map(|it| Some((locked.get(it.dag.spec.dag_id.as_str())?.dag_key, it)))
            .collect();
        let mut versions = known_versions(&mut tx, &keyed).await?;
        let missing: Vec<(i32, &NewVersion<'_>)> = keyed
            .iter()
            .copied()
            .filter(|(key, _)| !versions.contains_key(key))
            .collect();
        if !missing.is_empty() {
            let made = insert_versions(&mut tx, &missing).await?;
            let dags: Vec<(i32, &Dag)> = missing
                .iter()
                .filter_map(|(key, it)| Some((*made.get(key)?, it.dag)))
                .collect();
            insert_tasks(&mut tx, &dags, &pools, &queues).await?;
            insert_edges(&mut tx, &dags).await?;
            insert_asset_uses(&mut tx, &dags).await?;
            versions.extend(made);
        }
        let rows: Vec<(i32, i32, &NewVersion<'_>)> = keyed
            .into_iter()
            .filter_map(|(key, it)| Some((key, *versions.get(&key)?, it)))
            .collect();
        activate(&mut tx, &rows, &locked).await?;
        tx.commit().await?;
        let made = rows.iter();
        Ok(made
            .map(|(key, version, _)| (DagKey(*key), DagVersionId(*version)))
            .collect())
    }
}

/// The keys of all pools that the tasks name.
async fn pools(tx: &mut Tx, new: &[NewVersion<'_>]) -> Result<HashMap<String, i32>, StoreError> {
    let tasks = new.iter().flat_map(|it| it.dag.tasks());
    let names: BTreeSet<&str> = tasks.map(|it| it.pool.as_str()).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let find = || {
        sqlx::query!(
            "select name, pool_key from pool where name = any($1)",
            &names
        )
    };
    let mut rows = find().fetch_all(&mut **tx).await?;
    if rows.len() < names.len() {
        sqlx::query!(
            "insert into pool (name) select name from unnest($1::text[]) as it (name) order by name
            on conflict (name) do nothing",
            &names
        )
        .execute(&mut **tx)
        .await?;
        rows = find().fetch_all(&mut **tx).await?;
    }
    Ok(rows.into_iter().map(|it| (it.name, it.pool_key)).collect())
}

/// The keys of all queues that the tasks name.
async fn queues(tx: &mut Tx, new: &[NewVersion<'_>]) -> Result<HashMap<String, i32>, StoreError> {
    let tasks = new.iter().flat_map(|it| it.dag.tasks());
    let names: BTreeSet<&str> = tasks.map(|it| it.queue.as_str()).collect();
    let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let find = || {
        sqlx::query!(
            "select name, queue_key from queue where name = any($1)",
            &names
        )
    };
    let mut rows = find().fetch_all(&mut **tx).await?;
    if rows.len() < names.len() {
        sqlx::query!(
            "insert into queue (name) select name from unnest($1::text[]) as it (name) order by name
            on conflict (name) do nothing",
            &names
        )
        .execute(&mut **tx)
        .await?;
        rows = find().fetch_all(&mut **tx).await?;
    }
    Ok(rows.into_iter().map(|it| (it.name, it.queue_key)).collect())
}

/// Makes the DAGs that are not there, and locks all of them.
async fn lock(tx: &mut Tx, new: &[NewVersion<'_>]) -> Result<HashMap<String, Locked>, StoreError> {
    let specs = || new.iter().map(|it| &it.dag.spec);
    let names: Vec<String> = specs().map(|it| it.dag_id.to_string()).collect();
    sqlx::query!(
        "insert into dag (dag_id, is_paused, file, watermark, watermark_reset, next_due_at)
        select dag_id, is_paused, file, now(), 'n', now()
        from unnest($1::text[], $2::bool[], $3::text[]) as it (dag_id, is_paused, file)
        order by dag_id
        on conflict (dag_id) do nothing",
        &names,
        &specs()
            .map(|it| it.is_paused_upon_creation)
            .collect::<Vec<_>>(),
        &specs().map(|it| it.file.clone()).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .await?;
    let rows = sqlx::query!(
        "select dag_id, dag_key, schedule from dag where dag_id = any($1) order by dag_key for no key update",
        &names
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|it| {
            let locked = Locked {
                dag_key: it.dag_key,
                schedule: it.schedule,
            };
            (it.dag_id, locked)
        })
        .collect())
}

/// The versions that hold these texts already, by DAG.
async fn known_versions(
    tx: &mut Tx,
    new: &[(i32, &NewVersion<'_>)],
) -> Result<HashMap<i32, i32>, StoreError> {
    let keys: Vec<i32> = new.iter().map(|(key, _)| *key).collect();
    let hashes: Vec<Vec<u8>> = new.iter().map(|(_, it)| it.hash.to_owned()).collect();
    let rows = sqlx::query!(
        "select v.dag_key, v.dag_version_id from unnest($1::int[], $2::bytea[]) as it (dag_key, hash)
        join dag_version v on v.dag_key = it.dag_key and v.hash = it.hash",
        &keys,
        &hashes
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|it| (it.dag_key, it.dag_version_id)).collect())
}

async fn insert_versions(
    tx: &mut Tx,
    new: &[(i32, &NewVersion<'_>)],
) -> Result<HashMap<i32, i32>, StoreError> {
    let files: Vec<String> = new.iter().map(|(_, it)| json(it.files)).collect();
    let versions = || new.iter().map(|(_, it)| it);
    let commits: Vec<Option<String>> = versions().map(|it| it.commit.map(str::to_owned)).collect();
    let rows = sqlx::query!(
        "insert into dag_version (dag_key, hash, git_commit, file, files, task_count, max_active_tasks, tells_success,
            dagrun_timeout, is_mapped, limits_tasks, is_limited)
        select dag_key, hash, git_commit, file, files::jsonb, task_count, max_active_tasks, tells_success, dagrun_timeout,
            is_mapped, limits_tasks, is_limited
        from unnest($1::int[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::bool[],
            $9::float8[], $10::bool[], $11::bool[], $12::bool[])
            as it (dag_key, hash, git_commit, file, files, task_count, max_active_tasks, tells_success, dagrun_timeout,
                is_mapped, limits_tasks, is_limited)
        returning dag_key, dag_version_id",
        &new.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
        &versions().map(|it| it.hash.to_owned()).collect::<Vec<_>>(),
        &commits as _,
        &versions().map(|it| it.dag.spec.file.clone()).collect::<Vec<_>>(),
        &files,
        &versions().map(|it| task_count(it.dag)).collect::<Vec<_>>(),
        &versions().map(|it| int(it.dag.spec.max_active_tasks)).collect::<Vec<_>>(),
        &versions().map(|it| it.dag.tells_success()).collect::<Vec<_>>(),
        &versions()
            .map(|it| it.dag.spec.limits.dagrun_timeout.map(|it| it.as_secs_f64()))
            .collect::<Vec<_>>() as _,
        &versions().map(|it| it.dag.is_mapped()).collect::<Vec<_>>(),
        &versions().map(|it| it.dag.limits_tasks()).collect::<Vec<_>>(),
        &versions().map(|it| it.dag.is_limited()).collect::<Vec<_>>()
    )
    .fetch_all(&mut **tx)
    .await?;
    let rows = rows.into_iter();
    Ok(rows.map(|it| (it.dag_key, it.dag_version_id)).collect())
}

async fn insert_tasks(
    tx: &mut Tx,
    dags: &[(i32, &Dag)],
    pools: &HashMap<String, i32>,
    queues: &HashMap<String, i32>,
) -> Result<(), StoreError> {
    let (mut versions, mut indexes, mut names, mut operators) = (vec![], vec![], vec![], vec![]);
    let (mut pool_keys, mut queue_keys) = (vec![], vec![]);
    let (mut priorities, mut indegrees, mut rules) = (vec![], vec![], vec![]);
    let (mut per_dagrun, mut per_dag) = (vec![], vec![]);
    let (mut pool_slots, mut own_priorities) = (vec![], vec![]);
    for (version, dag) in dags {
        for ((at, task), weight) in dag.indexed().zip(dag.weights()) {
            versions.push(*version);
            indexes.push(at.get());
            names.push(task.task_id.to_string());
            operators.push(task.operator.name().to_owned());
            pool_keys.push(pools.get(task.pool.as_str()).copied());
            queue_keys.push(queues.get(task.queue.as_str()).copied());
            per_dagrun.push(task.max_active_tis_per_dagrun.map(int));
            per_dag.push(task.max_active_tis_per_dag.map(int));
            pool_slots.push(int(task.pool_slots));
            priorities.push(weight.saturating_neg());
            own_priorities.push(task.priority_weight.saturating_neg());
            indegrees.push(i16::try_from(dag.upstream(at).len()).unwrap_or(i16::MAX));
            rules.push(letter(dag.rule_letter(at)));
        }
    }
    sqlx::query!(
        r#"insert into dag_task (dag_version_id, task_index, task_id, operator, pool_key, queue_key, priority, indegree,
            rule, max_tis_per_dagrun, max_tis_per_dag, pool_slots, own_priority)
        select * from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[],
            $8::smallint[], $9::"char"[], $10::int[], $11::int[], $12::int[], $13::int[])"#,
        &versions,
        &indexes,
        &names,
        &operators,
        &pool_keys as _,
        &queue_keys as _,
        &priorities,
        &indegrees,
        &rules as _,
        &per_dagrun as _,
        &per_dag as _,
        &pool_slots,
        &own_priorities
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_edges(tx: &mut Tx, dags: &[(i32, &Dag)]) -> Result<(), StoreError> {
    let (mut versions, mut parents, mut children) = (vec![], vec![], vec![]);
    for (version, dag) in dags {
        for (parent, child) in dag.edges() {
            versions.push(*version);
            parents.push(parent.get());
            children.push(child.get());
        }
    }
    sqlx::query!(
        "insert into dag_edge (dag_version_id, parent, child)
        select * from unnest($1::int[], $2::int[], $3::int[])",
        &versions,
        &parents,
        &children
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_asset_uses(tx: &mut Tx, dags: &[(i32, &Dag)]) -> Result<(), StoreError> {
    let mut uses: Vec<(i32, char, i32, &Asset)> = vec![];
    for (version, dag) in dags {
        for (at, task) in dag.indexed() {
            uses.extend(task.writes.iter().map(|it| (*version, 'w', at.get(), it)));
            uses.extend(task.reads.iter().map(|it| (*version, 'r', at.get(), it)));
        }
        if let Schedule::Assets(it) = &dag.spec.schedule {
            uses.extend(
                (0..)
                    .zip(it.assets())
                    .map(|(at, it)| (*version, 's', at, it)),
            );
        }
    }
    if uses.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"insert into asset_use (dag_version_id, kind, place, name, conn_id)
        select * from unnest($1::int[], $2::"char"[], $3::int[], $4::text[], $5::text[])
        on conflict do nothing"#,
        &uses.iter().map(|it| it.0).collect::<Vec<_>>(),
        &uses.iter().map(|it| letter(it.1)).collect::<Vec<_>>() as _,
        &uses.iter().map(|it| it.2).collect::<Vec<_>>(),
        &uses.iter().map(|it| it.3.name.as_str()).collect::<Vec<_>>() as _,
        &uses
            .iter()
            .map(|it| it.3.conn_id.as_deref())
            .collect::<Vec<_>>() as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn activate(
    tx: &mut Tx,
    rows: &[(i32, i32, &NewVersion<'_>)],
    locked: &HashMap<String, Locked>,
) -> Result<(), StoreError> {
    let specs = || rows.iter().map(|(_, _, it)| &it.dag.spec);
    // An edited schedule counts from now: it never makes runs of the past. One that becomes `@once` has not run yet.
    let is_edited = |spec: &DagSpec| {
        let before = locked.get(spec.dag_id.as_str());
        let before = before.and_then(|it| it.schedule.as_ref());
        before.is_some_and(|it| *it != schedule_in_words(spec))
    };
    let is_once_now = |spec| is_edited(spec) && matches!(spec.schedule, Schedule::Once);
    let owners: Vec<Option<String>> = rows
        .iter()
        .map(|(_, _, it)| it.dag.tasks().iter().find_map(|it| it.owner.clone()))
        .collect();
    let descriptions: Vec<Option<String>> = specs().map(|it| it.description.clone()).collect();
    sqlx::query!(
        "update dag set active_version_id = it.version, file = it.file, missing_since = null,
            description = it.description, tags = array(select jsonb_array_elements_text(it.tags::jsonb)),
            owner = it.owner, schedule = it.schedule, timezone = it.timezone, max_active_runs = it.max_active_runs,
            task_count = it.task_count, next_due_at = now(),
            watermark = case when it.is_edited then greatest(watermark, now()) else watermark end,
            watermark_reset = case when it.is_once_now then 'n' else watermark_reset end
        from unnest($1::int[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::int[], $10::int[], $11::bool[], $12::bool[])
            as it (dag_key, version, file, description, tags, owner, schedule, timezone, max_active_runs, task_count,
                is_edited, is_once_now)
        where dag.dag_key = it.dag_key",
        &rows.iter().map(|(key, _, _)| *key).collect::<Vec<_>>(),
        &rows.iter().map(|(_, version, _)| *version).collect::<Vec<_>>(),
        &specs().map(|it| it.file.clone()).collect::<Vec<_>>(),
        &descriptions as _,
        &specs().map(|it| json(&it.tags)).collect::<Vec<_>>(),
        &owners as _,
        &specs().map(schedule_in_words).collect::<Vec<_>>(),
        &specs().map(|it| zone_name(it).to_owned()).collect::<Vec<_>>(),
        &specs().map(|it| int(it.max_active_runs)).collect::<Vec<_>>(),
        &rows.iter().map(|(_, _, it)| task_count(it.dag)).collect::<Vec<_>>(),
        &specs().map(is_edited).collect::<Vec<_>>(),
        &specs().map(is_once_now).collect::<Vec<_>>()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn task_count(dag: &Dag) -> i32 {
    i32::try_from(dag.tasks().len()).unwrap_or(i32::MAX)
}

fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn json(texts: &impl serde::Serialize) -> String {
    serde_json::to_string(texts).unwrap_or_default()
}

/// A cron means something only together with its zone.
fn schedule_in_words(spec: &DagSpec) -> String {
    let words = spec.schedule.describe();
    match &spec.schedule {
        Schedule::Cron(_) => format!("{words} {}", zone_name(spec)),
        Schedule::Manual
        | Schedule::Once
        | Schedule::Continuous
        | Schedule::Every(_)
        | Schedule::Assets(_) => words,
    }
}

fn zone_name(spec: &DagSpec) -> &str {
    spec.timezone.iana_name().unwrap_or("UTC")
}
