-- Puts tasks of one run, which the caller has locked and none of which a worker has, back to where they stood before
-- they ran. Their attempts' numbers go on, because they are the fence; their outputs go; what they did elsewhere stays.
-- A mapped task finds out its items again: its instances are kept for their numbers alone.
with kept as (
    insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id, queued_at,
        started_at, finished_at)
    select dag_run_id, task_index, map_index, attempt, 's', 'success', '', worker_id, queued_at, started_at, finished_at
    from task_instance
    where dag_run_id = $1 and task_index = any($2) and state = 's' and attempt > 0
        and reason is distinct from 'marked'
    on conflict (dag_run_id, task_index, map_index, attempt) do nothing
), unqueued as (
    delete from ready where dag_run_id = $1 and task_index = any($2) and worker_id is null
    returning task_index, map_index, attempt
), timers as (
    delete from timer where dag_run_id = $1 and task_index = any($2)
), unparked as (
    delete from parked where dag_run_id = $1 and task_index = any($2)
), outputs as (
    delete from output where dag_run_id = $1 and task_index = any($2)
)
update task_instance t
set state = case when t.map_index = -1 then 'n'::"char" else 'k'::"char" end, epoch = t.epoch + 1, tries = 0, lost = 0,
    reason = case when t.map_index >= 0 then 'removed' end, open_instances = null, first_poke_at = null, pokes = null,
    worker_id = null, queued_at = null, started_at = null, finished_at = null,
    attempt = greatest(t.attempt, (
        select q.attempt - 1 from unqueued q where (q.task_index, q.map_index) = (t.task_index, t.map_index)
    ))
where t.dag_run_id = $1 and t.task_index = any($2)
