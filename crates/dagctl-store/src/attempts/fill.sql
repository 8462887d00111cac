-- Moves parked tasks of runs that the caller has locked into the queue, the most urgent first, as far as these allow:
-- `max_active_tasks`; `max_active_tis_per_dagrun` for the instances of a mapped task; and `max_active_tis_per_dag`, which
-- is counted over all runs of the DAG, the oldest first: only where the caller holds the DAG's places for single tasks
-- ($2). A task that is queued or running holds a place, one that waits for its next try does not. Of a run that is asked
-- to stop only teardowns start.
with run as materialized (
    select r.dag_run_id, r.dag_key, r.cancel_requested_at is not null as is_stopping,
        v.is_mapped or v.limits_tasks as counts_tasks, v.max_active_tasks - (
            select count(*) from ready q where q.dag_run_id = r.dag_run_id
        ) as places
    from dag_run r join dag_version v using (dag_version_id)
    where r.dag_run_id = any($1::bigint[]) and r.state = 'r'
), counted as materialized (
    select run.dag_key, run.places, k.task_id, k.max_tis_per_dag, p.*
    from run
    cross join lateral (
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
    ) p
    where run.counts_tasks and (not run.is_stopping or k.rule = 't') and ($2 or k.max_tis_per_dag is null)
), held as materialized (
    select t.dag_key, t.task_id, t.max_tis_per_dag - (
        select count(*)
        from live_run l
        join dag_run r using (dag_run_id)
        join dag_task k on k.dag_version_id = r.dag_version_id and k.task_id = t.task_id
        join ready q on q.dag_run_id = r.dag_run_id and q.task_index = k.task_index
        where l.dag_key = t.dag_key and l.is_running
    ) as places
    from (select distinct dag_key, task_id, max_tis_per_dag from counted where max_tis_per_dag is not null) t
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
    where not run.counts_tasks
    union all
    select dag_run_id, task_index, map_index from (
        select *, row_number() over (partition by dag_run_id order by priority, task_index, map_index) as place
        from (
            select c.*, row_number() over (partition by dag_key, task_id order by dag_run_id, map_index) as place_in_dag
            from counted c
        ) c
        where c.max_tis_per_dag is null or c.place_in_dag <= (
            -- Versions of a DAG may differ in their limit: the smallest counts.
            select min(h.places) from held h
            where (h.dag_key, h.task_id) = (c.dag_key, c.task_id)
        )
    ) c
    where place <= places
), moved as (
    delete from parked p using chosen c
    where (p.dag_run_id, p.task_index, p.map_index) = (c.dag_run_id, c.task_index, c.map_index)
    returning p.*
)
insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, lost, dag_version_id, epoch,
    pool_slots, own_priority)
select m.pool_key, m.queue_key, m.priority, m.dag_run_id, m.task_index, m.map_index, m.attempt, m.lost, m.dag_version_id,
    m.epoch, k.pool_slots, k.own_priority
from moved m
join dag_task k using (dag_version_id, task_index)
order by m.dag_run_id, m.priority, m.task_index, m.map_index
