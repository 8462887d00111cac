-- The hot path, one statement and one commit: gives back attempts that simply succeeded, counts down what waits for
-- them, queues what that leaves ready – this worker keeps what it has slots for –, ends runs of which nothing is left,
-- and fills the worker's other slots from the queue. A crash leaves either all of it or nothing.
--
-- $1–$5 the attempts and their outputs, $6 their runs (sorted, each once), $7 the worker, $8 its free slots, $9 and $10
-- the pool and the queue it claims from here; that pool has no limit. $11 is how `dag.schedule` says "continuous".
--
-- An attempt that is no longer this worker's matches no row of `ready` and changes nothing.
-- Lock order, as in a look: dag_run rows by id before anything else. Everything of a run but its place in the queue
-- changes below that lock alone, so its task instances need no order. `dag` rows come last, by key.
-- Whoever waited for the lock sees `dag_run` and `task_instance` as they are now, but rows made meanwhile not at all:
-- that is why runs with a limit on their tasks take that lock in a statement before (`Look::finish`).
-- Whatever is not "all upstream tasks succeeded" is left to a look.
--
-- Joins of two common table expressions are avoided: the planner thinks that a batch has ten rows, and would loop.
with reported as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[], $5::jsonb[])
        as it (dag_run_id, task_index, map_index, attempt, outputs)
), locked as materialized (
    select r.dag_run_id, r.cancel_requested_at is not null as is_cancelled,
        v.is_limited or r.went_again as is_limited
    from unnest($6::bigint[]) as it (dag_run_id)
    join dag_run r using (dag_run_id)
    join dag_version v using (dag_version_id)
    order by r.dag_run_id
    for update of r
), special as materialized (
    select coalesce(array_agg(dag_run_id) filter (where is_cancelled), '{}') as cancelled,
        coalesce(array_agg(dag_run_id) filter (where is_limited), '{}') as limited
    from locked
), given_back as (
    delete from ready using reported as it
    where (ready.dag_run_id, ready.task_index, ready.map_index) = (it.dag_run_id, it.task_index, it.map_index)
        and ready.attempt = it.attempt and ready.worker_id = $7
        and (select count(*) from locked) > 0
    returning ready.dag_run_id, ready.task_index, ready.map_index, ready.attempt, ready.lost, ready.queued_at,
        ready.claimed_at, ready.dag_version_id, it.outputs
), waiting as materialized (
    -- The tasks below; for an instance of a mapped task, that task itself.
    select dag_run_id, dag_version_id, child, sum(settled)::smallint as settled, sum(instances)::smallint as instances
    from (
        select b.dag_run_id, b.dag_version_id, e.child, 1 as settled, 0 as instances
        from given_back b
        join dag_edge e on e.dag_version_id = b.dag_version_id and e.parent = b.task_index
        where b.map_index = -1
        union all
        select dag_run_id, dag_version_id, task_index, 0, 1 from given_back where map_index >= 0
    ) each_one
    group by 1, 2, 3
), twice as materialized (
    -- A task that did not wait for all its upstream tasks may end in one batch with them.
    select dag_run_id, child from waiting intersect
    select dag_run_id, task_index from given_back where map_index = -1
), settled as (
    update task_instance as t
    set state = 's', attempt = b.attempt, lost = b.lost, worker_id = $7,
        queued_at = b.queued_at, started_at = b.claimed_at, finished_at = clock_timestamp(),
        pending = t.pending - case when exists (select from twice) then coalesce((
            select w.settled from waiting w
            where (w.dag_run_id, w.child) = (b.dag_run_id, b.task_index) and b.map_index = -1
        ), 0::smallint) else 0::smallint end
    from given_back b
    where (t.dag_run_id, t.task_index, t.map_index) = (b.dag_run_id, b.task_index, b.map_index) and t.state = 'n'
    returning t.dag_run_id
), kept_outputs as (
    insert into output (dag_run_id, task_index, map_index, value)
    select dag_run_id, task_index, map_index, outputs from given_back where outputs is not null
    on conflict (dag_run_id, task_index, map_index) do update set value = excluded.value
), counted_down as (
    update task_instance t set pending = t.pending - w.settled, open_instances = t.open_instances - w.instances
    from waiting w
    where t.dag_run_id = w.dag_run_id and t.task_index = w.child and t.map_index = -1 and not (
        exists (select from twice)
        and exists (select from twice b where (b.dag_run_id, b.child) = (w.dag_run_id, w.child))
    )
    returning t.dag_run_id, t.task_index, t.map_index, t.attempt, t.epoch, t.state, t.pending, t.n_bad,
        t.open_instances, w.dag_version_id
), able as materialized (
    select d.dag_run_id, d.task_index, d.map_index, d.attempt, d.epoch, d.dag_version_id,
        k.pool_key, k.queue_key, k.priority, k.pool_slots, k.own_priority,
        d.n_bad = 0 and k.rule = 's' and d.open_instances is null
            and d.dag_run_id <> all ((select cancelled from special)::bigint[]) as is_able,
        d.dag_run_id = any ((select limited from special)::bigint[]) as is_limited
    from counted_down d
    join dag_task k using (dag_version_id, task_index)
    where coalesce(d.open_instances, d.pending) = 0 and d.state = 'n'
), parked as (
    insert into parked (dag_run_id, task_index, map_index, pool_key, queue_key, priority, attempt, dag_version_id, epoch)
    select dag_run_id, task_index, map_index, pool_key, queue_key, priority, attempt + 1, dag_version_id, epoch
    from able where is_able and is_limited
), head as materialized (
    select own_priority, queued_at from ready
    where pool_key = $9 and queue_key = $10 and worker_id is null and lost < 5
    order by urgency, seq
    limit 1
), child as materialized (
    -- A worker goes on with the run at hand as long as nothing more urgent waits, and nobody for long.
    select a.*, row_number() over (order by priority, dag_run_id, task_index, map_index) as place,
        a.pool_key = $9 and a.queue_key = $10 and not exists (
            select from head h
            where h.own_priority < a.own_priority
                or h.own_priority = a.own_priority and h.queued_at < clock_timestamp() - interval '1 second'
        ) as is_kept
    from able a
    where is_able and not is_limited
), alive as materialized (
    select from worker where worker_id = $7 and lost_at is null
        and exists (select from pool where pool_key = $9 and slots is null)
), queued as (
    insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, dag_version_id, epoch,
        pool_slots, own_priority, worker_id, claimed_at)
    select pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt + 1, dag_version_id, epoch,
        pool_slots, own_priority,
        case when is_kept and place <= $8 and exists (select from alive) then $7::int end,
        case when is_kept and place <= $8 and exists (select from alive) then clock_timestamp() end
    from child
    returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch, worker_id
), taken as (
    update ready set worker_id = $7, claimed_at = clock_timestamp()
    where ctid = any (array(
            select ctid from ready
            where pool_key = $9 and queue_key = $10 and worker_id is null and lost < 5
            order by urgency, seq
            limit greatest(0, $8 - (select count(*) from queued where worker_id is not null))
            for update skip locked
        ))
        and exists (select from alive)
    returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch
), claimed as (
    select dag_run_id, task_index, map_index, attempt, dag_version_id, epoch from queued where worker_id is not null
    union all
    select dag_run_id, task_index, map_index, attempt, dag_version_id, epoch from taken
), total as (
    select dag_run_id, count(*)::int as settled from settled group by 1
), counted as (
    update dag_run r
    set remaining = r.remaining - n.settled,
        state = case when r.remaining = n.settled and r.n_failed = 0 and r.cancel_requested_at is null
            and not v.tells_success and not r.is_awaited then 's' else r.state end,
        finished_at = case when r.remaining = n.settled and r.n_failed = 0 and r.cancel_requested_at is null
            and not v.tells_success and not r.is_awaited then clock_timestamp() end
    from total n, dag_version v
    where r.dag_run_id = n.dag_run_id and v.dag_version_id = r.dag_version_id
    returning r.dag_run_id, r.dag_key, r.remaining, r.finished_at
), ended as (
    delete from live_run l using counted c
    where l.dag_run_id = c.dag_run_id and c.finished_at is not null
), latest as (
    update dag d set last_dag_run_id = c.dag_run_id, last_state = 's', last_at = c.finished_at
    from (
        select distinct on (dag_key) dag_key, dag_run_id, finished_at from counted
        where finished_at is not null
        order by dag_key, finished_at desc, dag_run_id desc
    ) c
    where d.dag_key = c.dag_key
    returning d.dag_key, d.schedule
), undecided as materialized (
    select dag_run_id from able where not is_able
    union
    select dag_run_id from counted where remaining = 0 and finished_at is null
), wanted as (
    update live_run set look_wanted = true
    where exists (select from undecided) and dag_run_id = any (array(select dag_run_id from undecided))
)
select
    (select coalesce(sum(settled), 0)::int from total) as "settled!",
    (select count(*)::int from queued where worker_id is null) as "queued!",
    array(select dag_run_id from undecided) as "undecided!",
    (select limited from special) as "limited!",
    array(
        select l.dag_key from latest l
        left join lateral (
            select true as waits from live_run w where w.dag_key = l.dag_key and not w.is_running limit 1
        ) queued_run on true
        where queued_run.waits or l.schedule = $11
    ) as "to_start!",
    exists (
        select from pool p
        cross join (select unnest(queue_keys) as queue_key from worker where worker_id = $7) w
        cross join lateral (
            select from ready q
            where q.pool_key = p.pool_key and q.queue_key = w.queue_key and q.worker_id is null and q.lost < 5
            limit 1
        ) first
        where (p.pool_key, w.queue_key) <> ($9, $10) or p.slots is not null
    ) as "others_wait?",
    c.*
from (
    select
        coalesce(array_agg(dag_run_id), '{}') as "dag_run_ids!", coalesce(array_agg(task_index), '{}') as "task_indexes!",
        coalesce(array_agg(map_index), '{}') as "map_indexes!", coalesce(array_agg(attempt), '{}') as "attempts!",
        coalesce(array_agg(dag_version_id), '{}') as "dag_version_ids!", coalesce(array_agg(epoch), '{}') as "epochs!"
    from claimed
) c
