-- The run of a key.
select
    r.dag_run_id, d.dag_id, d.timezone, r.dag_version_id, v.git_commit, r.run_id, r.run_type, r.state, r.logical_at,
    r.interval_start, r.interval_end, r.params, r.note, r.triggered_by, r.cancel_requested_at, r.cancel_requested_by,
    r.queued_at, r.started_at, r.finished_at, r.look_error
from dag_run r
join dag d using (dag_key)
join dag_version v using (dag_version_id)
where r.dag_run_id = $1
