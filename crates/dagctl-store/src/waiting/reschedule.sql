-- Puts task instances whose attempts were given back to wait until their timers are due; each only if it has not
-- settled. Their runs, and those they wait for ($8), are locked by the caller.
with planned as (
    select * from unnest($1::bigint[], $2::int[], $3::int[], $4::smallint[], $5::smallint[], $6::timestamptz[],
        $7::"char"[], $8::bigint[], $9::timestamptz[])
        as it (dag_run_id, task_index, map_index, attempt, lost, due_at, kind, awaits, started_at)
), waiting as (
    update task_instance t
    set attempt = p.attempt, lost = p.lost, worker_id = $10,
        first_poke_at = case when p.kind = 'p' then coalesce(t.first_poke_at, p.started_at) else t.first_poke_at end,
        pokes = case when p.kind = 'p' then coalesce(t.pokes, 0) + 1 else t.pokes end
    from planned p
    where (t.dag_run_id, t.task_index, t.map_index) = (p.dag_run_id, p.task_index, p.map_index) and t.state = 'n'
    returning t.dag_run_id, t.task_index, t.map_index
), awaited as (
    update dag_run r set is_awaited = true from planned p
    where r.dag_run_id = p.awaits and r.state in ('q', 'r')
    returning r.dag_run_id
)
insert into timer (due_at, dag_run_id, task_index, map_index, attempt, lost, kind, awaits)
select
    -- A run that has ended meanwhile wakes nobody any more.
    case when p.awaits is null or p.awaits in (select dag_run_id from awaited) then p.due_at else clock_timestamp() end,
    p.dag_run_id, p.task_index, p.map_index, p.attempt + 1, p.lost, p.kind, p.awaits
from planned p join waiting using (dag_run_id, task_index, map_index)
