-- Starts queued runs of DAGs whose places the caller holds, oldest first, as far as `max_active_runs` allows: their task
-- instances from the version's task list, on the server's side, and their roots into the queue, no more of each run than
-- `max_active_tasks`; the others are parked. Runs that somebody else started or ended are left out. One that goes on
-- after it had ended has its task instances: which of them start is for a look, and so is a root that may wait for the
-- run before (rule x). A task with the rule `always` (a) starts with the roots. Tasks that are counted
-- over all runs of their DAG are parked as well; the caller fills their places.
--
-- A pause stops the schedule, not what people ask for: manual and backfilled runs of a paused DAG start.
-- `skip locked`: somebody who holds a queued run is ending it, and may wait for a DAG's row that the caller holds.
with waiting as materialized (
    select q.dag_run_id
    from dag d
    cross join lateral (
        select count(*) as count from live_run l where l.dag_key = d.dag_key and l.is_running
    ) running
    cross join lateral (
        select r.dag_run_id from live_run l join dag_run r using (dag_run_id)
        where l.dag_key = d.dag_key and not l.is_running and (l.is_asked_for or not d.is_paused) and r.state = 'q'
            and (l.backfill_id is null or exists (
                -- A backfill has a limit of its own, and can be paused.
                select from backfill b
                where b.backfill_id = l.backfill_id and b.state = 'r' and b.max_active_runs > (
                    select count(*) from live_run o
                    where o.backfill_id = l.backfill_id and (o.is_running or o.dag_run_id < l.dag_run_id)
                )
            ))
        order by r.dag_run_id
        limit greatest(d.max_active_runs - running.count, 0)
        for update of r skip locked
    ) q
    where d.dag_key = any($1::int[])
), started as (
    update dag_run r
    set state = 'r', started_at = clock_timestamp(),
        remaining = case when r.epoch = 0 then v.task_count else r.remaining end
    from dag_version v
    where r.dag_run_id = any(array(select dag_run_id from waiting)) and v.dag_version_id = r.dag_version_id
    returning r.dag_run_id, r.dag_key, r.dag_version_id, r.started_at, v.max_active_tasks, v.dagrun_timeout, v.limits_tasks,
        r.epoch > 0 as goes_on
), timed as (
    insert into run_due (dag_run_id, kind, due_at)
    select dag_run_id, 't', started_at + make_interval(secs => dagrun_timeout)
    from started where dagrun_timeout is not null
    on conflict (dag_run_id, kind) do update set due_at = excluded.due_at
), instances as (
    insert into task_instance (dag_run_id, task_index, pending)
    select s.dag_run_id, k.task_index, k.indegree
    from started s
    cross join lateral (
        -- As the template's index has them: a sort of 10,000 rows would cost a tenth of the whole.
        select task_index, indegree from dag_task
        where dag_task.dag_version_id = s.dag_version_id
        order by task_index
    ) k
    where not s.goes_on
), root as materialized (
    select s.dag_run_id, s.dag_version_id, k.task_index, k.pool_key, k.queue_key, k.priority, k.pool_slots, k.own_priority,
        k.rule = 'x' as is_held,
        k.max_tis_per_dag is not null
            or row_number() over (partition by s.dag_run_id, k.rule = 'x' order by k.priority, k.task_index)
                > s.max_active_tasks as waits
    from started s
    cross join lateral (
        -- Ordered, or the planner may read the tasks of every version that there ever was.
        select task_index, pool_key, queue_key, priority, pool_slots, own_priority, rule, max_tis_per_dag
        from dag_task
        where dag_task.dag_version_id = s.dag_version_id and (indegree = 0 or rule = 'a')
        order by task_index
    ) k
    where not s.goes_on
), undecided as materialized (
    select dag_run_id from started where goes_on union select dag_run_id from root where is_held
), running as (
    update live_run l set is_running = true, look_wanted = s.dag_run_id in (select dag_run_id from undecided)
    from started s where l.dag_run_id = s.dag_run_id
), parked as (
    insert into parked (dag_run_id, task_index, map_index, pool_key, queue_key, priority, attempt, dag_version_id, epoch)
    select dag_run_id, task_index, -1, pool_key, queue_key, priority, 1, dag_version_id, 0
    from root where waits and not is_held
), queued as (
    insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, dag_version_id, epoch,
        pool_slots, own_priority)
    select pool_key, queue_key, priority, dag_run_id, task_index, -1, 1, dag_version_id, 0, pool_slots, own_priority
    from root where not waits and not is_held
    order by dag_run_id, task_index
    returning 1
)
select dag_run_id, started_at as "started_at!",
    dag_run_id in (select dag_run_id from undecided) as "is_undecided!", limits_tasks as "counts_over_runs!",
    dag_key, (select count(*) from queued) as "queued!" from started
