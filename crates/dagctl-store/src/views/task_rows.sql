-- Task instances of a run after a place and up to some task, upstream first: of any state, or of some, or those of one
-- name. As people see them: `q`, `r`, `d`, `t`, `p` and `a` stand for queued, running, scheduled, up for retry, up for
-- reschedule and waiting for an approval; a mapped task runs as long as its instances are open. The run's key goes
-- into every table by itself, so that each reads the one partition of its week. Postgres may settle for one plan for
-- all questions: so that this one reads no more of a large run than it must, the tasks and the letters in the table
-- are bounded first, and what only the page shows is joined last.
with bound as (
    select v.dag_version_id, coalesce(k.task_index, $2::int) as first, coalesce(k.task_index, $8::int) as last
    from dag_run v
    left join lateral (
        select task_id, task_index from dag_task
        where $5::text is not null and dag_version_id = v.dag_version_id and task_id = $5
        limit 1
    ) k on true
    where v.dag_run_id = $1 and ($5 is null or k.task_id is not null)
), page as (
    select
        t.task_index, t.map_index, t.state as letter, t.attempt, t.reason, t.first_poke_at, t.pokes, t.queued_at,
        t.started_at, t.finished_at, t.worker_id, y.dag_run_id is not null as is_ready, y.attempt as ready_attempt,
        y.queued_at as ready_at, y.claimed_at, y.worker_id as claimed_by, m.due_at, s.state
    from task_instance t
    left join ready y on y.dag_run_id = $1 and y.task_index = t.task_index and y.map_index = t.map_index
    left join parked d on d.dag_run_id = $1 and d.task_index = t.task_index and d.map_index = t.map_index
    left join timer m on m.dag_run_id = $1 and m.task_index = t.task_index and m.map_index = t.map_index
    cross join lateral (
        select case
            when t.state <> 'n' then t.state
            when y.worker_id is not null then 'r'::"char"
            when y.dag_run_id is not null then 'q'::"char"
            when d.dag_run_id is not null then 'd'::"char"
            when m.kind = 'r' then 't'::"char"
            when m.kind = 'a' then 'a'::"char"
            when m.dag_run_id is not null then 'p'::"char"
            when t.open_instances is not null then 'r'::"char"
            else 'n'::"char"
        end as state
    ) s
    where t.dag_run_id = $1 and (t.task_index, t.map_index) > ($2, $3::int)
        and t.task_index >= (select first from bound) and t.task_index <= (select last from bound)
        and ($4::"char"[] is null or t.state = any ($9::"char"[]) and s.state = any ($4))
        and (t.map_index = -1 or not $7::boolean)
    order by t.task_index, t.map_index
    limit $6
)
select
    t.task_index, t.map_index, k.task_id, k.operator, p.name as pool, t.state as "state!",
    coalesce(t.ready_attempt, greatest(t.attempt, a.attempt)) as "attempt!",
    coalesce(t.ready_at, t.queued_at) as "queued_at?",
    case
        when t.is_ready then t.claimed_at
        when t.letter = 'n' then a.started_at
        else t.started_at
    end as "started_at?",
    case when t.letter = 'n' then null else t.finished_at end as "finished_at?",
    case when t.state <> 'a' then t.due_at end as "retry_at?", t.first_poke_at, t.pokes,
    -- Once a new attempt is queued or runs, the reason is the one before's, and says so.
    case
        when not t.is_ready then coalesce(t.reason, a.reason)
        when a.reason is not null then format('attempt %s: %s', a.attempt, a.reason)
    end as "reason?",
    case when t.letter in ('n', 'f') then a.message end as "error?",
    w.name as "worker?"
from page t
join dag_task k on k.dag_version_id = (select dag_version_id from bound) and k.task_index = t.task_index
join pool p using (pool_key)
left join (
    select distinct on (task_index, map_index)
        task_index, map_index, attempt, reason, message, started_at, worker_id
    from attempt
    where dag_run_id = $1 and state <> 's' and task_index >= (select first from bound) and task_index <= (select last from bound)
    order by task_index, map_index, attempt desc
) a on (a.task_index, a.map_index) = (t.task_index, t.map_index)
left join worker w on w.worker_id = coalesce(t.claimed_by, t.worker_id, a.worker_id)
order by t.task_index, t.map_index
