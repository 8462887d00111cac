-- The hot path: gives back attempts that simply succeeded, counts down what waits for them, and queues what that
-- leaves ready. One statement, so that a crash leaves either all of it or nothing.
--
-- An attempt that is no longer this worker's matches no row of `ready` and changes nothing.
-- Lock order, as in a look: dag_run rows by id before anything else, or a task settled here and counted down by a look
-- deadlocks with it; then children by key, or two batches deadlock.
-- Whatever is not "all upstream tasks succeeded" is left to a look: `needs_look`.
with reported as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[], $5::jsonb[])
        as it (dag_run_id, task_index, map_index, attempt, outputs)
), locked as materialized (
    select r.dag_run_id, r.dag_version_id, r.is_limited, r.cancel_requested_at is not null as is_cancelled
    from dag_run r
    where r.dag_run_id in (select dag_run_id from reported)
    order by r.dag_run_id
    for update of r
), given_back as (
    delete from ready using reported as it
    where (ready.dag_run_id, ready.task_index, ready.map_index) = (it.dag_run_id, it.task_index, it.map_index)
        and ready.attempt = it.attempt and ready.worker_id = $6
        and (select count(*) from locked) > 0
    returning ready.dag_run_id, ready.task_index, ready.map_index, ready.attempt, ready.lost, ready.queued_at,
        ready.claimed_at, it.outputs
), waiting as (
    select b.dag_run_id, e.child, count(*)::smallint as settled
    from given_back b
    join locked l using (dag_run_id)
    join dag_edge e on e.dag_version_id = l.dag_version_id and e.parent = b.task_index
    group by 1, 2
), settled as (
    update task_instance as t
    set state = 's', attempt = b.attempt, lost = b.lost, worker_id = $6,
        queued_at = b.queued_at, started_at = b.claimed_at, finished_at = clock_timestamp(),
        -- A task that did not wait for all its upstream tasks may end in one batch with them.
        pending = t.pending - coalesce(w.settled, 0::smallint)
    from given_back b
    left join waiting w on (w.dag_run_id, w.child) = (b.dag_run_id, b.task_index)
    where (t.dag_run_id, t.task_index, t.map_index) = (b.dag_run_id, b.task_index, b.map_index) and t.state = 'n'
    returning t.dag_run_id, t.task_index, t.map_index
), kept_outputs as (
    insert into output (dag_run_id, task_index, map_index, value)
    select dag_run_id, task_index, map_index, outputs from given_back where outputs <> '{}'::jsonb
    on conflict (dag_run_id, task_index, map_index) do update set value = excluded.value
), total as (
    select dag_run_id, count(*)::int as settled from settled group by 1
), counted as (
    update dag_run r set remaining = r.remaining - n.settled
    from total n where r.dag_run_id = n.dag_run_id
    returning r.dag_run_id, r.remaining
), child as materialized (
    select t.dag_run_id, t.task_index, t.map_index, w.settled, l.dag_version_id, l.is_limited or l.is_cancelled as by_look
    from locked l
    join waiting w using (dag_run_id)
    join task_instance t on t.dag_run_id = w.dag_run_id and t.task_index = w.child
    where not exists (select from given_back b where (b.dag_run_id, b.task_index) = (w.dag_run_id, w.child))
    order by t.dag_run_id, t.task_index, t.map_index
    for update of t
), counted_down as (
    update task_instance t set pending = t.pending - c.settled
    from child c
    where (t.dag_run_id, t.task_index, t.map_index) = (c.dag_run_id, c.task_index, c.map_index)
    returning t.dag_run_id, t.task_index, t.map_index, t.attempt, t.state, t.pending, t.n_bad,
        c.dag_version_id, c.by_look
), queued as (
    insert into ready (pool_key, priority, dag_run_id, task_index, map_index, attempt)
    select k.pool_key, k.priority, d.dag_run_id, d.task_index, d.map_index, d.attempt + 1
    from counted_down d
    join dag_task k using (dag_version_id, task_index)
    where d.pending = 0 and d.n_bad = 0 and d.state = 'n' and k.rule = 's' and not d.by_look
    returning dag_run_id, task_index
)
select
    l.dag_run_id,
    n.settled as "settled!",
    l.is_limited or l.is_cancelled or c.remaining = 0 or exists (
        select from counted_down d
        where d.dag_run_id = l.dag_run_id and d.state = 'n' and d.pending = 0
            and not exists (select from queued q where (q.dag_run_id, q.task_index) = (d.dag_run_id, d.task_index))
    ) as "needs_look!",
    (select count(*) from queued q where q.dag_run_id = l.dag_run_id)::int as "queued!"
from locked l
join total n using (dag_run_id)
join counted c using (dag_run_id)
