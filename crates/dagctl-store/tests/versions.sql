-- A DAG of which three versions of 2,000 tasks are stored, and a run of the last one that waits to start.
insert into pool (name) values ('default_pool');
insert into dag (dag_id, is_paused, file, task_count, watermark, max_active_runs)
values ('orders', false, 'orders.yaml', 2000, now(), 16);
insert into dag_version (dag_key, hash, file, files, task_count, max_active_tasks, tells_success)
select dag_key, convert_to(n::text, 'UTF8'), file, '{}', 2000, 100000, false from dag, generate_series(1, 3) n;
insert into dag_task (dag_version_id, task_index, task_id, operator, pool_key, queue_key, priority, indegree, rule)
select dag_version_id, n, 'task_' || n, 'empty', pool_key, 1, 0, case when n < 10 then 0 else 1 end, 's'
from dag_version, pool, generate_series(0, 1999) n;
insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start, interval_end)
select (extract(epoch from now()) * 1000)::bigint << 20, dag_key, max(dag_version_id), 'one', 'm', 'q', now(), now(), now()
from dag_version group by dag_key;
insert into live_run (dag_run_id, dag_key, is_running, is_asked_for) select dag_run_id, dag_key, false, true from dag_run;
analyze
