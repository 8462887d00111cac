-- The pools and queues with tasks that wait and that this worker serves, those with the most urgent one first.
select p.pool_key, p.slots, w.queue_key as "queue_key!"
from pool p
cross join (select unnest(queue_keys) as queue_key from worker where worker_id = $1) w
cross join lateral (
    select urgency, seq from ready
    where ready.pool_key = p.pool_key and ready.queue_key = w.queue_key and worker_id is null and lost < 5
    order by urgency, seq
    limit 1
) first
order by first.urgency, first.seq
