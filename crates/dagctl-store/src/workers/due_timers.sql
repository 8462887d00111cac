-- Takes due retries from their timers into the queue; those of runs with a limit on their tasks are parked, and the
-- caller, who has locked the runs, fills their places. One that somebody took meanwhile is left out.
with due as (
    delete from timer t
    using unnest($1::bigint[], $2::int[], $3::int[], $4::boolean[]) as it (dag_run_id, task_index, map_index, is_limited)
    where (t.dag_run_id, t.task_index, t.map_index) = (it.dag_run_id, it.task_index, it.map_index)
        and t.due_at <= now()
    returning t.dag_run_id, t.task_index, t.map_index, t.attempt, t.lost, it.is_limited
), placed as materialized (
    select d.*, r.dag_version_id, i.epoch, k.pool_key, k.queue_key, k.priority, k.pool_slots, k.own_priority
    from due d
    join dag_run r using (dag_run_id)
    join task_instance i using (dag_run_id, task_index, map_index)
    join dag_task k using (dag_version_id, task_index)
), parked as (
    insert into parked (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id,
        epoch)
    select pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch
    from placed where is_limited
    on conflict (dag_run_id, task_index, map_index) do nothing
), queued as (
    insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id,
        epoch, pool_slots, own_priority)
    select pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch,
        pool_slots, own_priority
    from placed where not is_limited
    on conflict (dag_run_id, task_index, map_index) do nothing
    returning 1
)
select count(*) as "queued!" from queued
