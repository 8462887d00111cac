-- The run of a name in a DAG; `latest` is the newest, unless a run has that very name.
select
    r.dag_run_id, d.dag_id, d.timezone, r.dag_version_id, v.git_commit, r.run_id, r.run_type, r.state, r.logical_at,
    r.interval_start, r.interval_end, r.params, r.note, r.triggered_by, r.cancel_requested_at, r.cancel_requested_by,
    r.queued_at, r.started_at, r.finished_at, r.look_error
from dag d
join dag_run r on r.dag_run_id = coalesce(
    (select k.dag_run_id from run_key k where k.dag_key = d.dag_key and k.run_id = $2),
    (
        select n.dag_run_id from dag_run n where $2 = 'latest' and n.dag_key = d.dag_key
        order by n.dag_run_id desc limit 1
    )
)
join dag_version v using (dag_version_id)
where d.dag_id = $1
