-- The task instances of a run, as people see them: `q`, `r` and `t` stand for queued, running and up for retry.
select
    t.task_index, t.map_index, k.task_id, k.operator, p.name as pool,
    case
        when t.state <> 'n' then t.state
        when y.worker_id is not null then 'r'::"char"
        when y.dag_run_id is not null then 'q'::"char"
        when m.dag_run_id is not null then 't'::"char"
        else 'n'::"char"
    end as "state!",
    coalesce(y.attempt, greatest(t.attempt, a.attempt)) as "attempt!",
    coalesce(y.queued_at, t.queued_at) as "queued_at?",
    case
        when y.dag_run_id is not null then y.claimed_at
        when t.state = 'n' then a.started_at
        else t.started_at
    end as "started_at?",
    case when t.state = 'n' then null else t.finished_at end as "finished_at?",
    m.due_at as "retry_at?",
    -- Once a new attempt is queued or runs, the reason is the one before's, and says so.
    case
        when y.dag_run_id is null then coalesce(t.reason, a.reason)
        when a.reason is not null then format('attempt %s: %s', a.attempt, a.reason)
    end as "reason?",
    case when t.state in ('n', 'f') then a.message end as "error?",
    w.name as "worker?"
from task_instance t
join dag_run r on r.dag_run_id = t.dag_run_id
join dag_task k on k.dag_version_id = r.dag_version_id and k.task_index = t.task_index
join pool p on p.pool_key = k.pool_key
left join ready y on (y.dag_run_id, y.task_index, y.map_index) = (t.dag_run_id, t.task_index, t.map_index)
left join timer m on (m.dag_run_id, m.task_index, m.map_index) = (t.dag_run_id, t.task_index, t.map_index)
left join lateral (
    select attempt, reason, message, started_at, worker_id from attempt
    where (attempt.dag_run_id, attempt.task_index, attempt.map_index) = (t.dag_run_id, t.task_index, t.map_index)
    order by attempt desc
    limit 1
) a on true
left join worker w on w.worker_id = coalesce(y.worker_id, t.worker_id, a.worker_id)
where t.dag_run_id = $1
order by t.task_index, t.map_index
