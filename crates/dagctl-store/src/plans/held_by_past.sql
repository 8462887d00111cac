-- Tasks of one run that the run before holds up: the last one of the DAG with an earlier logical date, but for those that
-- were stopped before they started. Without one nothing is held up, and neither is a task that its version does not have.
with before as materialized (
    select p.dag_run_id, p.dag_version_id
    from dag_run r
    cross join lateral (
        select b.dag_run_id, b.dag_version_id
        from run_key k join dag_run b using (dag_run_id)
        where k.dag_key = r.dag_key and (k.logical_at, k.dag_run_id) < (r.logical_at, r.dag_run_id)
            and (b.state <> 'f' or b.started_at is not null)
        order by k.logical_at desc, k.dag_run_id desc
        limit 1
    ) p
    where r.dag_run_id = $1
)
select it.task_index as "task_index!"
from unnest($2::int[], $3::text[], $4::boolean[]) as it (task_index, task_id, with_downstream)
cross join before b
join dag_task k on k.dag_version_id = b.dag_version_id and k.task_id = it.task_id
where not exists (
        select from task_instance t
        where t.dag_run_id = b.dag_run_id and t.task_index = k.task_index and t.map_index = -1 and t.state in ('s', 'k')
    )
    or it.with_downstream and exists (
        select from dag_edge e
        join task_instance t on t.dag_run_id = b.dag_run_id and t.task_index = e.child and t.map_index = -1
        where e.dag_version_id = b.dag_version_id and e.parent = k.task_index and t.state not in ('s', 'k')
    )
