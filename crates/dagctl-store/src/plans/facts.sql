-- Where every task instance of one run stands: `task_instance` for what settled, `ready`, `parked` and `timer` for the
-- rest.
select t.task_index, t.map_index, t.state, t.attempt, t.tries, t.first_poke_at, t.pokes,
    t.open_instances is not null as "is_expanded!",
    q.attempt as "ready_attempt?", q.lost as "ready_lost?", q.worker_id as "ready_worker?",
    p.attempt is not null as "is_parked!", w.kind as "timer_kind?"
from task_instance t
left join ready q using (dag_run_id, task_index, map_index)
left join parked p using (dag_run_id, task_index, map_index)
left join timer w using (dag_run_id, task_index, map_index)
where t.dag_run_id = $1
order by t.task_index, t.map_index
