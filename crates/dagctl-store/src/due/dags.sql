-- What the scheduler should do, and when it should look again, in one look at one clock.
with clock as materialized (
    select clock_timestamp() as now
), scheduled as materialized (
    select d.dag_key, d.next_due_at, d.schedule = $1 and d.last_at > d.watermark as has_ended
    from dag d
    where d.next_due_at is not null and not d.is_paused and d.missing_since is null and d.active_version_id is not null
), live as (
    select dag_key, count(*) filter (where is_running) as running,
        bool_or(not is_running and is_asked_for) as is_asked_for, bool_or(not is_running) as is_queued
    from live_run group by dag_key
)
select clock.now as "now!",
    array(select dag_key from scheduled where next_due_at <= clock.now or has_ended order by dag_key) as "dags!",
    exists (select from asset_event where not is_told) as "has_news!",
    -- A pause stops the schedule, not what people ask for.
    array(
        select dag_key from live join dag d using (dag_key)
        where live.running < d.max_active_runs and (live.is_asked_for or live.is_queued and not d.is_paused)
        order by dag_key
    ) as "waiting!",
    array(select distinct dag_run_id from run_due where due_at <= clock.now order by dag_run_id limit 500) as "runs!",
    -- Backfills with a place for a date, or with none left to fill; and cancelled ones with runs in the queue.
    array(
        select b.backfill_id from backfill b
        cross join lateral (select count(*) as live from live_run l where l.backfill_id = b.backfill_id) n
        cross join lateral (
            select exists (
                select from backfill_date s where s.backfill_id = b.backfill_id and s.step in ('n', 'a')
            ) as is_left
        ) todo
        where b.state = 'r' and (todo.is_left and n.live <= b.max_active_runs or not todo.is_left and n.live = 0)
        order by 1
    ) as "backfills!",
    array(
        select distinct b.backfill_id from live_run l join backfill b using (backfill_id)
        where b.state = 'c' and not l.is_running
    ) as "cancelled_backfills!",
    extract(epoch from least(
        (select min(next_due_at) from scheduled where next_due_at > clock.now),
        (select min(due_at) from run_due where due_at > clock.now)
    ) - clock.now)::float8 as next
from clock
