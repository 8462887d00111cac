-- Makes the instances of a mapped task of one run, which the caller has locked, and parks them; the caller fills the run's
-- places. Instances of an earlier expansion are taken up again, and their attempts' numbers go on.
with task as (
    update task_instance
    set open_instances = cardinality($7::jsonb[]), attempt = $4, lost = $5, worker_id = $6, queued_at = $8,
        started_at = $9
    where dag_run_id = $1 and task_index = $3 and map_index = -1 and state = 'n' and open_instances is null
    returning epoch
), item as (
    select (n - 1)::int as map_index, value, task.epoch
    from task, unnest($7::jsonb[]) with ordinality as it (value, n)
), kept as (
    insert into map_item (dag_run_id, task_index, map_index, value)
    select $1, $3, map_index, value from item
    on conflict (dag_run_id, task_index, map_index) do update set value = excluded.value
), made as (
    insert into task_instance as t (dag_run_id, task_index, map_index, pending, epoch)
    select $1, $3, map_index, 0, epoch from item
    order by map_index
    on conflict (dag_run_id, task_index, map_index) do update set state = 'n', reason = null, epoch = excluded.epoch
    returning map_index, attempt, epoch
), counted as (
    update dag_run set remaining = remaining + (select count(*)::int from made) where dag_run_id = $1
)
insert into parked (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, dag_version_id, epoch)
select k.pool_key, k.queue_key, k.priority, $1, $3, m.map_index, m.attempt + 1, $2, m.epoch
from made m
join dag_task k on k.dag_version_id = $2 and k.task_index = $3
order by m.map_index
on conflict (dag_run_id, task_index, map_index) do nothing
