-- Every question that waits for an answer, the oldest first.
select d.dag_id, d.timezone, r.run_id, k.task_id, a.map_index, a.subject, a.body, a.asked_at, a.deadline
from timer m
join lateral (
    select * from approval a
    where (a.dag_run_id, a.task_index, a.map_index) = (m.dag_run_id, m.task_index, m.map_index)
    order by a.epoch desc limit 1
) a on a.answer is null
join dag_run r on r.dag_run_id = m.dag_run_id
join dag d using (dag_key)
join dag_task k on k.dag_version_id = r.dag_version_id and k.task_index = m.task_index
where m.kind = 'a'
order by a.asked_at, m.dag_run_id, m.task_index, m.map_index
limit $1
