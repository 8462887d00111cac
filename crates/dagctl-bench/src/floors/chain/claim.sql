-- Claims the one task that waits.
with c as (
    select run_id, idx from hop.ready
    where pool = 1 and worker_id is null
    order by prio, seq
    limit 1
    for update skip locked
)
update hop.ready r set worker_id = $1, claimed_at = now()
from c where r.run_id = c.run_id and r.idx = c.idx
returning r.run_id, r.idx, r.attempt
