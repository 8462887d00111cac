-- The newest runs of each of some DAGs.
select d.dag_key as "dag_key!", r.run_id, r.state, r.queued_at, r.started_at, r.finished_at
from unnest($1::int[]) as d (dag_key)
cross join lateral (
    select run_id, state, queued_at, started_at, finished_at, dag_run_id
    from dag_run where dag_run.dag_key = d.dag_key
    order by dag_run_id desc
    limit $2
) r
order by d.dag_key, r.dag_run_id desc
