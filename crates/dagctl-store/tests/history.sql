-- Two years of weekly partitions and what 20 DAGs did in them: 4,160 runs of three tasks.
insert into pool (name) values ('default_pool');
insert into dag (dag_id, is_paused, file, task_count, watermark)
select 'dag_' || n, false, 'dag_' || n || '.yaml', 3, now() from generate_series(1, 20) n;
insert into dag_version (dag_version_id, dag_key, hash, file, files, task_count, max_active_tasks, tells_success)
overriding system value
select dag_key, dag_key, '\x01', file, '{}', 3, 16, false from dag;
update dag set active_version_id = dag_version_id from dag_version v where v.dag_key = dag.dag_key;
insert into dag_task (dag_version_id, task_index, task_id, operator, pool_key, queue_key, priority, indegree, rule)
select dag_version_id, n, 'task_' || n, 'empty', 1, 1, 0, 0, 's' from dag_version v, generate_series(0, 2) n;
select ensure_partitions(now() - interval '103 weeks', now());
insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start,
    interval_end, started_at, finished_at)
select (extract(epoch from at) * 1000)::bigint << 20 | n, dag_key, dag_version_id, 'run_' || n, 's',
    case when n % 50 = 0 then 'f'::"char" else 's' end, at, at, at, at, at
from (select n, now() - n * interval '4 hours' as at from generate_series(1, 4160) n) run
join dag_version on dag_key = 1 + n % 20;
insert into run_key select dag_key, run_id, 's', logical_at, dag_run_id from dag_run;
insert into task_instance (dag_run_id, task_index, state, attempt, pending, started_at, finished_at)
select dag_run_id, task_index, case when state = 'f' and task_index = 2 then 'f'::"char" else 's' end, 1, 0,
    started_at, finished_at
from dag_run join dag_task using (dag_version_id);
insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message)
select dag_run_id, task_index, -1, 1, 'f', 'exit_code', 'it failed' from task_instance where state = 'f';
insert into output select dag_run_id, 0, -1, '{}' from dag_run;
insert into log_chunk select dag_run_id, task_index, -1, 1, 0, 1, '[[0, "o", "a line"]]' from task_instance;
analyze
