-- DAGs by name, filtered. A DAG whose file is gone is shown as long as it has a run.
select
    d.dag_key, d.dag_id, d.is_paused, d.pause_reason, d.active_version_id, d.file, d.missing_since, d.description, d.tags, d.owner,
    d.schedule, d.timezone, d.max_active_runs, d.task_count, d.next_due_at,
    p.problem_count as "problem_count!", p.error_count as "error_count!",
    p.flaw_count as "flaw_count!"
from dag d
cross join lateral (
    -- D021 (a slip in SQL) and D030 (a second file of the same name) are errors that leave a DAG to run.
    select
        count(*) as problem_count,
        count(*) filter (where severity = 'error' and code not in ('D021', 'D030')) as error_count,
        count(*) filter (where severity = 'error' and code in ('D021', 'D030')) as flaw_count
    from problem where problem.dag_id = d.dag_id or problem.file = d.file
) p
where ($1::text is null or d.dag_id ilike $1 or d.description ilike $1)
    and ($2::text is null or $2 = any (d.tags))
    and ($3::"char" is null or d.last_state = $3)
    and ($4::boolean is null or d.is_paused = $4)
    and ($5::text is null or d.dag_id > $5)
    and (d.missing_since is null or d.last_dag_run_id is not null)
order by d.dag_id
limit $6
