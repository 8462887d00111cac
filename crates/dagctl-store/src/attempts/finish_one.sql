-- The hot path for a single task: what `finish.sql` does, for one plain success without outputs, of a run without a
-- limit on its tasks, that is not its run's last one and whose worker wishes for nothing but its children. Setting up the
-- large statement costs more than this one does altogether, and a hop in a chain is little else.
--
-- $1–$3 the attempt, $4 the worker, $5 its free slots, $6 and $7 the pool and the queue it claims from; that pool has no
-- limit. No row: the run is not of that kind, and nothing has happened.
with run as materialized (
    select r.dag_run_id, r.dag_version_id
    from dag_run r join dag_version v using (dag_version_id)
    where r.dag_run_id = $1 and r.state = 'r' and r.remaining > 1 and r.cancel_requested_at is null
        and not v.is_limited and not r.went_again
    for update of r
), given_back as materialized (
    delete from ready
    where dag_run_id = $1 and task_index = $2 and map_index = -1 and attempt = $3 and worker_id = $4
        and exists (select from run)
    returning lost, queued_at, claimed_at
), settled as (
    update task_instance t
    set state = 's', attempt = $3, lost = b.lost, worker_id = $4, queued_at = b.queued_at, started_at = b.claimed_at,
        finished_at = clock_timestamp()
    from given_back b
    where t.dag_run_id = $1 and t.task_index = $2 and t.map_index = -1 and t.state = 'n'
    returning 1
), counted_down as (
    update task_instance t set pending = t.pending - 1
    from run, dag_edge e
    where exists (select from given_back) and e.dag_version_id = run.dag_version_id and e.parent = $2
        and t.dag_run_id = $1 and t.task_index = e.child and t.map_index = -1
    returning t.task_index, t.attempt, t.epoch, t.state, t.pending, t.n_bad, run.dag_version_id
), able as materialized (
    select d.task_index, d.attempt, d.epoch, d.dag_version_id, k.pool_key, k.queue_key, k.priority,
        k.pool_slots, k.own_priority,
        d.n_bad = 0 and k.rule = 's' as is_able
    from counted_down d
    join dag_task k using (dag_version_id, task_index)
    where d.pending = 0 and d.state = 'n'
), head as materialized (
    select own_priority, queued_at from ready
    where pool_key = $6 and queue_key = $7 and worker_id is null and lost < 5
    order by urgency, seq
    limit 1
), queued as (
    insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, dag_version_id, epoch,
        pool_slots, own_priority, worker_id, claimed_at)
    select pool_key, queue_key, priority, $1, task_index, -1, attempt + 1, dag_version_id, epoch, pool_slots, own_priority,
        case when is_kept then $4::int end, case when is_kept then clock_timestamp() end
    from (
        select a.*,
            row_number() over (order by priority, task_index) <= $5 and a.pool_key = $6 and a.queue_key = $7
                and not exists (
                    select from head h
                    where h.own_priority < a.own_priority
                        or h.own_priority = a.own_priority and h.queued_at < clock_timestamp() - interval '1 second'
                )
                and exists (
                    select from worker where worker_id = $4 and lost_at is null
                        and exists (select from pool where pool_key = $6 and slots is null)
                ) as is_kept
        from able a
        where is_able
    ) child
    returning dag_run_id, task_index, map_index, attempt, dag_version_id, epoch, worker_id
), counted as (
    update dag_run set remaining = remaining - 1 where dag_run_id = $1 and exists (select from settled)
), undecided as materialized (
    select distinct $1::bigint as dag_run_id from able where not is_able
), wanted as (
    update live_run set look_wanted = true where dag_run_id = (select dag_run_id from undecided)
)
select
    (select count(*)::int from settled) as "settled!",
    (select count(*)::int from queued where worker_id is null) as "queued!",
    array(select dag_run_id from undecided) as "undecided!",
    '{}'::bigint[] as "limited!",
    '{}'::int[] as "to_start!",
    null::boolean as "others_wait?",
    c.*
from run
cross join (
    select
        coalesce(array_agg(dag_run_id), '{}') as "dag_run_ids!", coalesce(array_agg(task_index), '{}') as "task_indexes!",
        coalesce(array_agg(map_index), '{}') as "map_indexes!", coalesce(array_agg(attempt), '{}') as "attempts!",
        coalesce(array_agg(dag_version_id), '{}') as "dag_version_ids!", coalesce(array_agg(epoch), '{}') as "epochs!"
    from queued where worker_id is not null
) c
