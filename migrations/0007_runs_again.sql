-- Going again, backfills, and what limits a run as a whole.

-- How often a run that had ended went on: part of the identity of what is told of it. Past the first start its task
-- instances are there, and a look decides which of them start.
alter table dag_run add column epoch smallint not null default 0;

-- A success that was cleared stays as history, as an attempt that failed does.
alter table attempt drop constraint attempt_state_known;
alter table attempt add constraint attempt_state_known check (state in ('f', 'k', 'l', 'h', 's'));

-- What the clock may call for in a run. Rows are there only for runs whose DAG asks for it.
create table run_due (
    dag_run_id bigint not null,
    kind "char" not null,                        -- t dagrun_timeout, r dagrun_retries, d deadline
    due_at timestamptz not null,
    primary key (dag_run_id, kind)
);
create index run_due_at on run_due (due_at);

alter table dag_version add column dagrun_timeout double precision;   -- seconds
alter table dag_run add column timed_out_at timestamptz;              -- dagrun_timeout asked it to stop
alter table dag_run add column run_retries smallint not null default 0;   -- of dagrun_retries, used up

alter table dag add column pause_reason text;    -- why dagctl itself paused it
