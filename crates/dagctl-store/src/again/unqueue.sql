-- Takes whatever waits of one run out of the queue; no worker has any of it. The attempts' numbers go on.
with unqueued as (
    delete from ready where dag_run_id = $1 and worker_id is null
    returning task_index, map_index, attempt
), timers as (
    delete from timer where dag_run_id = $1
), unparked as (
    delete from parked where dag_run_id = $1
)
update task_instance t set attempt = greatest(t.attempt, q.attempt - 1)
from unqueued q
where t.dag_run_id = $1 and (t.task_index, t.map_index) = (q.task_index, q.map_index)
