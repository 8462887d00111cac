-- Hands queued tasks of a pool with a limit, whose row the caller has locked, to a worker that still has its lease: $4 at
-- most, and no more than the pool has slots for. The most urgent goes first, and where it does not fit, nobody overtakes
-- it. A task that wants more slots than the pool has takes all of them.
with free as materialized (
    select p.slots, p.slots - coalesce((
        select sum(least(q.pool_slots, p.slots)) from ready q where q.pool_key = p.pool_key and q.worker_id is not null
    ), 0) as count
    from pool p where p.pool_key = $2
), candidate as materialized (
    select ready.ctid as place, pool_slots, urgency, seq from ready
    where pool_key = $2 and queue_key = $3 and worker_id is null and lost < 5
    order by urgency, seq
    limit least($4::bigint, (select slots from free))
    for update skip locked
), counted as materialized (
    select c.place, sum(least(c.pool_slots, f.slots)) over (order by c.urgency, c.seq) <= f.count as fits
    from candidate c cross join free f
)
update ready set worker_id = $1, claimed_at = clock_timestamp()
where ctid = any (array(select place from counted where fits))
    and (select slots from free) > 0
    and exists (select from worker where worker_id = $1 and lost_at is null)
returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch
