-- Records a person's answer, if the question still stands and nobody was faster. The run is locked by the caller and
-- marked as one that something is left to decide in: a look that is lost is repeated.
with answered as (
    update approval a set answer = $4, answered_at = clock_timestamp(), answered_by = $5, reason = $6
    from timer m, task_instance t
    where (a.dag_run_id, a.task_index, a.map_index) = ($1, $2, $3) and a.answer is null
        and (m.dag_run_id, m.task_index, m.map_index, m.kind) = ($1, $2, $3, 'a')
        and (t.dag_run_id, t.task_index, t.map_index) = ($1, $2, $3) and t.epoch = a.epoch
        and (a.deadline is null or a.deadline > clock_timestamp())
    returning a.dag_run_id, a.subject
), wanted as (
    update live_run set look_wanted = true where dag_run_id in (select dag_run_id from answered)
), audited as (
    insert into audit (who, action, object, detail)
    select $5, $7, $8, jsonb_build_object('subject', subject, 'reason', $6::text) from answered
)
select count(*) as "answered!" from answered
