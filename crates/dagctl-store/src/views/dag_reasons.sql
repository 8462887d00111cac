-- What explains when a DAG runs next: why it is paused, the first error of its file, what was left out last.
select
    d.pause_reason, paused.who as "paused_by?", paused.at as "paused_at?", error.message as "error?",
    error.first_seen_at as "error_since?", skipped.count as "skipped?", skipped.reason as "skipped_why?",
    skipped.recorded_at as "skipped_at?"
from dag d
left join lateral (
    -- Who never paused it is looked for through the whole log, so only where that is asked.
    select who, at from audit
    where d.is_paused and d.pause_reason is null and action = 'dag.pause' and object = d.dag_id
    order by audit_id desc limit 1
) paused on true
left join lateral (
    select message, first_seen_at from problem
    where (dag_id = d.dag_id or file = d.file) and severity = 'error' and code not in ('D021', 'D030')
    order by line limit 1
) error on true
left join lateral (
    select count, reason, recorded_at from skipped_interval where dag_key = d.dag_key
    order by first_logical_at desc limit 1
) skipped on true
where d.dag_key = $1
