-- The newest runs of each of some DAGs, newest first, those of a DAG as one row: a row for each of 1,400 runs costs more
-- to send and to read than to find. A DAG that has not run has no row.
select
    d.dag_key as "dag_key!", r.run_ids as "run_ids!", r.states as "states!", r.queued_at as "queued_at!: Vec<At>",
    r.started_at as "started_at!: Vec<Option<At>>", r.finished_at as "finished_at!: Vec<Option<At>>"
from unnest($1::int[]) as d (dag_key)
cross join lateral (
    select
        array_agg(run_id) as run_ids, array_agg(state) as states, array_agg(queued_at) as queued_at,
        array_agg(started_at) as started_at, array_agg(finished_at) as finished_at
    from (
        select run_id, state, queued_at, started_at, finished_at
        from dag_run where dag_run.dag_key = d.dag_key
        order by dag_run_id desc
        limit $2
    ) newest
) r
where r.run_ids is not null
