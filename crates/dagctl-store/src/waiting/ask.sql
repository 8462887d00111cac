-- Notes what tasks of one run, which the caller has locked, ask a person.
insert into approval (dag_run_id, task_index, map_index, epoch, subject, body, deadline)
select t.dag_run_id, t.task_index, t.map_index, t.epoch, it.subject, it.body, it.deadline
from unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::timestamptz[])
    as it (task_index, map_index, subject, body, deadline)
join task_instance t on t.dag_run_id = $1 and t.task_index = it.task_index and t.map_index = it.map_index
-- The same question may be asked again, by another attempt.
on conflict (dag_run_id, task_index, map_index, epoch)
do update set subject = excluded.subject, body = excluded.body, deadline = excluded.deadline
where approval.answer is null
