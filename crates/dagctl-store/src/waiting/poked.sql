-- Gives back attempts of sensors that found nothing, and what says when they look again. The runs are locked by the
-- caller. An attempt that is no longer this worker's gives no row back.
with reported as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[])
        as it (dag_run_id, task_index, map_index, attempt)
), given_back as (
    delete from ready using reported as it
    where (ready.dag_run_id, ready.task_index, ready.map_index) = (it.dag_run_id, it.task_index, it.map_index)
        and ready.attempt = it.attempt and ready.worker_id = $5
    returning ready.dag_run_id, ready.task_index, ready.map_index, ready.attempt, ready.lost, ready.queued_at,
        ready.claimed_at, ready.dag_version_id
)
select b.dag_run_id, b.task_index, b.map_index, b.attempt, b.lost, b.queued_at, b.claimed_at, b.dag_version_id,
    t.first_poke_at, t.pokes, clock_timestamp() as "now!",
    r.state = 'r' and r.cancel_requested_at is null as "goes_on!", v.is_limited or r.went_again as "is_limited!"
from given_back b
join task_instance t using (dag_run_id, task_index, map_index)
join dag_run r using (dag_run_id)
join dag_version v on v.dag_version_id = r.dag_version_id
