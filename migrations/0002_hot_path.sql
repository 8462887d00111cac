-- The hot path: what a batch of finished tasks needs stands in the rows that it touches anyway, and nothing that is
-- asked for all day has to look at history.

-- Workers take tasks of the queues they serve.
create table queue (
    queue_key int generated always as identity primary key,
    name text not null constraint queue_name_unique unique
);
insert into queue (name) values ('default');

alter table dag_task add column queue_key int not null default 1 references queue;
alter table dag_task alter column queue_key drop default;

-- Whether a run that succeeds is news to somebody: then a look ends it.
alter table dag_version add column tells_success boolean not null default true;
alter table dag_version alter column tells_success drop default;

alter table dag_run add column n_failed int not null default 0;   -- task instances settled as failed or upstream_failed
update dag_run r set n_failed = (
    select count(*) from task_instance t where t.dag_run_id = r.dag_run_id and t.state in ('f', 'u')
) where state = 'r';
alter table dag_run drop column is_limited;

-- Runs that have not ended. History is partitioned by time; whoever wants to know what goes on reads this.
create table live_run (
    dag_run_id bigint not null primary key,
    dag_key int not null,
    is_running boolean not null,                 -- false: waits for a place below max_active_runs
    is_asked_for boolean not null,               -- somebody triggered it: a paused DAG starts it all the same
    look_wanted boolean not null default false   -- something is left to decide
) with (fillfactor = 70);
create index live_run_by_dag on live_run (dag_key) where is_running;
create index live_run_queued on live_run (dag_key, dag_run_id) where not is_running;
insert into live_run (dag_run_id, dag_key, is_running, is_asked_for, look_wanted)
select dag_run_id, dag_key, state = 'r', run_type = 'm', true from dag_run where state in ('q', 'r');
drop index dag_run_live;

drop index ready_claim;
alter table ready add column queue_key int not null default 1;
alter table ready alter column queue_key drop default;
alter table ready add column dag_version_id int;
alter table ready add column epoch smallint not null default 0;
update ready q set dag_version_id = r.dag_version_id, epoch = t.epoch
from task_instance t join dag_run r using (dag_run_id)
where (q.dag_run_id, q.task_index, q.map_index) = (t.dag_run_id, t.task_index, t.map_index);
alter table ready alter column dag_version_id set not null;
create index ready_claim on ready (pool_key, queue_key, priority, seq) where worker_id is null;

-- May start, and waits for a place below `max_active_tasks`. Airflow says `scheduled`.
create table parked (
    dag_run_id bigint not null,
    task_index int not null,
    map_index int not null,
    pool_key int not null,
    queue_key int not null,
    priority int not null,
    attempt smallint not null,
    lost smallint not null default 0,
    dag_version_id int not null,
    epoch smallint not null,
    parked_at timestamptz not null default clock_timestamp(),
    primary key (dag_run_id, task_index, map_index)
);
create index parked_first on parked (dag_run_id, priority, task_index, map_index);

alter table worker add column queue_keys int[] not null default '{1}';
