-- Hands up to $3 queued tasks of one pool to a worker that still has its lease.
-- `ctid = any (array (…))` on purpose: with `limit $n` in a prepared statement a join by key is planned as a hash
-- join over the whole queue, and this form cannot be. A row changed between snapshot and lock is skipped this round.
with claimed as (
    update ready set worker_id = $1, claimed_at = clock_timestamp()
    where ctid = any (array(
            select ctid from ready
            where pool_key = $2 and worker_id is null and lost < 5
            order by priority, seq
            limit $3
            for update skip locked
        ))
        and exists (select from worker where worker_id = $1 and lost_at is null)
    returning dag_run_id, task_index, map_index, attempt, lost
)
select c.dag_run_id, c.task_index, c.map_index, c.attempt, c.lost, r.dag_version_id, t.epoch
from claimed c
join dag_run r using (dag_run_id)
join task_instance t using (dag_run_id, task_index, map_index)
