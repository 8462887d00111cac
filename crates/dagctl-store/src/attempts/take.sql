-- Hands up to $2 queued tasks of the pool $3 and the queue $4 to the worker $1, which has nothing to report, and says
-- whether others wait that it may have. Of a pool with a limit nothing is handed out here.
with taken as (
    update ready set worker_id = $1, claimed_at = clock_timestamp()
    where ctid = any (array(
            select ctid from ready
            where pool_key = $3 and queue_key = $4 and worker_id is null and lost < 5
            order by urgency, seq
            limit $2
            for update skip locked
        ))
        and exists (
            select from worker where worker_id = $1 and lost_at is null
                and exists (select from pool where pool_key = $3 and slots is null)
        )
    returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch
)
select
    0 as "settled!",
    0 as "queued!",
    '{}'::bigint[] as "undecided!",
    '{}'::bigint[] as "limited!",
    '{}'::int[] as "to_start!",
    exists (
        select from pool p
        cross join (select unnest(queue_keys) as queue_key from worker where worker_id = $1) w
        cross join lateral (
            select from ready q
            where q.pool_key = p.pool_key and q.queue_key = w.queue_key and q.worker_id is null and q.lost < 5
            limit 1
        ) first
        where (p.pool_key, w.queue_key) <> ($3, $4) or p.slots is not null
    ) as "others_wait?",
    c.*
from (
    select
        coalesce(array_agg(dag_run_id), '{}') as "dag_run_ids!", coalesce(array_agg(task_index), '{}') as "task_indexes!",
        coalesce(array_agg(map_index), '{}') as "map_indexes!", coalesce(array_agg(attempt), '{}') as "attempts!",
        coalesce(array_agg(dag_version_id), '{}') as "dag_version_ids!", coalesce(array_agg(epoch), '{}') as "epochs!"
    from taken
) c
