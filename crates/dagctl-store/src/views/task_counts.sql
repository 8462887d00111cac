-- How many task instances of a run stand where, in the letters of task_rows.sql.
select state as "state!", count(*) as "count!"
from (
    select case
        when t.state <> 'n' then t.state
        when y.worker_id is not null then 'r'::"char"
        when y.dag_run_id is not null then 'q'::"char"
        when d.dag_run_id is not null then 'd'::"char"
        when m.kind = 'r' then 't'::"char"
        when m.kind = 'a' then 'a'::"char"
        when m.dag_run_id is not null then 'p'::"char"
        when t.open_instances is not null then 'r'::"char"
        else 'n'::"char"
    end as state
    from task_instance t
    left join ready y on y.dag_run_id = $1 and y.task_index = t.task_index and y.map_index = t.map_index
    left join parked d on d.dag_run_id = $1 and d.task_index = t.task_index and d.map_index = t.map_index
    left join timer m on m.dag_run_id = $1 and m.task_index = t.task_index and m.map_index = t.map_index
    where t.dag_run_id = $1
) seen
group by state
