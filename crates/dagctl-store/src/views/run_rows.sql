-- Runs of a DAG below a key, newest first: of any state, or of one. Each kind has its index; a plan made for all kinds
-- at once runs the branch that is asked for and no other.
select
    r.dag_run_id, d.dag_id, d.timezone, r.dag_version_id, v.git_commit, r.run_id, r.run_type, r.state, r.logical_at,
    r.interval_start, r.interval_end, r.params, r.note, r.triggered_by, r.cancel_requested_at, r.cancel_requested_by,
    r.queued_at, r.started_at, r.finished_at, r.look_error
from (
    (
        select dag_run_id from dag_run where $2::"char" is null and dag_key = $1 and dag_run_id < $3
        order by dag_run_id desc limit $4
    ) union all (
        select dag_run_id from live_run
        where $2 in ('q', 'r') and is_running = ($2 = 'r') and dag_key = $1 and dag_run_id < $3
        order by dag_run_id desc limit $4
    ) union all (
        select dag_run_id from dag_run where $2 = 'f' and state = 'f' and dag_key = $1 and dag_run_id < $3
        order by dag_run_id desc limit $4
    ) union all (
        select dag_run_id from dag_run where $2 = 's' and state = 's' and dag_key = $1 and dag_run_id < $3
        order by dag_run_id desc limit $4
    )
) listed
join dag_run r using (dag_run_id)
join dag d using (dag_key)
join dag_version v using (dag_version_id)
order by r.dag_run_id desc
