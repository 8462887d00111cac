-- Gives back attempts that did not simply succeed; what that means is decided by a look in the same transaction.
-- An attempt that is no longer this worker's gives no row back.
with reported as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[])
        as it (dag_run_id, task_index, map_index, attempt)
)
delete from ready using reported as it
where (ready.dag_run_id, ready.task_index, ready.map_index) = (it.dag_run_id, it.task_index, it.map_index)
    and ready.attempt = it.attempt and ready.worker_id = $5
returning ready.dag_run_id, ready.task_index, ready.map_index, ready.attempt, ready.lost, ready.queued_at,
    ready.claimed_at
