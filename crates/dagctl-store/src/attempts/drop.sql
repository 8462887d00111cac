-- Gives back attempts of a run that cannot be looked at, so that nothing stays claimed. The attempt's number is used up:
-- when the run is looked at again, its task goes on with the next one.
with reported as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[])
        as it (dag_run_id, task_index, map_index, attempt)
), dropped as (
    delete from ready using reported as it
    where (ready.dag_run_id, ready.task_index, ready.map_index) = (it.dag_run_id, it.task_index, it.map_index)
        and ready.attempt = it.attempt and ready.worker_id = $5
    returning ready.dag_run_id, ready.task_index, ready.map_index, ready.attempt, ready.queued_at, ready.claimed_at
), numbered as (
    update task_instance t set attempt = d.attempt
    from dropped d
    where (t.dag_run_id, t.task_index, t.map_index) = (d.dag_run_id, d.task_index, d.map_index) and t.state = 'n'
)
insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id, queued_at, started_at)
select dag_run_id, task_index, map_index, attempt, 'f', 'set_aside', $6, $5, queued_at, claimed_at
from dropped
on conflict (dag_run_id, task_index, map_index, attempt) do nothing
