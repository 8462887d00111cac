-- Puts tasks of one run, which the caller has locked, into the queue; of a run with a limit on its tasks ($6) they are
-- parked, and the caller fills its places.
with due as materialized (
    select k.pool_key, k.queue_key, k.priority, k.own_priority, k.pool_slots, it.task_index, it.map_index, it.attempt, coalesce(it.lost, t.lost) as lost, t.epoch
    from unnest($3::int[], $4::smallint[], $5::smallint[], $7::int[]) as it (task_index, attempt, lost, map_index)
    join task_instance t on t.dag_run_id = $1 and t.task_index = it.task_index and t.map_index = it.map_index
    join dag_task k on k.dag_version_id = $2 and k.task_index = it.task_index
), parked as (
    insert into parked (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id,
        epoch)
    select pool_key, queue_key, priority, $1, task_index, map_index, attempt, lost, $2, epoch
    from due where $6
    on conflict (dag_run_id, task_index, map_index) do nothing
)
insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch,
    pool_slots, own_priority)
select pool_key, queue_key, priority, $1, task_index, map_index, attempt, lost, $2, epoch, pool_slots, own_priority
from due where not $6
order by task_index, map_index
on conflict (dag_run_id, task_index, map_index) do nothing
