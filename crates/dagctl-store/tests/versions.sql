-- A DAG of which a version of 10,000 tasks is stored and four small ones, a hundred runs of it that ended, and one of the
-- last version that waits to start.
insert into pool (name) values ('default_pool');
insert into dag (dag_id, is_paused, file, task_count, watermark, max_active_runs)
values ('orders', false, 'orders.yaml', 500, now(), 16);
insert into dag_version (dag_key, hash, file, files, task_count, max_active_tasks, tells_success)
select dag_key, convert_to(n::text, 'UTF8'), file, '{}', 500, 100000, false from dag, generate_series(1, 5) n;
insert into dag_task (dag_version_id, task_index, task_id, operator, pool_key, queue_key, priority, indegree, rule)
select dag_version_id, n, 'task_' || n, 'empty', pool_key, 1, 0, 0, 's'
from dag_version, pool, generate_series(0, case dag_version_id when 1 then 9999 else 499 end) n;
insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start, interval_end,
    started_at, finished_at)
select (extract(epoch from now()) * 1000)::bigint << 20 | n, dag_key, max(dag_version_id), 'run_' || n, 'm',
    case n when 100 then 'q'::"char" else 's' end, now(), now(), now(), case when n < 100 then now() end,
    case when n < 100 then now() end
from dag_version, generate_series(0, 100) n group by dag_key, n;
insert into live_run (dag_run_id, dag_key, is_running, is_asked_for)
select dag_run_id, dag_key, false, true from dag_run where state = 'q';
analyze;
