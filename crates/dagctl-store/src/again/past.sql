-- Where the tasks of one run stand, as far as going again is concerned; of a mapped task all its instances together.
-- stands: r a worker has it, q it is or will be in the queue, n it waits, else its verdict, the worst first.
-- cause of a verdict: i the task itself or a person, o other tasks, s a stop of its run.
select t.task_index,
    case
        when bool_or(q.worker_id is not null) then 'r'::"char"
        when bool_or(coalesce(q.attempt, p.attempt, w.attempt) is not null) then 'q'::"char"
        when bool_or(t.state = 'n') then 'n'::"char"
        when bool_or(t.state = 'f') then 'f'::"char"
        when bool_or(t.state = 'u') then 'u'::"char"
        when bool_or(t.state = 's') then 's'::"char"
        else 'k'::"char"
    end as "stands!",
    case
        when bool_and(t.state in ('u', 'k') and t.reason in ('cancelled', 'dagrun_timeout')) then 's'::"char"
        when bool_and(t.state in ('u', 'k') and t.reason is distinct from 'skipped'
            and t.reason is distinct from 'marked') then 'o'::"char"
        else 'i'::"char"
    end as "cause!"
from task_instance t
left join ready q using (dag_run_id, task_index, map_index)
left join parked p using (dag_run_id, task_index, map_index)
left join timer w using (dag_run_id, task_index, map_index)
where t.dag_run_id = $1
group by t.task_index
order by t.task_index
