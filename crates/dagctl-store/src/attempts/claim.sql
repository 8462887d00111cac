-- Hands up to $4 queued tasks of one pool and one queue to a worker that still has its lease.
-- `ctid = any (array (…))` on purpose: with `limit $n` in a prepared statement a join by key is planned as a hash
-- join over the whole queue, and this form cannot be. A row changed between snapshot and lock is skipped this round.
update ready set worker_id = $1, claimed_at = clock_timestamp()
where ctid = any (array(
        select ctid from ready
        where pool_key = $2 and queue_key = $3 and worker_id is null and lost < 5
        order by urgency, seq
        limit $4
        for update skip locked
    ))
    and exists (select from worker where worker_id = $1 and lost_at is null)
returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch
