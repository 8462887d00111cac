-- A DAG with a failed run and one under way, as the engine leaves them.
insert into pool (name) values ('default_pool');
insert into worker (name, version, slots, lease_until) values ('atlas:1', '0.1.0', 16, now() + interval '1 hour');
insert into dag (dag_id, is_paused, file, description, tags, owner, schedule, timezone, task_count, watermark)
values ('orders', false, 'orders.yaml', 'Loads <b>orders</b>', '{sales}', 'data', 'every day at 02:00', 'Asia/Seoul', 3, now());
insert into dag_version (dag_key, hash, git_commit, file, files, task_count, max_active_tasks, tells_success)
values (1, '\x01', 'abcdef0123456789', 'orders.yaml', jsonb_build_object('orders.yaml', 'dag_id: orders
schedule: "0 2 * * *"
params:
  day:
    type: string
    format: date
    default: "2026-01-31"
  limit:
    type: integer
    default: 100
tasks:
  extract:
    operator: empty
  load:
    operator: empty
    depends_on: extract
  report:
    operator: empty
    depends_on: load
'), 3, 16, false);
update dag set active_version_id = 1;
insert into dag_task values (1, 0, 'extract', 'empty', 1, 0, 0, 's', 1), (1, 1, 'load', 'empty', 1, 0, 1, 's', 1), (1, 2, 'report', 'empty', 1, 0, 1, 's', 1);
insert into dag_edge values (1, 0, 1), (1, 1, 2);
insert into dag_run (dag_run_id, dag_key, dag_version_id, run_id, run_type, state, logical_at, interval_start, interval_end, queued_at, started_at, finished_at)
select ((extract(epoch from now()) * 1000)::bigint << 20) + n, 1, 1, name, kind::"char", state::"char", now(), now(), now(), now(), now(),
    case state when 'f' then now() + interval '2 seconds' end
from (values (1, 'failed+run', 's', 'f'), (2, 'live:run', 'm', 'r')) as run (n, name, kind, state);
insert into run_key select 1, run_id, 'm', logical_at, dag_run_id from dag_run;
insert into live_run (dag_run_id, dag_key, is_running, is_asked_for) select dag_run_id, 1, true, true from dag_run where state = 'r';
insert into task_instance (dag_run_id, task_index, state, attempt, pending, worker_id, queued_at, started_at, finished_at)
select dag_run_id, 0, 's', 1, 0, 1, queued_at, queued_at, queued_at + interval '1 second' from dag_run;
insert into task_instance (dag_run_id, task_index, state, attempt, pending, reason, queued_at, started_at, finished_at)
select dag_run_id, 1, 'f', 2, 0, 'sqlstate_42601', queued_at, queued_at, queued_at + interval '2 seconds' from dag_run where state = 'f';
insert into task_instance (dag_run_id, task_index, state, pending, reason)
select dag_run_id, 2, 'u', 0, 'upstream_failed' from dag_run where state = 'f';
insert into task_instance (dag_run_id, task_index, pending) select dag_run_id, n, n - 1 from dag_run, generate_series(1, 2) n where state = 'r';
insert into ready (pool_key, queue_key, priority, dag_run_id, task_index, map_index, attempt, dag_version_id, worker_id, claimed_at)
select 1, 1, 0, dag_run_id, 1, -1, 1, 1, 1, now() from dag_run where state = 'r';
insert into attempt (dag_run_id, task_index, map_index, attempt, state, reason, message, worker_id, started_at)
select dag_run_id, 1, -1, n, 'f', 'sqlstate_42601', 'syntax error at or near "parition" <script>', 1, now() from dag_run, generate_series(1, 2) n where state = 'f';
insert into output select dag_run_id, 0, -1, '{"rows": 7}' from dag_run;
insert into log_chunk select dag_run_id, 1, -1, 1, 0, 3, '[[1000, "t", "first"], [2000, "o", "\u001b[31mred\u001b[0m <img src=x>"], [3000, "e", "third\u0007"]]' from dag_run;
insert into problem (file, line, col, severity, code, message, rendered, dag_id)
values ('orders.yaml', 3, 1, 'error', 'D012', 'unknown field `task`', 'error[D012]: unknown field `task`', 'orders');
