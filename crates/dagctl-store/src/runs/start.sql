-- Starts a queued run: its task instances from the version's task list, on the server's side, and its roots into
-- the queue, no more of them than `max_active_tasks`. No row back: somebody else started or ended it.
with started as (
    update dag_run r
    set state = 'r', started_at = clock_timestamp(), remaining = v.task_count,
        is_limited = v.task_count > v.max_active_tasks
    from dag_version v
    where r.dag_run_id = $1 and r.state = 'q' and v.dag_version_id = r.dag_version_id
    returning r.dag_run_id, r.dag_version_id, v.max_active_tasks
), instances as (
    insert into task_instance (dag_run_id, task_index, pending)
    select s.dag_run_id, k.task_index, k.indegree
    from started s join dag_task k using (dag_version_id)
    order by k.task_index
), roots as (
    insert into ready (pool_key, priority, dag_run_id, task_index, map_index, attempt)
    select k.pool_key, k.priority, s.dag_run_id, k.task_index, -1, 1
    from started s join dag_task k using (dag_version_id)
    where k.indegree = 0
    order by k.task_index
    limit (select max_active_tasks from started)
    returning 1
)
select dag_run_id, (select count(*) from roots) as "queued!" from started
