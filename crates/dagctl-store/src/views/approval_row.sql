-- The question that a task instance asks or asked last, and where it stands.
select a.subject, a.body, a.asked_at, a.deadline, a.answer, a.answered_at, a.answered_by, a.reason,
    exists (
        select from timer m where (m.dag_run_id, m.task_index, m.map_index, m.kind) = ($1, $2, $3, 'a')
    ) and a.answer is null as "is_open!"
from approval a
where (a.dag_run_id, a.task_index, a.map_index) = ($1, $2, $3)
order by a.epoch desc
limit 1
