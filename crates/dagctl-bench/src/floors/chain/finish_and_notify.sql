-- Finishes a task of the chain, queues its child for anybody, and calls.
with d as (
    delete from hop.ready where run_id = $1 and idx = $2 and attempt = $3 and worker_id = $4
    returning run_id, idx, attempt, worker_id, queued_at, claimed_at
),
f as (
    update hop.ti t
    set state = 's', attempt = d.attempt, worker_id = d.worker_id, queued_at = d.queued_at, started_at = d.claimed_at,
        finished_at = now()
    from d where t.run_id = d.run_id and t.idx = d.idx
),
c as (
    update hop.ti t set pending = pending - 1
    from d where t.run_id = d.run_id and t.idx = d.idx + 1
    returning t.run_id, t.idx, t.pending
),
i as (
    insert into hop.ready (pool, prio, run_id, idx, attempt)
    select 1, 0, run_id, idx, 1 from c where pending = 0
    returning run_id
)
select pg_notify('hop', '')::text from i
