-- What nobody takes care of any more, and when the next lease ends unless it is renewed.
with alive as (
    select greatest(lease_until, pg_postmaster_start_time() + make_interval(secs => $1)) as until
    from worker where lost_at is null and stopped_at is null
), left_over as (
    select dag_run_id, look_error is not null as is_set_aside
    from live_run l join dag_run r using (dag_run_id)
    where cancel_requested_at is not null or look_error is null and (
        look_wanted
        or state = 'r' and remaining = 0
            and not exists (select from run_due t where t.dag_run_id = l.dag_run_id and t.kind = 'r')
    )
    union
    select q.dag_run_id, false from ready q join dag_run r using (dag_run_id)
    where q.lost >= $2 and q.worker_id is null and r.look_error is null
    union
    -- A place below `max_active_tis_per_dag` may have become free in another run.
    select p.dag_run_id, false
    from dag_task k
    join parked p on p.dag_version_id = k.dag_version_id and p.task_index = k.task_index
    join dag_run r on r.dag_run_id = p.dag_run_id
    where k.max_tis_per_dag is not null and p.parked_at < now() - interval '1 minute' and r.state = 'r'
        and r.look_error is null
)
select
    exists (select from alive where until < now()) as "silent!",
    exists (
        select from ready q join worker w using (worker_id)
        where (w.lost_at is not null or w.stopped_at is not null) and q.lost < $2
    ) as "held!",
    exists (select from left_over where is_set_aside) as "set_aside!",
    array(select dag_run_id from left_over where not is_set_aside order by dag_run_id) as "runs!",
    array(select distinct dag_key from past_news order by dag_key) as "news!",
    (select extract(epoch from min(until) - now())::float8 from alive where until >= now()) as next
