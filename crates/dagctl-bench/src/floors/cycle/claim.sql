-- Claims the first batch of $2 for worker $1.
with u as (
    update cycle.ready set worker_id = $1, claimed_at = now()
    where ctid = any (array(
        select ctid from cycle.ready where pool = 1 and worker_id is null order by prio, seq limit $2 for update skip locked
    ))
    returning run_id, idx, attempt
)
select coalesce(array_agg(run_id), '{}'), coalesce(array_agg(idx), '{}'), coalesce(array_agg(attempt), '{}') from u
