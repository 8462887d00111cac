-- How many task instances of a run stand where, in the letters of task_rows.sql. Those of a mapped task are counted by
-- themselves, under its place; `kept` leaves out those that are gone since its items changed. What has not settled is
-- counted as `n`, and once more by what waits for it to go on, if anything does: a large run is read once, without a join.
select
    case when t.map_index >= 0 then t.task_index end as of_task, t.state as "state!", count(*) as "count!",
    count(*) filter (where t.reason is distinct from 'removed') as "kept!"
from task_instance t
where t.dag_run_id = $1
group by 1, 2
union all
select case when map_index >= 0 then task_index end, letter, count(*), count(*)
from (
    select distinct on (task_index, map_index) task_index, map_index, letter
    from (
        select task_index, map_index, case when worker_id is null then 'q'::"char" else 'r'::"char" end as letter, 1 as place
        from ready where dag_run_id = $1
        union all
        select task_index, map_index, 'd'::"char", 2 from parked where dag_run_id = $1
        union all
        select task_index, map_index, case kind when 'r' then 't'::"char" when 'a' then 'a'::"char" else 'p'::"char" end, 3
        from timer where dag_run_id = $1
        union all
        -- A mapped task runs as long as its instances are open.
        select task_index, map_index, 'r'::"char", 4
        from task_instance where dag_run_id = $1 and state = 'n' and open_instances is not null
    ) waits
    order by task_index, map_index, place
) open
group by 1, 2
