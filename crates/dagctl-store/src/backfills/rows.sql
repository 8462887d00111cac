-- Backfills, newest first, with how far each is: of one DAG, or the one of a number, or all.
select b.backfill_id, d.dag_id, b.from_at, b.to_at, b.reprocess, b.is_reversed, b.max_active_runs, b.state, b.created_by,
    b.created_at, b.ended_at,
    n.waiting as "waiting!", n.skipped as "skipped!", n.queued as "queued!", n.running as "running!",
    n.success as "success!", n.failed as "failed!"
from (
    select * from backfill
    where ($1::text is null or dag_key = (select dag_key from dag where dag_id = $1))
        and ($2::int is null or backfill_id = $2)
    order by backfill_id desc
    limit $3
) b
join dag d using (dag_key)
cross join lateral (
    select count(*) filter (where s.step in ('n', 'a')) as waiting, count(*) filter (where s.step = 's') as skipped,
        count(*) filter (where s.step = 'm' and r.state = 'q') as queued,
        count(*) filter (where s.step = 'm' and r.state = 'r') as running,
        count(*) filter (where s.step = 'm' and r.state = 's') as success,
        count(*) filter (where s.step = 'm' and r.state = 'f') as failed
    from backfill_date s left join dag_run r using (dag_run_id)
    where s.backfill_id = b.backfill_id
) n
order by b.backfill_id desc
