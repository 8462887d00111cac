-- Settles task instances of one run, each only if it has not settled, and counts down what waits for them.
-- The run's row is locked by the caller. Gives back how many settled.
with planned as (
    select * from unnest($2::int[], $3::"char"[], $4::text[], $11::smallint[], $12::int[])
        as it (task_index, verdict, reason, unstarted, map_index)
), ended as (
    select * from unnest($5::int[], $6::smallint[], $7::smallint[], $8::timestamptz[], $9::timestamptz[], $13::int[])
        as it (task_index, attempt, lost, queued_at, claimed_at, map_index)
), settled as (
    update task_instance t
    set state = p.verdict, reason = p.reason, finished_at = clock_timestamp(),
        attempt = coalesce(e.attempt, p.unstarted, t.attempt),
        lost = coalesce(e.lost, t.lost),
        tries = t.tries + case when p.verdict = 'f' and e.attempt is not null then 1 else 0 end,
        worker_id = case when e.attempt is not null then $10 else t.worker_id end,
        queued_at = coalesce(e.queued_at, t.queued_at),
        started_at = coalesce(e.claimed_at, t.started_at)
    from planned p left join ended e using (task_index, map_index)
    where t.dag_run_id = $1 and t.task_index = p.task_index and t.map_index = p.map_index and t.state = 'n'
    returning t.task_index, t.map_index, t.state
), counted as (
    select e.child, count(*)::smallint as settled, (count(*) filter (where s.state <> 's'))::smallint as bad
    from settled s
    join dag_run r on r.dag_run_id = $1
    join dag_edge e on e.dag_version_id = r.dag_version_id and e.parent = s.task_index
    where s.map_index = -1
    group by 1
), timers as (
    delete from timer using settled s
    where timer.dag_run_id = $1 and timer.task_index = s.task_index and timer.map_index = s.map_index
), unparked as (
    delete from parked using settled s
    where parked.dag_run_id = $1 and parked.task_index = s.task_index and parked.map_index = s.map_index
)
select c.child as "child?", c.settled as "settled?", c.bad as "bad?", (select count(*) from settled)::int as "total!",
    (select count(*) from settled where state in ('f', 'u'))::int as "failed!"
from (select) one left join counted c on true
