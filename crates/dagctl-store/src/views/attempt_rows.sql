-- The attempts of a task instance: those that failed, the one that succeeded, the one under way or queued.
select
    a.attempt as "attempt!", a.state as "state!", a.reason as "reason?", a.message as "message?", w.name as "worker?",
    a.queued_at as "queued_at?", a.started_at as "started_at?", a.finished_at as "finished_at?"
from (
    select attempt, state, case when state <> 's' then reason end as reason,
        case when state <> 's' then message end as message, worker_id, queued_at, started_at, finished_at
    from attempt where dag_run_id = $1 and task_index = $2 and map_index = $3
    union all
    select attempt, state, null, null, worker_id, queued_at, started_at, finished_at
    from task_instance
    where dag_run_id = $1 and task_index = $2 and map_index = $3 and state = 's' and reason is distinct from 'marked'
    union all
    select attempt, case when worker_id is null then 'q'::"char" else 'r'::"char" end, null, null, worker_id,
        queued_at, claimed_at, null
    from ready where dag_run_id = $1 and task_index = $2 and map_index = $3
) a
left join worker w using (worker_id)
order by a.attempt
