-- Moves parked tasks of runs that the caller has locked into the queue, the most urgent first, as far as
-- `max_active_tasks` and, for the instances of a mapped task, `max_active_tis_per_dagrun` allow: a task that is queued or
-- running holds a place, one that waits for its next try does not. Of a run that is asked to stop only teardowns start.
with run as materialized (
    select r.dag_run_id, r.cancel_requested_at is not null as is_stopping, v.is_mapped, v.max_active_tasks - (
        select count(*) from ready q where q.dag_run_id = r.dag_run_id
    ) as places
    from dag_run r join dag_version v using (dag_version_id)
    where r.dag_run_id = any($1::bigint[]) and r.state = 'r'
), chosen as materialized (
    select p.* from run
    cross join lateral (
        select dag_run_id, task_index, map_index from parked
        where parked.dag_run_id = run.dag_run_id and (
            not run.is_stopping or exists (
                select from dag_task k
                where (k.dag_version_id, k.task_index) = (parked.dag_version_id, parked.task_index) and k.rule = 't'
            )
        )
        order by priority, task_index, map_index
        limit greatest(0, run.places)
    ) p
    where not run.is_mapped
    union all
    select p.* from run
    cross join lateral (
        select t.dag_run_id, t.task_index, t.map_index from (
            select distinct task_index, dag_version_id from parked where parked.dag_run_id = run.dag_run_id
        ) task
        join dag_task k using (dag_version_id, task_index)
        cross join lateral (
            select dag_run_id, task_index, map_index, priority from parked
            where parked.dag_run_id = run.dag_run_id and parked.task_index = task.task_index
            order by map_index
            limit greatest(0, least(run.places, k.max_tis_per_dagrun - (
                select count(*) from ready q where q.dag_run_id = run.dag_run_id and q.task_index = task.task_index
            )))
        ) t
        where not run.is_stopping or k.rule = 't'
        order by t.priority, t.task_index, t.map_index
        limit greatest(0, run.places)
    ) p
    where run.is_mapped
), moved as (
    delete from parked p using chosen c
    where (p.dag_run_id, p.task_index, p.map_index) = (c.dag_run_id, c.task_index, c.map_index)
    returning p.*
)
insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch)
select pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch
from moved
order by dag_run_id, priority, task_index, map_index
