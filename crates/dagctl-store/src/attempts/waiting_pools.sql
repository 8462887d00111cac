-- The pools with waiting tasks, those with the most urgent one first.
select p.pool_key, p.slots
from pool p
cross join lateral (
    select priority, seq from ready
    where ready.pool_key = p.pool_key and worker_id is null and lost < 5
    order by priority, seq
    limit 1
) first
order by first.priority, first.seq
