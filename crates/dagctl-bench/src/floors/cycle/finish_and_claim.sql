-- Finishes what worker $1 holds ($3, $4, $5) and gives it up to $2 tasks: children that became ready first, then from the queue.
-- Locks the run rows by number, then, through `rl`, the children by key.
with i as (
    select * from unnest($3::bigint[], $4::int[], $5::smallint[]) x (run_id, idx, attempt)
),
d as (
    delete from cycle.ready r using i
    where r.run_id = i.run_id and r.idx = i.idx and r.attempt = i.attempt and r.worker_id = $1
    returning r.run_id, r.idx, r.attempt, r.worker_id, r.queued_at, r.claimed_at
),
f as (
    update cycle.ti t
    set state = 's', attempt = d.attempt, worker_id = d.worker_id, queued_at = d.queued_at, started_at = d.claimed_at,
        finished_at = now()
    from d where t.run_id = d.run_id and t.idx = d.idx
),
rl as materialized (
    select r.run_id, r.version, x.n
    from (select run_id, count(*)::int as n from d group by run_id) x
    join cycle.run r using (run_id)
    order by r.run_id
    for update of r
),
r as (
    update cycle.run set remaining = remaining - rl.n from rl where run.run_id = rl.run_id
),
k as (
    select d.run_id, e.child, count(*)::int as n
    from d join cycle.edge e on e.version = 1 and e.parent = d.idx
    group by d.run_id, e.child
),
l as materialized (
    select t.run_id, t.idx, k.n
    from rl join k using (run_id) join cycle.ti t on t.run_id = k.run_id and t.idx = k.child
    order by t.run_id, t.idx
    for update of t
),
c as (
    update cycle.ti t set pending = pending - l.n
    from l where t.run_id = l.run_id and t.idx = l.idx
    returning t.run_id, t.idx, t.pending
),
ins as (
    insert into cycle.ready (pool, prio, run_id, idx, attempt, worker_id, claimed_at)
    select 1, 0, run_id, idx, 1, $1, now() from c where pending = 0 order by run_id, idx
    returning run_id, idx, attempt
),
u as (
    update cycle.ready set worker_id = $1, claimed_at = now()
    where ctid = any (array(
        select ctid from cycle.ready where pool = 1 and worker_id is null order by prio, seq
        limit (select greatest(0, $2 - count(*)) from ins)
        for update skip locked
    ))
    returning run_id, idx, attempt
),
z as (select * from ins union all select * from u)
select coalesce(array_agg(run_id), '{}'), coalesce(array_agg(idx), '{}'), coalesce(array_agg(attempt), '{}') from z
